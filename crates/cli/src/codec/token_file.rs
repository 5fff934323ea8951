//! Token files of any kind, told by their content.

use std::fs::File;
use std::io::{self, Read};

use percept::{
    BookSpec, CodecFamily, Codes, ContainerError, JsonCodes, NctHeader, NctReader, TokenFileKind,
    read_ecdc, sniff,
};
use std::sync::Arc;

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
    Json(JsonCodes),
}

impl TokenFile {
    /// Reads a file, up to its damage if there is any.
    ///
    /// # Errors
    ///
    /// No file, no token file, or one whose beginning is damaged.
    pub(crate) fn read(source: &Source) -> Result<Self, CliError> {
        let name = source.label();
        let read_error = |error| match source {
            Source::File(path) => CliError::Read {
                path: path.clone(),
                source: error,
            },
            Source::Stdin => CliError::Read {
                path: "-".into(),
                source: error,
            },
        };
        let mut bytes: Box<dyn Read> = match source {
            Source::Stdin => Box::new(io::stdin().lock()),
            Source::File(path) => {
                Box::new(io::BufReader::new(File::open(path).map_err(read_error)?))
            }
        };
        let mut head = Vec::new();
        bytes
            .by_ref()
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(read_error)?;
        let Some(kind) = sniff(&head) else {
            return Err(CodecFault::NotTokens { file: name }.into());
        };
        let whole = (&head[..]).chain(bytes);
        Self::of(kind, whole, &name).map_err(|error| match error {
            ContainerError::Io { source, .. } => read_error(source),
            error => token_file(&name, error),
        })
    }

    fn of(kind: TokenFileKind, bytes: impl Read, name: &str) -> Result<Self, ContainerError> {
        let name = name.to_owned();
        Ok(match kind {
            TokenFileKind::Nct => {
                let reader = NctReader::new(bytes)?;
                let header = reader.header().clone();
                let read = reader.read_all();
                let family = CodecFamily::from_id(header.family).map(CodecFamily::name);
                Self {
                    name,
                    kind,
                    made: Made {
                        codec: family
                            .map_or_else(|| format!("codec {}", header.family), str::to_owned),
                        sample_rate: header.sample_rate,
                    },
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
                let json = JsonCodes::read(bytes)?;
                Self {
                    name,
                    kind,
                    made: Made {
                        codec: json.codec.clone(),
                        sample_rate: json.sample_rate,
                    },
                    header: None,
                    tokens: Tokens::Json(json),
                    fault: None,
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
            Tokens::Json(json) => json.books.iter().map(Vec::len).collect(),
        }
    }

    /// Samples per channel of the recording, if it says so.
    pub(crate) fn source_samples(&self) -> Option<u64> {
        match &self.tokens {
            Tokens::Codes(codes) => codes.source_samples(),
            Tokens::Json(json) => json.source_samples,
        }
    }

    /// The codes, where the file alone says what they are.
    pub(crate) fn codes(&self) -> Option<&Codes> {
        match &self.tokens {
            Tokens::Codes(codes) => Some(codes),
            Tokens::Json(_) => None,
        }
    }

    /// The codes, and the damage that ended them, of a codec with these books.
    ///
    /// # Errors
    ///
    /// Codes that do not fit the books.
    pub(crate) fn into_codes(
        self,
        books: &Arc<[BookSpec]>,
    ) -> Result<(Codes, Option<CliError>), CliError> {
        let fault = self.fault.map(|fault| token_file(&self.name, fault));
        let codes = match self.tokens {
            Tokens::Codes(codes) => codes,
            Tokens::Json(json) => json
                .into_codes(books)
                .map_err(|error| token_file(&self.name, error))?,
        };
        match (codes.is_empty(), fault) {
            (true, Some(fault)) => Err(fault),
            (true, None) => Err(CodecFault::NoTokens { file: self.name }.into()),
            (false, fault) => Ok((codes, fault)),
        }
    }
}

fn token_file(name: &str, error: ContainerError) -> CliError {
    let source = Box::new(error);
    CodecFault::TokenFile {
        file: name.to_owned(),
        source,
    }
    .into()
}
