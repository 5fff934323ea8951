//! Sound from a microphone.

#[cfg(feature = "mic")]
mod device;
#[cfg(feature = "mic")]
mod error;
mod mix_down;

#[cfg(feature = "mic")]
pub use device::{Capture, CaptureDevice};
#[cfg(feature = "mic")]
pub use error::CaptureError;
