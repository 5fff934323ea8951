//! Channels are kept where as many are asked for as there are, and mixed otherwise.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::num::NonZeroUsize;

use common::*;
use percept_audio::{AudioFormat, AudioReader, Resampler};

fn format(sample_rate: u32, channels: usize) -> AudioFormat {
    AudioFormat {
        sample_rate,
        channels: NonZeroUsize::new(channels).unwrap(),
    }
}

/// A float WAV file of interleaved channels.
fn float_wav(rate: u32, channels: u16, samples: &[f32]) -> Vec<u8> {
    let mut wav = Wav::float(rate, samples);
    wav.channels = channels;
    wav.bytes()
}

fn read(wav: Vec<u8>, format: AudioFormat) -> Vec<f32> {
    let (pcm, failure) = read_all(AudioReader::from_bytes("test", wav, format));
    assert!(failure.is_none(), "{failure:?}");
    pcm
}

fn interleave(channels: &[&[f32]]) -> Vec<f32> {
    let frame = |at: usize| channels.iter().map(move |channel| channel[at]);
    (0..channels[0].len()).flat_map(frame).collect()
}

#[test]
fn channels_come_out_as_they_are_or_as_their_mean() {
    let (left, right) = (
        chirp(48_000, 9_001, 0.5, 300.0, 900.0),
        chirp(48_000, 9_001, 0.25, 2_000.0, -500.0),
    );
    let stereo = interleave(&[&left, &right]);
    let wav = || float_wav(48_000, 2, &stereo);
    assert_eq!(read(wav(), format(48_000, 2)), stereo);

    let mean: Vec<f32> = left
        .iter()
        .zip(&right)
        .map(|(l, r)| (l + r) / 2.0)
        .collect();
    assert_eq!(read(wav(), 48_000.into()), mean);
    let three = interleave(&[&mean, &mean, &mean]);
    assert_eq!(read(wav(), format(48_000, 3)), three);

    let mono = float_wav(48_000, 1, &left);
    let twice = interleave(&[&left, &left]);
    assert_eq!(read(mono, format(48_000, 2)), twice);
}

#[test]
fn every_channel_is_resampled_as_it_is_alone() {
    let channels = [300.0, 2_500.0].map(|low| chirp(44_100, 30_000, 0.5, low, 700.0));
    let alone = channels.each_ref().map(|channel| {
        let (mut resampler, mut out) = (Resampler::new(44_100, 48_000).unwrap(), Vec::new());
        resampler.push(channel, &mut out);
        resampler.finish(&mut out);
        out
    });
    let wav = float_wav(44_100, 2, &interleave(&[&channels[0], &channels[1]]));
    let expected = interleave(&[&alone[0], &alone[1]]);
    assert!(read(wav, format(48_000, 2)) == expected);
}
