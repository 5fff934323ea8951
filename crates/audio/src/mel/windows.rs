//! The frames of overlapping windows, each window a signal of its own.

use std::ops::Range;
use std::sync::Arc;

use super::MelFrontEnd;
use super::frame::FrameScratch;

/// Log-mel frames of overlapping windows of one stream, where a frame that several windows share is computed once.
///
/// [`window`](Self::window) gives bit for bit what [`features`](crate::features) gives for the same samples alone: before
/// and after a window lie zeros, and its first sample has no history. Only the frames that see an edge of the window
/// differ from those of the stream (for NeMo's defaults two at the start and one at the end), so the others are
/// computed as the samples arrive, from frames counted from sample 0; [`normalize`](crate::normalize) is the caller's.
/// A window that does not start on a hop has none in common with them, and is computed from scratch.
///
/// It holds the samples and frames from the last [`forget`](Self::forget) on. Once windows of the longest kind have been
/// asked for, nothing allocates.
///
/// ```
/// use std::sync::Arc;
/// use percept_audio::{MelConfig, MelFrontEnd, MelWindows, features};
///
/// let front_end = Arc::new(MelFrontEnd::new(MelConfig::nemo(80))?);
/// let pcm: Vec<f32> = (0..8_000).map(|i| (i as f32 * 0.05).sin()).collect();
/// let mut mel = MelWindows::new(Arc::clone(&front_end));
/// let mut frames = Vec::new();
/// mel.push(&pcm);
/// assert_eq!(mel.window(0, 4_000, &mut frames), 25);
/// mel.forget(1_600);
/// frames.clear();
/// mel.window(1_600, 8_000, &mut frames);
/// assert_eq!(frames, features(&front_end, &pcm[1_600..]).1);
/// # Ok::<(), percept_audio::MelError>(())
/// ```
#[derive(Clone)]
pub struct MelWindows {
    front_end: Arc<MelFrontEnd>,
    /// The samples from `first_sample` on, as they came.
    pcm: Vec<f32>,
    first_sample: u64,
    /// No window starts before it.
    earliest_start: u64,
    /// `[frames, n_mels]`: the frames of the stream from `first_frame` on whose windows are complete.
    frames: Vec<f32>,
    first_frame: u64,
    /// `[win_samples]`.
    taps: Vec<f32>,
    scratch: FrameScratch,
}

impl MelWindows {
    /// A stream at sample 0.
    pub fn new(front_end: Arc<MelFrontEnd>) -> Self {
        Self {
            pcm: Vec::new(),
            first_sample: 0,
            earliest_start: 0,
            frames: Vec::new(),
            first_frame: 0,
            taps: vec![0.0; front_end.config.win_samples],
            scratch: FrameScratch::new(&front_end),
            front_end,
        }
    }

    /// The front end it computes with.
    pub fn front_end(&self) -> &Arc<MelFrontEnd> {
        &self.front_end
    }

    /// Samples pushed so far.
    pub fn samples(&self) -> u64 {
        self.first_sample + self.pcm.len() as u64
    }

    /// Takes any number of samples and computes the frames of the stream that they complete.
    pub fn push(&mut self, pcm: &[f32]) {
        self.pcm.extend_from_slice(pcm);
        let samples = self.samples();
        let mut next = self.first_frame + (self.frames.len() / self.front_end.config.n_mels) as u64;
        while self.window_end(next) <= samples as i64 {
            self.fill_taps(0..samples, next);
            self.scratch
                .log_mels(&self.front_end, &self.taps, &mut self.frames);
            next += 1;
        }
        self.drop_samples();
    }

    /// Appends the frames of the samples `start..end`, `[frames, n_mels]`, un-normalised, to `out`. Returns how many
    /// they are: [`MelFrontEnd::frames`]`(end - start)`.
    ///
    /// # Panics
    /// If the window ends before it starts, reaches past [`samples`](Self::samples), or starts before what was forgotten.
    pub fn window(&mut self, start: u64, end: u64, out: &mut Vec<f32>) -> usize {
        let (samples, earliest) = (self.samples(), self.earliest_start);
        assert!(
            earliest <= start && start <= end && end <= samples,
            "the window {start}..{end} is not inside {earliest}..{samples}, the samples that are held"
        );
        let count = self.front_end.frames(end - start);
        let audible = start..end.saturating_sub(self.front_end.masked_samples() as u64);
        let shared = self.shared_frames(&audible, count);
        self.edge_frames(&audible, 0..shared.start, out);
        if !shared.is_empty() {
            let n_mels = self.front_end.config.n_mels;
            let first = start / self.hop() + shared.start - self.first_frame;
            let len = (shared.end - shared.start) as usize * n_mels;
            out.extend_from_slice(&self.frames[first as usize * n_mels..][..len]);
        }
        self.edge_frames(&audible, shared.end..count, out);
        count as usize
    }

