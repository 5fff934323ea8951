//! Left-chunk-right windows: how long audio is cut so that memory stays bounded.
//!
//! The schedule is NeMo's buffered streaming: a window holds some context on the left, the chunk that is decoded, and
//! context on the right; each step moves on by one chunk. The left is never padded: the first windows are shorter. At
//! the end the rest of the audio becomes the last chunk. NeMo then lets the left context begin between two encoder
//! frames; here it begins on a frame, so that the last window continues the grid of the others.

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
    /// same length, with contexts of at most 10 s (125 frames) that are multiples of `grid`, the model's own chunk.
    pub fn for_pieces_of(frames: usize, grid: usize) -> Self {
        let grid = grid.max(1);
        let whole = (frames / grid).max(4) * grid;
        let side = (whole / 4).min(125) / grid * grid;
        let side = side.max(grid);
        WindowPolicy {
            whole_frames: whole,
            left: side,
            chunk: whole - 2 * side,
            right: side,
        }
    }

    /// Frames of a full window.
    pub fn window(&self) -> usize {
        self.left + self.chunk + self.right
    }
}

/// A window that is ready to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Samples of the window, from the front of the buffer.
    pub(crate) samples: usize,
    /// Encoder frames of left context, which are not decoded.
    pub(crate) left: usize,
    /// Encoder frames to decode; `None` is all that follow the left context.
    pub(crate) chunk: Option<usize>,
}

/// Buffers samples and cuts them into windows. What is cut depends on the audio alone, not on how it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Windower {
    policy: WindowPolicy,
    frame_samples: usize,
    buffer: Vec<f32>,
    /// Samples of the buffer that belong to the windows so far: left context, last chunk, right context.
    left: usize,
    chunk: usize,
    right: usize,
    received: u64,
    ended: bool,
    done: bool,
}

impl Windower {
    pub(crate) fn new(policy: WindowPolicy, frame_samples: usize) -> Self {
        assert!(policy.chunk > 0, "a chunk holds at least one frame");
        assert!(
            policy.whole_frames >= policy.chunk + policy.right,
            "the first window is not one piece"
        );
        Windower {
            policy,
            frame_samples,
            buffer: Vec::new(),
            left: 0,
            chunk: 0,
            right: 0,
            received: 0,
            ended: false,
            done: false,
        }
    }

    /// Samples taken so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// How many samples to push before asking for a window again: never more than a window's worth at a time.
    pub(crate) fn room(&self) -> usize {
        let limit = self
            .policy
            .whole_frames
            .max(self.policy.window() + self.policy.chunk)
            * self.frame_samples;
        (limit + 1).saturating_sub(self.buffer.len()).max(1)
    }

    pub(crate) fn push(&mut self, pcm: &[f32]) {
        self.buffer.extend_from_slice(pcm);
        self.received += pcm.len() as u64;
    }

    /// No more samples will come.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The samples of a window that [`Windower::next`] returned, until it is called again.
    pub(crate) fn samples(&self, window: &Window) -> &[f32] {
        &self.buffer[..window.samples]
    }

    /// The next window, if the samples so far decide it.
    pub(crate) fn next(&mut self) -> Option<Window> {
        let whole = (self.policy.whole_frames * self.frame_samples) as u64;
        if self.done || (self.received <= whole && !self.ended) {
            return None;
        }
        if self.received <= whole {
            self.done = true;
            return Some(Window {
                samples: self.buffer.len(),
                left: 0,
                chunk: None,
            });
        }
        let chunk = self.policy.chunk * self.frame_samples;
        let right = self.policy.right * self.frame_samples;
        let waiting = self.buffer.len() - self.left - self.chunk - self.right;
        let add = if self.chunk == 0 {
            chunk + right
        } else {
            chunk
        };
        if waiting > add {
            return Some(self.step(add, false));
        }
        if !self.ended {
            return None;
        }
        self.done = true;
        Some(self.step(waiting, true))
    }

    /// Takes `add` samples into the window and moves on by a chunk.
    fn step(&mut self, add: usize, is_last: bool) -> Window {
        let frame = self.frame_samples;
        let limit = self.policy.window() * frame;
        self.left += self.chunk;
        self.right += add;
        self.chunk = if is_last {
            self.right
        } else {
            self.policy.chunk * frame
        };
        self.right -= self.chunk;
        let excess = (self.left + self.chunk + self.right).saturating_sub(limit);
        let excess = excess.next_multiple_of(frame).min(self.left);
        self.buffer.drain(..excess);
        self.left -= excess;
        Window {
            samples: self.left + self.chunk + self.right,
            left: self.left / frame,
            chunk: if is_last {
                None
            } else {
                Some(self.policy.chunk)
            },
        }
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
    ) -> Vec<(Vec<f32>, Window)> {
        let mut windower = Windower::new(policy, FRAME);
        let (mut at, mut out) = (0, Vec::new());
        for push in pushes {
            let push = push.min(total - at);
            let pcm: Vec<f32> = (at..at + push).map(|i| i as f32).collect();
            at += push;
            windower.push(&pcm);
            while let Some(window) = windower.next() {
                out.push((windower.samples(&window).to_vec(), window));
            }
        }
        windower.end();
        while let Some(window) = windower.next() {
            out.push((windower.samples(&window).to_vec(), window));
        }
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
        let seen: Vec<(usize, usize, usize, Option<usize>)> = made
            .iter()
            .map(|(pcm, w)| (pcm[0] as usize, w.samples, w.left, w.chunk))
            .collect();
        assert_eq!(
            seen,
            [
                (0, 3 * FRAME, 0, Some(2)),
                (0, 5 * FRAME, 2, Some(2)),
                (0, 7 * FRAME, 4, Some(2)),
                (2 * FRAME, 7 * FRAME, 4, Some(2)),
                (3 * FRAME, 6 * FRAME + 300, 5, None),
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
            assert_eq!(made.len(), 1);
            assert_eq!(
                made[0].1,
                Window {
                    samples: total,
                    left: 0,
                    chunk: None
                }
            );
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
            for (pcm, window) in &whole {
                let first = pcm[0] as usize / FRAME + window.left;
                assert_eq!(first, at, "the chunk begins where the last one ended");
                at += window.chunk.unwrap_or(0);
                last = pcm[0] as usize + window.samples;
                assert!(window.samples <= policy.window() * FRAME);
            }
            assert_eq!(last, total, "the last window reaches the end");
        }
    }

    #[test]
    fn policies_keep_to_the_grid_and_the_piece() {
        for (frames, grid) in [(250, 1), (3750, 1), (3750, 14), (250, 2), (1, 1), (3, 14)] {
            let policy = WindowPolicy::for_pieces_of(frames, grid);
            assert_eq!(policy.window(), policy.whole_frames);
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
