//! Samples as bytes: a WAV file, or nothing but the samples.

use std::io::{self, Write};

/// How a sample is stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    /// 32-bit floats as they are.
    F32,
    /// 16-bit integers: rounded, and clipped beyond full scale.
    S16,
}

/// What a file of samples is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PcmFormat {
    pub(crate) sample: Sample,
    pub(crate) rate: u32,
    pub(crate) channels: u16,
}

impl PcmFormat {
    fn frame_bytes(self) -> u64 {
        let bytes = match self.sample {
            Sample::F32 => 4,
            Sample::S16 => 2,
        };
        bytes * u64::from(self.channels)
    }

    /// The header of a WAV file of so many frames; the largest sizes where that is not known, as pipes have them. Beyond
    /// 4 GiB it is one of RF64 (EBU Tech 3306).
    pub(crate) fn header(self, frames: Option<u64>) -> Vec<u8> {
        let is_float = self.sample == Sample::F32;
        let format_bytes: u32 = if is_float { 18 } else { 16 };
        // Behind the first 8 bytes: `WAVE`, the format, with floats the count of frames, and the head of the samples.
        let around = 4 + 8 + u64::from(format_bytes) + if is_float { 12 } else { 0 } + 8;
        let data = frames.map(|frames| frames.saturating_mul(self.frame_bytes()));
        let is_long = data.is_some_and(|data| data + around > u64::from(u32::MAX - 1));
        let short = |size: Option<u64>| match size {
            Some(size) if !is_long => size as u32, // smaller than 4 GiB, as just compared
            _ => u32::MAX,
        };
        let mut header = Vec::with_capacity(96);
        header.extend(if is_long { b"RF64" } else { b"RIFF" });
        header.extend(short(data.map(|data| data + data % 2 + around)).to_le_bytes());
        header.extend(b"WAVE");
        if let (true, Some(data)) = (is_long, data) {
            header.extend(b"ds64");
            header.extend(28_u32.to_le_bytes());
            for size in [data + around + 36, data, frames.unwrap_or(0)] {
                header.extend(size.to_le_bytes());
            }
            header.extend(0_u32.to_le_bytes());
        }
        header.extend(b"fmt ");
        header.extend(format_bytes.to_le_bytes());
        header.extend(if is_float { 3_u16 } else { 1 }.to_le_bytes());
        header.extend(self.channels.to_le_bytes());
        header.extend(self.rate.to_le_bytes());
        let frame_bytes = self.frame_bytes() as u32; // of 65535 channels at most
        header.extend(self.rate.saturating_mul(frame_bytes).to_le_bytes());
        header.extend((frame_bytes.min(u32::from(u16::MAX)) as u16).to_le_bytes());
        header.extend(if is_float { 32_u16 } else { 16 }.to_le_bytes());
        if is_float {
            header.extend(0_u16.to_le_bytes());
            header.extend(b"fact");
            header.extend(4_u32.to_le_bytes());
            header.extend(short(frames).to_le_bytes());
        }
        header.extend(b"data");
        header.extend(short(data).to_le_bytes());
        header
    }
}

/// Writes samples, up to as many as are wanted.
pub(crate) struct PcmWriter<W> {
    out: W,
    format: PcmFormat,
    /// Frames still to come; the rest is padding of the codec.
    wanted: Option<u64>,
    written: u64,
    clipped: u64,
    bytes: Vec<u8>,
}

impl<W: Write> PcmWriter<W> {
    /// Of all frames that come, or of so many.
    pub(crate) fn new(out: W, format: PcmFormat, wanted: Option<u64>) -> Self {
        Self {
            out,
            format,
            wanted,
            written: 0,
            clipped: 0,
            bytes: Vec::new(),
        }
    }

