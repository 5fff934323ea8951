//! Streams give what unpacking gives, and stay on the grid whatever comes.

use percept_testkit::Rng;

use super::{SEED, layouts};
use crate::{
    codes::{
        Codes,
        tests::{books, random_codes},
    },
    layout::*,
};

/// Everything a stream makes of `ids`.
pub(super) fn run(layout: &dyn TokenLayout, ids: &[u32]) -> (Codes, Vec<TokenEvent>, StreamEnd) {
    let mut codes = Codes::new(layout.specs().clone());
    let mut stream = layout.stream();
    let events = ids
        .iter()
        .map(|&id| stream.push(id, &mut codes).unwrap())
        .collect();
    let end = stream.finish(&mut codes).unwrap();
    (codes, events, end)
}

/// Random super-frames and their ids.
pub(super) fn orpheus_ids(superframes: usize, seed: u64) -> (Codes, Vec<u32>) {
    let orpheus = SnacTree::orpheus();
    let codes = random_codes(orpheus.specs(), superframes, &mut Rng::new(seed));
    let mut ids = Vec::new();
    orpheus.pack(&codes, &mut ids).unwrap();
    (codes, ids)
}

#[test]
fn a_stream_gives_what_unpacking_gives() {
    let mut rng = Rng::new(SEED);
    for (name, layout) in layouts() {
        for superframes in [0, 1, 2, 7, 30] {
            let codes = random_codes(layout.specs(), superframes, &mut rng);
            let mut ids = Vec::new();
            layout.pack(&codes, &mut ids).unwrap();
            let (found, events, end) = run(layout.as_ref(), &ids);
            assert_eq!(found, codes, "{name}");
            assert_eq!((end.open, end.dropped), (0, 0), "{name}");
            let complete = events
                .iter()
                .filter(|&&event| event == TokenEvent::Superframe)
                .count();
            let at_the_end = end.released > 0 || superframes == 0;
            assert!(
                complete == superframes || at_the_end,
                "{name}: {complete} of {superframes}"
            );
        }
    }
}

#[test]
fn what_is_handed_out_does_not_depend_on_where_the_codes_are_cut() {
    let mut rng = Rng::new(SEED);
    for (name, layout) in layouts() {
        let codes = random_codes(layout.specs(), 12, &mut rng);
        let mut ids = Vec::new();
        layout.pack(&codes, &mut ids).unwrap();
        let mut stream = layout.stream();
        let (mut all, mut part) = (
            Codes::new(codes.specs().clone()),
            Codes::new(codes.specs().clone()),
        );
        for &id in &ids {
            stream.push(id, &mut part).unwrap();
            if rng.below(3) == 0 {
                all.extend(&part).unwrap();
                part.clear();
            }
        }
        stream.finish(&mut part).unwrap();
        all.extend(&part).unwrap();
        assert_eq!(all, codes, "{name}");
    }
}

#[test]
fn the_tree_hands_each_token_out_at_once() {
    let (codes, ids) = orpheus_ids(5, 1);
    let mut stream = SnacTree::orpheus().stream();
    let mut found = Codes::new(codes.specs().clone());
    for (given, &id) in ids.iter().enumerate() {
        stream.push(id, &mut found).unwrap();
        assert_eq!(found.tokens(), given + 1);
        match given + 1 {
            18 => assert_eq!(found.frames(), 10),
            20 => assert_eq!(found.frames(), 11),
            25 => assert_eq!(found.frames(), 14),
            _ => {}
        }
    }
}

#[test]
fn padding_ends_a_delayed_stream_at_its_shortest_book() {
    const P: u32 = 2_048;
    let delay = Delay::musicgen(books(&[1, 1], 8)).unwrap();
    let (found, events, end) = run(&delay, &[1, 6, 2, 3, 4, 5, 7, P, P, P, P, 1]);
    assert_eq!(
        (found.book(0), found.book(1)),
        (&[1, 2, 4, 7][..], &[3, 5][..])
    );
    assert_eq!(
        events[1],
        TokenEvent::Pad,
        "anything before a book begins is padding"
    );
    assert_eq!(
        events[7..],
        [
            TokenEvent::End,
            TokenEvent::Pad,
            TokenEvent::Pad,
            TokenEvent::Pad,
            TokenEvent::Pad
        ]
    );
    assert_eq!(end.open, 2);
    let (found, events, _) = run(&delay, &[1, P, 9, 3, P, 4, P, P]);
    assert_eq!((found.book(0), found.book(1)), (&[1, 1][..], &[3, 4][..]));
    assert_eq!(events[2], TokenEvent::BadCode { book: 0, code: 9 });
    assert_eq!(events[7], TokenEvent::End);
}

