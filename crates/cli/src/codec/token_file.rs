//! Token files of any kind, told by their content.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};

use percept::{
    Codec, CodecFamily, Codes, ContainerError, JsonCodes, JsonSalvage, NctFile, NctHeader,
    NctReader, TokenFileKind, read_ecdc, sniff,
};

use super::error::CodecFault;
use super::model::Made;
use crate::error::CliError;
use crate::inputs::Source;

/// Enough of a file to tell its kind, even behind some white space.
const HEAD_BYTES: u64 = 64;

/// A token file that was read.
pub(crate) struct TokenFile {
    pub(crate) name: String,
    pub(crate) kind: TokenFileKind,
    pub(crate) made: Made,
    /// The header, of an nct file.
    pub(crate) header: Option<NctHeader>,
    tokens: Tokens,
    /// What ended the reading early.
    pub(crate) fault: Option<ContainerError>,
}

/// Codes, or what is none until somebody knows the books.
enum Tokens {
    Codes(Codes),
    Json(Box<JsonSalvage>),
    /// Codes that were not read yet.
    Unread(Box<Seekable>),
}

/// Codes, or where they are.
pub(crate) enum Stored {
    Codes(Codes),
    File(Box<Seekable>),
}

/// What a token file holds.
pub(crate) struct Contents {
    pub(crate) stored: Stored,
    /// Samples per channel that the codes last which are there.
    pub(crate) there: u64,
    /// Latent frames that there should be, if the file says so.
    pub(crate) announced: Option<u64>,
    /// Samples per channel of the recording, if the file says so and it can be.
    pub(crate) source: Option<u64>,
    /// What ended the codes early, as far as it is known before they are read.
    pub(crate) fault: Option<ContainerError>,
}

/// An nct file that any part can be read of.
pub(crate) type Seekable = NctFile<BufReader<File>>;

/// Bytes, and what kind of token file they are.
pub(crate) struct Sniffed {
    pub(crate) kind: TokenFileKind,
    pub(crate) bytes: Box<dyn Read>,
}

impl TokenFile {
    /// Reads a file, up to its damage if there is any.
    ///
    /// # Errors
    ///
    /// No file, no token file, or one whose beginning is damaged.
    pub(crate) fn read(source: &Source) -> Result<Self, CliError> {
        let name = source.label();
        let Sniffed { kind, bytes } = sniffed(source)?;
        Self::of(kind, bytes, &name).map_err(|error| container_error(source, error))
    }

