//! Bytes to PCM to features.
//!
//! [`AudioReader`] turns a file, a pipe or bytes in memory into mono `f32` samples at the rate asked for, a bounded
//! block at a time. [`MelStream`] turns those samples into log-mel frames as they arrive; [`normalize`] finishes the
//! features of one utterance or window.
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

mod decode;
mod error;
mod mel;
mod mp4;
mod opus;
mod reader;
mod resample;
mod sniff;
mod source;
mod wav;

pub use error::AudioError;
pub use mel::{MelConfig, MelError, MelFrontEnd, MelStream, Normalize, features, normalize};
pub use reader::{AudioInfo, AudioReader};
