//! Damaged and hostile files: named errors, no panic, no more memory than bytes, and what is before the damage is kept.

use std::io::{self, Cursor, Read};

use super::*;

/// Where a file says its totals.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Totals {
    Header,
    End,
    Nowhere,
}

const TOTALS: [Totals; 3] = [Totals::Header, Totals::End, Totals::Nowhere];

/// A file of 40 super-frames in packets of 12, and where its packets, and the end behind them, begin.
fn sample(totals: Totals) -> (Codes, Vec<u8>, Vec<usize>) {
    let mut codes = random_codes(&snac(), 40, &mut Rng::new(SEED));
    codes.set_source_samples((totals != Totals::Nowhere).then_some(80_000));
    let header = NctHeader {
        user_json: r#"{"a":1}"#.into(),
        ..header(&snac())
    };
    let bytes = match totals {
        Totals::Header => file(header, &codes),
        Totals::End => streamed(header, &codes),
        Totals::Nowhere => {
            let mut writer = NctWriter::new(Vec::new(), header).unwrap();
            writer.push(&codes).unwrap();
            writer.finish().unwrap()
        }
    };
    let end = if totals == Totals::End { 22 } else { 0 };
    let start = bytes.len() - 3 * 132 - (6 + 42) - end;
    let mut starts = vec![start, start + 132, start + 264, start + 396];
    if end > 0 {
        starts.push(bytes.len() - end);
    }
    (codes, bytes, starts)
}

/// Whole packets before byte `at`.
fn packets_before(starts: &[usize], length: usize, at: usize) -> usize {
    let ends = starts.iter().skip(1).chain([&length]);
    ends.filter(|&&end| end <= at).count()
}

