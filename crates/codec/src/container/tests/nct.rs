//! The `.nct` file, whole.

use std::io::Cursor;

use super::*;

fn read(bytes: &[u8]) -> Codes {
    NctReader::new(bytes).unwrap().read_all().whole().unwrap()
}

#[test]
fn what_is_written_is_read() {
    let mut rng = Rng::new(SEED);
    for specs in all_books() {
        for superframes in [0, 1, 2, 11, 12, 13, 40] {
            for packet in [0, 1, 7, 12] {
                let mut codes = random_codes(&specs, superframes, &mut rng);
                codes.set_source_samples(length(&codes));
                let header = NctHeader {
                    packet_superframes: packet,
                    user_json: r#"{"title":"é"}"#.into(),
                    ..header(&specs)
                };
                let bytes = file(header.clone(), &codes);
                let reader = NctReader::new(&bytes[..]).unwrap();
                let found = reader.header();
                assert_eq!(
                    found.superframes,
                    (superframes > 0).then_some(superframes as u32)
                );
                let expected = NctHeader {
                    packet_superframes: found.packet_superframes,
                    superframes: found.superframes,
                    total_samples: found.total_samples,
                    ..header
                };
                assert_eq!(*found, expected);
                assert_eq!(reader.read_all().whole().unwrap(), codes);
            }
        }
    }
}

#[test]
fn snac_at_24_khz_takes_132_bytes_for_each_1_024_s() {
    let codes = random_codes(&snac(), 24, &mut Rng::new(SEED));
    let empty = file(header(&snac()), &Codes::new(snac()));
    let bytes = file(header(&snac()), &codes);
    assert_eq!(
        NctReader::new(&bytes[..])
            .unwrap()
            .header()
            .packet_superframes,
        12
    );
    assert_eq!(bytes.len() - empty.len(), 2 * (126 + 6));
    assert_eq!(empty.len(), 16 + 3 * 5 + 27 + 4);
}

#[test]
fn a_code_takes_the_bits_of_its_book_and_at_least_one() {
    let sizes = [
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 2),
        (5, 3),
        (1_024, 10),
        (1_025, 11),
        (65_535, 16),
        (65_536, 16),
    ];
    for (size, bits) in sizes {
        let specs = books(&[1], size);
        let header = NctHeader {
            packet_superframes: 800,
            ..header(&specs)
        };
        let empty = file(header.clone(), &Codes::new(specs.clone()));
        let full = file(header, &random_codes(&specs, 800, &mut Rng::new(SEED)));
        assert_eq!(full.len() - empty.len(), 6 + 100 * bits, "{size} entries");
    }
}

/// A writer into memory.
type Writer = NctWriter<Cursor<Vec<u8>>>;

#[test]
fn any_cuts_and_open_tokens_give_the_same_file() {
    let mut rng = Rng::new(SEED);
    for specs in all_books() {
        let codes = random_codes(&specs, 50, &mut rng);
        let streamed = |cut: &mut dyn FnMut(&mut Writer)| {
            let mut writer = NctWriter::new(Cursor::new(Vec::new()), header(&specs)).unwrap();
            cut(&mut writer);
            writer.finish_totals().unwrap().into_inner()
        };
        let whole = file(header(&specs), &codes);
        let in_slices = streamed(&mut |writer| {
            let mut at = 0;
            while at < 50 {
                let next = (at + rng.below(20) as u64).min(50);
                writer.push(&codes.slice(at..next).unwrap()).unwrap();
                at = next;
            }
        });
        assert!(in_slices == whole);
        let book_by_book = streamed(&mut |writer| {
            for k in 0..codes.books() {
                for &token in codes.book(k) {
                    let mut one = Codes::new(specs.clone());
                    one.push_token(k, token).unwrap();
                    writer.push(&one).unwrap();
                }
            }
        });
        assert!(book_by_book == whole);
    }
}

#[test]
fn a_file_without_totals_ends_where_it_ends() {
    let codes = random_codes(&snac(), 30, &mut Rng::new(SEED));
    let mut writer = NctWriter::new(Vec::new(), header(&snac())).unwrap();
    writer.push(&codes).unwrap();
    let bytes = writer.finish().unwrap();
    let reader = NctReader::new(&bytes[..]).unwrap();
    assert_eq!(
        (reader.header().superframes, reader.header().total_samples),
        (None, None)
    );
    assert_eq!(reader.read_all().whole().unwrap(), codes);
}

