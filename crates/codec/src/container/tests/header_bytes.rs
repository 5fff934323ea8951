//! The header of a `.nct` file, and its bytes.

use super::*;

#[test]
fn the_bytes_are_those_of_the_format() {
    let mut codes = Codes::new(snac());
    codes
        .push_superframe(&[0x123, 0x456, 0x789, 0xABC, 0xDEF, 0x012, 0x345])
        .unwrap();
    codes.set_source_samples(Some(0x1_0000_0002));
    let header = NctHeader {
        align: 32,
        packet_superframes: 12,
        user_json: "{}".into(),
        ..header(&snac())
    };
    let bytes = file(header, &codes);
    let mut expected = b"NCT1\x01\x02\x01\x00\xC0\x5D\x00\x00\x01\x03\x00\x02".to_vec();
    for stride in [4, 2, 1] {
        expected.extend([0, 0x10, 0, 0, stride]);
    }
    expected.extend(
        b"\x20\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00weights.\x0C\x00\x02\x00\x00\x00{}",
    );
    expected.extend(crc32fast::hash(&expected).to_le_bytes());
    let packet = b"\x01\x00\x12\x34\x56\x78\x9A\xBC\xDE\xF0\x12\x34\x50";
    expected.extend(packet);
    expected.extend(crc32fast::hash(packet).to_le_bytes());
    assert_eq!(bytes, expected);
    let found = NctReader::new(&bytes[..]).unwrap();
    assert_eq!(found.header().total_samples, Some(0x1_0000_0002));
    assert_eq!(
        crc32fast::hash(b"123456789"),
        0xCBF4_3926,
        "the CRC-32 of zlib"
    );
}

#[test]
fn a_header_without_a_checksum_is_read_too() {
    let codes = random_codes(&snac(), 5, &mut Rng::new(SEED));
    let mut bytes = file(header(&snac()), &codes);
    bytes[5] = 0;
    bytes.drain(16 + 15 + 27..16 + 15 + 27 + 4);
    assert_eq!(
        NctReader::new(&bytes[..])
            .unwrap()
            .read_all()
            .whole()
            .unwrap(),
        codes
    );
}

/// The code of the error for a header, or `fine`.
fn refusal(header: NctHeader) -> &'static str {
    NctWriter::new(Vec::new(), header).map_or_else(|e| e.code(), |_| "fine")
}

/// Makes a header one that cannot be.
type Spoil = fn(&mut NctHeader);

#[test]
fn headers_with_numbers_that_cannot_be_are_refused() {
    let good = || header(&snac());
    assert_eq!(refusal(good()), "fine");
    let cases: [(&str, Spoil); 5] = [
        ("rate", |header| header.sample_rate = 0),
        ("channels", |header| header.channels = 0),
        ("hop", |header| header.hop = 0),
        ("no align", |header| header.align = 0),
        ("align", |header| header.align = 6),
    ];
    for (name, spoil) in cases {
        let mut header = good();
        spoil(&mut header);
        assert_eq!(refusal(header), "header", "{name}");
    }
}

#[test]
fn headers_with_books_that_cannot_be_are_refused() {
    let cases = [
        ([].into(), "no-books"),
        (books(&[1; 256], 8), "header"),
        (books(&[256], 8), "header"),
        (books(&[1], 65_537), "book-too-large"),
    ];
    for (books, expected) in cases {
        let header = NctHeader {
            books,
            ..header(&snac())
        };
        assert_eq!(refusal(header), expected);
    }
}

#[test]
fn headers_with_json_that_is_none_or_much_are_refused() {
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    for (user_json, expected) in [("{", "user-json"), (&long, "header")] {
        let header = NctHeader {
            user_json: user_json.into(),
            ..header(&snac())
        };
        assert_eq!(refusal(header), expected);
    }
}

#[test]
fn a_packet_is_a_second_or_as_near_to_it_as_can_be() {
    let good = || header(&snac());
    let slow = NctHeader {
        sample_rate: 1,
        hop: u16::MAX,
        ..good()
    };
    assert_eq!(
        NctWriter::new(Vec::new(), slow)
            .unwrap()
            .header()
            .packet_superframes,
        1
    );
    let fast = NctHeader {
        sample_rate: u32::MAX,
        hop: 1,
        ..good()
    };
    assert_eq!(
        NctWriter::new(Vec::new(), fast)
            .unwrap()
            .header()
            .packet_superframes,
        u16::MAX
    );
}

#[test]
fn kinds_are_told_by_content() {
    let codes = random_codes(&snac(), 1, &mut Rng::new(SEED));
    assert_eq!(
        sniff(&file(header(&snac()), &codes)),
        Some(TokenFileKind::Nct)
    );
    assert_eq!(sniff(b"ECDC\0"), Some(TokenFileKind::Ecdc));
    assert_eq!(sniff(b" \r\n\t{"), Some(TokenFileKind::Json));
    for other in [&b""[..], b"NCT", b"RIFF", b"[1]", b"   ", b"\x93NUMPY"] {
        assert_eq!(sniff(other), None);
    }
}
