//! Sound as samples.

/// Samples of one or more channels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pcm {
    /// In `[-1, 1]`; of several channels, one sample of each in turn.
    pub samples: Vec<f32>,
    /// Samples per second and channel.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
}

/// [`Pcm`] that lies somewhere else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PcmRef<'a> {
    /// In `[-1, 1]`; of several channels, one sample of each in turn.
    pub samples: &'a [f32],
    /// Samples per second and channel.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
}

impl<'a> PcmRef<'a> {
    /// Samples of one channel.
    pub fn mono(samples: &'a [f32], sample_rate: u32) -> Self {
        PcmRef {
            samples,
            sample_rate,
            channels: 1,
        }
    }
}

impl<'a> From<&'a Pcm> for PcmRef<'a> {
    fn from(pcm: &'a Pcm) -> Self {
        PcmRef {
            samples: &pcm.samples,
            sample_rate: pcm.sample_rate,
            channels: pcm.channels,
        }
    }
}