    /// Opens a file of which a part will be read. Of an nct file that lies on a disk only the header is read.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) fn open(source: &Source) -> Result<Self, CliError> {
        let path = match source {
            // What comes out of a pipe cannot be looked at twice.
            Source::File(path) if fs::metadata(path).is_ok_and(|found| found.is_file()) => path,
            _ => return Self::read(source),
        };
        if sniffed(source)?.kind != TokenFileKind::Nct {
            return Self::read(source);
        }
        let file = File::open(path).map_err(|error| read_error(source, error))?;
        let opened = NctFile::open(BufReader::new(file));
        let mut file = opened.map_err(|error| container_error(source, error))?;
        let header = file.header().clone();
        Ok(Self {
            name: source.label(),
            kind: TokenFileKind::Nct,
            made: made(&header),
            header: Some(header),
            fault: file.take_fault(),
            tokens: Tokens::Unread(Box::new(file)),
        })
    }

    fn of(kind: TokenFileKind, bytes: impl Read, name: &str) -> Result<Self, ContainerError> {
        let name = name.to_owned();
        Ok(match kind {
            TokenFileKind::Nct => {
                let reader = NctReader::new(bytes)?;
                let header = reader.header().clone();
                let read = reader.read_all();
                Self {
                    name,
                    kind,
                    made: made(&header),
                    header: Some(header),
                    tokens: Tokens::Codes(read.codes),
                    fault: read.fault,
                }
            }
            TokenFileKind::Ecdc => {
                let file = read_ecdc(bytes)?;
                Self {
                    name,
                    kind,
                    made: Made {
                        codec: CodecFamily::Encodec.name().to_owned(),
                        sample_rate: file.sample_rate,
                    },
                    header: None,
                    tokens: Tokens::Codes(file.read.codes),
                    fault: file.read.fault,
                }
            }
            TokenFileKind::Json => {
                let mut json = JsonCodes::read(bytes)?;
                Self {
                    name,
                    kind,
                    made: Made {
                        codec: json.codes.codec.clone(),
                        sample_rate: json.codes.sample_rate,
                    },
                    header: None,
                    fault: json.fault.take(),
                    tokens: Tokens::Json(Box::new(json)),
                }
            }
        })
    }

    /// The beginning of the SHA-256 of the weights that made it, if it says so.
    pub(crate) fn weights_id(&self) -> Option<[u8; 8]> {
        let id = self.header.as_ref().map(|header| header.weights_id);
        id.filter(|id| *id != [0; 8])
    }

    /// The length of each book.
    pub(crate) fn book_lengths(&self) -> Vec<usize> {
        match &self.tokens {
            Tokens::Codes(codes) => (0..codes.books()).map(|k| codes.book(k).len()).collect(),
            Tokens::Json(json) => json.codes.books.iter().map(Vec::len).collect(),
            Tokens::Unread(_) => Vec::new(),
        }
    }

    /// Samples per channel of the recording, if it says so and it can be.
    pub(crate) fn source_samples(&self) -> Option<u64> {
        match &self.tokens {
            _ if matches!(self.fault, Some(ContainerError::Length { .. })) => None,
            Tokens::Codes(codes) => codes.source_samples(),
            Tokens::Json(json) => json.codes.source_samples,
            Tokens::Unread(file) => file.total_samples(),
        }
    }

    /// The codes, where the file alone says what they are.
    pub(crate) fn codes(&self) -> Option<&Codes> {
        match &self.tokens {
            Tokens::Codes(codes) => Some(codes),
            Tokens::Json(_) | Tokens::Unread(_) => None,
        }
    }

    /// Whether only [`settle`](Self::settle) can tell that it is whole.
    pub(crate) fn needs_settling(&self) -> bool {
        let is_segmented = self.header.as_ref().is_some_and(|header| header.segmented);
        is_segmented || self.kind == TokenFileKind::Json
    }

    /// Makes codes of JSON, and finds the damage that takes the codec which made the file to see.
    ///
    /// # Errors
    ///
    /// Codes that do not fit the codec from the first one on.
    pub(crate) fn settle(&mut self, codec: &Codec) -> Result<(), ContainerError> {
        if let Tokens::Json(json) = &self.tokens {
            let read = json.to_codes(&codec.spec().books)?;
            self.tokens = Tokens::Codes(read.codes);
            self.fault = read.fault.or(self.fault.take());
        }
        if let (None, Some(samples)) = (&self.fault, self.source_samples()) {
            let length = codec.model().check_length(samples, &self.pieces());
            self.fault = length.err();
        }
        Ok(())
    }

    /// Latent frames that are there: of each segment, or together where there are none.
    fn pieces(&self) -> Vec<u64> {
        match &self.tokens {
            Tokens::Codes(codes) => pieces(codes),
            Tokens::Unread(file) if file.header().segmented => file.segments().collect(),
            Tokens::Unread(file) => vec![file.superframes() * superframe_frames(file.header())],
            Tokens::Json(_) => Vec::new(),
        }
    }

    /// Latent frames that there should be, if the beginning of the file says it, or all of it was there to say it.
    fn announced_frames(&self, codec: &Codec) -> Option<u64> {
        let encoded = |samples| codec.model().encoded_frames(samples);
        match &self.header {
            Some(header) => match header.superframes {
                Some(count) => Some(u64::from(count) * superframe_frames(header)),
                None => header.total_samples.map(encoded),
            },
            // Of an ecdc file that was cut, the length is too.
            None if self.kind == TokenFileKind::Ecdc => None,
            None => self.source_samples().map(encoded),
        }
    }

    /// The codes, as [`settle`](Self::settle) leaves them, or the file that they have yet to be read from.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub(crate) fn into_contents(mut self, codec: &Codec) -> Result<Contents, ContainerError> {
        self.settle(codec)?;
        Ok(Contents {
            announced: self.announced_frames(codec),
            source: self.source_samples(),
            there: codec.model().decoded_samples(&self.pieces()),
            stored: match self.tokens {
                Tokens::Codes(codes) => Stored::Codes(codes),
                Tokens::Unread(file) => Stored::File(file),
                Tokens::Json(_) => unreachable!("`settle` has made codes of it"),
            },
            fault: self.fault,
        })
    }
}

/// Latent frames of each segment, or of all codes where there are none.
pub(crate) fn pieces(codes: &Codes) -> Vec<u64> {
    match codes.segments() {
        [] => vec![codes.frames()],
        segments => segments.iter().map(|s| u64::from(s.frames)).collect(),
    }
}

/// Latent frames of a super-frame.
pub(crate) fn superframe_frames(header: &NctHeader) -> u64 {
    Codes::new(header.books.clone()).align().into()
}

/// What made a file.
fn made(header: &NctHeader) -> Made {
    let family = CodecFamily::from_id(header.family).map(CodecFamily::name);
    Made {
        codec: family.map_or_else(|| format!("codec {}", header.family), str::to_owned),
        sample_rate: header.sample_rate,
    }
}

/// Opens a token file and tells its kind.
///
/// # Errors
///
/// No file, or no token file.
pub(crate) fn sniffed(source: &Source) -> Result<Sniffed, CliError> {
    let failed = |error| read_error(source, error);
    let mut bytes: Box<dyn Read> = match source {
        Source::Stdin => Box::new(io::stdin().lock()),
        Source::File(path) => Box::new(BufReader::new(File::open(path).map_err(failed)?)),
    };
    let mut head = Vec::new();
    let read = bytes.by_ref().take(HEAD_BYTES).read_to_end(&mut head);
    read.map_err(failed)?;
    match sniff(&head) {
        Some(kind) => Ok(Sniffed {
            kind,
            bytes: Box::new(Cursor::new(head).chain(bytes)),
        }),
        None => Err(CodecFault::NotTokens {
            file: source.label(),
        }
        .into()),
    }
}

fn read_error(source: &Source, error: io::Error) -> CliError {
    let path = match source {
        Source::File(path) => path.clone(),
        Source::Stdin => "-".into(),
    };
    CliError::Read {
        path,
        source: error,
    }
}

/// What is wrong with a token file, or with the reading of it.
pub(crate) fn container_error(source: &Source, error: ContainerError) -> CliError {
    match error {
        ContainerError::Io { source: error, .. } => read_error(source, error),
        error => token_file(&source.label(), error),
    }
}

pub(crate) fn token_file(name: &str, error: ContainerError) -> CliError {
    let source = Box::new(error);
    CodecFault::TokenFile {
        file: name.to_owned(),
        source,
    }
    .into()
}
