//! The pieces of a SentencePiece `tokenizer.model`.
//!
//! The file is a protobuf message `ModelProto`; only its repeated field 1 is read, and of each piece the text (field 1)
//! and the type (field 3). Schema:
//! <https://github.com/google/sentencepiece/blob/v0.2.0/src/sentencepiece_model.proto>.

use std::path::Path;

use crate::WeightsError;
use crate::vocabulary::{Piece, PieceKind, Vocabulary, byte_piece};

/// Four times the largest vocabulary in use.
const MAX_PIECES: usize = 1 << 20;

/// What is wrong with a SentencePiece model.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SentencePieceFault {
    /// The bytes are no protobuf message, or are cut.
    #[error("damaged or cut at byte {at}")]
    Damaged {
        /// Where reading stopped.
        at: usize,
    },
    /// It holds no pieces: another kind of file.
    #[error("it holds no pieces")]
    Empty,
    /// It holds more pieces than any tokenizer.
    #[error("it holds more than {limit} pieces")]
    TooMany {
        /// The most that are read.
        limit: usize,
    },
    /// A piece's text is not UTF-8, its type is unknown, or a byte piece is not written as one.
    #[error("piece {id} makes no sense")]
    Piece {
        /// The piece.
        id: usize,
    },
}

/// The pieces in the order of their ids.
pub(crate) fn vocabulary(file: &Path, model: &[u8]) -> Result<Vocabulary, WeightsError> {
    let pieces = pieces(model).map_err(|fault| WeightsError::SentencePiece {
        file: file.into(),
        fault,
    })?;
    Ok(Vocabulary::new(pieces))
}

fn pieces(model: &[u8]) -> Result<Vec<Piece>, SentencePieceFault> {
    let mut pieces = Vec::new();
    let mut message = Message {
        bytes: model,
        at: 0,
    };
    while !message.is_at_end() {
        let field = message.field();
        let at = message.at;
        if let (1, Field::Bytes(bytes)) = field.ok_or(SentencePieceFault::Damaged { at })? {
            let id = pieces.len();
            if id == MAX_PIECES {
                let limit = MAX_PIECES;
                return Err(SentencePieceFault::TooMany { limit });
            }
            pieces.push(piece(bytes).ok_or(SentencePieceFault::Piece { id })?);
        }
    }
    if pieces.is_empty() {
        return Err(SentencePieceFault::Empty);
    }
    Ok(pieces)
}

fn piece(bytes: &[u8]) -> Option<Piece> {
    const NORMAL: u64 = 1;
    let mut text = "";
    let mut kind = NORMAL;
    let mut message = Message { bytes, at: 0 };
    while !message.is_at_end() {
        match message.field()? {
            (1, Field::Bytes(bytes)) => text = std::str::from_utf8(bytes).ok()?,
            (3, Field::Varint(number)) => kind = number,
            _ => {}
        }
    }
    let kind = match kind {
        NORMAL => PieceKind::Normal,
        2 => PieceKind::Unknown,
        3 => PieceKind::Control,
        4 => PieceKind::UserDefined,
        5 => PieceKind::Unused,
        6 => PieceKind::Byte(byte_piece(text)?),
        _ => return None,
    };
    Some(Piece {
        text: text.into(),
        kind,
    })
}

/// A protobuf message, read field by field.
struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Field<'a> {
    Varint(u64),
    Fixed,
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The number and the value of the next field.
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => self.take(8).map(|_| Field::Fixed)?,
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let &byte = self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..usize::try_from(length).ok()?)?;
        self.at += taken.len();
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of length-delimited and varint fields.
    fn piece_bytes(text: &str, kind: Option<u8>) -> Vec<u8> {
        let mut piece = vec![0x0a, text.len() as u8];
        piece.extend(text.as_bytes());
        piece.extend([0x15, 0, 0, 0, 0]); // score
        piece.extend(kind.map(|kind| [0x18, kind]).into_iter().flatten());
        let mut field = vec![0x0a, piece.len() as u8];
        field.extend(piece);
        field
    }

    #[test]
    fn every_type_of_piece_is_read_and_other_fields_are_skipped() {
        let mut model = vec![0x12, 2, 0xff, 0xff]; // a trainer_spec
        model.extend(piece_bytes("<unk>", Some(2)));
        model.extend(piece_bytes("<s>", Some(3)));
        model.extend(piece_bytes("▁the", None));
        model.extend(piece_bytes("<en>", Some(4)));
        model.extend(piece_bytes("x", Some(5)));
        model.extend(piece_bytes("<0x41>", Some(6)));
        let kinds: Vec<_> = pieces(&model)
            .unwrap()
            .into_iter()
            .map(|p| p.kind)
            .collect();
        let want = [
            PieceKind::Unknown,
            PieceKind::Control,
            PieceKind::Normal,
            PieceKind::UserDefined,
            PieceKind::Unused,
            PieceKind::Byte(0x41),
        ];
        assert_eq!(kinds, want);
        assert_eq!(pieces(&model).unwrap()[2].text, "▁the");
    }

    #[test]
    fn damage_is_named() {
        let good = piece_bytes("▁the", None);
        for cut in 1..good.len() {
            assert!(pieces(&good[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(pieces(b""), Err(SentencePieceFault::Empty));
        let text = pieces(b"this is not a protobuf");
        assert!(matches!(text, Err(SentencePieceFault::Damaged { .. })));
        let type_seven = pieces(&piece_bytes("a", Some(7)));
        assert_eq!(type_seven, Err(SentencePieceFault::Piece { id: 0 }));
        let no_byte = pieces(&piece_bytes("<0x4>", Some(6)));
        assert_eq!(no_byte, Err(SentencePieceFault::Piece { id: 0 }));
    }
}
