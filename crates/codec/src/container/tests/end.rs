//! Files that say their totals at their end, and what follows an end.

use std::io::Cursor;

use super::*;

/// 40 super-frames in packets of 12, and how long their source was.
fn known() -> Codes {
    let mut codes = random_codes(&snac(), 40, &mut Rng::new(SEED));
    codes.set_source_samples(Some(80_123));
    codes
}

fn open(bytes: &[u8]) -> NctFile<Cursor<&[u8]>> {
    NctFile::open(Cursor::new(bytes)).unwrap()
}

/// The codes of both readers, and the code of the fault that both name.
#[track_caller]
fn read(bytes: &[u8]) -> (Codes, Option<&'static str>) {
    let salvage = NctReader::new(bytes).unwrap().read_all();
    let mut file = open(bytes);
    let fault = salvage.fault.map(|fault| fault.code());
    assert_eq!(file.fault().map(ContainerError::code), fault);
    let all = file.read_superframes(0..file.superframes()).unwrap();
    let mut codes = salvage.codes;
    assert_eq!(codes.into_books(), all.clone().into_books());
    codes = all;
    codes.set_source_samples(file.total_samples());
    (codes, fault)
}

#[test]
fn the_end_is_that_of_the_format() {
    let empty = NctHeader {
        has_end: true,
        ..header(&snac())
    };
    let start = empty.clone().ready().unwrap().bytes().len();
    let bytes = streamed(header(&snac()), &known());
    assert_eq!(bytes[5], 0b110);
    let mut expected = vec![0, 0];
    expected.extend(80_123_u64.to_le_bytes());
    expected.extend(40_u64.to_le_bytes());
    expected.extend(crc32fast::hash(&expected).to_le_bytes());
    assert_eq!(bytes[bytes.len() - 22..], expected);
    assert_eq!(bytes.len(), start + 3 * 132 + 6 + 42 + 22);
}

#[test]
fn a_pipe_keeps_what_a_file_keeps() {
    let mut rng = Rng::new(SEED);
    for specs in all_books() {
        for superframes in [0, 1, 11, 12, 13, 40] {
            let mut codes = random_codes(&specs, superframes, &mut rng);
            codes.set_source_samples((superframes > 0).then_some(superframes as u64 * 7 + 1));
            let header = NctHeader {
                packet_superframes: 1 + rng.below(13) as u16,
                ..header(&specs)
            };
            let bytes = streamed(header.clone(), &codes);
            let reader = NctReader::new(&bytes[..]).unwrap();
            assert_eq!(
                (reader.header().has_end, reader.total_samples()),
                (true, None)
            );
            assert_eq!(reader.read_all().whole().unwrap(), codes);
            assert_eq!(read(&bytes), (codes.clone(), None));
            // Of who can go back it takes nothing.
            let patched = NctHeader {
                has_end: true,
                ..header.clone()
            };
            let mut writer = NctWriter::new(Cursor::new(Vec::new()), patched).unwrap();
            writer.push(&codes).unwrap();
            let patched = writer.finish_totals().unwrap().into_inner();
            match superframes {
                0 => assert_eq!(read(&patched), (codes, None)),
                _ => assert!(patched == file(header, &codes)),
            }
        }
    }
}

#[test]
fn segments_have_an_end_too() {
    let mut codes = segmented_codes(640, 150, SEED);
    codes.set_source_samples(Some(300_000));
    let header = NctHeader {
        segmented: true,
        packet_superframes: 150,
        ..header(codes.specs())
    };
    let bytes = streamed(header, &codes);
    assert_eq!(
        NctReader::new(&bytes[..])
            .unwrap()
            .read_all()
            .whole()
            .unwrap(),
        codes
    );
    let (found, fault) = read(&bytes);
    assert_eq!((found, fault), (codes, None));
    assert_eq!(read(&bytes[..bytes.len() - 22]).1, Some("truncated"));
}

#[test]
fn a_file_without_its_end_was_cut() {
    let bytes = streamed(header(&snac()), &known());
    let first = bytes.len() - 22;
    for cut in first..bytes.len() {
        let (codes, fault) = read(&bytes[..cut]);
        assert_eq!(
            (codes.superframes(), fault),
            (40, Some("truncated")),
            "{cut}"
        );
        let NctFileFault { packet, missing } = truncation(&bytes[..cut]);
        assert_eq!((packet, missing), (4, (bytes.len() - cut) as u64));
    }
    let (codes, fault) = read(&bytes[..first - 48]);
    assert_eq!((codes.superframes(), fault), (36, Some("truncated")));
    let (codes, fault) = read(&bytes[..first - 40]);
    assert_eq!((codes.superframes(), fault), (36, Some("truncated")));
    let mut flipped = bytes.clone();
    flipped[first + 4] ^= 1;
    assert_eq!(read(&flipped).1, Some("checksum"));
}

struct NctFileFault {
    packet: u64,
    missing: u64,
}

fn truncation(bytes: &[u8]) -> NctFileFault {
    match open(bytes).fault() {
        Some(&ContainerError::Truncated {
            packet, missing, ..
        }) => NctFileFault { packet, missing },
        fault => panic!("{fault:?}"),
    }
}

#[test]
fn a_packet_that_was_lost_or_doubled_is_missed_at_the_end() {
    let bytes = streamed(header(&snac()), &known());
    let first = bytes.len() - 22 - 48 - 3 * 132;
    let mut lost = bytes.clone();
    lost.drain(first + 132..first + 264);
    assert_eq!(read(&lost).1, Some("end"));
    let mut doubled = bytes[..first + 132].to_vec();
    doubled.extend(&bytes[first..]);
    assert_eq!(read(&doubled).1, Some("end"));
}

#[test]
fn nothing_follows_the_end_of_a_file() {
    let codes = known();
    let whole = file(header(&snac()), &codes);
    let even = file(header(&snac()), &codes.slice(0..36).unwrap());
    let ended = streamed(header(&snac()), &codes);
    let segmented = segmented_codes(300, 150, SEED);
    let header = NctHeader {
        segmented: true,
        packet_superframes: 150,
        ..header(segmented.specs())
    };
    let segments = [
        file(header.clone(), &segmented),
        streamed(header, &segmented),
    ];
    for bytes in [&whole, &even, &ended, &segments[0], &segments[1]] {
        let (codes, fault) = read(bytes);
        assert_eq!(fault, None);
        for more in [&b"\0"[..], b"\n", &[0; 22], &[7; 200], bytes] {
            let joined = [bytes, more].concat();
            let salvage = NctReader::new(&joined[..]).unwrap().read_all();
            let at = bytes.len() as u64;
            let named =
                matches!(salvage.fault, Some(ContainerError::Trailing { offset }) if offset == at);
            assert!(named, "{:?}", salvage.fault);
            assert_eq!(salvage.codes.into_books(), codes.clone().into_books());
            let fault = open(&joined).fault().map(ContainerError::code);
            // Two ends: the file is taken for a long one with an end in its middle.
            let expected = match more.len() == bytes.len() && bytes[5] & 4 != 0 {
                true => ["packet-length", "after-short", "end"],
                false => ["trailing"; 3],
            };
            assert!(
                fault.is_some_and(|fault| expected.contains(&fault)),
                "{fault:?}"
            );
        }
    }
}