#[test]
fn a_file_cut_anywhere_gives_the_packets_before_the_cut() {
    for totals in TOTALS {
        let (codes, bytes, starts) = sample(totals);
        for cut in 0..bytes.len() {
            let reader = match NctReader::new(&bytes[..cut]) {
                Ok(reader) => reader,
                Err(error) => {
                    assert!(cut < starts[0], "{cut}");
                    assert_eq!(error.code(), "truncated-header", "{cut}");
                    continue;
                }
            };
            let Salvage {
                codes: found,
                fault,
            } = reader.read_all();
            let packets = packets_before(&starts, bytes.len(), cut);
            let superframes = (packets as u64 * 12).min(40);
            assert_eq!(
                found.slice(0..superframes),
                codes.slice(0..superframes),
                "{cut}"
            );
            assert_eq!(found.superframes(), superframes, "{cut}");
            match fault {
                Some(ContainerError::Truncated {
                    packet,
                    offset,
                    missing,
                }) => {
                    assert_eq!((packet, offset), (packets as u64, cut as u64));
                    assert!(missing > 0);
                }
                fault => assert!(
                    totals == Totals::Nowhere && starts.contains(&cut),
                    "{cut}: {fault:?}"
                ),
            }
            if totals == Totals::Header {
                let read = (superframes * 2_048).min(80_000);
                assert_eq!(found.source_samples(), Some(read));
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for totals in TOTALS {
        let (codes, bytes, starts) = sample(totals);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let reader = match NctReader::new(&damaged[..]) {
                Ok(reader) => reader,
                Err(_) => {
                    assert!(bit / 8 < starts[0], "{bit}");
                    continue;
                }
            };
            let Salvage {
                codes: found,
                fault,
            } = reader.read_all();
            let fault =
                fault.unwrap_or_else(|| panic!("bit {bit} of byte {} went unnoticed", bit / 8));
            let packets = packets_before(&starts, bytes.len(), bit / 8);
            let (packet, offset) = match fault {
                ContainerError::Checksum { packet, offset, .. }
                | ContainerError::PacketLength { packet, offset, .. } => (packet, offset),
                ContainerError::Truncated { packet, .. } => {
                    (packet, starts[packet as usize] as u64)
                }
                other => panic!("bit {bit}: {other}"),
            };
            if bit / 8 < starts[0] {
                continue;
            }
            assert_eq!(
                (packet, offset),
                (packets as u64, starts[packets] as u64),
                "bit {bit}"
            );
            let before = (packets as u64 * 12).min(40);
            assert_eq!(found.slice(0..before), codes.slice(0..before));
            assert_eq!(found.superframes(), before);
        }
    }
}

#[test]
fn damage_is_named_with_what_to_do_about_it() {
    let (_, bytes, starts) = sample(Totals::End);
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        bytes
    };
    let lost = [&bytes[..starts[1]], &bytes[starts[2]..]].concat();
    let mut after_short = bytes[..starts[4]].to_vec();
    after_short.extend(&bytes[starts[3]..]);
    let cases = [
        (
            bytes[..9].to_vec(),
            &["inside its header", "at byte 9", "7 bytes"][..],
        ),
        (with(9, 7), &["header is damaged"]),
        (
            bytes[..starts[2] + 9].to_vec(),
            &["packet 2 ends early", "123 bytes too soon"],
        ),
        (with(starts[1] + 20, 1), &["packet 1", "is damaged"]),
        (
            with(starts[1] + 1, 1),
            &["packet 1", "268 super-frames, of 1 to 12"],
        ),
        (after_short, &["packet 4", "not full"]),
        (lost, &["after 28 super-frames", "says it has 40"]),
    ];
    for (bytes, parts) in cases {
        let read = NctReader::new(&bytes[..]).and_then(|reader| reader.read_all().whole());
        let text = read.unwrap_err().to_string();
        for part in parts.iter().chain(&["copy", "encode the source again"]) {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
    let joined = [bytes.clone(), bytes.clone()].concat();
    let text = NctReader::new(&joined[..]).unwrap().read_all().fault;
    let text = text.unwrap().to_string();
    let at = format!("complete at byte {}", bytes.len());
    assert!(
        text.contains(&at) && text.contains("cut the rest off"),
        "{text}"
    );
    let books = NctReader::new(&bytes[..]).unwrap().with_books(4);
    let text = books.unwrap_err().to_string();
    assert!(
        text.contains("4 codebooks") && text.contains("ask for 1 to 3"),
        "{text}"
    );
}

#[test]
fn after_an_error_the_reader_is_at_its_end() {
    let (_, mut bytes, starts) = sample(Totals::Header);
    bytes[starts[1] + 20] ^= 1;
    let mut reader = NctReader::new(&bytes[..]).unwrap();
    assert!(reader.next_packet().unwrap().is_some());
    assert_eq!(reader.next_packet().unwrap_err().code(), "checksum");
    assert!(reader.next_packet().unwrap().is_none());
}

#[test]
fn a_copy_of_what_is_before_the_damage_is_a_whole_file() {
    for totals in TOTALS {
        let (codes, mut bytes, starts) = sample(totals);
        bytes[starts[1] + 20] ^= 1;
        let mut copy = Cursor::new(Vec::new());
        let reader = NctReader::new(&bytes[..]).unwrap();
        assert_eq!(reader.copy_to(&mut copy).unwrap_err().code(), "checksum");
        let kept = NctReader::new(&copy.get_ref()[..]).unwrap();
        assert_eq!(kept.header().superframes, Some(12));
        let mut expected = codes.slice(0..12).unwrap();
        let known = totals == Totals::Header;
        expected.set_source_samples(known.then_some(12 * 2_048));
        assert_eq!(kept.read_all().whole().unwrap(), expected);
    }
}

/// Gives nothing but zeros, and counts them.
#[derive(Debug)]
struct Endless(u64);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(0);
        self.0 += buffer.len() as u64;
        assert!(
            self.0 < 1 << 24,
            "a reader without an end is not read without an end"
        );
        Ok(buffer.len())
    }
}

#[test]
fn bytes_that_announce_much_cost_what_they_are() {
    let wide = NctHeader {
        books: books(&[1; 255], 65_536),
        align: 255,
        packet_superframes: u16::MAX,
        superframes: Some(u32::MAX),
        ..header(&snac())
    };
    let mut bytes = wide.bytes();
    bytes.extend([0xFF; 40]);
    let salvage = NctReader::new(&bytes[..]).unwrap().read_all();
    assert_eq!(salvage.fault.unwrap().code(), "truncated");
    let file = NctFile::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(
        (file.superframes(), file.fault().unwrap().code()),
        (0, "truncated")
    );
    let mut long_user_json = header(&snac()).ready().unwrap().bytes();
    let length = 16 + 15 + 23;
    long_user_json[length..length + 4].fill(0xFF);
    let error = NctReader::new(long_user_json.chain(Endless(0))).unwrap_err();
    assert_eq!(error.code(), "header");
    let zeros = header(&snac()).ready().unwrap().bytes();
    let salvage = NctReader::new(zeros.chain(Endless(0))).unwrap().read_all();
    assert_eq!(salvage.fault.unwrap().code(), "packet-length");
}

#[test]
fn a_packet_past_the_announced_end_is_refused() {
    let codes = random_codes(&snac(), 24, &mut Rng::new(SEED));
    let header = NctHeader {
        superframes: Some(20),
        ..header(&snac())
    };
    let mut bytes = Vec::new();
    let mut writer = NctWriter::new(&mut bytes, header).unwrap();
    writer.push(&codes).unwrap();
    assert_eq!(writer.finish().unwrap_err().code(), "total");
    let salvage = NctReader::new(&bytes[..]).unwrap().read_all();
    let fault = salvage.fault.unwrap();
    assert!(
        matches!(
            fault,
            ContainerError::PacketLength {
                packet: 1,
                count: 12,
                most: 8,
                ..
            }
        ),
        "{fault}"
    );
    assert_eq!(salvage.codes, codes.slice(0..12).unwrap());
    let mut file = NctFile::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(
        file.read_superframes(0..12).unwrap(),
        codes.slice(0..12).unwrap()
    );
    assert_eq!(
        file.read_superframes(0..20).unwrap_err().code(),
        "packet-length"
    );
}

#[test]
fn a_failing_reader_is_not_an_end() {
    #[derive(Debug)]
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let (codes, bytes, starts) = sample(Totals::Header);
    let salvage = NctReader::new(bytes[..starts[2] + 9].chain(Failing))
        .unwrap()
        .read_all();
    assert_eq!(salvage.fault.unwrap().code(), "io");
    assert_eq!(salvage.codes.slice(0..24), codes.slice(0..24));
    assert_eq!(NctReader::new(Failing).unwrap_err().code(), "io");
}

#[test]
fn other_files_and_versions_are_named() {
    let open = |bytes: &[u8]| NctReader::new(bytes).map_or_else(|e| e.code(), |_| "fine");
    let (_, bytes, _) = sample(Totals::Header);
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        bytes
    };
    assert_eq!(open(b""), "truncated-header");
    assert_eq!(open(b"NC"), "truncated-header");
    assert_eq!(open(b"RI"), "magic");
    assert_eq!(open(b"RIFF\0\0\0\0WAVE"), "magic");
    assert_eq!(open(&with(4, 2)), "version");
    assert_eq!(open(&with(5, 8)), "flags");
    assert_eq!(open(&with(8, 1)), "header-checksum");
}

