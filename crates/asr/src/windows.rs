//! Left-chunk-right windows: how long audio is cut so that memory stays bounded.
//!
//! The schedule is NeMo's buffered streaming: a window holds some context on the left, the chunk that is decoded, and
//! context on the right; each step moves on by one chunk. The left is never padded: the first windows are shorter. At
//! the end the rest of the audio becomes the last chunk. NeMo then lets the left context begin between two encoder
//! frames; here it begins on a frame, so that the last window continues the grid of the others.

use std::ops::Range;

/// Sizes of the windows, in encoder frames, and the audio that needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPolicy {
    /// Audio up to this length is one window.
    pub whole_frames: usize,
    /// Context before the chunk.
    pub left: usize,
    /// Frames decoded at each step; at least one.
    pub chunk: usize,
    /// Context after the chunk.
    pub right: usize,
}

impl WindowPolicy {
    /// A policy for a model that does well on pieces of up to `frames`: that much in one piece; beyond it windows of the
    /// same length, or of 100 s (1250 frames) where that is less, since the cost of attention grows with the square of it.
    /// Contexts are at most 10 s (125 frames), multiples of `grid`, the model's own chunk.
    pub fn for_pieces_of(frames: usize, grid: usize) -> Self {
        let grid = grid.max(1);
        let on_grid = |frames: usize| (frames / grid).max(4) * grid;
        let whole = on_grid(frames);
        let window = whole.min(on_grid(1250));
        let side = (window / 4).min(125) / grid * grid;
        let side = side.max(grid);
        WindowPolicy {
            whole_frames: whole,
            left: side,
            chunk: window - 2 * side,
            right: side,
        }
    }

    /// Frames of a full window.
    pub fn window(&self) -> usize {
        self.left + self.chunk + self.right
    }
}

/// A window that is ready to be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its samples, counted from the start of the audio.
    pub(crate) samples: Range<u64>,
    /// Encoder frames of left context, which are not decoded.
    pub(crate) left: usize,
    /// Encoder frames to decode; `None` is all that follow the left context.
    pub(crate) chunk: Option<usize>,
}

/// Cuts audio into windows. What is cut depends on the audio alone, not on how it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    policy: WindowPolicy,
    frame_samples: usize,
    /// The first sample of the last window.
    start: u64,
    /// Samples of the last window: left context, chunk, right context.
    left: usize,
    chunk: usize,
    right: usize,
    received: u64,
    ended: bool,
    done: bool,
}

impl Schedule {
    pub(crate) fn new(policy: WindowPolicy, frame_samples: usize) -> Self {
        assert!(policy.chunk > 0, "a chunk holds at least one frame");
        assert!(
            policy.whole_frames >= policy.chunk + policy.right,
            "the first window is not one piece"
        );
        Schedule {
            policy,
            frame_samples,
            start: 0,
            left: 0,
            chunk: 0,
            right: 0,
            received: 0,
            ended: false,
            done: false,
        }
    }

    pub(crate) fn policy(&self) -> &WindowPolicy {
        &self.policy
    }

    /// Decodes `frames` frames at a step from the next window on.
    pub(crate) fn set_chunk(&mut self, frames: usize) {
        assert!(frames > 0, "a chunk holds at least one frame");
        let WindowPolicy {
            whole_frames,
            chunk,
            right,
            ..
        } = &mut self.policy;
        // Where one window is as much as a chunk and what is right of it, that stays so.
        *whole_frames = match *whole_frames == *chunk + *right {
            true => frames + *right,
            false => (*whole_frames).max(frames + *right),
        };
        *chunk = frames;
    }

    /// Goes back to before the first sample.
    pub(crate) fn restart(&mut self) {
        *self = Schedule::new(self.policy, self.frame_samples);
    }

    /// How many samples are still to come before a window is decided; 0 where one is.
    pub(crate) fn room(&self) -> usize {
        // One sample more than the window has: only then is it known not to be the last.
        let needed = self.needed() + 1;
        needed.saturating_sub(self.received) as usize
    }

    /// The end of the next window, if audio goes on behind it.
    fn needed(&self) -> u64 {
        let whole = (self.policy.whole_frames * self.frame_samples) as u64;
        match self.chunk == 0 && self.received <= whole {
            true => whole,
            false => self.end() + self.step_samples() as u64,
        }
    }

    /// The first sample behind the last window.
    fn end(&self) -> u64 {
        self.start + (self.left + self.chunk + self.right) as u64
    }

    /// Samples by which the next window reaches further than the last, if it is not the last of all.
    fn step_samples(&self) -> usize {
        (self.policy.chunk + self.policy.right) * self.frame_samples - self.right
    }

    /// Takes note of samples that have come.
    pub(crate) fn receive(&mut self, samples: u64) {
        self.received += samples;
    }

    /// No more samples will come.
    pub(crate) fn end_of_audio(&mut self) {
        self.ended = true;
    }

    /// Whether there is a next window, if the samples so far decide it.
    pub(crate) fn is_ready(&self) -> bool {
        !self.done && (self.ended || self.room() == 0)
    }

