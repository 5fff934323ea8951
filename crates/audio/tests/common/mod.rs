//! Signals, WAV bytes and comparisons that the tests share.
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

use std::f64::consts::PI;
use std::io::Read;
use std::path::PathBuf;

use percept_audio::{AudioError, AudioReader};

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

pub fn fixture_bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).expect("the fixture is committed")
}

/// A chirp that starts at `low` Hz and gains `slope` Hz each second.
pub fn chirp(rate: u32, samples: usize, amplitude: f64, low: f64, slope: f64) -> Vec<f32> {
    let at = |t: f64| amplitude * (2.0 * PI * (low * t + slope / 2.0 * t * t)).sin();
    (0..samples)
        .map(|i| at(i as f64 / f64::from(rate)) as f32)
        .collect()
}

/// The chirp in every fixture.
pub fn fixture_chirp(rate: u32, samples: usize, amplitude: f64) -> Vec<f32> {
    chirp(rate, samples, amplitude, 200.0, 2800.0)
}

/// Everything that can be read, and how it ended.
pub fn read_all(reader: Result<AudioReader, AudioError>) -> (Vec<f32>, Option<AudioError>) {
    let mut reader = match reader {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let (mut pcm, mut failure) = (Vec::new(), None);
    loop {
        let before = pcm.len();
        match reader.read(&mut pcm) {
            Ok(0) => return (pcm, failure),
            Ok(n) => {
                assert_eq!(
                    pcm.len() - before,
                    n,
                    "read tells how many samples it appended"
                );
                assert!(failure.is_none(), "samples after an error");
            }
            Err(error) => {
                assert!(failure.is_none(), "a second error: {error}");
                assert_eq!(pcm.len(), before, "samples together with an error");
                failure = Some(error);
            }
        }
    }
}

/// Everything in `bytes`, which must end well.
pub fn decode(bytes: Vec<u8>, rate: u32) -> Vec<f32> {
    let (pcm, failure) = read_all(AudioReader::from_bytes("test", bytes, rate));
    assert!(failure.is_none(), "{failure:?}");
    pcm
}

/// Signal to noise of `found` against `ideal` in dB, without the first and last `edge` samples.
pub fn snr_db(found: &[f32], ideal: &[f32], edge: usize) -> f64 {
    let len = found.len().min(ideal.len());
    let pairs = found[..len].iter().zip(ideal).take(len - edge).skip(edge);
    let (signal, noise) = pairs.fold((0.0, 0.0), |(signal, noise), (&f, &i)| {
        let (f, i) = (f64::from(f), f64::from(i));
        (signal + i * i, noise + (f - i) * (f - i))
    });
    10.0 * (signal / noise.max(1e-30)).log10()
}

/// A WAV header that can be made to lie, then data.
pub struct Wav {
    pub tag: u16,
    pub channels: u16,
    pub rate: u32,
    pub bits: u16,
    pub data: Vec<u8>,
    /// Instead of the true sizes.
    pub riff_bytes: Option<u32>,
    pub data_bytes: Option<u32>,
}

impl Wav {
    pub fn new(tag: u16, channels: u16, rate: u32, bits: u16, data: Vec<u8>) -> Self {
        Self {
            tag,
            channels,
            rate,
            bits,
            data,
            riff_bytes: None,
            data_bytes: None,
        }
    }

    pub fn float(rate: u32, samples: &[f32]) -> Self {
        Self::new(
            3,
            1,
            rate,
            32,
            samples.iter().flat_map(|x| x.to_le_bytes()).collect(),
        )
    }

    pub fn pcm16(rate: u32, samples: &[i16]) -> Self {
        Self::new(
            1,
            1,
            rate,
            16,
            samples.iter().flat_map(|x| x.to_le_bytes()).collect(),
        )
    }

    pub fn bytes(&self) -> Vec<u8> {
        let block = self.channels * self.bits / 8;
        let data_bytes = self.data_bytes.unwrap_or(self.data.len() as u32);
        let mut format = Vec::new();
        format.extend(self.tag.to_le_bytes());
        format.extend(self.channels.to_le_bytes());
        format.extend(self.rate.to_le_bytes());
        format.extend((self.rate * u32::from(block)).to_le_bytes());
        format.extend(block.to_le_bytes());
        format.extend(self.bits.to_le_bytes());
        if self.tag == 0xfffe {
            let kind: u16 = if self.bits >= 32 { 3 } else { 1 };
            format.extend([22, 0]);
            format.extend(self.bits.to_le_bytes());
            format.extend([0; 4]);
            format.extend(kind.to_le_bytes());
            format.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
        }
        let riff_bytes = self
            .riff_bytes
            .unwrap_or(20 + format.len() as u32 + self.data.len() as u32);
        let mut bytes = b"RIFF".to_vec();
        bytes.extend(riff_bytes.to_le_bytes());
        bytes.extend(b"WAVEfmt ");
        bytes.extend((format.len() as u32).to_le_bytes());
        bytes.extend(format);
        bytes.extend(b"data");
        bytes.extend(data_bytes.to_le_bytes());
        bytes.extend(&self.data);
        bytes
    }
}

/// A pipe that gives a few bytes at a time.
pub struct Pipe {
    pub bytes: Vec<u8>,
    pub at: usize,
}

impl Pipe {
    pub fn boxed(bytes: Vec<u8>) -> Box<dyn Read + Send + Sync> {
        Box::new(Self { bytes, at: 0 })
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let piece = (1 + self.at * 7 % 613)
            .min(buffer.len())
            .min(self.bytes.len() - self.at);
        buffer[..piece].copy_from_slice(&self.bytes[self.at..][..piece]);
        self.at += piece;
        Ok(piece)
    }
}
