//! What no layout takes, by name.

use percept_testkit::Rng;

use super::{BASE, SEED, layouts};
use crate::{
    codes::tests::{books, random_codes},
    layout::*,
};

#[test]
fn only_whole_codes_of_the_same_books_are_packed() {
    let mut rng = Rng::new(SEED);
    for (name, layout) in layouts() {
        let mut codes = random_codes(layout.specs(), 3, &mut rng);
        let other = random_codes(&books(&[1; 5], 3), 3, &mut rng);
        assert_eq!(
            layout.pack(&other, &mut Vec::new()).unwrap_err().code(),
            "book-count",
            "{name}"
        );
        codes.push_token(0, 0).unwrap();
        let packed = layout.pack(&codes, &mut Vec::new());
        let whole = codes.books() == 1;
        assert_eq!(packed.is_ok(), whole, "{name}: {packed:?}");
    }
}

#[test]
fn delayed_books_need_all_their_rows_and_padding() {
    let delay = Delay::musicgen(books(&[1, 1, 1], 9)).unwrap();
    let unpack = |ids: &[u32]| delay.unpack(ids).map_or_else(|e| e.code(), |_| "fine");
    const P: u32 = 2_048;
    assert_eq!(unpack(&[]), "fine");
    assert_eq!(unpack(&[1, P, P]), "too-few-rows");
    assert_eq!(unpack(&[1, P, P, P, 2, P, P, P, 3]), "fine");
    assert_eq!(unpack(&[1, P, P, P, 2, P, P, P]), "id-count");
    assert_eq!(unpack(&[1, 0, P, P, 2, P, P, P, 3]), "not-padding");
    assert_eq!(unpack(&[1, P, P, P, 2, P, 5, P, 3]), "not-padding");
    assert_eq!(unpack(&[1, P, P, 5, 2, P, P, P, 3]), "not-padding");
    assert_eq!(unpack(&[1, P, P, P, P, P, P, P, 3]), "not-a-code");
}

#[test]
fn wrong_ids_are_named_by_their_place() {
    let orpheus = SnacTree::orpheus();
    let good: Vec<u32> = (0..14).map(|i| BASE + 4_096 * (i % 7)).collect();
    assert_eq!(
        orpheus.unpack(&good).map(|codes| codes.superframes()),
        Ok(2)
    );
    let wrong = |index: usize, id: u32| {
        let mut ids = good.clone();
        ids[index] = id;
        orpheus.unpack(&ids).unwrap_err()
    };
    assert_eq!(
        wrong(9, 128_258),
        LayoutError::NotACode {
            index: 9,
            id: 128_258,
            slot: 2
        }
    );
    let past = BASE + 7 * 4_096;
    assert_eq!(
        wrong(13, past),
        LayoutError::NotACode {
            index: 13,
            id: past,
            slot: 6
        }
    );
    let id = BASE + 4_096;
    assert_eq!(
        wrong(7, id),
        LayoutError::Phase {
            index: 7,
            id,
            expected: 0,
            found: 1
        }
    );
    assert_eq!(
        orpheus.unpack(&good[..13]),
        Err(LayoutError::Length {
            ids: 13,
            multiple: 7
        })
    );
    let flat = FlatByBook::new(books(&[4, 2, 1], 4_096)).unwrap();
    assert_eq!(
        flat.unpack(&[0; 8]),
        Err(LayoutError::Length {
            ids: 8,
            multiple: 7
        })
    );
    for bad in [4_096, 65_536, u32::MAX] {
        let error = flat.unpack(&[0, 0, 0, 0, bad, 0, 0]).unwrap_err();
        assert_eq!(error.code(), "token-out-of-range", "{bad}: {error}");
        let rows = FrameMajor::new(books(&[1; 7], 4_096)).unwrap();
        let error = rows.unpack(&[0, 0, 0, 0, bad, 0, 0]).unwrap_err();
        assert_eq!(
            error,
            LayoutError::NotACode {
                index: 4,
                id: bad,
                slot: 4
            }
        );
    }
}

#[test]
fn layouts_that_cannot_be_are_refused() {
    let snac = || books(&[4, 2, 1], 4_096);
    let tree = |specs, base, stride| SnacTree::new(specs, base, stride).unwrap_err().code();
    assert_eq!(tree(books(&[4, 3, 1], 8), 0, 8), "layout-strides");
    assert_eq!(tree(books(&[1, 2], 8), 0, 8), "layout-strides");
    assert_eq!(tree(books(&[u32::MAX, 1], 8), 0, 8), "too-many-slots");
    assert_eq!(tree(snac(), 0, 4_095), "slot-stride");
    assert_eq!(tree(snac(), u32::MAX - 7 * 4_096 + 2, 4_096), "id-range");
    assert!(SnacTree::new(snac(), u32::MAX - 7 * 4_096 + 1, 4_096).is_ok());
    assert_eq!(tree([].into(), 0, 1), "no-books");
    assert_eq!(
        FrameMajor::new(snac()).unwrap_err().code(),
        "layout-strides"
    );
    assert_eq!(HfBkt::new(snac()).unwrap_err().code(), "layout-strides");
    let delay = |delays: &[usize], pad| {
        Delay::new(books(&[1, 1], 8), delays, pad)
            .unwrap_err()
            .code()
    };
    assert_eq!(delay(&[0], 8), "delay-count");
    assert_eq!(delay(&[0, 1], 7), "pad-is-a-code");
    assert_eq!(delay(&[0, usize::MAX], 8), "delay-too-long");
}
