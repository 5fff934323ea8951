//! Input devices, and a stream from one of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{ErrorKind, FromSample, Sample, SampleFormat, SizedSample};

use super::CaptureError;
use super::mix_down::mix_down;

/// A microphone, or another input of the sound system. Only with the feature `mic`.
///
/// ```no_run
/// use percept_audio::CaptureDevice;
///
/// let device = CaptureDevice::standard()?;
/// println!("{}: {} Hz", device.name(), device.sample_rate());
/// let capture = device.start(|pcm| println!("{} samples", pcm.len()))?;
/// std::thread::sleep(std::time::Duration::from_secs(1));
/// println!("{} samples in all, {} gaps", capture.samples(), capture.overruns());
/// # Ok::<(), percept_audio::CaptureError>(())
/// ```
pub struct CaptureDevice {
    device: cpal::Device,
    config: cpal::SupportedStreamConfig,
    id: String,
    name: String,
}

impl CaptureDevice {
    /// The inputs of the system that say how they can be recorded from.
    ///
    /// # Errors
    /// [`CaptureError`] if the sound system does not answer.
    pub fn list() -> Result<Vec<Self>, CaptureError> {
        let devices = cpal::default_host().input_devices();
        let devices = devices.map_err(|error| CaptureError::new("sound system", &error))?;
        Ok(devices
            .filter_map(|device| Self::new(device).ok())
            .collect())
    }

    /// The input that the system prefers.
    ///
    /// # Errors
    /// [`CaptureError::NoDevice`] if there is none, another one if it does not say how it can be recorded from.
    pub fn standard() -> Result<Self, CaptureError> {
        let device = cpal::default_host().default_input_device();
        match Self::new(device.ok_or(CaptureError::NoDevice)?) {
            // The sound system has a name for it even where nothing is plugged in.
            Err(CaptureError::Lost { .. }) => Err(CaptureError::NoDevice),
            found => found,
        }
    }

    /// The input with this identifier or, if there is none, the first one with this name.
    ///
    /// # Errors
    /// [`CaptureError::NotFound`] if there is neither; another one if the sound system does not answer.
    pub fn find(id_or_name: &str) -> Result<Self, CaptureError> {
        let mut devices = Self::list()?;
        let at = devices
            .iter()
            .position(|device| device.id == id_or_name)
            .or_else(|| devices.iter().position(|device| device.name == id_or_name));
        match at {
            Some(at) => Ok(devices.swap_remove(at)),
            None => Err(CaptureError::NotFound {
                device: id_or_name.to_string(),
            }),
        }
    }

    fn new(device: cpal::Device) -> Result<Self, CaptureError> {
        let name = match device.description() {
            Ok(description) => description.name().to_string(),
            Err(_) => device.to_string(),
        };
        let error = |error| CaptureError::new(&name, &error);
        Ok(Self {
            id: device.id().map_err(error)?.to_string(),
            config: device.default_input_config().map_err(error)?,
            name,
            device,
        })
    }

    /// What the system calls it from one start of the program to the next.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name for people; two devices may share one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Samples per second that it delivers.
    pub fn sample_rate(&self) -> u32 {
        self.config.sample_rate()
    }

    /// Channels that are mixed down to mono.
    pub fn channels(&self) -> usize {
        self.config.channels().into()
    }

    /// Starts recording: from now on `sink` is given mono samples, in blocks, on a thread of the sound system. It must
    /// neither wait nor allocate; what it has no room for, it counts and drops.
    ///
    /// # Errors
    /// [`CaptureError`] says why the device cannot be recorded from.
    pub fn start(
        &self,
        sink: impl FnMut(&[f32]) + Send + 'static,
    ) -> Result<Capture, CaptureError> {
        let capture = match self.config.sample_format() {
            SampleFormat::I8 => self.build::<i8, _>(sink),
            SampleFormat::I16 => self.build::<i16, _>(sink),
            SampleFormat::I24 => self.build::<cpal::I24, _>(sink),
            SampleFormat::I32 => self.build::<i32, _>(sink),
            SampleFormat::U8 => self.build::<u8, _>(sink),
            SampleFormat::U16 => self.build::<u16, _>(sink),
            SampleFormat::U24 => self.build::<cpal::U24, _>(sink),
            SampleFormat::U32 => self.build::<u32, _>(sink),
            SampleFormat::F32 => self.build::<f32, _>(sink),
            SampleFormat::F64 => self.build::<f64, _>(sink),
            format => Err(CaptureError::Format {
                device: self.name.clone(),
                format: format.to_string(),
            }),
        }?;
        let started = capture.stream.play();
        started.map_err(|error| CaptureError::new(&self.name, &error))?;
        Ok(capture)
    }