#[test]
fn a_stream_cut_anywhere_accounts_for_every_code() {
    let mut rng = Rng::new(SEED);
    let in_time = |(name, _): &(&str, _)| !name.starts_with("flat") && *name != "HF";
    for (name, layout) in layouts().into_iter().filter(in_time) {
        let codes = random_codes(layout.specs(), 9, &mut rng);
        let mut ids = Vec::new();
        layout.pack(&codes, &mut ids).unwrap();
        for cut in 0..ids.len() {
            let mut found = Codes::new(layout.specs().clone());
            let mut stream = layout.stream();
            let mut given = 0;
            for &id in &ids[..cut] {
                let event = stream.push(id, &mut found).unwrap();
                given += u64::from(!matches!(event, TokenEvent::Pad | TokenEvent::End));
            }
            let end = stream.finish(&mut found).unwrap();
            assert_eq!(
                given,
                found.tokens() as u64 + end.dropped,
                "{name}, cut at {cut}"
            );
            for k in 0..found.books() {
                assert!(
                    codes.book(k).starts_with(found.book(k)),
                    "{name}, cut at {cut}"
                );
            }
            assert_eq!(found.drop_open(), end.open, "{name}, cut at {cut}");
        }
    }
}

#[test]
fn streams_take_any_ids() {
    let mut rng = Rng::new(SEED);
    for (name, layout) in layouts() {
        for round in 0..60 {
            let mut ids = Vec::new();
            let codes = random_codes(layout.specs(), 1 + rng.below(12), &mut rng);
            layout.pack(&codes, &mut ids).unwrap();
            let length = ids.len();
            for _ in 0..rng.below(30) {
                let at = rng.below(length);
                match rng.below(4) {
                    0 => ids[at] = rng.bits() as u32,
                    1 => ids[at] = ids[rng.below(length)],
                    2 => ids.swap(at, length - 1),
                    _ => ids[at] = ids[at].wrapping_add(rng.below(3) as u32).wrapping_sub(1),
                }
            }
            ids.truncate(length - rng.below(3).min(length));
            let unpacked = layout.unpack(&ids);
            let mut found = Codes::new(layout.specs().clone());
            let mut stream = layout.stream();
            for &id in &ids {
                stream.push(id, &mut found).unwrap();
            }
            match stream.finish(&mut found) {
                Ok(end) => {
                    let open = found.drop_open();
                    assert_eq!(open, end.open, "{name}, round {round}");
                    let row: usize = (0..found.books()).map(|k| found.superframe_tokens(k)).sum();
                    assert!(found.tokens() <= ids.len() * row, "{name}");
                }
                Err(error) => assert_eq!(Some(error), unpacked.clone().err(), "{name}"),
            }
            if let Ok(unpacked) = unpacked {
                assert_eq!(found, unpacked, "{name}: what unpacks, streams");
            }
        }
    }
}

#[test]
fn streams_end_once_and_want_their_own_books() {
    for (name, layout) in layouts() {
        let mut stream = layout.stream();
        let mut other = Codes::new(books(&[1; 5], 3));
        assert_eq!(
            stream.push(1, &mut other).unwrap_err().code(),
            "book-count",
            "{name}"
        );
        let mut codes = Codes::new(layout.specs().clone());
        stream.finish(&mut codes).unwrap();
        assert_eq!(
            stream.push(1, &mut codes),
            Err(LayoutError::Finished),
            "{name}"
        );
        assert_eq!(
            stream.finish(&mut codes),
            Err(LayoutError::Finished),
            "{name}"
        );
    }
}
