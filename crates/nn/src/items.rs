//! Where the items of a ragged batch lie.

use std::ops::Range;

/// The items of a ragged batch: frames of item 0, then of item 1, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Items {
    ends: Vec<usize>,
}

impl Items {
    /// Items of the given numbers of frames.
    pub fn new(frames: impl IntoIterator<Item = usize>) -> Self {
        let ends = frames.into_iter().scan(0, |end, n| {
            *end += n;
            Some(*end)
        });
        Items {
            ends: ends.collect(),
        }
    }

    /// A batch of one item.
    pub fn one(frames: usize) -> Self {
        Items { ends: vec![frames] }
    }

    /// Frames of all items.
    pub fn total(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Frames of the longest item.
    pub fn longest(&self) -> usize {
        self.ranges().map(|r| r.len()).max().unwrap_or(0)
    }

    /// The frames of each item, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        (0..self.ends.len()).map(|i| if i == 0 { 0 } else { self.ends[i - 1] }..self.ends[i])
    }
}
