//! Sound from the middle of codes.

use std::ops::Range;
use std::sync::Arc;

use percept_nn::signal::NoiseSource;

use crate::noise::SeededNoise;
use crate::{CodecModel, DecodeOptions, Noise, StreamDecoder};

/// Samples beyond which all codes are wanted.
const FAR: u64 = 1 << 48;

/// What is decoded for a stretch of sound; see [`CodecModel::excerpt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    frames: Range<u64>,
    skipped: u64,
}

impl Excerpt {
    /// The latent frames, whole super-frames. They may end behind the last there is, which is the end of the stream then.
    pub fn frames(&self) -> Range<u64> {
        self.frames.clone()
    }

    /// Samples per channel that come out before the stretch.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl CodecModel {
    /// Which frames to decode for the samples (per channel) in `samples`, so that they are bit for bit those of the whole.
    ///
    /// A decoder of SNAC or DAC sees a stretch of its codes only, and begins shortly before it. One of EnCodec or Mimi
    /// remembers all that came before, and begins at the beginning.
    pub fn excerpt(&self, samples: Range<u64>) -> Excerpt {
        let parts = self.parts();
        let hop = u64::from(parts.spec.hop);
        let (mut start, mut skipped) = (0, samples.start);
        if let Some(rates) = &parts.local_rates {
            let rows = rates.last().copied().unwrap_or(hop).max(1);
            // A transposed convolution looks back one of its rows more than ahead, which is a frame at most.
            let ahead = parts.spec.decode_lookahead.div_ceil(hop);
            let reach = ahead + rates.len() as u64 + 1;
            // Attention sees whole windows, which are counted from the beginning, as are the pairs of outputs that
            // convolutions compute together.
            let step = crate::codes::lcm(u64::from(parts.spec.align), parts.strides());
            let step = crate::codes::lcm(step, 2);
            start = (samples.start / rows).saturating_sub(reach + step);
            start -= start % step;
            skipped -= start * rows;
        }
        let end = match parts.segmentation {
            _ if samples.end > FAR => u64::MAX,
            // All segments that begin before the end.
            Some(cut) => {
                let segments = samples.end.div_ceil(cut.step as u64);
                segments.saturating_mul(self.segment_frames().unwrap_or(u64::MAX))
            }
            None => {
                let needed = parts.decoder.needed(samples.end);
                needed.next_multiple_of(parts.strides()).max(start)
            }
        };
        Excerpt {
            frames: start..end,
            skipped,
        }
    }
}

impl StreamDecoder {
    /// A stream of the codes of an excerpt. What comes out are the samples of the whole from
    /// [`skipped`](Excerpt::skipped) on; as far as the stretch goes, that is: finish the stream only where the codes end.
    pub fn for_excerpt(model: Arc<CodecModel>, options: &DecodeOptions, excerpt: &Excerpt) -> Self {
        let mut options = options.clone();
        let source: Option<Arc<dyn NoiseSource>> = match &options.noise {
            Noise::Off => None,
            Noise::Seeded(seed) => Some(Arc::new(SeededNoise::new(*seed))),
            Noise::External(source) => Some(Arc::clone(source)),
        };
        let rates = model.parts().local_rates.iter().flatten();
        let firsts = rates
            .map(|rows| excerpt.frames.start.saturating_mul(*rows))
            .collect();
        if let Some(source) = source {
            options.noise = Noise::External(Arc::new(Later { source, firsts }));
        }
        StreamDecoder::new(model, &options)
    }
}

/// The noise of a stream that begins later.
#[derive(Debug)]
struct Later {
    source: Arc<dyn NoiseSource>,
    /// The first row of each layer.
    firsts: Vec<u64>,
}

impl NoiseSource for Later {
    fn fill(&self, block: usize, start: u64, out: &mut [f32]) {
        let first = self.firsts.get(block).copied().unwrap_or(0);
        self.source.fill(block, first + start, out);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use std::path::Path;

    use percept_testkit::{Rng, signals};

    use super::*;
    use crate::{Codes, EncodeOptions, Pcm};

    /// A model, and codes of as many latent frames at least.
    fn open(name: &str, frames: usize) -> (Arc<CodecModel>, Codes) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/fixtures/codec");
        let model = Arc::new(CodecModel::open(&folder.join(name).join("model")).unwrap());
        let spec = model.spec();
        let samples = frames * spec.hop as usize * usize::from(spec.channels);
        let pcm = Pcm {
            samples: signals::noise(samples, 0.3, 9),
            sample_rate: spec.sample_rate,
            channels: spec.channels,
        };
        let codes = model.encode((&pcm).into(), &EncodeOptions::default());
        (Arc::clone(&model), codes.unwrap())
    }

