//! How many codes a recording takes, and how much of the sound of codes is certain.

use crate::{CodecModel, Codes, ContainerError, Excerpt};

/// Samples that no recording has.
const FAR: u64 = 1 << 48;

impl CodecModel {
    /// Latent frames that encoding makes of `samples` samples per channel; [`u64::MAX`] of more than there can be.
    pub fn encoded_frames(&self, samples: u64) -> u64 {
        let parts = self.parts();
        let Some(cut) = parts.segmentation else {
            if samples > FAR {
                return u64::MAX;
            }
            let frames = match samples {
                0 => 0,
                samples => {
                    let padded = samples.next_multiple_of(parts.pads_to as u64);
                    parts.encoder.total(padded)
                }
            };
            return frames - frames % parts.strides();
        };
        let (length, step) = (cut.length as u64, cut.step as u64);
        let full = samples
            .checked_sub(length)
            .map_or(0, |more| more / step + 1);
        let whole = match full {
            0 => 0,
            full => full.saturating_mul(parts.encoder.total(length)),
        };
        if samples > FAR {
            return u64::MAX;
        }
        let short = full..samples.div_ceil(step);
        let short = short.map(|segment| parts.encoder.total(samples - segment * step));
        whole.saturating_add(short.sum())
    }

    /// Checks that `frames` latent frames are what encoding makes of `samples` samples per channel: otherwise codes were
    /// lost, or are there twice.
    ///
    /// # Errors
    /// [`ContainerError::Length`].
    pub fn check_length(&self, samples: u64, frames: u64) -> Result<(), ContainerError> {
        match self.encoded_frames(samples) {
            expected if expected == frames => Ok(()),
            expected => Err(ContainerError::Length {
                samples,
                expected,
                found: frames,
            }),
        }
    }

    /// Samples per channel that `frames` latent frames last. Segments lie over each other; all but the last are taken for
    /// full ones.
    pub fn decoded_samples(&self, frames: u64) -> u64 {
        let hop = u64::from(self.spec().hop);
        match (self.parts().segmentation, self.segment_frames()) {
            (Some(cut), Some(full @ 1..)) => {
                let before = frames.saturating_sub(1) / full;
                let last = self.parts().decoder.total(frames - before * full);
                before.saturating_mul(cut.step as u64).saturating_add(last)
            }
            _ => frames.saturating_mul(hop),
        }
    }

    /// Samples per channel of the stretch of `excerpt` that its first codes decide, whatever follows them.
    pub fn certain_samples(&self, excerpt: &Excerpt, codes: &Codes) -> u64 {
        let parts = self.parts();
        let certain = match parts.segmentation {
            None => parts.decoder.produced(codes.frames()),
            Some(cut) => {
                // Codes may break off inside the last segment.
                let full = self.segment_frames().unwrap_or(0);
                let (last, before) = match codes.segments() {
                    [before @ .., last] => (u64::from(last.frames) >= full, before.len()),
                    [] => (false, 0),
                };
                (cut.step as u64).saturating_mul(before as u64 + u64::from(last))
            }
        };
        certain.saturating_sub(excerpt.skipped())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use std::path::Path;

    use percept_testkit::signals;

    use super::*;
    use crate::{DecodeOptions, EncodeOptions, Pcm, StreamDecoder};

    const CODECS: [&str; 14] = [
        "snac/24khz",
        "snac/44khz",
        "snac/odd_rates",
        "snac/dense_attention",
        "snac/one_rate_big_book",
        "dac/44khz",
        "dac/24khz",
        "dac/odd_rates_small_latent",
        "encodec/24khz",
        "encodec/32khz",
        "encodec/48khz",
        "encodec/every_field",
        "mimi/24khz",
        "mimi/every_field",
    ];

    fn open(name: &str) -> CodecModel {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/fixtures/codec");
        CodecModel::open(&folder.join(name).join("model")).unwrap()
    }

    fn encode(model: &CodecModel, samples: usize) -> Codes {
        let channels = model.spec().channels;
        let pcm = Pcm {
            samples: signals::noise(samples * usize::from(channels), 0.3, 9),
            sample_rate: model.spec().sample_rate,
            channels,
        };
        model
            .encode((&pcm).into(), &EncodeOptions::default())
            .unwrap()
    }

    #[test]
    fn a_recording_takes_the_frames_that_encoding_makes() {
        for name in CODECS {
            let model = open(name);
            let hop = model.spec().hop as usize;
            let padded = hop * model.spec().align as usize;
            for samples in [
                1,
                hop - 1,
                hop,
                hop + 1,
                padded,
                padded + 1,
                3 * padded + hop / 2,
                9 * hop + 3,
            ] {
                let codes = encode(&model, samples);
                let expected = model.encoded_frames(samples as u64);
                assert_eq!(codes.frames(), expected, "{name} {samples}");
                assert!(model.check_length(samples as u64, expected).is_ok());
                let more = expected + model.spec().align as u64;
                let error = model.check_length(samples as u64, more).unwrap_err();
                assert_eq!(error.code(), "length");
            }
            assert_eq!(model.encoded_frames(0), 0);
            assert_eq!(model.encoded_frames(u64::MAX), u64::MAX);
        }
    }

    /// The header of a token file knows the frames of codecs that do not cut sound into segments.
    #[test]
    fn a_header_counts_as_the_codec_does() {
        for name in CODECS {
            let model = open(name);
            let header = model.nct_header(1).unwrap();
            if model.segment_frames().is_some() {
                continue;
            }
            let each = u64::from(crate::BookSpec::check(&header.books).unwrap());
            let most = 3 * u64::from(model.spec().hop) * u64::from(model.spec().align);
            for samples in (1..most).step_by(7).chain([most, most + 1]) {
                let superframes = model.encoded_frames(samples) / each;
                let check = |count| header.check_length(Some(samples), count).is_ok();
                assert!(check(superframes), "{name} {samples}");
                assert!(!check(superframes + 1) && !check(superframes - 1));
            }
        }
    }

    #[test]
    fn what_is_certain_is_bit_for_bit_that_of_the_whole_and_nothing_more_is() {
        for name in CODECS {
            let model = std::sync::Arc::new(open(name));
            let channels = usize::from(model.spec().channels);
            let codes = encode(&model, model.spec().hop as usize * 230);
            let options = DecodeOptions {
                trim: false,
                ..DecodeOptions::default()
            };
            let whole = model.decode(&codes, &options).unwrap().samples;
            let full = model.segment_frames().map_or(1, |frames| frames.min(1_000));
            for count in [50, 100, 200] {
                let cut = codes.slice(0..(count / full * full).min(codes.superframes()));
                let cut = cut.unwrap();
                let mut decoder = StreamDecoder::new(model.clone(), &options);
                let mut sound = Vec::new();
                for piece in model.decode_pieces(&cut) {
                    let piece = cut.slice(piece).unwrap();
                    decoder.push(&piece, &mut sound).unwrap();
                }
                let all = model.excerpt(0..u64::MAX);
                let certain = model.certain_samples(&all, &cut) as usize * channels;
                assert_eq!(sound.len(), certain, "{name}");
                assert!(sound == whole[..certain], "{name}");
                if model.segment_frames().is_some() && !cut.is_empty() {
                    let all = model.decode(&cut, &options).unwrap().samples.len();
                    let lasts = model.decoded_samples(cut.frames()) as usize;
                    assert_eq!(lasts * channels, all, "{name}");
                }
            }
        }
    }
}
