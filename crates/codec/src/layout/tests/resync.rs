//! A stream stays on the grid when ids are missing, surplus or none of its own.

use percept_testkit::Rng;

use super::{
    BASE, SEED,
    streams::{orpheus_ids, run},
};
use crate::{
    codes::tests::{books, random_codes},
    layout::*,
};

#[test]
fn text_and_marks_between_audio_are_skipped() {
    let (codes, ids) = orpheus_ids(6, 2);
    let mut rng = Rng::new(SEED);
    let strange = [0, 128_256, 128_258, 128_265, BASE + 7 * 4_096, u32::MAX];
    let mut mixed = Vec::new();
    for &id in &ids {
        while rng.below(2) == 0 {
            mixed.push(strange[rng.below(strange.len())]);
        }
        mixed.push(id);
    }
    let (found, events, end) = run(&SnacTree::orpheus(), &mixed);
    assert_eq!(found, codes);
    assert_eq!(end, StreamEnd::default());
    let special = events
        .iter()
        .filter(|event| matches!(event, TokenEvent::Special(_)))
        .count();
    assert_eq!(special, mixed.len() - ids.len());
}

#[test]
fn code_0_and_4095_survive_in_every_slot_and_4096_never_becomes_one() {
    for code in [0, 4_095] {
        let ids: Vec<u32> = (0..21).map(|i| BASE + 4_096 * (i % 7) + code).collect();
        let (found, _, _) = run(&SnacTree::orpheus(), &ids);
        assert_eq!(found.superframes(), 3);
        assert!((0..3).all(|k| found.book(k).iter().all(|&c| u32::from(c) == code)));
    }
    for slot in 0..7u32 {
        let mut ids: Vec<u32> = (0..14).map(|i| BASE + 4_096 * (i % 7) + 5).collect();
        ids[slot as usize] = BASE + 4_096 * slot + 4_096;
        let (found, events, _) = run(&SnacTree::orpheus(), &ids);
        let event = events[slot as usize];
        match slot {
            6 => assert_eq!(event, TokenEvent::Special(BASE + 7 * 4_096)),
            _ => assert!(
                matches!(event, TokenEvent::Dropped { .. }),
                "slot {slot}: {event:?}"
            ),
        }
        assert!((0..3).all(|k| found.book(k).iter().all(|&c| c == 5 || c == 0)));
        assert!(found.is_whole());
    }
    let apart = SnacTree::new(books(&[4, 2, 1], 4_096), 0, 5_000).unwrap();
    let ids = [1, 5_002, 10_000 + 4_096, 15_004];
    let (found, events, _) = run(&apart, &ids);
    assert_eq!(
        events[2],
        TokenEvent::BadCode {
            book: 2,
            code: 4_096
        }
    );
    assert_eq!(
        found.book(2),
        [0, 4],
        "the code before stands in, at first 0"
    );
}

#[test]
fn a_missing_id_costs_its_superframe_and_nothing_else() {
    let (codes, ids) = orpheus_ids(8, 3);
    for missing in 0..ids.len() {
        let (hit, slot) = (missing / 7, missing % 7);
        let mut cut = ids.clone();
        cut.remove(missing);
        let (mut found, events, end) = run(&SnacTree::orpheus(), &cut);
        let last = hit == 7;
        let handed_out = slot > 0;
        if last && handed_out {
            let open = if slot == 6 { 6 } else { 0 };
            assert_eq!(
                (end.open, end.dropped),
                (open, 6 - slot as u64),
                "{missing}"
            );
        }
        found.drop_open();
        // The very first id is not missed: the stream may have been joined late.
        let incomplete = missing == 0 || (last && slot == 6);
        let expected = 8 - usize::from(incomplete);
        assert_eq!(found.superframes() as usize, expected, "{missing}");
        let resumed = hit + usize::from(!incomplete);
        assert_eq!(
            found.slice(0..hit as u64),
            codes.slice(0..hit as u64),
            "{missing}: before"
        );
        let after = found.slice(resumed as u64..expected as u64);
        assert_eq!(after, codes.slice(hit as u64 + 1..8), "{missing}: after");
        if !last || slot == 0 {
            let (dropped, filled) = match (missing, slot) {
                (0, _) => (6, 0),
                (_, 0) => (0, 1),
                _ => (6 - slot as u64, 7 - slot as u32),
            };
            let resync = TokenEvent::Resync { dropped, filled };
            let found: Vec<_> = events
                .iter()
                .filter(|e| matches!(e, TokenEvent::Resync { .. }))
                .collect();
            assert_eq!(found, [&resync], "{missing}");
        }
    }
}

