//! How long to wait before a change that had to be taken back before.

/// How long it is at most.
const MOST_STEPS: u32 = 2048;

/// Steps to wait before a change of one kind: twice as many each time it has to be taken back, half as many where not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) steps: u32,
    least: u32,
    /// The last change was of this kind.
    is_open: bool,
}

impl Patience {
    pub(super) fn new(least: u32) -> Self {
        Patience {
            steps: least,
            least,
            is_open: false,
        }
    }

    /// A change of this kind is made.
    pub(super) fn change(&mut self) {
        if std::mem::replace(&mut self.is_open, true) {
            self.steps = (self.steps / 2).max(self.least);
        }
    }

    /// A change in the other direction is made.
    pub(super) fn take_back(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.steps = (2 * self.steps).min(MOST_STEPS);
        }
    }
}
