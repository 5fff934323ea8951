//! Every layout carries every code, and refuses what is none.

mod refusals;
mod resync;
mod streams;

use std::sync::Arc;

use percept_testkit::Rng;

use super::*;
use crate::codes::tests::{books, random_codes};

const SEED: u64 = 23;
const BASE: u32 = 128_266;

/// Every layout, over small and large books.
fn layouts() -> Vec<(&'static str, Box<dyn TokenLayout>)> {
    let equal = || books(&[1; 4], 2_048);
    let mixed: Arc<[BookSpec]> = [(7, 6), (65_536, 3), (1, 1)]
        .map(|(size, stride)| BookSpec { size, stride })
        .into();
    vec![
        (
            "flat SNAC 24",
            Box::new(FlatByBook::new(books(&[4, 2, 1], 4_096)).unwrap()),
        ),
        (
            "flat [3, 5]",
            Box::new(FlatByBook::new(books(&[3, 5], 65_536)).unwrap()),
        ),
        (
            "flat Mimi",
            Box::new(FlatByBook::new(books(&[1; 32], 2_048)).unwrap()),
        ),
        ("HF", Box::new(HfBkt::new(equal()).unwrap())),
        ("frame-major", Box::new(FrameMajor::new(equal()).unwrap())),
        (
            "frame-major, stride 3",
            Box::new(FrameMajor::new(books(&[3, 3], 9)).unwrap()),
        ),
        (
            "one book",
            Box::new(FrameMajor::new(books(&[1], 2)).unwrap()),
        ),
        ("Orpheus", Box::new(SnacTree::orpheus())),
        (
            "tree of 15",
            Box::new(SnacTree::new(books(&[8, 4, 2, 1], 4_096), 7, 5_000).unwrap()),
        ),
        (
            "tree [6, 3, 1]",
            Box::new(SnacTree::new(mixed, 0, 65_536).unwrap()),
        ),
        ("MusicGen", Box::new(Delay::musicgen(equal()).unwrap())),
        (
            "Moshi",
            Box::new(Delay::new(books(&[1; 8], 2_048), &[0, 1, 1, 1, 1, 1, 1, 1], 2_048).unwrap()),
        ),
        (
            "odd delays",
            Box::new(Delay::new(equal(), &[3, 0, 5, 2], 9_999).unwrap()),
        ),
        ("Mini-Omni", Box::new(MiniOmni::new())),
    ]
}

#[test]
fn unpacking_what_was_packed_gives_the_codes_back() {
    let mut rng = Rng::new(SEED);
    for (name, layout) in layouts() {
        for superframes in [0, 1, 2, 3, 5, 8, 40] {
            let codes = random_codes(layout.specs(), superframes, &mut rng);
            let mut ids = vec![u32::MAX; 2];
            layout.pack(&codes, &mut ids).unwrap();
            assert_eq!(ids[..2], [u32::MAX; 2], "{name}: what was there stays");
            assert_eq!(
                layout.unpack(&ids[2..]),
                Ok(codes),
                "{name}, {superframes} super-frames"
            );
        }
    }
}

