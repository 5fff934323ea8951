//! The rows of a signal that a layer still needs.

#[cfg(test)]
mod tests;

use percept_kernels::AlignedFloats;

/// What stands before the first row of a signal and after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadMode {
    /// Zeros.
    Zero,
    /// The first and the last row again.
    Replicate,
    /// The rows beside the edge in reverse, without the edge itself. A signal that is not longer than the padding is
    /// lengthened with zeros first, and cut again, as EnCodec does.
    Reflect,
}

/// Rows that are added to a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// Rows before the first.
    pub left: usize,
    /// Rows after the last.
    pub right: usize,
    /// What is in them.
    pub mode: PadMode,
}

impl Padding {
    /// No padding at all.
    pub const NONE: Padding = Padding {
        left: 0,
        right: 0,
        mode: PadMode::Zero,
    };

    /// Rows of the padded signal that are known once `received` of its own are.
    pub(crate) fn before(&self, received: u64) -> u64 {
        let left = self.left as u64;
        match self.mode {
            PadMode::Reflect if left > 0 && received <= left => 0,
            PadMode::Replicate if received == 0 => 0,
            _ => received + left,
        }
    }

    /// Rows that are kept after they were let go: what comes after the signal may mirror more than a convolution still
    /// looks at.
    fn kept(&self) -> usize {
        match self.mode {
            PadMode::Zero => 0,
            PadMode::Replicate => 1,
            PadMode::Reflect => self.left + self.right + 1,
        }
    }

    /// Zeros on both sides.
    pub fn zeros(left: usize, right: usize) -> Padding {
        Padding {
            left,
            right,
            mode: PadMode::Zero,
        }
    }
}

/// A sliding part of a padded signal, `[rows, channels]`: rows come in at the end and are let go at the front.
///
/// Padding before the signal is put in when enough of the signal is known ([`Window::settle`]), padding after it by
/// [`Window::finish`].
#[derive(Clone, Debug)]
pub struct Window {
    channels: usize,
    padding: Padding,
    /// More than the rows held, so that rows seldom move.
    store: AlignedFloats,
    /// The rows held, counted in rows of `store`.
    begin: usize,
    end: usize,
    /// Where the rows begin that no activation has seen.
    fresh: usize,
    /// Rows of the signal, without padding.
    received: u64,
    /// Rows that were let go, with padding.
    consumed: u64,
    is_settled: bool,
}

impl Window {
    /// An empty signal of rows of `channels`.
    pub fn new(channels: usize, padding: Padding) -> Self {
        let mut window = Window {
            channels,
            padding,
            store: AlignedFloats::default(),
            begin: 0,
            end: 0,
            fresh: 0,
            received: 0,
            consumed: 0,
            is_settled: false,
        };
        if padding.mode == PadMode::Zero {
            window.settle_with(|_| None);
        }
        window
    }

    /// Values per row.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows of the signal so far, without padding.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Rows that were let go so far, with padding: the place of the first row that can be looked at.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Rows that can be looked at.
    pub fn len(&self) -> usize {
        match self.is_settled {
            true => self.end - self.begin,
            false => 0,
        }
    }

    /// Whether there is no row to look at.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows that can be looked at, `[len, channels]`.
    pub fn rows(&self) -> &[f32] {
        &self.store[self.begin * self.channels..(self.begin + self.len()) * self.channels]
    }

    /// Adds `rows` rows that hold anything, to be filled.
    pub fn extend(&mut self, rows: usize) -> &mut [f32] {
        self.received += rows as u64;
        self.append(rows)
    }

    /// Adds rows `[rows, channels]`.
    pub fn push(&mut self, rows: &[f32]) {
        self.extend(rows.len() / self.channels)
            .copy_from_slice(rows);
    }

    /// Of the `added` rows that came last, keeps those at `keep`.
    pub fn retract(&mut self, added: usize, keep: std::ops::Range<usize>) {
        let first = self.end - added;
        if keep.start > 0 {
            let kept = (first + keep.start) * self.channels..(first + keep.end) * self.channels;
            self.store.copy_within(kept, first * self.channels);
        }
        self.end = first + keep.len();
        self.received -= (added - keep.len()) as u64;
    }

    /// Lets the first `rows` rows go.
    pub fn consume(&mut self, rows: usize) {
        assert!(rows <= self.len(), "{rows} of {} rows", self.len());
        self.begin += rows;
        self.consumed += rows as u64;
        self.fresh = self.fresh.max(self.begin);
    }

