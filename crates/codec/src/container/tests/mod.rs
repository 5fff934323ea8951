//! Token files give back what went in, and damage is named.

mod damage;
mod ecdc;
mod end;
mod header_bytes;
mod json;
mod nct;
mod seek;

use std::sync::Arc;

use percept_testkit::Rng;

use super::*;
use crate::codes::{
    BookSpec, Codes, Segment,
    tests::{books, random_codes},
};

const SEED: u64 = 31;

/// A header for codes of `specs`.
fn header(specs: &Arc<[BookSpec]>) -> NctHeader {
    NctHeader {
        family: 1,
        sample_rate: 24_000,
        channels: 1,
        hop: 512,
        books: specs.clone(),
        align: BookSpec::check(specs).unwrap() as u8,
        total_samples: None,
        superframes: None,
        weights_id: *b"weights.",
        packet_superframes: 0,
        segmented: false,
        has_end: false,
        user_json: String::new(),
    }
}

fn snac() -> Arc<[BookSpec]> {
    books(&[4, 2, 1], 4_096)
}

/// Every kind of books: SNAC of three and four, one rate, odd strides, all sizes.
fn all_books() -> Vec<Arc<[BookSpec]>> {
    let sizes = [1, 2, 3, 1_000, 1_024, 1_025, 2_048, 65_535, 65_536];
    let odd: Arc<[BookSpec]> = [(5, 3), (300, 5)]
        .map(|(size, stride)| BookSpec { size, stride })
        .into();
    vec![
        snac(),
        books(&[8, 4, 2, 1], 4_096),
        books(&[1; 32], 2_048),
        sizes.map(|size| BookSpec { size, stride: 1 }).into(),
        odd,
    ]
}

/// Codes with segments of `full` frames, the last shorter, as EnCodec 48 kHz gives them.
fn segmented_codes(frames: usize, full: usize, seed: u64) -> Codes {
    let mut rng = Rng::new(seed);
    let mut codes = random_codes(&books(&[1; 4], 1_024), frames, &mut rng);
    let lengths = (0..frames).step_by(full).map(|at| full.min(frames - at));
    let segments = lengths.map(|length| Segment {
        frames: length as u32,
        scale: rng.uniform(0.01, 2.0),
    });
    codes.set_segments(segments.collect()).unwrap();
    codes
}

/// How long a recording that the codes are of may be, by the header.
fn length(codes: &Codes) -> Option<u64> {
    let samples = codes.frames() * 512;
    (samples > 0).then(|| samples - 7)
}

/// A file of the codes as a pipe gets it: its totals at the end.
fn streamed(header: NctHeader, codes: &Codes) -> Vec<u8> {
    let header = NctHeader {
        has_end: true,
        ..header
    };
    let mut writer = NctWriter::new(Vec::new(), header).unwrap();
    writer.push(codes).unwrap();
    writer.finish().unwrap()
}

/// A file of the codes, with totals.
fn file(header: NctHeader, codes: &Codes) -> Vec<u8> {
    write_nct(Vec::new(), header, codes).unwrap()
}
