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
        if samples > FAR {
            return u64::MAX;
        }
        let (length, step) = (cut.length as u64, cut.step as u64);
        let full = samples
            .checked_sub(length)
            .map_or(0, |more| more / step + 1);
        let whole = match full {
            0 => 0,
            full => full.saturating_mul(parts.encoder.total(length)),
        };
        // The others are cut short by the end, from which on they are counted.
        let short = samples.div_ceil(step) - full;
        let Some(before) = (full + short).checked_sub(1) else {
            return 0;
        };
        let hop = u64::from(parts.spec.hop);
        let shortest = samples - before * step;
        whole.saturating_add(floor_sum(short, hop, step, shortest + hop - 1))
    }

    /// Checks that codes are what encoding makes of `samples` samples per channel: otherwise some were lost, or are there
    /// twice. `pieces` are the latent frames of each segment, or those of any pieces of codes without segments.
    ///
    /// Segments that the end of the recording cuts short may be as long as full ones: other encoders fill them with
    /// silence.
    ///
    /// # Errors
    /// [`ContainerError::Length`].
    pub fn check_length(&self, samples: u64, pieces: &[u64]) -> Result<(), ContainerError> {
        let found = sum(pieces);
        match self.encoded_frames(samples) {
            expected if expected == found || self.are_filled(samples, pieces) => Ok(()),
            expected => Err(ContainerError::Length {
                samples,
                expected,
                found,
            }),
        }
    }

    /// Whether segments of so many latent frames are those of `samples` samples per channel, some longer than these need.
    fn are_filled(&self, samples: u64, pieces: &[u64]) -> bool {
        let parts = self.parts();
        let cut = parts.segmentation.filter(|cut| cut.length < usize::MAX);
        let (Some(cut), Some(full)) = (cut, self.segment_frames()) else {
            return false;
        };
        let (length, step) = (cut.length as u64, cut.step as u64);
        let fits = |(first, &frames): (u64, &u64)| {
            let least = parts.encoder.total((samples - first).min(length));
            (least..=full).contains(&frames)
        };
        let mut firsts = (0..samples).step_by(cut.step).zip(pieces);
        samples.div_ceil(step) == pieces.len() as u64 && firsts.all(fits)
    }

    /// Samples per channel that codes last. `pieces` are the latent frames of each segment, which lie over each other, or
    /// those of any pieces of codes without segments.
    pub fn decoded_samples(&self, pieces: &[u64]) -> u64 {
        let parts = self.parts();
        let Some(cut) = parts.segmentation else {
            return sum(pieces).saturating_mul(parts.spec.hop.into());
        };
        let (mut final_samples, mut faded) = (0u64, 0u64);
        for &frames in pieces.iter().filter(|&&frames| frames > 0) {
            // The next segment begins behind what is final, or where this one has ended before.
            faded = faded.max(parts.decoder.total(frames));
            let next = faded.min(cut.step as u64);
            final_samples = final_samples.saturating_add(next);
            faded -= next;
        }
        final_samples.saturating_add(faded)
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

fn sum(pieces: &[u64]) -> u64 {
    pieces
        .iter()
        .fold(0, |all: u64, &frames| all.saturating_add(frames))
}

/// The sum of `(a i + b) / m`, rounded down, over the `i` below `n`, in as many steps as a greatest common divisor takes.
fn floor_sum(mut n: u64, mut m: u64, mut a: u64, mut b: u64) -> u64 {
    let mut sum = 0;
    loop {
        sum += n * n.saturating_sub(1) / 2 * (a / m) + n * (b / m);
        // What is left are the points under a flat line, counted along its other axis.
        let top = a % m * n + b % m;
        if top < m {
            return sum;
        }
        (n, m, a, b) = (top / m, a % m, m, top % m);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use std::fs;
    use std::path::Path;

    use percept_testkit::{Rng, signals};

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

    /// The small EnCodec of 48 kHz, of 800 samples a segment in frames of 8, with other numbers.
    fn segmented(numbers: &[(&str, f64)]) -> CodecModel {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../golden/fixtures/codec/encodec/48khz/model");
        let folder = tempfile::tempdir().unwrap();
        let file = |name| (fixture.join(name), folder.path().join(name));
        let (from, to) = file("model.safetensors");
        fs::copy(from, to).unwrap();
        let (from, to) = file("config.json");
        let mut config: serde_json::Value =
            serde_json::from_slice(&fs::read(from).unwrap()).unwrap();
        for &(field, number) in numbers {
            config[field] = number.into();
        }
        fs::write(to, config.to_string()).unwrap();
        CodecModel::open(folder.path()).unwrap()
    }

    /// Latent frames of each segment, or of all codes.
    fn pieces(codes: &Codes) -> Vec<u64> {
        match codes.segments() {
            [] => vec![codes.frames()],
            segments => segments.iter().map(|s| u64::from(s.frames)).collect(),
        }
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
                let mut pieces = pieces(&codes);
                assert!(model.check_length(samples as u64, &pieces).is_ok());
                pieces.push(u64::from(model.spec().align));
                let error = model.check_length(samples as u64, &pieces).unwrap_err();
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
    fn segments_that_lie_far_over_each_other_last_as_long_as_they_sound() {
        for overlap in [0.25, 0.75, 0.999] {
            let model = segmented(&[("overlap", overlap)]);
            for samples in [
                1, 9, 201, 599, 601, 783, 800, 801, 1_199, 1_201, 1_983, 2_407,
            ] {
                if overlap > 0.9 && samples > 800 {
                    continue;
                }
                let codes = encode(&model, samples);
                let pieces = pieces(&codes);
                let named = format!("{overlap} {samples} {pieces:?}");
                assert_eq!(
                    codes.frames(),
                    model.encoded_frames(samples as u64),
                    "{named}"
                );
                let options = DecodeOptions {
                    trim: false,
                    ..DecodeOptions::default()
                };
                let sound = model.decode(&codes, &options).unwrap().samples;
                let lasts = model.decoded_samples(&pieces) as usize;
                assert_eq!(lasts * 2, sound.len(), "{named}");
                assert!(lasts >= samples, "{named}");
                assert!(
                    model.check_length(samples as u64, &pieces).is_ok(),
                    "{named}"
                );
            }
        }
    }

    #[test]
    fn segments_may_be_filled_but_not_lost_or_doubled() {
        // A segment begins every 600 samples: of 1500 there are 100, 100 and 38 frames.
        let model = segmented(&[("overlap", 0.25)]);
        let is_fine = |pieces: &[u64]| model.check_length(1_500, pieces).is_ok();
        assert_eq!(pieces(&encode(&model, 1_500)), [100, 100, 38]);
        assert!(is_fine(&[100, 100, 38]) && is_fine(&[100, 100, 39]) && is_fine(&[100; 3]));
        for wrong in [
            &[100, 100][..],
            &[100, 100, 37],
            &[100, 100, 101],
            &[100, 37, 100],
            &[99, 100, 100],
            &[100; 4],
            &[100, 100, 38, 38],
            &[],
        ] {
            assert!(!is_fine(wrong), "{wrong:?}");
        }
        assert_eq!(model.decoded_samples(&[100; 3]), 2_000);
        // What is one segment is filled by nobody.
        let model = open("encodec/every_field");
        let exact = model.encoded_frames(1_500);
        let more = model.check_length(1_500, &[exact + 1]);
        assert_eq!(more.unwrap_err().code(), "length");
    }

    #[test]
    fn segments_are_counted_at_once_however_many_there_are() {
        let model = segmented(&[("overlap", 0.999_9)]);
        for samples in 1..2_000 {
            let each = |first| (800.min(samples - first) as u64).div_ceil(8);
            let expected: u64 = (0..samples).map(each).sum();
            assert_eq!(model.encoded_frames(samples as u64), expected, "{samples}");
        }
        // A step of one sample, and no segment is full.
        let model = segmented(&[
            ("overlap", 0.999_999_999_9),
            ("chunk_length_s", 1_300_000.0),
        ]);
        let eighth = 125_000_000;
        let expected = 4 * eighth * (eighth + 1);
        assert_eq!(model.encoded_frames(8 * eighth), expected);
        assert!(model.check_length(8 * eighth, &[1, 2, 3]).is_err());
        let mut rng = Rng::new(5);
        for _ in 0..500 {
            let [n, m, a, b] = [0, 1, 0, 0].map(|least| (least + rng.below(60)) as u64);
            let expected: u64 = (0..n).map(|i| (a * i + b) / m).sum();
            assert_eq!(floor_sum(n, m, a, b), expected, "{n} {m} {a} {b}");
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
                    let lasts = model.decoded_samples(&pieces(&cut)) as usize;
                    assert_eq!(lasts * channels, all, "{name}");
                }
            }
        }
    }
}
