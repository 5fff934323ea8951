//! Sample rate conversion of a mono stream, aligned at time 0.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Rates that can be converted from and to, in Hz.
pub(crate) const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Taps of the anti-aliasing filter at the lower of the two rates: the transition band is about 10 / taps of it.
const FILTER_TAPS: usize = 512;

/// Why two rates cannot be converted into one another.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResamplerError {
    /// One of the rates is outside what the filter is made for.
    #[error("a sample rate of {rate} Hz cannot be converted; 1000 Hz to 768000 Hz can")]
    Rate {
        /// The rate, in Hz.
        rate: u32,
    },
}

impl ResamplerError {
    /// A stable name for scripts: it does not change when the message does.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rate { .. } => "resampler.rate",
        }
    }
}

/// Converts a mono stream from one rate to another.
///
/// Input `n` samples, output `ceil(n * to / from)` samples, output sample `i` at the time of input sample
/// `i * from / to`: the delay of the filter is taken out, so a position in one stream is a position in the other. The
/// work is done in blocks of a fixed size, so how the samples arrive changes nothing but when they come out, and
/// [`delay`](Self::delay) says how late that may be. Equal rates pass through as they are, at once. After
/// [`new`](Self::new), nothing but a growing `out` allocates.
///
/// ```
/// use percept_audio::Resampler;
///
/// let mut resampler = Resampler::new(48_000, 16_000)?;
/// let mut out = Vec::new();
/// resampler.push(&[0.5; 3_001], &mut out);
/// resampler.finish(&mut out);
/// assert_eq!(out.len(), 1_001);
/// # Ok::<(), percept_audio::ResamplerError>(())
/// ```
pub struct Resampler {
    from: u64,
    to: u64,
    /// `None` between equal rates.
    filter: Option<Filter>,
    taken: u64,
    given: u64,
    is_finished: bool,
}

impl Resampler {
    /// A stream at sample 0.
    ///
    /// # Errors
    /// [`ResamplerError::Rate`] if a rate is outside 1000 to 768000 Hz.
    pub fn new(from: u32, to: u32) -> Result<Self, ResamplerError> {
        if let Some(rate) = [from, to].into_iter().find(|rate| !RATES.contains(rate)) {
            return Err(ResamplerError::Rate { rate });
        }
        Ok(Self {
            from: from.into(),
            to: to.into(),
            filter: (from != to).then(|| Filter::new(from as usize, to as usize)),
            taken: 0,
            given: 0,
            is_finished: false,
        })
    }

    /// Input samples that are held back at most: once `n` have been pushed, everything before the time of input sample
    /// `n - delay` has come out. It grows with the size of the numbers in `from / to`, in lowest terms: 48 ms from 48 to
    /// 16 kHz, 60 ms from 44.1 kHz, seconds from a rate that has no divisor in common with the other.
    pub fn delay(&self) -> usize {
        let Some(filter) = &self.filter else { return 0 };
        let trail = (filter.fft.output_delay() as u64 * self.from).div_ceil(self.to);
        filter.fft.input_frames_next() - 1 + trail as usize
    }

    /// Takes any number of samples and appends what they complete to `out`. A stream that was finished takes no more.
    pub fn push(&mut self, mut pcm: &[f32], out: &mut Vec<f32>) {
        if self.is_finished {
            return;
        }
        self.taken += pcm.len() as u64;
        let before = out.len();
        match &mut self.filter {
            None => out.extend_from_slice(pcm),
            Some(filter) => {
                while !pcm.is_empty() {
                    pcm = filter.fill(pcm);
                    if filter.is_full() {
                        filter.convert(out);
                    }
                }
            }
        }
        self.given += (out.len() - before) as u64;
    }

    /// Ends the signal, which is silent after its end, and appends the rest of it to `out`.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        if self.is_finished {
            return;
        }
        self.is_finished = true;
        let total = (self.taken * self.to).div_ceil(self.from);
        let end = out.len() + total.saturating_sub(self.given) as usize;
        if let Some(filter) = &mut self.filter {
            while out.len() < end {
                filter.fill_up();
                filter.convert(out);
            }
        }
        out.truncate(end);
        self.given = total;
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("taken", &self.taken)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

/// The filter between two rates and the block that it works on.
struct Filter {
    fft: Fft<f64>,
    /// Input samples of the block that is filling up.
    block: Vec<f64>,
    converted: Vec<f64>,
    /// Output samples still to be dropped: what the filter gives before sample 0.
    early: usize,
}

