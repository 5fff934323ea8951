//! What can be wrong with token files.

use std::io;

use crate::codes::CodesError;

/// Why a token file cannot be read or written, with the fact, the place and what to do. Offsets are in bytes from where
/// reading began; packets count from 0.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The system failed to deliver or take bytes.
    #[error("the system failed at byte {offset}: {source}")]
    Io {
        /// The byte.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// Another kind of file.
    #[error("not {format}: the file begins with {found:02x?}; give a token file")]
    Magic {
        /// What it should be.
        format: &'static str,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// A version from the future.
    #[error(
        "{format} version {found}; this program reads version {known}, a newer one may read the file"
    )]
    Version {
        /// The format.
        format: &'static str,
        /// The version of the file.
        found: u8,
        /// The version that can be read.
        known: u8,
    },
    /// Flags from the future.
    #[error("the header sets unknown flags {flags:#010b}; a newer program may read the file")]
    Flags {
        /// All flags.
        flags: u8,
    },
    /// A value that a header cannot have.
    #[error("the header says {field} = {value}: {need}")]
    Header {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What it has to be.
        need: &'static str,
    },
    /// The header is not what was written.
    #[error(
        "the header is damaged: checksum {found:08x} instead of {expected:08x}; copy the file again"
    )]
    HeaderChecksum {
        /// The checksum in the file.
        expected: u32,
        /// That of the bytes in the file.
        found: u32,
    },
    /// The user JSON in a header is not JSON.
    #[error("the user JSON in the header is not JSON ({source}); it must be")]
    UserJson {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file ends inside its header.
    #[error(
        "the file ends inside its header, at byte {offset}, {missing} bytes early; copy it again"
    )]
    TruncatedHeader {
        /// Where it ends.
        offset: u64,
        /// Bytes that are known to be missing.
        missing: u64,
    },
    /// The file ends where more was announced.
    #[error(
        "packet {packet} ends early, at byte {offset}, {missing} bytes too soon; what is before it is good"
    )]
    Truncated {
        /// The packet.
        packet: u64,
        /// Where the file ends.
        offset: u64,
        /// Bytes that are known to be missing.
        missing: u64,
    },
    /// A packet is not what was written.
    #[error(
        "packet {packet} at byte {offset} is damaged: checksum {found:08x} instead of {expected:08x}; what is \
         before it is good"
    )]
    Checksum {
        /// The packet.
        packet: u64,
        /// Where it begins.
        offset: u64,
        /// The checksum in the file.
        expected: u32,
        /// That of the bytes in the file.
        found: u32,
    },
    /// A packet of no super-frames, or of more than the header allows.
    #[error(
        "packet {packet} at byte {offset} says it has {count} super-frames, of 1 to {most}; what is before it is good"
    )]
    PacketLength {
        /// The packet.
        packet: u64,
        /// Where it begins.
        offset: u64,
        /// What it says.
        count: u64,
        /// The most there can be.
        most: u64,
    },
    /// A short packet that is not the last.
    #[error(
        "packet {packet} at byte {offset} follows one that is not full; what is before it is good"
    )]
    AfterShort {
        /// The packet.
        packet: u64,
        /// Where it begins.
        offset: u64,
    },
    /// Codes or a scale in a packet that cannot be.
    #[error("packet {packet} at byte {offset}: {source}")]
    Packet {
        /// The packet.
        packet: u64,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        source: CodesError,
    },
    /// Codes do not fit the file.
    #[error(transparent)]
    Codes(#[from] CodesError),
    /// A total in the header that the codes do not reach, or pass.
    #[error(
        "the header announces {expected} super-frames, {found} were written; announce what is written, or nothing"
    )]
    Total {
        /// What the header says.
        expected: u64,
        /// What was written.
        found: u64,
    },
    /// Codes that an arithmetic coder packed with the help of a language model.
    #[error(
        "the codes are packed by a language model (`lm` is true), which is not supported; write the file without it"
    )]
    LanguageModel,
    /// A codec that is not known.
    #[error("codes of `{name}`, which is not known; known are {known}")]
    UnknownModel {
        /// The name in the file.
        name: String,
        /// The names that are known.
        known: &'static str,
    },
    /// JSON that is not the JSON of codes.
    #[error(
        "not the JSON of codes: {source}; it is {{\"codec\", \"sample_rate\", \"source_samples\", \"books\"}}"
    )]
    Json {
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// JSON that no sound is as long as.
    #[error("JSON of more than {most} bytes; cut it, or keep the codes as .nct")]
    JsonTooLong {
        /// Bytes that are read.
        most: u64,
    },
}

impl ContainerError {
    /// A short name that never changes, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            ContainerError::Io { .. } => "io",
            ContainerError::Magic { .. } => "magic",
            ContainerError::Version { .. } => "version",
            ContainerError::Flags { .. } => "flags",
            ContainerError::Header { .. } => "header",
            ContainerError::HeaderChecksum { .. } => "header-checksum",
            ContainerError::UserJson { .. } => "user-json",
            ContainerError::TruncatedHeader { .. } => "truncated-header",
            ContainerError::Truncated { .. } => "truncated",
            ContainerError::Checksum { .. } => "checksum",
            ContainerError::PacketLength { .. } => "packet-length",
            ContainerError::AfterShort { .. } => "after-short",
            ContainerError::Packet { source, .. } | ContainerError::Codes(source) => source.code(),
            ContainerError::Total { .. } => "total",
            ContainerError::LanguageModel => "language-model",
            ContainerError::UnknownModel { .. } => "unknown-model",
            ContainerError::Json { .. } => "json",
            ContainerError::JsonTooLong { .. } => "json-too-long",
        }
    }
}
