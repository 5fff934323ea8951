//! What can be wrong with audio that comes in.

use std::{io, path::PathBuf};

/// What the system said, without its error number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// Why audio could not be read, in one line that names the source, the fact and what to do.
///
/// [`Truncated`](Self::Truncated), [`Corrupt`](Self::Corrupt), [`NotFinite`](Self::NotFinite) and
/// [`Read`](Self::Read) come after everything that could be decoded was delivered.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The file cannot be opened.
    #[error("{}: cannot be opened ({}); check the path and its permissions", path.display(), reason(source))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system failed to deliver bytes.
    #[error("{}: reading failed ({}); check that it is a file and that its device works", path.display(), reason(source))]
    Read {
        /// The source.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There are no bytes at all.
    #[error("{}: the file is empty; record or copy it again", path.display())]
    Empty {
        /// The source.
        path: PathBuf,
    },
    /// The content is none of the formats that can be recognised, whatever the name says.
    #[error("{}: not a known audio format (its content looks like {looks}); give wav, flac, mp3, ogg, opus, m4a, \
             aiff, caf, mkv or webm", path.display())]
    UnknownFormat {
        /// The source.
        path: PathBuf,
        /// A guess at what it is: `text` or `binary data`.
        looks: &'static str,
    },
    /// The format is recognised but not read here.
    #[error("{}: {format} is not supported; convert the file to wav or flac", path.display())]
    UnsupportedFormat {
        /// The source.
        path: PathBuf,
        /// The name of the format.
        format: &'static str,
    },
    /// The container can be read, the codec inside cannot.
    #[error("{}: the audio codec {codec} in this {container} file is not supported; convert it to wav or flac",
            path.display())]
    UnsupportedCodec {
        /// The source.
        path: PathBuf,
        /// The container's short name.
        container: String,
        /// The name of the codec, or why this kind of it cannot be decoded.
        codec: String,
    },
    /// The container holds no audio track.
    #[error("{}: this {container} file has no audio track; give a file with sound", path.display())]
    NoAudio {
        /// The source.
        path: PathBuf,
        /// The container's short name.
        container: String,
    },
    /// The header cannot be understood, so that nothing can be decoded.
    #[error("{}: the {container} header is broken or cut short ({detail}); copy or export the file again",
            path.display())]
    Malformed {
        /// The source.
        path: PathBuf,
        /// The name of the format that the content announces.
        container: &'static str,
        /// What the parser found.
        detail: String,
    },
    /// A file whose index is at its end came through a pipe.
    #[error(
        "{}: the index of this {container} is missing or at its end, out of reach in a pipe; give the file itself",
        path.display()
    )]
    NeedsSeek {
        /// The source.
        path: PathBuf,
        /// The name of the format that the content announces.
        container: &'static str,
    },
    /// The sample rate cannot be converted from.
    #[error("{}: a sample rate of {rate} Hz cannot be converted; 1000 Hz to 768000 Hz can", path.display())]
    SampleRate {
        /// The source.
        path: PathBuf,
        /// What the header or the caller says, in Hz.
        rate: u32,
    },
    /// A sample is NaN, infinite, or far beyond full scale.
    #[error("{}: the sample at {seconds:.3} s is {value:e}, not a number that can be played; export the file again",
            path.display())]
    NotFinite {
        /// The source.
        path: PathBuf,
        /// Where the first such sample is.
        seconds: f64,
        /// The sample.
        value: f32,
    },
    /// The stream ends before its own header says, or in the middle of a packet.
    #[error("{}: the file is cut short: it ends after {seconds:.3} s{}; copy it again", path.display(),
            expected_seconds.map_or(String::new(), |s| format!(", its header promises {s:.3} s")))]
    Truncated {
        /// The source.
        path: PathBuf,
        /// How much could be decoded.
        seconds: f64,
        /// How much the header promises, if it does.
        expected_seconds: Option<f64>,
    },
    /// Some of the stream could not be decoded: packets, which silence stands in for, or everything from a point on.
    #[error("{}: the audio is damaged from {seconds:.3} s on ({packets} bad packets; {detail}); copy or export the \
             file again", path.display())]
    Corrupt {
        /// The source.
        path: PathBuf,
        /// Where the first damage is.
        seconds: f64,
        /// How many packets were replaced by silence or given up.
        packets: u64,
        /// What the decoder says about the first one.
        detail: String,
    },
}

impl AudioError {
    /// A stable name for scripts: it does not change when the message does.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "audio.open",
            Self::Read { .. } => "audio.read",
            Self::Empty { .. } => "audio.empty",
            Self::UnknownFormat { .. } => "audio.unknown_format",
            Self::UnsupportedFormat { .. } => "audio.unsupported_format",
            Self::UnsupportedCodec { .. } => "audio.unsupported_codec",
            Self::NoAudio { .. } => "audio.no_audio",
            Self::Malformed { .. } => "audio.malformed",
            Self::NeedsSeek { .. } => "audio.needs_seek",
            Self::SampleRate { .. } => "audio.sample_rate",
            Self::NotFinite { .. } => "audio.not_finite",
            Self::Truncated { .. } => "audio.truncated",
            Self::Corrupt { .. } => "audio.corrupt",
        }
    }
}