impl Filter {
    fn new(from: usize, to: usize) -> Self {
        let divisor = gcd(from, to);
        let (step_in, step_out) = (from / divisor, to / divisor);
        // An even number of steps puts the centre of the filter on a sample.
        let steps = FILTER_TAPS
            .div_ceil(step_in.min(step_out))
            .next_multiple_of(2);
        let fft = Fft::new_custom(
            from,
            to,
            steps * step_in,
            1,
            1,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        );
        let fft = fft.expect("both rates and the block size are positive");
        Self {
            block: Vec::with_capacity(fft.input_frames_next()),
            converted: vec![0.0; fft.output_frames_next()],
            early: fft.output_delay(),
            fft,
        }
    }

    fn is_full(&self) -> bool {
        self.block.len() == self.fft.input_frames_next()
    }

    /// Takes from the front of `pcm` what the block has room for; gives back the rest.
    fn fill<'a>(&mut self, pcm: &'a [f32]) -> &'a [f32] {
        let room = self.fft.input_frames_next() - self.block.len();
        let (now, later) = pcm.split_at(pcm.len().min(room));
        self.block.extend(now.iter().map(|&x| f64::from(x)));
        later
    }

    /// Completes the block with silence.
    fn fill_up(&mut self) {
        self.block.resize(self.fft.input_frames_next(), 0.0);
    }

    /// Converts the block, which is full, and empties it.
    fn convert(&mut self, out: &mut Vec<f32>) {
        let frames = (self.block.len(), self.converted.len());
        let input = SequentialSlice::new(&self.block, 1, frames.0).expect("the block is full");
        let mut output =
            SequentialSlice::new_mut(&mut self.converted, 1, frames.1).expect("made for one block");
        let done = self.fft.process_into_buffer(&input, &mut output, None);
        done.expect("both buffers have the sizes that the resampler asked for");
        self.block.clear();
        let dropped = self.early.min(self.converted.len());
        self.early -= dropped;
        out.extend(self.converted[dropped..].iter().map(|&x| x as f32));
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use percept_testkit::{chunking, signals};

    use super::*;

    #[test]
    fn any_chunking_gives_the_same_bits() {
        let pcm = signals::chirp(16_000, 2.5, 1);
        for rate in [8_000, 16_000, 44_100, 192_000] {
            chunking::assert_same(&pcm, rate.into(), |chunks| {
                let mut resampler = Resampler::new(rate, 16_000).expect("the rates are in range");
                let mut out = Vec::new();
                chunks.for_each(|chunk| resampler.push(chunk, &mut out));
                resampler.finish(&mut out);
                resampler.push(&[1.0; 9_000], &mut out);
                resampler.finish(&mut out);
                assert_eq!(
                    out.len(),
                    (pcm.len() * 16_000).div_ceil(rate as usize),
                    "{rate} Hz"
                );
                out
            });
        }
    }

    #[test]
    fn the_delay_is_what_is_held_back_at_most() {
        for (from, to) in [
            (48_000, 16_000),
            (44_100, 16_000),
            (8_000, 16_000),
            (22_050, 24_000),
            (16_000, 48_000),
            (16_000, 16_000),
        ] {
            let mut resampler = Resampler::new(from, to).expect("the rates are in range");
            let (mut out, mut most) = (Vec::new(), 0);
            for n in 1..=40_000u64 {
                resampler.push(&[0.1], &mut out);
                let behind = (n * u64::from(to)).saturating_sub(out.len() as u64 * u64::from(from));
                most = most.max(behind);
            }
            let samples = most.div_ceil(to.into());
            println!("{from} to {to} Hz: {samples} samples");
            assert_eq!(samples, resampler.delay() as u64, "{from} to {to} Hz");
        }
    }

    #[test]
    fn equal_rates_pass_every_bit() {
        let pcm = [0.1, -f32::MIN_POSITIVE, f32::NAN, 3.0];
        let mut resampler = Resampler::new(1_000, 1_000).expect("the rates are in range");
        let mut out = Vec::new();
        resampler.push(&pcm, &mut out);
        assert_eq!(out.len(), pcm.len());
        assert!(out.iter().zip(pcm).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn a_rate_out_of_range_is_named() {
        for (from, to, rate) in [
            (999, 16_000, 999),
            (16_000, 0, 0),
            (768_001, 16_000, 768_001),
        ] {
            let error = Resampler::new(from, to).expect_err("the rate is out of range");
            assert_eq!(error, ResamplerError::Rate { rate });
        }
    }
}