#[test]
fn random_bytes_and_random_damage_never_panic() {
    let mut rng = Rng::new(SEED);
    let (_, good, starts) = sample(Totals::Header);
    let header = NctHeader {
        segmented: true,
        packet_superframes: 50,
        ..header(&books(&[1; 4], 1_024))
    };
    let segmented = segmented_codes(130, 50, SEED);
    let segmented = [
        file(header.clone(), &segmented),
        streamed(header, &segmented),
    ];
    let (_, ended, _) = sample(Totals::End);
    let files = [&good, &ended, &segmented[0], &segmented[1]];
    let all = |bytes: &[u8]| {
        if let Ok(reader) = NctReader::new(bytes) {
            let salvage = reader.read_all();
            assert!(salvage.codes.tokens() <= bytes.len() * 8);
            assert!(salvage.codes.is_whole());
        }
        if let Ok(mut file) = NctFile::open(Cursor::new(bytes)) {
            let end = file.superframes();
            assert!(end <= bytes.len() as u64 * 8, "{end}");
            file.salvage(0..end).unwrap();
            file.read_superframes(end.saturating_sub(1)..end).ok();
        }
    };
    for round in 0..4_000 {
        let mut bytes = files[round % files.len()].clone();
        if rng.below(2) == 0 {
            bytes[5] &= 5;
        }
        for _ in 0..1 + rng.below(6) {
            let at = if rng.below(2) == 0 {
                rng.below(starts[0])
            } else {
                rng.below(bytes.len())
            };
            bytes[at] = rng.bits() as u8;
        }
        bytes.truncate(rng.below(bytes.len() * 2));
        all(&bytes);
    }
    for _ in 0..2_000 {
        let mut bytes: Vec<u8> = (0..rng.below(200)).map(|_| rng.bits() as u8).collect();
        all(&bytes);
        bytes.splice(..0, *b"NCT1\x01\x00");
        bytes[5] = [0, 4][rng.below(2)];
        all(&bytes);
    }
}
