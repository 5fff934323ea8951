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
            codes.set_source_samples(length(&codes));
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

#[test]
fn a_length_that_is_not_that_of_the_codes_is_damage() {
    // 40 super-frames of 2048 samples.
    for (samples, is_fine) in [
        (79_872, false),
        (79_873, true),
        (81_920, true),
        (81_921, false),
        (1_000, false),
        (1 << 63, false),
        (u64::MAX, false),
    ] {
        let mut codes = known();
        codes.set_source_samples(Some(samples));
        for bytes in [
            file(header(&snac()), &codes),
            streamed(header(&snac()), &codes),
        ] {
            let (found, fault) = read(&bytes);
            assert_eq!(fault, (!is_fine).then_some("length"), "{samples}");
            codes.set_source_samples(is_fine.then_some(samples));
            assert_eq!(found, codes, "{samples}");
            assert_eq!(open(&bytes).total_samples(), codes.source_samples());
            let mut copy = Cursor::new(Vec::new());
            let copied = NctReader::new(&bytes[..]).unwrap().copy_to(&mut copy);
            assert_eq!(copied.is_ok(), is_fine, "{samples}");
            assert_eq!(read(copy.get_ref()), (codes.clone(), None), "{samples}");
        }
    }
    // Segments cover the recording and may overlap.
    let mut codes = segmented_codes(640, 150, SEED);
    for (samples, fault) in [(320_000, None), (327_680, None), (327_681, Some("length"))] {
        codes.set_source_samples(Some(samples));
        let header = NctHeader {
            segmented: true,
            packet_superframes: 150,
            ..header(codes.specs())
        };
        assert_eq!(read(&file(header.clone(), &codes)).1, fault, "{samples}");
        assert_eq!(read(&streamed(header, &codes)).1, fault, "{samples}");
    }
    // What the codec decodes as one, it encodes as one; unless that is more than the header has room for.
    for (align, fault) in [(32, None), (64, Some("length")), (252, None)] {
        let header = NctHeader {
            align,
            ..header(&snac())
        };
        assert_eq!(read(&file(header, &known())).1, fault, "{align}");
    }
}

#[test]
fn totals_at_both_ends_must_be_those_of_the_file() {
    let header = |superframes| NctHeader {
        superframes: Some(superframes),
        has_end: true,
        ..header(&snac())
    };
    let joined = |announced: u32, codes: &Codes| {
        let own = header(codes.superframes() as u32);
        let mut writer = NctWriter::new(Vec::new(), own.clone()).unwrap();
        writer.push(codes).unwrap();
        let body = writer.finish().unwrap();
        let start = own.ready().unwrap().bytes().len();
        [&header(announced).ready().unwrap().bytes(), &body[start..]].concat()
    };
    for count in [24, 36, 40] {
        let codes = known().slice(0..count).unwrap();
        assert_eq!(read(&joined(count as u32, &codes)), (codes.clone(), None));
        // The end says what there is, the header more of it.
        for more in [count + 1, count + 12, count + 100] {
            let found = read(&joined(more as u32, &codes));
            assert_eq!(found, (codes.clone(), Some("end")), "{count} of {more}");
        }
    }
    // All that the header announces is there, and then another packet.
    let found = read(&joined(24, &known()));
    assert_eq!(found.1, Some("trailing"));
    let expected = known().slice(0..24).unwrap();
    assert_eq!(found.0.into_books(), expected.into_books());
    let codes = segmented_codes(450, 150, SEED);
    let own = NctHeader {
        segmented: true,
        packet_superframes: 150,
        ..super::header(codes.specs())
    };
    let bytes = streamed(own.clone(), &codes);
    let start = |superframes| {
        let header = NctHeader {
            has_end: true,
            superframes,
            ..own.clone()
        };
        header.ready().unwrap().bytes()
    };
    for (announced, fault) in [(450, None), (600, Some("end")), (300, Some("trailing"))] {
        let bytes = [&start(Some(announced)), &bytes[start(None).len()..]].concat();
        assert_eq!(read(&bytes).1, fault, "{announced}");
    }
}

#[test]
fn copies_have_packets_of_the_usual_length() {
    for specs in all_books() {
        let mut codes = random_codes(&specs, 40, &mut Rng::new(SEED));
        codes.set_source_samples(length(&codes));
        let usual = file(header(&specs), &codes);
        let single = NctHeader {
            packet_superframes: 1,
            ..header(&specs)
        };
        let copy = NctReader::new(&streamed(single, &codes)[..])
            .unwrap()
            .copy_to(Cursor::new(Vec::new()));
        assert!(copy.unwrap().into_inner() == usual);
    }
}

#[test]
fn a_copy_of_the_rest_is_as_long_as_the_rest() {
    let single = NctHeader {
        packet_superframes: 10,
        ..header(&snac())
    };
    for bytes in [file(single.clone(), &known()), streamed(single, &known())] {
        let mut reader = NctReader::new(&bytes[..]).unwrap();
        reader.next_packet().unwrap();
        let copy = reader.copy_to(Cursor::new(Vec::new())).unwrap();
        let mut rest = known().slice(10..40).unwrap();
        rest.set_source_samples(Some(80_123 - 10 * 2_048));
        assert_eq!(read(copy.get_ref()), (rest, None));
    }
    let codes = {
        let mut codes = segmented_codes(640, 150, SEED);
        codes.set_source_samples(Some(300_000));
        codes
    };
    let header = NctHeader {
        segmented: true,
        packet_superframes: 150,
        ..header(codes.specs())
    };
    let bytes = file(header, &codes);
    let mut reader = NctReader::new(&bytes[..]).unwrap();
    reader.next_packet().unwrap();
    let copy = reader.copy_to(Cursor::new(Vec::new())).unwrap();
    let rest = codes.slice(150..640).unwrap();
    assert_eq!(read(copy.get_ref()), (rest, None));
}
