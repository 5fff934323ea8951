//! Opus packets to samples.

use ropus::OpusMSDecoder;

/// Opus decodes to this rate, whatever was recorded.
pub(crate) const OPUS_RATE: u32 = 48_000;

/// Samples per channel of the longest packet, 120 ms.
const MAX_PACKET_SAMPLES: usize = 5_760;

/// The identification header (RFC 7845, section 5.1).
struct Head {
    channels: u8,
    pre_skip_samples: usize,
    /// Linear.
    gain: f32,
    streams: u8,
    coupled_streams: u8,
    mapping: Vec<u8>,
}

impl Head {
    /// `is_big_endian` is how MP4 stores the numbers; every other container stores them little-endian.
    fn parse(bytes: &[u8], is_big_endian: bool) -> Option<Self> {
        let body = bytes.strip_prefix(b"OpusHead")?;
        let &[
            version,
            channels,
            skip_0,
            skip_1,
            _,
            _,
            _,
            _,
            gain_0,
            gain_1,
            family,
            ref table @ ..,
        ] = body
        else {
            return None;
        };
        let number = match is_big_endian {
            true => u16::from_be_bytes,
            false => u16::from_le_bytes,
        };
        let count = usize::from(channels);
        let (streams, coupled_streams, mapping) = match (family, table) {
            (0, _) if (1..=2).contains(&channels) => (1, channels - 1, [0, 1][..count].to_vec()),
            (1.., [streams, coupled, mapping @ ..]) if mapping.len() >= count => {
                (*streams, *coupled, mapping[..count].to_vec())
            }
            _ => return None,
        };
        (version < 16).then(|| Self {
            channels,
            pre_skip_samples: number([skip_0, skip_1]).into(),
            gain: 10f32.powf(f32::from(number([gain_0, gain_1]) as i16) / (20.0 * 256.0)),
            streams,
            coupled_streams,
            mapping,
        })
    }
}

/// Why a packet could not be decoded: the error number of the reference implementation.
#[derive(Debug, thiserror::Error)]
#[error("opus: error {0}")]
pub(crate) struct OpusError(i32);

/// Decodes the packets of one stream, from its first packet on.
pub(crate) struct OpusPackets {
    decoder: OpusMSDecoder,
    channels: usize,
    /// From the decoder's integers to full scale 1.
    scale: f32,
    /// Samples per channel still to be dropped.
    skip_samples: usize,
    /// `[MAX_PACKET_SAMPLES, channels]`.
    decoded: Vec<i16>,
}

impl OpusPackets {
    /// `None` if the header cannot be used.
    pub(crate) fn new(head: &[u8], is_big_endian: bool) -> Option<Self> {
        let head = Head::parse(head, is_big_endian)?;
        let decoder = OpusMSDecoder::new(
            OPUS_RATE as i32,
            head.channels.into(),
            head.streams.into(),
            head.coupled_streams.into(),
            &head.mapping,
        );
        let channels = usize::from(head.channels);
        Some(Self {
            decoder: decoder.ok()?,
            channels,
            scale: head.gain / 32_768.0,
            skip_samples: head.pre_skip_samples,
            decoded: vec![0; MAX_PACKET_SAMPLES * channels],
        })
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Replaces `out` by the samples of `packet`, interleaved, without the `trim_end` last ones of each channel.
    pub(crate) fn decode(
        &mut self,
        packet: &[u8],
        trim_end: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), OpusError> {
        out.clear();
        let len = i32::try_from(packet.len()).map_err(|_| OpusError(ropus::OPUS_INVALID_PACKET))?;
        let done = self.decoder.decode(
            Some(packet),
            len,
            &mut self.decoded,
            MAX_PACKET_SAMPLES as i32,
            false,
        );
        let samples = usize::try_from(done.map_err(OpusError)?).unwrap_or(0);
        let end = samples.saturating_sub(trim_end);
        let start = self.skip_samples.min(end);
        self.skip_samples -= self.skip_samples.min(samples);
        let kept = &self.decoded[start * self.channels..end * self.channels];
        out.extend(kept.iter().map(|&x| f32::from(x) * self.scale));
        Ok(())
    }
}
