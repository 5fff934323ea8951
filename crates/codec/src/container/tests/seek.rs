//! Reading from any place.

use std::io::Cursor;

use super::*;

#[test]
fn any_range_is_the_slice_of_the_whole() {
    let mut rng = Rng::new(SEED);
    for specs in all_books() {
        for (superframes, packet) in [(40, 7), (42, 7), (5, 7), (40, 1)] {
            let codes = random_codes(&specs, superframes, &mut rng);
            let header = NctHeader {
                packet_superframes: packet,
                ..header(&specs)
            };
            let with_totals = file(header.clone(), &codes);
            let mut writer = NctWriter::new(Vec::new(), header).unwrap();
            writer.push(&codes).unwrap();
            for bytes in [with_totals, writer.finish().unwrap()] {
                let mut file = NctFile::open(Cursor::new(bytes)).unwrap();
                assert!(file.fault().is_none());
                assert_eq!(file.superframes(), superframes as u64);
                for _ in 0..20 {
                    let start = rng.below(superframes + 1) as u64;
                    let end = start + rng.below(superframes + 1 - start as usize) as u64;
                    assert_eq!(
                        file.read_superframes(start..end).unwrap(),
                        codes.slice(start..end).unwrap()
                    );
                }
                let past = file.read_superframes(0..superframes as u64 + 1);
                assert_eq!(past.unwrap_err().code(), "superframe-range");
            }
        }
    }
}

#[test]
fn segments_of_any_length_are_found() {
    let codes = segmented_codes(640, 150, SEED);
    let header = NctHeader {
        segmented: true,
        packet_superframes: 150,
        ..header(codes.specs())
    };
    let mut pieces = Codes::new(codes.specs().clone());
    for range in [0..150, 150..299, 299..300, 300..450] {
        let mut piece = codes.slice(range).unwrap();
        let frames = piece.frames() as u32;
        piece
            .set_segments(vec![Segment {
                frames,
                scale: frames as f32,
            }])
            .unwrap();
        pieces.extend(&piece).unwrap();
    }
    let bytes = file(header, &pieces);
    let mut rng = Rng::new(SEED);
    let mut file = NctFile::open(Cursor::new(&bytes)).unwrap();
    assert_eq!((file.superframes(), file.fault().is_none()), (450, true));
    for _ in 0..50 {
        let start = rng.below(451) as u64;
        let end = start + rng.below(451 - start as usize) as u64;
        assert_eq!(
            file.read_superframes(start..end).unwrap(),
            pieces.slice(start..end).unwrap()
        );
    }
    assert_eq!(
        NctReader::new(&bytes[..])
            .unwrap()
            .read_all()
            .whole()
            .unwrap(),
        pieces
    );
}

#[test]
fn fewer_books_can_be_read_from_any_place() {
    let mut rng = Rng::new(SEED);
    for specs in all_books() {
        let codes = random_codes(&specs, 30, &mut rng);
        let bytes = file(header(&specs), &codes);
        for k in 1..=specs.len() {
            let mut file = NctFile::open(Cursor::new(&bytes))
                .unwrap()
                .with_books(k)
                .unwrap();
            let mut expected = codes.slice(11..25).unwrap();
            expected.truncate_books(k);
            assert_eq!(file.read_superframes(11..25).unwrap(), expected);
        }
    }
}

#[test]
fn a_cut_file_gives_its_whole_packets() {
    let codes = random_codes(&snac(), 40, &mut Rng::new(SEED));
    let totals = file(header(&snac()), &codes);
    let start = totals.len() - 3 * 132 - (6 + 42);
    for cut in start..totals.len() {
        let mut file = NctFile::open(Cursor::new(&totals[..cut])).unwrap();
        let whole = (cut - start) as u64 / 132 * 12;
        assert_eq!(file.superframes(), whole, "{cut}");
        assert_eq!(
            file.fault().map(|fault| fault.code()),
            Some("truncated"),
            "{cut}"
        );
        assert_eq!(
            file.read_superframes(0..whole).unwrap(),
            codes.slice(0..whole).unwrap()
        );
    }
}

#[test]
fn damage_in_one_packet_leaves_the_others_readable() {
    let codes = random_codes(&snac(), 40, &mut Rng::new(SEED));
    let mut bytes = file(header(&snac()), &codes);
    let start = bytes.len() - 3 * 132 - (6 + 42);
    bytes[start + 132 + 60] ^= 4;
    let mut file = NctFile::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(
        file.read_superframes(10..13).unwrap_err().code(),
        "checksum"
    );
    for good in [0..12, 24..40, 30..31] {
        assert_eq!(
            file.read_superframes(good.clone()).unwrap(),
            codes.slice(good).unwrap()
        );
    }
}

#[test]
fn a_file_that_announces_more_than_it_has_is_at_fault() {
    let codes = random_codes(&snac(), 15, &mut Rng::new(SEED));
    for announced in [16, 24, 25, 100] {
        let header = NctHeader {
            superframes: Some(announced),
            ..header(&snac())
        };
        let mut bytes = Vec::new();
        let mut writer = NctWriter::new(&mut bytes, header).unwrap();
        writer.push(&codes).unwrap();
        assert_eq!(writer.finish().unwrap_err().code(), "total");
        let mut file = NctFile::open(Cursor::new(&bytes)).unwrap();
        let fault = file.fault().map(|fault| fault.code());
        assert_eq!((file.superframes(), fault), (15, Some("truncated")));
        assert_eq!(file.read_superframes(0..15).unwrap(), codes);
        let salvage = NctReader::new(&bytes[..]).unwrap().read_all();
        assert_eq!(salvage.fault.unwrap().code(), "truncated");
        assert_eq!(salvage.codes, codes);
    }
}

#[test]
fn what_follows_a_short_packet_is_a_fault() {
    let codes = random_codes(&snac(), 15, &mut Rng::new(SEED));
    let mut writer = NctWriter::new(Vec::new(), header(&snac())).unwrap();
    writer.push(&codes).unwrap();
    let mut bytes = writer.finish().unwrap();
    let packet = bytes[bytes.len() - (6 + 32)..].to_vec();
    bytes.extend(packet);
    let file = NctFile::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(file.fault().map(|fault| fault.code()), Some("after-short"));
    let salvage = NctReader::new(&bytes[..]).unwrap().read_all();
    assert_eq!(salvage.fault.map(|fault| fault.code()), Some("after-short"));
    assert_eq!(salvage.codes, codes);
}
