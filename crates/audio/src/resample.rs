//! Sample rate conversion of a mono stream, aligned at time 0.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Rates that can be converted from and to, in Hz.
pub(crate) const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Taps of the anti-aliasing filter at the lower of the two rates: the transition band is about 10 / taps of it.
const FILTER_TAPS: usize = 512;

/// Converts a mono stream from one rate to another.
///
/// Input `n` samples, output `ceil(n * to / from)` samples, output sample `i` at the time of input sample
/// `i * from / to`. The work is done in blocks of a fixed size, so how the samples arrive changes nothing.
pub(crate) struct Resampler {
    from: u64,
    to: u64,
    fft: Fft<f64>,
    /// Input samples of the block that is filling up.
    block: Vec<f64>,
    converted: Vec<f64>,
    /// Output samples still to be dropped: the delay of the filter.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// `None` if a rate is outside [`RATES`].
    pub(crate) fn new(from: u32, to: u32) -> Option<Self> {
        if !RATES.contains(&from) || !RATES.contains(&to) {
            return None;
        }
        let (from, to) = (from as usize, to as usize);
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
        Some(Self {
            from: from as u64,
            to: to as u64,
            block: Vec::with_capacity(fft.input_frames_next()),
            converted: vec![0.0; fft.output_frames_next()],
            delay: fft.output_delay(),
            fft,
            taken: 0,
            given: 0,
        })
    }

    /// Takes `pcm` and appends what it completes to `out`.
    pub(crate) fn push(&mut self, mut pcm: &[f32], out: &mut Vec<f32>) {
        let block_samples = self.fft.input_frames_next();
        while !pcm.is_empty() {
            let (now, later) = pcm.split_at(pcm.len().min(block_samples - self.block.len()));
            self.block.extend(now.iter().map(|&x| f64::from(x)));
            self.taken += now.len() as u64;
            pcm = later;
            if self.block.len() == block_samples {
                self.convert(out);
            }
        }
    }

    /// Appends the rest of the signal, which is silent after its end.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) {
        let total = (self.taken * self.to).div_ceil(self.from);
        while self.given < total {
            self.block.resize(self.fft.input_frames_next(), 0.0);
            let before = out.len();
            self.convert(out);
            let surplus = self.given.saturating_sub(total) as usize;
            out.truncate(out.len() - surplus.min(out.len() - before));
        }
    }

    fn convert(&mut self, out: &mut Vec<f32>) {
        let frames = (self.block.len(), self.converted.len());
        let input = SequentialSlice::new(&self.block, 1, frames.0).expect("the block is full");
        let mut output =
            SequentialSlice::new_mut(&mut self.converted, 1, frames.1).expect("made for one block");
        let done = self.fft.process_into_buffer(&input, &mut output, None);
        done.expect("both buffers have the sizes that the resampler asked for");
        self.block.clear();
        let dropped = self.delay.min(self.converted.len());
        self.delay -= dropped;
        out.extend(self.converted[dropped..].iter().map(|&x| x as f32));
        self.given += (self.converted.len() - dropped) as u64;
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_chunking_gives_the_same_bits() {
        let pcm: Vec<f32> = (0..40_000).map(|i| (i as f32 * 0.021).sin()).collect();
        for rate in [8_000, 44_100, 192_000] {
            let convert = |longest: usize| {
                let mut resampler = Resampler::new(rate, 16_000).expect("the rates are in range");
                let (mut out, mut rest, mut step) = (Vec::new(), &pcm[..], 0);
                while !rest.is_empty() {
                    step = (step * 31 + 17) % (longest + 1);
                    let (now, later) = rest.split_at(step.min(rest.len()));
                    resampler.push(now, &mut out);
                    rest = later;
                }
                resampler.finish(&mut out);
                out
            };
            let whole = convert(pcm.len());
            assert_eq!(whole.len(), (pcm.len() * 16_000).div_ceil(rate as usize));
            for longest in [1, 10, 1_000] {
                let same = convert(longest) == whole;
                assert!(same, "{rate} Hz in pieces of up to {longest} samples");
            }
        }
    }
}