    /// Takes interleaved samples of whole frames.
    pub(crate) fn write(&mut self, samples: &[f32]) -> io::Result<()> {
        let channels = usize::from(self.format.channels);
        let frames = (samples.len() / channels) as u64;
        let frames = self.wanted.map_or(frames, |wanted| frames.min(wanted));
        let samples = &samples[..frames as usize * channels];
        self.bytes.clear();
        match self.format.sample {
            Sample::F32 => self
                .bytes
                .extend(samples.iter().flat_map(|s| s.to_le_bytes())),
            Sample::S16 => {
                self.clipped += samples.iter().filter(|s| s.abs() > 1.0).count() as u64;
                // A conversion from float to integer clips.
                let integer = |s: &f32| ((s * 32_768.0).round() as i16).to_le_bytes();
                self.bytes.extend(samples.iter().flat_map(integer));
            }
        }
        self.out.write_all(&self.bytes)?;
        self.written += frames;
        if let Some(wanted) = &mut self.wanted {
            *wanted -= frames;
        }
        Ok(())
    }

    /// Hands what was written on, now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Frames written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Samples beyond full scale, where the format has no room for them.
    pub(crate) fn clipped(&self) -> u64 {
        self.clipped
    }
}

#[cfg(test)]
mod tests {
    use percept::audio::AudioReader;

    use super::*;

    const PCM: [f32; 6] = [0.0, 0.5, -0.25, 1.0, -1.0, 0.125];

    fn format(sample: Sample) -> PcmFormat {
        PcmFormat {
            sample,
            rate: 24_000,
            channels: 2,
        }
    }

    fn wav(sample: Sample, frames: Option<u64>) -> Vec<u8> {
        let mut bytes = format(sample).header(frames);
        let mut writer = PcmWriter::new(&mut bytes, format(sample), frames);
        PCM.chunks(2).for_each(|frame| writer.write(frame).unwrap());
        bytes
    }

    fn read(bytes: Vec<u8>) -> Vec<f32> {
        let stereo = percept::audio::AudioFormat {
            sample_rate: 24_000,
            channels: std::num::NonZeroUsize::new(2).unwrap(),
        };
        let mut reader = AudioReader::from_bytes("x", bytes, stereo).unwrap();
        let mut pcm = Vec::new();
        while reader.read(&mut pcm).unwrap() > 0 {}
        pcm
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(read(wav(Sample::F32, Some(3))), PCM);
        assert_eq!(read(wav(Sample::F32, Some(2))), PCM[..4]);
        let mut clipped = PCM;
        clipped[3] = 32_767.0 / 32_768.0;
        assert_eq!(read(wav(Sample::S16, Some(3))), clipped);
        assert_eq!(read(wav(Sample::F32, None)), PCM);
    }

    #[test]
    fn only_what_is_beyond_full_scale_counts_as_clipped() {
        let mut writer = PcmWriter::new(Vec::new(), format(Sample::S16), None);
        writer.write(&[1.0, -1.0, 1.001, -7.0]).unwrap();
        assert_eq!(writer.clipped(), 2);
        let expected = [i16::MAX, i16::MIN, i16::MAX, i16::MIN];
        assert_eq!(writer.out, expected.map(i16::to_le_bytes).concat());
    }

    #[test]
    fn beyond_four_gibibytes_the_header_is_one_of_rf64() {
        let frames = 1 << 30;
        let header = format(Sample::F32).header(Some(frames));
        assert_eq!(
            (&header[..4], &header[12..16]),
            (&b"RF64"[..], &b"ds64"[..])
        );
        let data = u64::from_le_bytes(header[28..36].try_into().unwrap());
        let riff = u64::from_le_bytes(header[20..28].try_into().unwrap());
        assert_eq!((data, riff), (frames * 8, header.len() as u64 - 8 + data));
        assert_eq!(header[header.len() - 4..], [255; 4]);
        let short = format(Sample::F32).header(Some(1000));
        let riff = u32::from_le_bytes(short[4..8].try_into().unwrap());
        assert_eq!(u64::from(riff), short.len() as u64 - 8 + 8000);
    }
}
