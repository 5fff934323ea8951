//! `percept listen`: text while somebody speaks into the microphone.

use std::process::ExitCode;

use super::args::ListenArgs;
use crate::error::CliError;

/// `percept listen --help`, below the options.
pub(crate) const HELP: &str = "\
Listens until Ctrl-C, and then writes down the rest. Output is that of
percept stream; see there. Audio that finds no room while the machine is busy is
lost, which a `gap` says.

The microphone needs a build with the feature `mic`, which on Linux needs the
headers of ALSA (libasound2-dev):
  cargo install --path crates/cli --features mic
Without it, pipe a recorder into percept stream:
  arecord -q -f S16_LE -r 16000 | percept stream -

Examples:
  percept listen
  percept listen --list-devices
  percept listen --preset quick --endpoint --format json";

/// Recognises what a microphone hears until the user interrupts it.
///
/// # Errors
///
/// No microphone, or one that cannot be used; a command that was built without any.
#[cfg(not(feature = "mic"))]
pub(crate) fn run(_args: &ListenArgs) -> Result<ExitCode, CliError> {
    Err(CliError::NoMicrophone)
}

/// Recognises what a microphone hears until the user interrupts it.
///
/// # Errors
///
/// No microphone, or one that cannot be used.
#[cfg(feature = "mic")]
pub(crate) fn run(args: &ListenArgs) -> Result<ExitCode, CliError> {
    use percept::audio::CaptureDevice;

    if args.list_devices {
        let devices = CaptureDevice::list()?;
        let line = |device: &CaptureDevice| format!("{}\t{}\n", device.id(), device.name());
        let lines: String = devices.iter().map(line).collect();
        crate::output::print(lines.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let device = match &args.device {
        Some(name) => CaptureDevice::find(name)?,
        None => CaptureDevice::standard()?,
    };
    microphone::listen(args, device)
}

#[cfg(feature = "mic")]
mod microphone {
    use std::process::ExitCode;

    use percept::audio::CaptureDevice;

    use super::super::args::ListenArgs;
    use super::super::clock::Clock;
    use super::super::feed::Feed;
    use super::super::microphone::RingConfig;
    use super::super::session::{Ending, Setting, StreamInput, recognise};
    use crate::args::ProgressMode;
    use crate::error::CliError;
    use crate::model;
    use crate::progress::Progress;

    pub(super) fn listen(args: &ListenArgs, device: CaptureDevice) -> Result<ExitCode, CliError> {
        let progress = Progress::new(ProgressMode::None);
        let located = model::locate(args.model.model.as_deref(), progress)?;
        let recognizer = located.open(&args.model, Some(&args.decoding), progress)?;
        let rate = recognizer.sample_rate();
        progress.notice(&format!(
            "listening to {} at {} Hz; Ctrl-C ends it",
            device.name(),
            device.sample_rate()
        ));
        let input = StreamInput {
            name: device.name().to_owned(),
            open: Box::new(move || open(&device, rate)),
        };
        let setting = Setting {
            model: model::name(&args.model),
            recognizer: &recognizer,
            clock: Clock::wall,
        };
        // An interruption is how listening ends.
        Ok(match recognise(&args.live, &setting, vec![input])? {
            Ending::Failed => ExitCode::FAILURE,
            Ending::Done | Ending::Interrupted => ExitCode::SUCCESS,
        })
    }

    /// Starts recording.
    fn open(device: &CaptureDevice, sample_rate: u32) -> Result<Feed, CliError> {
        let config = RingConfig::new(device.sample_rate(), sample_rate);
        let (mut sink, feed) = config.open()?;
        let capture = device.start(Box::new(move |pcm: &[f32]| sink.push(pcm)))?;
        let failure = move || capture.failure().cloned().map(CliError::from);
        Ok(Feed::microphone(feed.watching(Box::new(failure))))
    }
}