    /// Whether the last window was given.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// The next window, if the samples so far decide it.
    pub(crate) fn next(&mut self) -> Option<Window> {
        if !self.is_ready() {
            return None;
        }
        let frame = self.frame_samples;
        let is_last = self.received <= self.needed();
        let add = match is_last {
            true => (self.received - self.end()) as usize,
            false => self.step_samples(),
        };
        self.done = is_last;
        self.left += self.chunk;
        self.right += add;
        self.chunk = match is_last {
            true => self.right,
            false => self.policy.chunk * frame,
        };
        self.right -= self.chunk;
        // What the first window holds may be more than the others do.
        let limit = match self.left {
            0 => usize::MAX,
            _ => self.policy.window() * frame,
        };
        let excess = (self.left + self.chunk + self.right).saturating_sub(limit);
        let excess = excess.next_multiple_of(frame).min(self.left);
        self.start += excess as u64;
        self.left -= excess;
        Some(Window {
            samples: self.start..self.end(),
            left: self.left / frame,
            chunk: (!is_last).then_some(self.policy.chunk),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 1280;

    fn windows(
        policy: WindowPolicy,
        total: usize,
        pushes: impl Iterator<Item = usize>,
    ) -> Vec<Window> {
        let mut schedule = Schedule::new(policy, FRAME);
        let (mut at, mut out) = (0, Vec::new());
        for push in pushes {
            let push = push.min(total - at);
            at += push;
            schedule.receive(push as u64);
            out.extend(std::iter::from_fn(|| schedule.next()));
        }
        schedule.end_of_audio();
        out.extend(std::iter::from_fn(|| schedule.next()));
        assert!(schedule.is_done());
        out
    }

    #[test]
    fn windows_follow_the_schedule_and_stay_on_the_frame_grid() {
        let policy = WindowPolicy {
            whole_frames: 3,
            left: 4,
            chunk: 2,
            right: 1,
        };
        let made = windows(policy, 9 * FRAME + 300, std::iter::once(usize::MAX));
        let seen: Vec<(u64, u64, usize, Option<usize>)> = made
            .iter()
            .map(|w| (w.samples.start, w.samples.end, w.left, w.chunk))
            .collect();
        let frame = FRAME as u64;
        assert_eq!(
            seen,
            [
                (0, 3 * frame, 0, Some(2)),
                (0, 5 * frame, 2, Some(2)),
                (0, 7 * frame, 4, Some(2)),
                (2 * frame, 9 * frame, 4, Some(2)),
                (3 * frame, 9 * frame + 300, 5, None),
            ]
        );
    }

    #[test]
    fn short_audio_is_one_window() {
        let policy = WindowPolicy {
            whole_frames: 10,
            left: 4,
            chunk: 2,
            right: 1,
        };
        for total in [0, 1, FRAME, 10 * FRAME] {
            let made = windows(policy, total, std::iter::once(total));
            let whole = Window {
                samples: 0..total as u64,
                left: 0,
                chunk: None,
            };
            assert_eq!(made, [whole]);
        }
    }

    #[test]
    fn any_cutting_gives_the_same_windows_and_decodes_every_frame_once() {
        let policy = WindowPolicy {
            whole_frames: 8,
            left: 4,
            chunk: 3,
            right: 2,
        };
        for total in [
            8 * FRAME + 1,
            11 * FRAME,
            14 * FRAME,
            20 * FRAME + 77,
            31 * FRAME - 1,
        ] {
            let whole = windows(policy, total, std::iter::once(total));
            for step in [1usize, 333, FRAME, 5000] {
                assert_eq!(
                    windows(
                        policy,
                        total,
                        std::iter::repeat_n(step, total.div_ceil(step))
                    ),
                    whole
                );
            }
            let (mut at, mut last) = (0, 0);
            for window in &whole {
                let Range { start, end } = window.samples;
                let first = start as usize / FRAME + window.left;
                assert_eq!(first, at, "the chunk begins where the last one ended");
                at += window.chunk.unwrap_or(0);
                last = end;
                assert!(end - start <= (policy.window() * FRAME) as u64);
            }
            assert_eq!(last, total as u64, "the last window reaches the end");
        }
    }

    #[test]
    fn policies_keep_to_the_grid_and_the_piece() {
        for (frames, grid) in [
            (250, 1),
            (3750, 1),
            (3750, 14),
            (1250, 1),
            (250, 2),
            (1, 1),
            (3, 14),
        ] {
            let policy = WindowPolicy::for_pieces_of(frames, grid);
            let most = (1250 / grid).max(4) * grid;
            assert_eq!(policy.window(), policy.whole_frames.min(most), "{policy:?}");
            for side in [policy.left, policy.chunk, policy.right] {
                assert!(
                    side.is_multiple_of(grid),
                    "{policy:?} off the grid of {grid}"
                );
            }
            assert!(policy.chunk > 0 && policy.right > 0);
            assert!(policy.whole_frames <= frames.max(4 * grid));
        }
    }
}