#[test]
fn totals_are_patched_in_place() {
    let mut codes = random_codes(&snac(), 30, &mut Rng::new(SEED));
    codes.set_source_samples(Some(60_000));
    let mut inner = Cursor::new(Vec::new());
    inner.set_position(9);
    let mut writer = NctWriter::new(inner, header(&snac())).unwrap();
    writer.push(&codes.slice(0..30).unwrap()).unwrap();
    let mut last = Codes::new(snac());
    last.set_source_samples(Some(60_000));
    writer.push(&last).unwrap();
    let inner = writer.finish_totals().unwrap();
    assert_eq!(inner.position(), inner.get_ref().len() as u64);
    assert!(
        inner.get_ref()[..9] == [0; 9] && inner.get_ref()[9..] == file(header(&snac()), &codes)
    );
}

#[test]
fn a_writer_keeps_what_is_whole_and_says_what_is_not() {
    let codes = random_codes(&snac(), 14, &mut Rng::new(SEED));
    let mut open = codes.clone();
    open.push_token(0, 1).unwrap();
    assert_eq!(
        write_nct(Vec::new(), header(&snac()), &open)
            .unwrap_err()
            .code(),
        "ragged-books"
    );
    let mut bytes = Vec::new();
    let mut writer = NctWriter::new(&mut bytes, header(&snac())).unwrap();
    writer.push(&open).unwrap();
    assert_eq!(writer.finish().unwrap_err().code(), "partial-superframe");
    assert_eq!(read(&bytes), codes, "the whole super-frames are there");
    let mut writer = NctWriter::new(Vec::new(), header(&snac())).unwrap();
    writer.push(&open).unwrap();
    assert_eq!(writer.drop_open(), 1);
    writer.finish().unwrap();
    let mut writer = NctWriter::new(Vec::new(), header(&snac())).unwrap();
    let other = random_codes(&books(&[1, 1], 8), 1, &mut Rng::new(1));
    assert_eq!(writer.push(&other).unwrap_err().code(), "book-count");
    let announced = NctHeader {
        superframes: Some(15),
        ..header(&snac())
    };
    let mut writer = NctWriter::new(Vec::new(), announced).unwrap();
    writer.push(&codes).unwrap();
    assert_eq!(writer.finish().unwrap_err().code(), "total");
}

fn copy(reader: NctReader<&[u8]>) -> Vec<u8> {
    let copied = reader.copy_to(Cursor::new(Vec::new()));
    copied.unwrap().into_inner()
}

#[test]
fn fewer_books_are_the_first_books() {
    let mut rng = Rng::new(SEED);
    for specs in all_books() {
        let codes = random_codes(&specs, 30, &mut rng);
        let bytes = file(header(&specs), &codes);
        let reader = || NctReader::new(&bytes[..]).unwrap();
        for k in 1..=specs.len() {
            let mut expected = codes.clone();
            expected.truncate_books(k);
            let found = reader().with_books(k).unwrap().read_all().whole().unwrap();
            assert_eq!(found, expected);
            let copy = copy(reader().with_books(k).unwrap());
            assert!(copy.len() <= bytes.len());
            assert_eq!(read(&copy), expected);
            let total = NctReader::new(&copy[..]).unwrap().header().superframes;
            assert_eq!(total.map(u64::from), Some(expected.superframes()));
        }
        assert_eq!(reader().with_books(0).unwrap_err().code(), "book-count");
        assert_eq!(
            reader().with_books(specs.len() + 1).unwrap_err().code(),
            "book-count"
        );
        assert!(copy(reader()) == bytes, "a copy of everything is the file");
        let streamed = streamed(header(&specs), &codes);
        assert!(
            copy(NctReader::new(&streamed[..]).unwrap()) == bytes,
            "a copy has its totals at its beginning"
        );
    }
}

#[test]
fn segments_keep_their_scales_and_lengths() {
    let codes = segmented_codes(640, 150, SEED);
    let header = NctHeader {
        segmented: true,
        packet_superframes: 150,
        ..header(codes.specs())
    };
    let bytes = file(header.clone(), &codes);
    assert_eq!(read(&bytes), codes);
    let copy = NctReader::new(&bytes[..]).unwrap().with_books(2).unwrap();
    let copy = read(&self::copy(copy));
    assert_eq!((copy.books(), copy.segments()), (2, codes.segments()));
    let refuse = |header: &NctHeader, codes: &Codes| {
        let mut writer = NctWriter::new(Vec::new(), header.clone()).unwrap();
        writer.push(codes).unwrap_err().code()
    };
    let mut plain = codes.clone();
    plain.set_segments(Vec::new()).unwrap();
    assert_eq!(refuse(&header, &plain), "segments");
    let unsegmented = NctHeader {
        segmented: false,
        ..header.clone()
    };
    assert_eq!(refuse(&unsegmented, &codes), "segments");
    let narrow = NctHeader {
        packet_superframes: 149,
        ..header
    };
    assert_eq!(refuse(&narrow, &codes), "header");
}