    /// Puts in the padding before the signal as soon as it can be known.
    pub fn settle(&mut self) {
        if self.is_settled {
            return;
        }
        let left = self.padding.left as u64;
        let needed = match self.padding.mode {
            PadMode::Zero => 0,
            PadMode::Replicate => left.min(1),
            PadMode::Reflect if left == 0 => 0,
            PadMode::Reflect => left + 1,
        };
        if self.received >= needed {
            let mode = self.padding.mode;
            self.settle_with(|row| match mode {
                PadMode::Zero => None,
                PadMode::Replicate => Some(0),
                PadMode::Reflect => Some(row),
            });
        }
    }

    /// Puts in padding: the row `back` before the first is that of the signal which `source(back)` names, or zeros.
    fn settle_with(&mut self, source: impl Fn(usize) -> Option<usize>) {
        let (left, channels) = (self.padding.left, self.channels);
        let held = self.end - self.begin;
        self.append(left);
        let signal = self.begin * channels..(self.begin + held) * channels;
        self.store
            .copy_within(signal, (self.begin + left) * channels);
        for back in 1..=left {
            let to = (self.begin + left - back) * channels;
            match source(back).filter(|&row| row < held) {
                Some(row) => {
                    let from = (self.begin + left + row) * channels;
                    self.store.copy_within(from..from + channels, to);
                }
                None => self.store[to..to + channels].fill(0.0),
            }
        }
        self.is_settled = true;
    }

    /// Ends the signal: puts in the padding after it, and `more` rows of the same kind. An activation must have seen
    /// the rows that can be looked at.
    pub fn finish(&mut self, more: usize) {
        let right = self.padding.right + more;
        let longest = self.padding.left.max(right) as u64;
        let missing = match self.padding.mode {
            PadMode::Reflect if longest > 0 => (longest + 1).saturating_sub(self.received),
            _ => 0,
        };
        let was_settled = self.is_settled;
        if !was_settled {
            let mode = self.padding.mode;
            self.settle_with(|back| match mode {
                PadMode::Reflect => Some(back),
                PadMode::Zero | PadMode::Replicate => None,
            });
        }
        let channels = self.channels;
        let missing = missing as usize;
        let held = (self.end - self.begin + self.begin.min(self.padding.kept())) as u64;
        let held = held.min(self.received) as usize;
        self.append(right);
        let end = self.end - right;
        for row in 0..right {
            // Rows from the last one of the signal back.
            let back = match self.padding.mode {
                PadMode::Zero => None,
                PadMode::Replicate => Some(0),
                PadMode::Reflect if row < missing => None,
                PadMode::Reflect => (row + 1).checked_sub(2 * missing),
            };
            let to = (end + row) * channels;
            match back.filter(|&back| back < held) {
                Some(back) => {
                    let from = (end - 1 - back) * channels;
                    self.store.copy_within(from..from + channels, to);
                }
                None => self.store[to..to + channels].fill(0.0),
            }
        }
        // What was added to a signal that an activation has seen is made of such rows.
        self.fresh = match was_settled {
            true => self.end,
            false => self.begin,
        };
    }

    /// The rows that no activation has seen; they count as seen from now on.
    pub fn take_fresh(&mut self) -> &mut [f32] {
        let from = self.fresh;
        if self.is_settled {
            self.fresh = self.end;
        }
        let to = self.fresh;
        &mut self.store[from * self.channels..to * self.channels]
    }

    /// Adds `rows` rows that hold anything.
    fn append(&mut self, rows: usize) -> &mut [f32] {
        let channels = self.channels;
        if (self.end + rows) * channels > self.store.len() {
            self.make_room(rows);
        }
        let first = self.end;
        self.end += rows;
        &mut self.store[first * channels..self.end * channels]
    }

    /// Moves the rows to the front, where there is room for `rows` more and for as many again.
    fn make_room(&mut self, rows: usize) {
        let channels = self.channels;
        let first = self.begin - self.begin.min(self.padding.kept());
        let held = first * channels..self.end * channels;
        let needed = held.len() + rows * channels;
        if needed * 2 > self.store.len() {
            let mut larger = AlignedFloats::zeros(needed * 2);
            larger[..held.len()].copy_from_slice(&self.store[held]);
            self.store = larger;
        } else {
            self.store.copy_within(held, 0);
        }
        self.fresh = self.fresh.saturating_sub(first);
        self.begin -= first;
        self.end -= first;
    }
}