#[test]
fn the_orders_are_the_published_ones() {
    let snac = books(&[4, 2, 1], 4_096);
    let codes = Codes::from_books(snac, vec![vec![0], vec![10, 11], vec![20, 21, 22, 23]]).unwrap();
    let pack = |layout: &dyn TokenLayout, codes: &Codes| {
        let mut ids = Vec::new();
        layout.pack(codes, &mut ids).unwrap();
        ids
    };
    let slots = |ids: Vec<u32>| -> Vec<u32> {
        (0..)
            .zip(ids)
            .map(|(i, id)| id - BASE - 4_096 * i)
            .collect()
    };
    assert_eq!(
        slots(pack(&SnacTree::orpheus(), &codes)),
        [0, 10, 20, 21, 11, 22, 23]
    );
    let four = books(&[8, 4, 2, 1], 100);
    let tokens = vec![
        vec![0],
        vec![10, 11],
        (20..24).collect(),
        (30..38).collect(),
    ];
    let codes = Codes::from_books(four.clone(), tokens).unwrap();
    let tree = SnacTree::new(four, 0, 100).unwrap();
    let found: Vec<u32> = pack(&tree, &codes).iter().map(|id| id % 100).collect();
    assert_eq!(
        found,
        [0, 10, 20, 30, 31, 21, 32, 33, 11, 22, 34, 35, 23, 36, 37]
    );
    let pair = Codes::from_books(books(&[1, 1], 10), vec![vec![1, 2, 3], vec![4, 5, 6]]).unwrap();
    let specs = || pair.specs().clone();
    assert_eq!(
        pack(&FlatByBook::new(specs()).unwrap(), &pair),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(
        pack(&HfBkt::new(specs()).unwrap(), &pair),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(
        pack(&FrameMajor::new(specs()).unwrap(), &pair),
        [1, 4, 2, 5, 3, 6]
    );
    assert_eq!(
        pack(&Delay::musicgen(specs()).unwrap(), &pair),
        [1, 2_048, 2, 4, 3, 5, 2_048, 6]
    );
}

#[test]
fn the_ids_of_orpheus_are_those_of_its_token_names() {
    for (slot, code) in [(0, 0), (0, 4_095), (3, 17), (6, 0), (6, 4_095)] {
        let name = code + 10 + 4_096 * slot;
        let mut codes = [0; 7];
        codes[slot as usize] = code as u16;
        let by_book = [
            codes[0], codes[1], codes[4], codes[2], codes[3], codes[5], codes[6],
        ];
        let mut superframe = Codes::new(SnacTree::orpheus().specs().clone());
        superframe.push_superframe(&by_book).unwrap();
        let mut ids = Vec::new();
        SnacTree::orpheus().pack(&superframe, &mut ids).unwrap();
        assert_eq!(ids[slot as usize], 128_256 + name);
    }
}

#[test]
fn mini_omni_delays_slot_i_by_i_plus_1_and_ends_each() {
    let layout = MiniOmni::new();
    let mut codes = Codes::new(layout.specs().clone());
    codes.push_superframe(&[1, 2, 3, 4, 5, 6, 7]).unwrap();
    let mut ids = Vec::new();
    layout.pack(&codes, &mut ids).unwrap();
    let cell = |row: usize, slot: usize| ids[row * 7 + slot] - 152_000 - 4_160 * slot as u32;
    assert_eq!(ids.len(), 9 * 7);
    for (slot, code) in [1, 2, 4, 5, 3, 6, 7].into_iter().enumerate() {
        for row in 0..9 {
            let expected = match row {
                _ if row == slot + 1 => code,
                _ if row == slot + 2 => 4_096,
                _ => 4_097,
            };
            assert_eq!(cell(row, slot), expected, "row {row}, slot {slot}");
        }
    }
    assert_eq!(
        layout.unpack(&ids[..8 * 7]),
        Ok(codes),
        "the last row may lack"
    );
}

#[test]
fn lengths_follow_from_strides() {
    assert_eq!((gcd(12, 18), gcd(0, 5), gcd(7, 0)), (6, 5, 7));
    assert_eq!(
        [&[4, 2, 1][..], &[8, 4, 2, 1], &[3, 5], &[], &[2, 0]].map(lcm_all),
        [4, 8, 15, 1, 0]
    );
    assert_eq!(per_codebook_lens(&[4, 2, 1], 4), [1, 2, 4]);
    assert_eq!(per_codebook_lens(&[4, 2, 1], 8), [2, 4, 8]);
    assert_eq!(
        [4, 8, 12].map(|base| total_tokens(&[4, 2, 1], base)),
        [7, 14, 21]
    );
    let base = |tokens| base_len_from_token_count(&[4, 2, 1], tokens);
    assert_eq!([7, 14, 21].map(base), [Some(4), Some(8), Some(12)]);
    assert_eq!([6, 8, 13, 0].map(base), [None; 4]);
    assert_eq!(base_len_from_token_count(&[], 7), None);
    assert_eq!(base_len_from_token_count(&[0, 1], 7), None);
    assert_eq!(
        base_len_from_token_count(&[u32::MAX, u32::MAX - 1, u32::MAX - 2], u64::MAX),
        None
    );
}
