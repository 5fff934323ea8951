//! Which frames attention may look at.

use std::ops::Range;

/// The keys that a query frame sees, besides being limited to its own item.
///
/// What the published FastConformer checkpoints use (NeMo's `att_context_style` and `att_context_size`). Every form
/// leaves a contiguous range that holds the query itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttentionMask {
    /// All frames.
    #[default]
    Full,
    /// `regular [L, R]`: at most `left` frames back and `right` ahead; `None` is unlimited.
    Regular {
        /// Frames of the past.
        left: Option<usize>,
        /// Frames of the future.
        right: Option<usize>,
    },
    /// `chunked_limited [L, R]`: chunks of `right + 1` frames; a query sees its whole chunk and `left / (right + 1)`
    /// chunks before it.
    Chunked {
        /// Frames of the past; `None` is unlimited.
        left: Option<usize>,
        /// Frames of the future that the first frame of a chunk sees.
        right: usize,
    },
    /// `chunked_limited_with_rc [L, C, R]`: a query sees its chunk of `chunk` frames, `left` before and `right` after it.
    ChunkedWithRight {
        /// Frames before the chunk.
        left: usize,
        /// Frames of a chunk.
        chunk: usize,
        /// Frames after the chunk.
        right: usize,
    },
}

/// As NeMo writes it: `full`, `regular [L, R]`, `chunked_limited [L, R]`, `chunked_limited_with_rc [L, C, R]`.
impl std::fmt::Display for AttentionMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = |n: Option<usize>| n.map_or("-1".to_owned(), |n| n.to_string());
        match *self {
            AttentionMask::Full => write!(f, "full"),
            AttentionMask::Regular { left, right } => {
                write!(f, "regular [{}, {}]", limit(left), limit(right))
            }
            AttentionMask::Chunked { left, right } => {
                write!(f, "chunked_limited [{}, {right}]", limit(left))
            }
            AttentionMask::ChunkedWithRight { left, chunk, right } => {
                write!(f, "chunked_limited_with_rc [{left}, {chunk}, {right}]")
            }
        }
    }
}

impl AttentionMask {
    /// The keys that query `i` sees among `len` frames.
    pub fn visible(&self, i: usize, len: usize) -> Range<usize> {
        let (start, end) = match *self {
            AttentionMask::Full => (0, len),
            AttentionMask::Regular { left, right } => (
                left.map_or(0, |l| i.saturating_sub(l)),
                right.map_or(len, |r| i.saturating_add(r).saturating_add(1)),
            ),
            AttentionMask::Chunked { left, right } => {
                let size = right + 1;
                let chunk = i / size;
                (
                    left.map_or(0, |l| chunk.saturating_sub(l / size) * size),
                    (chunk + 1) * size,
                )
            }
            AttentionMask::ChunkedWithRight { left, chunk, right } => {
                let first = i / chunk.max(1) * chunk.max(1);
                (
                    first.saturating_sub(left),
                    first.saturating_add(chunk.max(1)).saturating_add(right),
                )
            }
        };
        start..end.min(len)
    }

    /// The furthest that any of `len` queries looks: (frames back, frames ahead).
    pub fn reach(&self, len: usize) -> (usize, usize) {
        let last = len.saturating_sub(1);
        let (back, ahead) = match *self {
            AttentionMask::Full => (last, last),
            AttentionMask::Regular { left, right } => (left.unwrap_or(last), right.unwrap_or(last)),
            AttentionMask::Chunked { left, right } => {
                (left.map_or(last, |l| l.saturating_add(right)), right)
            }
            AttentionMask::ChunkedWithRight { left, chunk, right } => {
                (left.saturating_add(chunk), chunk.saturating_add(right))
            }
        };
        (back.min(last), ahead.min(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_show_the_ranges_of_their_definitions() {
        let regular = AttentionMask::Regular {
            left: Some(2),
            right: Some(1),
        };
        assert_eq!(regular.visible(5, 10), 3..7);
        assert_eq!(regular.visible(0, 10), 0..2);
        let chunked = AttentionMask::Chunked {
            left: Some(4),
            right: 1,
        };
        assert_eq!(chunked.visible(5, 10), 0..6);
        assert_eq!(chunked.visible(9, 10), 4..10);
        let with_right = AttentionMask::ChunkedWithRight {
            left: 4,
            chunk: 2,
            right: 3,
        };
        assert_eq!(with_right.visible(7, 20), 2..11);
        assert_eq!(AttentionMask::Full.visible(3, 8), 0..8);
        assert_eq!(regular.to_string(), "regular [2, 1]");
        assert_eq!(with_right.to_string(), "chunked_limited_with_rc [4, 2, 3]");
    }

    #[test]
    fn reach_covers_every_query() {
        let masks = [
            AttentionMask::Full,
            AttentionMask::Regular {
                left: Some(3),
                right: None,
            },
            AttentionMask::Chunked {
                left: Some(6),
                right: 2,
            },
            AttentionMask::Chunked {
                left: None,
                right: 3,
            },
            AttentionMask::ChunkedWithRight {
                left: 4,
                chunk: 3,
                right: 2,
            },
        ];
        for mask in masks {
            for len in 1..30 {
                let (back, ahead) = mask.reach(len);
                for i in 0..len {
                    let seen = mask.visible(i, len);
                    assert!(seen.contains(&i), "{mask:?}");
                    assert!(
                        i - seen.start <= back && seen.end - 1 - i <= ahead,
                        "{mask:?} {i} of {len}"
                    );
                }
            }
        }
    }
}