    /// The samples in `range`, of as few codes as that takes.
    fn decode(
        (model, codes): &(Arc<CodecModel>, Codes),
        range: Range<u64>,
        options: &DecodeOptions,
    ) -> Vec<f32> {
        let excerpt = model.excerpt(range.clone());
        let align = u64::from(codes.align());
        let (start, end) = (excerpt.frames().start, excerpt.frames().end);
        assert!(start.is_multiple_of(align));
        let last = end.div_ceil(align).min(codes.superframes());
        let part = codes.slice(start / align..last).unwrap();
        let mut decoder = StreamDecoder::for_excerpt(Arc::clone(model), options, &excerpt);
        let mut out = Vec::new();
        for piece in model.decode_pieces(&part) {
            decoder.push(&part.slice(piece).unwrap(), &mut out).unwrap();
        }
        if last == codes.superframes() {
            decoder.finish(&mut out).unwrap();
        }
        let channels = u64::from(model.spec().channels);
        let first = excerpt.skipped() * channels;
        let length = (range.end - range.start) * channels;
        out[first as usize..(first + length) as usize].to_vec()
    }

    #[test]
    fn a_stretch_is_bit_for_bit_that_of_the_whole() {
        let mut rng = Rng::new(3);
        for (name, frames, is_local) in [
            ("snac/24khz", 220, true),
            ("snac/44khz", 400, true),
            ("snac/odd_rates", 300, true),
            ("snac/dense_attention", 400, true),
            ("snac/five_rates", 120, true),
            ("snac/one_rate_big_book", 300, true),
            ("dac/44khz", 200, true),
            ("dac/24khz", 200, true),
            ("dac/odd_rates_small_latent", 200, true),
            ("mimi/24khz", 40, false),
            ("encodec/24khz", 90, false),
            ("encodec/48khz", 400, false),
        ] {
            let coded = open(name, frames);
            for noise in [Noise::Seeded(5), Noise::Off] {
                let options = DecodeOptions {
                    noise,
                    trim: false,
                    ..DecodeOptions::default()
                };
                let whole = coded.0.decode(&coded.1, &options).unwrap().samples;
                let channels = usize::from(coded.0.spec().channels);
                let all = whole.len() / channels;
                let mut begins = 0;
                for round in 0..12 {
                    let start = match round {
                        0 => 0,
                        1 => all - 1,
                        _ => rng.below(all),
                    };
                    let end = (start + 1 + rng.below(3_000)).min(all);
                    let found = decode(&coded, start as u64..end as u64, &options);
                    let expected = &whole[start * channels..end * channels];
                    assert!(found == expected, "{name} {start}..{end} of {all}");
                    begins += coded.0.excerpt(start as u64..end as u64).frames().start;
                }
                assert_eq!(begins > 0, is_local, "{name}");
            }
        }
    }

    #[test]
    fn an_excerpt_of_segments_is_those_that_begin_before_its_end() {
        // A segment begins every 788 samples and has 100 frames.
        let (model, _) = open("encodec/48khz", 4);
        for (end, segments) in [(1, 1), (788, 1), (789, 2), (7_880, 10)] {
            assert_eq!(model.excerpt(0..end).frames(), 0..100 * segments, "{end}");
        }
    }

    #[test]
    fn an_excerpt_of_all_there_may_be_is_the_whole() {
        let (model, _) = open("snac/24khz", 4);
        assert_eq!(model.excerpt(0..u64::MAX).frames(), 0..u64::MAX);
        assert_eq!(model.excerpt(0..0).frames(), 0..0);
        let late = model.excerpt(u64::MAX - 1..u64::MAX);
        assert!(late.frames().start > 0 && late.frames().end == u64::MAX);
    }
}
