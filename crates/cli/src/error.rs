//! Everything that can go wrong, each as one line: the file, the fact, what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Why the command, or one of its inputs, failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("{}: {}; check the path and its permissions", path.display(), reason(source))]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: no audio files in this folder; name the files to take them whatever their extension", folder.display())]
    NoAudio { folder: PathBuf },
    #[error("-: given twice, but stdin can be read once; give it once")]
    StdinTwice,
    #[error(
        "several results in one {format} stream cannot be told apart; give -o DIR to write one file each"
    )]
    NotJoined { format: &'static str },
    #[error(
        "{first}: would write {}, and so would {second}; transcribe them into different folders", output.display()
    )]
    Collision {
        first: String,
        second: String,
        output: PathBuf,
    },
    #[error("{}: is an input and would be overwritten; give another folder to -o", path.display())]
    OverwritesInput { path: PathBuf },
    #[error("{}: an output of this name is due, but it is a folder; give another folder to -o", path.display())]
    OutputIsFolder { path: PathBuf },
    #[error("{}: is not a folder; give a folder to -o", path.display())]
    NotAFolder { path: PathBuf },
    #[error("{}: {}; {}", path.display(), reason(source), remedy(source))]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Audio(#[from] percept::audio::AudioError),
    #[error(transparent)]
    Recognizer(Box<percept::Error>),
    #[error("{file}: {source}")]
    Recording {
        file: String,
        source: Box<percept::Error>,
    },
    #[error(transparent)]
    Hub(#[from] percept::hub::HubError),
    #[error(
        "{}: no such model; give a folder, a .nemo file, a hub id such as nvidia/parakeet-tdt-0.6b-v3, or nothing",
        model.display()
    )]
    NoModel { model: PathBuf },
    #[error(
        "{}: is a codec ({family}), no speech recogniser; use it with: percept codec encode|decode --model {}",
        model.display(), model.display()
    )]
    IsCodec {
        model: PathBuf,
        family: &'static str,
    },
    #[error(
        "{}: is a speech recogniser ({family}), no codec; use it with: percept transcribe --model {}",
        model.display(), model.display()
    )]
    IsRecognizer { model: PathBuf, family: String },
    #[error("{id}: not in the cache; download it with: percept models pull {id}")]
    NotCached { id: String },
    #[error(
        "{file}: is {seconds:.2} s long, but {needed} s are to be measured; give a longer recording or less to --seconds"
    )]
    TooShort {
        file: String,
        seconds: f64,
        needed: f64,
    },
    #[error(transparent)]
    Codec(#[from] crate::codec::CodecFault),
    #[error(transparent)]
    Pcm(#[from] crate::stream::PcmError),
    #[error("-: {0}")]
    Resampler(#[from] percept::audio::ResamplerError),
    #[error(transparent)]
    Context(#[from] percept::ContextError),
    #[error("--adaptive: {0}")]
    Adaptive(#[from] percept::AdaptiveError),
    #[error(
        "--adaptive: this model decodes chunks of a fixed length; leave it out, or give --preset to stream in windows"
    )]
    FixedChunk,
    #[error(transparent)]
    Scheduler(#[from] percept::SchedulerError),
    #[error("{}: given twice, but the events of two streams of one name cannot be told apart", path.display())]
    StreamTwice { path: PathBuf },
    #[error(
        "--left, --chunk, --right, --preset and --lookahead are about live streams; give --streams"
    )]
    NeedsStreams,
    #[error("streams have one length; give one number to --seconds")]
    OneLength,
    #[error("--pcm, --rate and --channels describe raw samples on stdin; give - as an input")]
    NoRawInput,
    #[cfg(feature = "mic")]
    #[error(transparent)]
    Capture(#[from] percept::audio::CaptureError),
    #[cfg(not(feature = "mic"))]
    #[error(
        "listen: this build cannot record; build it with: cargo install --path crates/cli --features mic (on Linux with libasound2-dev), or pipe a recorder: arecord -q -f S16_LE -r 16000 | percept stream -"
    )]
    NoMicrophone,
    #[error("{name}: no such subcommand; see percept --help")]
    NoSubcommand { name: String },
    #[error("{subject}: internal error: {fact}; please report it, if possible with the file")]
    Defect { subject: String, fact: String },
    #[error("stdout: {}; {}", reason(source), remedy(source))]
    Stdout { source: io::Error },
}

impl CliError {
    /// Whether the command was called in a way that cannot work, rather than met a bad file.
    pub(crate) fn is_usage(&self) -> bool {
        if let CliError::Codec(fault) = self {
            return fault.is_usage();
        }
        matches!(
            self,
            CliError::StdinTwice
                | CliError::StreamTwice { .. }
                | CliError::NoRawInput
                | CliError::NeedsStreams
                | CliError::OneLength
                | CliError::NotJoined { .. }
                | CliError::NoSubcommand { .. }
        )
    }

    /// Names the recording that the recogniser could not take.
    pub(crate) fn about(self, file: &str) -> Self {
        match self {
            CliError::Recognizer(source) => CliError::Recording {
                file: file.to_owned(),
                source,
            },
            other => other,
        }
    }

    /// The argument that cannot be used, if the error is about one.
    pub(crate) fn subject(&self) -> Option<String> {
        match self {
            CliError::Read { path, .. } | CliError::NoAudio { folder: path } => {
                Some(path.display().to_string())
            }
            _ => None,
        }
    }

    /// 1, or 2 for wrong usage.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.is_usage() {
            ExitCode::from(2)
        } else {
            ExitCode::FAILURE
        }
    }

    /// Whether the reader of stdout went away, which is its right.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, CliError::Stdout { source } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The message as one line, whatever the names in it hold.
    pub(crate) fn line(&self) -> String {
        self.to_string()
            .split(['\n', '\r'])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl From<percept::Error> for CliError {
    fn from(error: percept::Error) -> Self {
        match error {
            percept::Error::IsCodec { file, family } => CliError::IsCodec {
                model: file,
                family: family.name(),
            },
            percept::Error::IsRecognizer { file, family } => CliError::IsRecognizer {
                model: file,
                family,
            },
            other => CliError::Recognizer(Box::new(other)),
        }
    }
}

/// The fact behind an error of the system, in lower case and without its number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
        io::ErrorKind::FileTooLarge => "the file would exceed the size limit".to_owned(),
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut letters = text.chars();
            letters
                .next()
                .map(|first| first.to_lowercase().chain(letters).collect())
                .unwrap_or_default()
        }
    }
}

/// What helps when a file cannot be written.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space and run the command again"
        }
        io::ErrorKind::FileTooLarge => "raise the limit (ulimit -f) and run the command again",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "write to a folder that is yours"
        }
        _ => "check the path",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_file_fact_and_remedy() {
        let error = CliError::Read {
            path: PathBuf::from("a\nb.wav"),
            source: io::ErrorKind::NotFound.into(),
        };
        assert_eq!(
            error.line(),
            "a b.wav: no such file or folder; check the path and its permissions"
        );
        let error = CliError::Write {
            path: PathBuf::from("x.txt"),
            source: io::Error::from_raw_os_error(28),
        };
        assert_eq!(
            error.line(),
            "x.txt: the disk is full; free some space and run the command again"
        );
        let error = CliError::Stdout {
            source: io::Error::from_raw_os_error(5),
        };
        assert_eq!(error.line(), "stdout: input/output error; check the path");
    }
}
