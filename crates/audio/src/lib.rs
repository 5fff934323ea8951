//! Bytes to PCM to features.
//!
//! [`AudioReader`] turns a file, a pipe or bytes in memory into `f32` samples at the rate asked for, mono or
//! interleaved, a bounded block at a time; [`Resampler`] converts the rate of samples that come from elsewhere, with the feature `mic` from a
//! microphone. [`MelStream`] turns samples into log-mel frames as they arrive, [`MelWindows`] into those of overlapping
//! windows; [`normalize`] finishes the features of one utterance or window. [`SpeechGate`] keeps silence from both.
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//!
//! use percept_audio::{AudioReader, MelConfig, MelFrontEnd, MelStream, Normalize, normalize};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let front_end = Arc::new(MelFrontEnd::new(MelConfig::nemo(80))?);
//! let mut reader = AudioReader::open(Path::new("speech.flac"), front_end.config().sample_rate)?;
//! let mut mel = MelStream::new(front_end);
//! let (mut pcm, mut frames) = (Vec::new(), Vec::new());
//! while reader.read(&mut pcm)? > 0 {
//!     mel.push(&pcm, &mut frames);
//!     pcm.clear();
//! }
//! mel.finish(&mut frames);
//! normalize(Normalize::PerFeature, &mut frames, 80);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

#[cfg(any(feature = "mic", test))]
mod capture;
mod decode;
mod error;
mod mel;
mod mp4;
mod opus;
mod reader;
mod resample;
mod sniff;
mod source;
mod vad;
mod wav;

#[cfg(feature = "mic")]
pub use capture::{Capture, CaptureDevice, CaptureError};
pub use error::AudioError;
pub use mel::{
    MelConfig, MelError, MelFrontEnd, MelStream, MelWindows, Normalize, features, normalize,
};
pub use reader::{AudioFormat, AudioInfo, AudioReader};
pub use resample::{Resampler, ResamplerError};
pub use vad::{Earshot, GateConfig, GateError, GateSpan, SpeechGate, VoiceActivity};
