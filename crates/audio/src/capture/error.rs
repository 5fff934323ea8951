//! What can be wrong with a microphone.

use cpal::ErrorKind;

/// Why nothing can be captured, or no more, in one line that names the device and what to do.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// There is no sound system, or it has no input.
    #[error("no microphone was found; plug one in and check that the sound system is running")]
    NoDevice,
    /// No input has the identifier or the name asked for.
    #[error(
        "no microphone is called `{device}`; give an identifier or a name from the list of devices"
    )]
    NotFound {
        /// What was asked for.
        device: String,
    },
    /// The system does not let this program record.
    #[error("{device}: recording is not allowed; grant this program access to the microphone")]
    Denied {
        /// The device's name.
        device: String,
    },
    /// Another program holds the device.
    #[error("{device}: the device is in use; close the program that records from it")]
    Busy {
        /// The device's name.
        device: String,
    },
    /// The device delivers samples that are not PCM, or in no way that the system can describe.
    #[error("{device}: its samples ({format}) cannot be used; choose another device")]
    Format {
        /// The device's name.
        device: String,
        /// The format's name, or what the system says.
        format: String,
    },
    /// The device was unplugged or taken away.
    #[error("{device}: the device is gone; plug it in and start again")]
    Lost {
        /// The device's name.
        device: String,
    },
    /// The sound system failed in another way.
    #[error(
        "{device}: recording failed ({detail}); check that the device works in another program"
    )]
    System {
        /// The device's name.
        device: String,
        /// What the system says.
        detail: String,
    },
}

impl CaptureError {
    /// A stable name for scripts: it does not change when the message does.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoDevice => "capture.no_device",
            Self::NotFound { .. } => "capture.not_found",
            Self::Denied { .. } => "capture.denied",
            Self::Busy { .. } => "capture.busy",
            Self::Format { .. } => "capture.format",
            Self::Lost { .. } => "capture.lost",
            Self::System { .. } => "capture.system",
        }
    }

    /// What `error` means for `device`.
    pub(super) fn new(device: &str, error: &cpal::Error) -> Self {
        let (device, detail) = (device.to_string(), error.to_string());
        match error.kind() {
            ErrorKind::HostUnavailable => Self::NoDevice,
            ErrorKind::PermissionDenied => Self::Denied { device },
            ErrorKind::DeviceBusy => Self::Busy { device },
            ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated => Self::Lost { device },
            ErrorKind::UnsupportedConfig | ErrorKind::UnsupportedOperation => Self::Format {
                device,
                format: detail,
            },
            _ => Self::System { device, detail },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_what_to_do() {
        for (kind, code) in [
            (ErrorKind::PermissionDenied, "capture.denied"),
            (ErrorKind::DeviceBusy, "capture.busy"),
            (ErrorKind::DeviceNotAvailable, "capture.lost"),
            (ErrorKind::UnsupportedConfig, "capture.format"),
            (ErrorKind::HostUnavailable, "capture.no_device"),
            (ErrorKind::Other, "capture.system"),
        ] {
            assert_eq!(CaptureError::new("Mic", &kind.into()).code(), code);
        }
    }
}