#[test]
fn a_surplus_id_costs_its_superframe_and_nothing_else() {
    let (codes, ids) = orpheus_ids(6, 4);
    for surplus in 0..ids.len() {
        let (hit, slot) = ((surplus / 7) as u64, surplus % 7);
        let mut more = ids.clone();
        more.insert(surplus, more[surplus]);
        let (found, _, end) = run(&SnacTree::orpheus(), &more);
        assert_eq!(end.open, 0);
        assert!(found.is_whole(), "{surplus}");
        assert_eq!(found.superframes(), 6, "{surplus}");
        assert_eq!(
            found.slice(0..hit),
            codes.slice(0..hit),
            "{surplus}: before"
        );
        // One that is said twice at once is noticed at the start of a super-frame, and costs nothing.
        let harmed = u64::from(slot != 0);
        let after = found.slice(hit + harmed..6);
        assert_eq!(after, codes.slice(hit + harmed..6), "{surplus}: after");
    }
}

#[test]
fn a_broken_superframe_is_filled_with_the_codes_of_the_one_before() {
    let (codes, ids) = orpheus_ids(3, 5);
    let cut = [&ids[..7 + 3], &ids[14..]].concat();
    let (found, events, _) = run(&SnacTree::orpheus(), &cut);
    assert_eq!(
        events[10],
        TokenEvent::Resync {
            dropped: 0,
            filled: 4
        }
    );
    assert_eq!(found.book(0), codes.book(0));
    assert_eq!(found.book(1)[2..4], [codes.book(1)[2], codes.book(1)[1]]);
    let expected = [
        codes.book(2)[4],
        codes.book(2)[1],
        codes.book(2)[2],
        codes.book(2)[3],
    ];
    assert_eq!(found.book(2)[4..8], expected);
    assert_eq!(found.slice(2..3), codes.slice(2..3));
}

#[test]
fn joining_late_begins_with_the_first_whole_superframe() {
    let (codes, ids) = orpheus_ids(4, 6);
    for skip in 1..7 {
        let (found, events, _) = run(&SnacTree::orpheus(), &ids[skip..]);
        assert_eq!(Ok(found), codes.slice(1..4), "{skip}");
        assert_eq!(events[0], TokenEvent::Dropped { filled: 0 });
        let dropped = 7 - skip as u64;
        assert_eq!(events[7 - skip], TokenEvent::Resync { dropped, filled: 0 });
    }
}

#[test]
fn mini_omni_resynchronises_at_the_next_row() {
    let layout = MiniOmni::new();
    let codes = random_codes(layout.specs(), 20, &mut Rng::new(SEED));
    let mut ids = Vec::new();
    layout.pack(&codes, &mut ids).unwrap();
    for missing in (10 * 7 + 1)..(11 * 7) {
        let mut cut = ids.clone();
        cut.remove(missing);
        let (found, events, end) = run(&layout, &cut);
        assert!(events.contains(&TokenEvent::End));
        assert_eq!((end.open, end.dropped), (0, 0), "{missing}");
        assert_eq!(found.superframes(), 20, "{missing}");
        let differ = (0..20)
            .filter(|&s| found.slice(s..s + 1) != codes.slice(s..s + 1))
            .count();
        assert!(
            differ <= 7 - missing % 7,
            "{missing}: {differ} super-frames differ"
        );
    }
}
