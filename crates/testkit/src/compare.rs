//! Comparison of numbers with a tolerance.

/// How far a value may be from the expected one: `abs + rel_to_max x max |expected|`.
#[derive(Clone, Copy, Debug)]
pub struct Tol {
    /// Absolute part.
    pub abs: f32,
    /// Part relative to the largest magnitude in the expected values.
    pub rel_to_max: f32,
}

/// Compares element by element.
///
/// # Panics
/// Unless the lengths are equal and every element is within `tol`; the message has the worst index, both values, the
/// bound, and how many elements are out. A NaN is out unless both are NaN.
#[track_caller]
pub fn close(actual: &[f32], expected: &[f32], tol: Tol, name: &str) {
    assert_eq!(actual.len(), expected.len(), "{name}: lengths differ");
    let largest = expected
        .iter()
        .filter(|v| v.is_finite())
        .fold(0.0f32, |m, v| m.max(v.abs()));
    let bound = tol.abs + tol.rel_to_max * largest;
    let distance = |(&a, &e): (&f32, &f32)| match (a - e).abs() {
        _ if a == e || (a.is_nan() && e.is_nan()) => 0.0,
        d if d.is_nan() => f32::INFINITY,
        d => d,
    };
    let distances = || actual.iter().zip(expected).map(distance);
    let out = distances().filter(|&d| d > bound).count();
    let worst = distances().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    let Some((index, error)) = worst.filter(|_| out > 0) else {
        return;
    };
    panic!(
        "{name}: element {index} of {} is {}, expected {}; error {error:e} > {bound:e} (max |expected| {largest}); \
         {out} elements are out of tolerance",
        actual.len(),
        actual[index],
        expected[index],
    );
}

#[cfg(test)]
mod tests {
    use super::{Tol, close};

    const TIGHT: Tol = Tol {
        abs: 0.0,
        rel_to_max: 1e-3,
    };

    #[test]
    fn accepts_what_is_within_the_tolerance() {
        close(&[], &[], TIGHT, "nothing");
        close(
            &[1000.5, 0.9],
            &[1000.0, 0.0],
            TIGHT,
            "relative to the largest",
        );
        close(
            &[f32::NAN, f32::INFINITY],
            &[f32::NAN, f32::INFINITY],
            TIGHT,
            "same specials",
        );
    }

    #[test]
    #[should_panic(
        expected = "mel: element 1 of 3 is 7, expected 5; error 2e0 > 1.2e-2 (max |expected| 12)"
    )]
    fn names_the_worst_element() {
        close(&[1.5, 7.0, 12.0], &[1.0, 5.0, 12.0], TIGHT, "mel");
    }

    #[test]
    #[should_panic(expected = "element 0 of 1 is NaN")]
    fn a_nan_is_never_close_to_a_number() {
        close(
            &[f32::NAN],
            &[0.0],
            Tol {
                abs: 1e9,
                rel_to_max: 0.0,
            },
            "x",
        );
    }

    #[test]
    #[should_panic(expected = "lengths differ")]
    fn lengths_must_agree() {
        close(&[1.0], &[1.0, 2.0], TIGHT, "x");
    }
}