    fn build<T, S>(&self, mut sink: S) -> Result<Capture, CaptureError>
    where
        T: SizedSample,
        S: FnMut(&[f32]) + Send + 'static,
        f32: FromSample<T>,
    {
        let counts = Arc::new(Counts::default());
        let (heard, failed) = (Arc::clone(&counts), Arc::clone(&counts));
        let (channels, name) = (self.channels().max(1), self.name.clone());
        let stream = self.device.build_input_stream(
            self.config.config(),
            move |interleaved: &[T], _: &cpal::InputCallbackInfo| {
                mix_down(interleaved, channels, |x| f32::from_sample(x), &mut sink);
                let frames = interleaved.len() / channels;
                heard.samples.fetch_add(frames as u64, Relaxed);
            },
            move |error| failed.note(&name, &error),
            None,
        );
        Ok(Capture {
            stream: stream.map_err(|error| CaptureError::new(&self.name, &error))?,
            counts,
        })
    }
}

impl std::fmt::Debug for CaptureDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureDevice")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A recording that runs until it is dropped. Only with the feature `mic`.
pub struct Capture {
    stream: cpal::Stream,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    samples: AtomicU64,
    overruns: AtomicU64,
    failure: OnceLock<CaptureError>,
}

impl Counts {
    /// Tells an interruption from the end.
    fn note(&self, device: &str, error: &cpal::Error) {
        match error.kind() {
            ErrorKind::Xrun => {
                self.overruns.fetch_add(1, Relaxed);
            }
            // The stream goes on: on another device, or without a promise of its timing.
            ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
            _ => {
                self.failure
                    .get_or_init(|| CaptureError::new(device, error));
            }
        }
    }
}

impl Capture {
    /// Samples given to the sink so far.
    pub fn samples(&self) -> u64 {
        self.counts.samples.load(Relaxed)
    }

    /// How often the system said that it lost samples because the sink or the machine was late. It does not say how many.
    pub fn overruns(&self) -> u64 {
        self.counts.overruns.load(Relaxed)
    }

    /// Why no more samples come, if the system said so: the first reason.
    pub fn failure(&self) -> Option<&CaptureError> {
        self.counts.failure.get()
    }
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture")
            .field("samples", &self.samples())
            .field("overruns", &self.overruns())
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_is_counted_and_the_end_is_kept() {
        let counts = Counts::default();
        for kind in [
            ErrorKind::Xrun,
            ErrorKind::DeviceChanged,
            ErrorKind::RealtimeDenied,
            ErrorKind::Xrun,
        ] {
            counts.note("Mic", &kind.into());
        }
        assert_eq!(
            (counts.overruns.load(Relaxed), counts.failure.get()),
            (2, None)
        );
        counts.note("Mic", &ErrorKind::DeviceNotAvailable.into());
        counts.note("Mic", &ErrorKind::Other.into());
        let device = "Mic".to_string();
        assert_eq!(counts.failure.get(), Some(&CaptureError::Lost { device }));
    }

    #[test]
    fn every_sample_format_is_full_scale_at_one() {
        fn scale<T: SizedSample>(low: T, middle: T)
        where
            f32: FromSample<T>,
        {
            assert_eq!(
                (f32::from_sample(low), f32::from_sample(middle)),
                (-1.0, 0.0)
            );
        }
        scale(i16::MIN, 0i16);
        scale(i32::MIN, 0i32);
        scale(0u16, 32_768u16);
        scale(0u8, 128u8);
        scale(-1.0f32, 0.0);
        scale(-1.0f64, 0.0);
    }
}
