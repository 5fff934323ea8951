//! What can be wrong with token files.

use std::io;

use crate::codes::CodesError;

/// What to do about damage.
const DAMAGED: &str =
    "what is before it is good; for the rest copy the file again, or encode the source again";

/// Why a token file cannot be read or written, with the fact, the place and what to do. Offsets are in bytes from where
/// reading began; packets count from 0.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The system failed to deliver or take bytes.
    #[error(
        "the system failed at byte {offset}: {source}; try again, or copy the file to another disk"
    )]
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
        "the header is damaged: checksum {found:08x} instead of {expected:08x}; copy the file again, or encode the source \
         again"
    )]
    HeaderChecksum {
        /// The checksum in the file.
        expected: u32,
        /// That of the bytes in the file.
        found: u32,
    },
    /// The user JSON in a header is not JSON.
    #[error(
        "the JSON in the header is none ({source}); encode the source again, or leave it out when writing"
    )]
    UserJson {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file ends inside its header.
    #[error(
        "the file ends inside its header, at byte {offset}, {missing} bytes early; copy it again, or encode the source \
         again"
    )]
    TruncatedHeader {
        /// Where it ends.
        offset: u64,
        /// Bytes that are known to be missing.
        missing: u64,
    },
    /// The file ends where more was announced.
    #[error(
        "packet {packet} ends early, at byte {offset}, {missing} bytes too soon; {}",
        DAMAGED
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
        "packet {packet} at byte {offset} is damaged: checksum {found:08x} instead of {expected:08x}; {}",
        DAMAGED
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
        "packet {packet} at byte {offset} says it has {count} super-frames, of 1 to {most}; {}",
        DAMAGED
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
        "packet {packet} at byte {offset} follows one that is not full; {}",
        DAMAGED
    )]
    AfterShort {
        /// The packet.
        packet: u64,
        /// Where it begins.
        offset: u64,
    },
    /// Codes or a scale in a packet that cannot be.
    #[error("packet {packet} at byte {offset}: {source}; {}", DAMAGED)]
    Packet {
        /// The packet.
        packet: u64,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        source: CodesError,
    },
    /// Packets were lost, or are there twice.
    #[error(
        "the file ends after {found} super-frames and says it has {expected}: packets are missing or there twice; copy the \
         file again, or encode the source again"
    )]
    End {
        /// What the end of the file says.
        expected: u64,
        /// What is before it.
        found: u64,
    },
    /// Codes that are not as long as the recording.
    #[error(
        "there are {found} latent frames of codes, and a recording of {samples} samples takes {expected}: codes are missing \
         or there twice, or the length is wrong; copy the file again, or encode the source again"
    )]
    Length {
        /// Samples per channel that the recording is said to have.
        samples: u64,
        /// Latent frames that encoding makes of them; of segments, the least that cover them.
        expected: u64,
        /// Latent frames that there are.
        found: u64,
    },
    /// Something follows the end.
    #[error(
        "the file is complete at byte {offset}, and more follows; what is before it is good: cut the rest off, or keep \
         files that were joined one by one"
    )]
    Trailing {
        /// Where the file should end.
        offset: u64,
    },
    /// More books were asked for than there are, or none.
    #[error("{asked} codebooks were asked for, the file has {available}; ask for 1 to {available}")]
    Books {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        available: usize,
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
    #[error("codes of `{name}`, which is not known; give a file of {known}")]
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
    /// JSON of a stream that breaks off, or goes on with something else.
    #[error("object {index} of the JSON is damaged ({source}); {}", DAMAGED)]
    JsonDamaged {
        /// The object, counted from 0.
        index: u64,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// JSON of a stream that is of something else than the JSON before it.
    #[error(
        "object {index} of the JSON has another {field} than those before it, which are good; give the objects of one stream"
    )]
    JsonStream {
        /// The object, counted from 0.
        index: u64,
        /// In what it differs.
        field: &'static str,
    },
    /// JSON after an object that ends its stream.
    #[error(
        "object {index} of the JSON follows the end of the recording, whose length the one before it says; what is before \
         it is good: keep recordings that were joined one by one"
    )]
    JsonEnded {
        /// The object, counted from 0.
        index: u64,
    },
    /// JSON of a stream whose last objects were lost.
    #[error(
        "the JSON ends after {}: the last are missing; {}",
        without_length(.objects), DAMAGED
    )]
    JsonCut {
        /// The objects that there are.
        objects: u64,
    },
    /// JSON of a stream with other numbers of codes, book by book, than the JSON before it.
    #[error(
        "object {index} of the JSON has {found} codes in book {book}, {expected} go with those in book 0; {}",
        DAMAGED
    )]
    JsonRagged {
        /// The object, counted from 0.
        index: u64,
        /// The book.
        book: usize,
        /// The codes that it should have by the ratio of the first codes.
        expected: u64,
        /// The codes that it has.
        found: u64,
    },
    /// JSON of a stream whose codes cannot be.
    #[error("object {index} of the JSON: {source}; {}", DAMAGED)]
    JsonCodes {
        /// The object, counted from 0.
        index: u64,
        /// What is wrong with its codes.
        source: CodesError,
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
            ContainerError::End { .. } => "end",
            ContainerError::Length { .. } => "length",
            ContainerError::Trailing { .. } => "trailing",
            ContainerError::Books { .. } => "book-count",
            ContainerError::Packet { source, .. }
            | ContainerError::JsonCodes { source, .. }
            | ContainerError::Codes(source) => source.code(),
            ContainerError::Total { .. } => "total",
            ContainerError::LanguageModel => "language-model",
            ContainerError::UnknownModel { .. } => "unknown-model",
            ContainerError::Json { .. } => "json",
            ContainerError::JsonDamaged { .. } => "json-damaged",
            ContainerError::JsonStream { .. } => "json-stream",
            ContainerError::JsonEnded { .. } => "json-ended",
            ContainerError::JsonCut { .. } => "json-cut",
            ContainerError::JsonRagged { .. } => "ragged-books",
            ContainerError::JsonTooLong { .. } => "json-too-long",
        }
    }
}

/// So many objects in words.
fn without_length(objects: &u64) -> String {
    match objects {
        1 => "1 object, which does not say how long the recording is".to_owned(),
        many => format!("{many} objects, of which none says how long the recording is"),
    }
}