    /// Gives up the samples and frames that only windows starting before `before` need. It may lie ahead of
    /// [`samples`](Self::samples): samples on the way there are dropped as they arrive.
    pub fn forget(&mut self, before: u64) {
        self.earliest_start = self.earliest_start.max(before);
        self.drop_samples();
        let lookback = self.front_end.lookback_samples();
        let needed = first_at_or_after(self.earliest_start as i64 + 1 + lookback, self.hop());
        let gone = needed.saturating_sub(self.first_frame);
        let held = self.frames.len() / self.front_end.config.n_mels;
        if gone > 0 && self.earliest_start > 0 {
            let dropped = held.min(gone as usize) * self.front_end.config.n_mels;
            self.frames.drain(..dropped);
            self.first_frame = needed;
        }
    }

    fn hop(&self) -> u64 {
        self.front_end.config.hop_samples as u64
    }

    fn drop_samples(&mut self) {
        let gone = self.earliest_start.saturating_sub(self.first_sample);
        let gone = gone.min(self.pcm.len() as u64);
        self.pcm.drain(..gone as usize);
        self.first_sample += gone;
    }

    /// Where the window of frame `frame` of the stream ends.
    fn window_end(&self, frame: u64) -> i64 {
        (frame * self.hop()) as i64 - self.front_end.lookback_samples()
            + self.front_end.config.win_samples as i64
    }

    /// Of the `count` frames of a window with the samples `audible`, those that see samples of the window and nothing
    /// else: they are frames of the stream. The first sample does not count, having no history in the window, unless it
    /// is the first of the stream.
    fn shared_frames(&self, audible: &Range<u64>, count: u64) -> Range<u64> {
        if !audible.start.is_multiple_of(self.hop()) {
            return 0..0;
        }
        let length = audible.end as i64 - audible.start as i64;
        let last_start =
            length + self.front_end.lookback_samples() - self.front_end.config.win_samples as i64;
        let end = match u64::try_from(last_start) {
            Ok(last_start) => (last_start / self.hop() + 1).min(count),
            Err(_) => 0,
        };
        let first = match audible.start {
            0 => 0,
            _ => first_at_or_after(1 + self.front_end.lookback_samples(), self.hop()),
        };
        first.min(end)..end
    }

    /// Appends `frames`, counted from the start of the window with the samples `audible`.
    fn edge_frames(&mut self, audible: &Range<u64>, frames: Range<u64>, out: &mut Vec<f32>) {
        for frame in frames {
            self.fill_taps(audible.clone(), frame);
            self.scratch.log_mels(&self.front_end, &self.taps, out);
        }
    }

    /// What frame `frame` of the signal `audible` sees through its window: pre-emphasised samples, and zeros around them.
    fn fill_taps(&mut self, audible: Range<u64>, frame: u64) {
        let first = (audible.start + frame * self.hop()) as i64 - self.front_end.lookback_samples();
        let clip = |at: u64| (at as i64 - first).clamp(0, self.taps.len() as i64) as usize;
        let inside = clip(audible.start)..clip(audible.end);
        self.taps.fill(0.0);
        if inside.is_empty() {
            return;
        }
        let from = (first + inside.start as i64) as u64;
        let at = usize::try_from(from - self.first_sample).expect("the sample is in memory");
        let preemphasis = self.front_end.config.preemphasis;
        let mut last = match from == audible.start {
            true => 0.0,
            false => self.pcm[at - 1],
        };
        for (tap, &x) in self.taps[inside].iter_mut().zip(&self.pcm[at..]) {
            *tap = x - preemphasis * last;
            last = x;
        }
    }
}

/// The index of the first hop at or after the sample `at`.
fn first_at_or_after(at: i64, hop: u64) -> u64 {
    (at.max(0) as u64).div_ceil(hop)
}

impl std::fmt::Debug for MelWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MelWindows")
            .field("samples", &self.samples())
            .field("earliest_start", &self.earliest_start)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::MelConfig;
    use super::*;

    #[test]
    fn a_window_computes_the_frames_at_its_edges_and_no_others() {
        let front_end = MelFrontEnd::new(MelConfig::nemo(1)).expect("the config is valid");
        let mut mel = MelWindows::new(Arc::new(front_end));
        mel.push(&[0.5; 16_000]);
        mel.frames.fill(f32::NAN);
        for (start, end, at_start, shared) in [
            (0, 16_000, 0, 99),
            (1_600, 16_000, 2, 87),
            (1_600, 2_080, 3, 0),
            (1_601, 16_000, 89, 0),
        ] {
            let mut frames = Vec::new();
            mel.window(start, end, &mut frames);
            let reused = |x: &f32| x.is_nan();
            let first = frames.iter().position(reused).unwrap_or(frames.len());
            assert_eq!(first, at_start, "{start}..{end}");
            let count = frames.iter().filter(|x| reused(x)).count();
            assert_eq!(count, shared, "{start}..{end}");
        }
    }

    #[test]
    fn only_what_a_later_window_needs_is_held() {
        let front_end = MelFrontEnd::new(MelConfig::nemo(1)).expect("the config is valid");
        let mut mel = MelWindows::new(Arc::new(front_end));
        for start in (0..160_000).step_by(1_600) {
            mel.push(&[0.5; 1_600]);
            mel.forget(start);
            assert!(mel.pcm.len() <= 1_600 && mel.frames.len() <= 10);
        }
    }
}
