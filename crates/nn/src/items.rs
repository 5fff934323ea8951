//! Where the items of a ragged batch lie.

use std::ops::Range;

/// The items of a ragged batch: frames of item 0, then of item 1, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

    /// Takes all items away.
    pub fn clear(&mut self) {
        self.ends.clear();
    }

    /// Adds an item of `frames` frames.
    pub fn push(&mut self, frames: usize) {
        self.ends.push(self.total() + frames);
    }

    /// How many items there are.
    pub fn count(&self) -> usize {
        self.ends.len()
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
        (0..self.ends.len()).map(|i| self.range(i))
    }

    /// The frames of item `n`.
    pub fn range(&self, n: usize) -> Range<usize> {
        let start = if n == 0 { 0 } else { self.ends[n - 1] };
        start..self.ends[n]
    }

    /// `rows` item by item: `(item, the rows of it, counted from its own first)`.
    pub fn parts(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let first = self.ends.partition_point(|end| *end <= rows.start);
        (first..self.ends.len())
            .map(move |n| {
                let item = self.range(n);
                let part = item.start.max(rows.start)..item.end.min(rows.end);
                (n, item.start, part)
            })
            .take_while(move |(_, start, _)| *start < rows.end)
            .filter(|(_, _, part)| !part.is_empty())
            .map(|(n, start, part)| (n, part.start - start..part.end - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_their_rows_once() {
        let items = Items::new([3, 0, 1, 5]);
        let parts = |rows| items.parts(rows).collect::<Vec<_>>();
        assert_eq!(parts(0..9), [(0, 0..3), (2, 0..1), (3, 0..5)]);
        assert_eq!(parts(2..5), [(0, 2..3), (2, 0..1), (3, 0..1)]);
        assert_eq!(parts(6..8), [(3, 2..4)]);
        assert_eq!(parts(4..4), []);
    }
}
