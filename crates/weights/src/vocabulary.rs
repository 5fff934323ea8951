//! The table from token ids to pieces of text.

use std::path::Path;

use crate::WeightsError;

/// One entry of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The piece as SentencePiece writes it: `▁` (U+2581) begins a word.
    pub text: String,
    /// What the piece stands for.
    pub kind: PieceKind,
}

/// What a piece stands for.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// Text.
    Normal,
    /// Text that the tokenizer does not know.
    Unknown,
    /// A mark that is no text: end of sentence, a language, padding.
    Control,
    /// A piece that the maker of the model added; it is text.
    UserDefined,
    /// One byte of UTF-8 text, written `<0x41>`.
    Byte(u8),
    /// An id that means nothing.
    Unused,
}

/// The pieces of a model, by id.
///
/// Whatever file they come from, one convention holds: a piece that begins a word begins with `▁`, as in SentencePiece.
/// WordPiece tables (`##` continues a word) are rewritten to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    pieces: Vec<Piece>,
}

impl Vocabulary {
    /// A vocabulary from its pieces in the order of their ids.
    pub fn new(pieces: Vec<Piece>) -> Vocabulary {
        Vocabulary { pieces }
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there is no piece at all.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The piece with this id; `None` past the end.
    pub fn piece(&self, id: usize) -> Option<&Piece> {
        self.pieces.get(id)
    }

    /// All pieces in the order of their ids.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

/// The byte that a piece of the form `<0x41>` stands for.
pub(crate) fn byte_piece(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let two_digits = hex.len() == 2 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    two_digits.then(|| u8::from_str_radix(hex, 16).expect("two hexadecimal digits"))
}

/// A table under construction whose entries arrive with ids in any order.
pub(crate) struct Builder<'a> {
    file: &'a Path,
    /// Ids must stay below this, so that one hostile id cannot ask for gigabytes.
    limit: u64,
    expected: usize,
    pieces: Vec<Piece>,
}

impl<'a> Builder<'a> {
    /// For about `expected` entries; ids may leave some holes.
    pub(crate) fn new(file: &'a Path, expected: usize) -> Builder<'a> {
        Builder {
            file,
            limit: 2 * expected as u64 + 65_536,
            expected,
            pieces: Vec::with_capacity(expected),
        }
    }

    /// Sets the piece of `id`; the last one stays. Ids that are never set are unused.
    pub(crate) fn set(&mut self, id: u64, text: &str, kind: PieceKind) -> Result<(), WeightsError> {
        if id >= self.limit {
            return Err(WeightsError::PieceId {
                file: self.file.into(),
                piece: text.into(),
                id,
                pieces: self.expected,
            });
        }
        let id = id as usize;
        if id >= self.pieces.len() {
            let unused = Piece {
                text: String::new(),
                kind: PieceKind::Unused,
            };
            self.pieces.resize(id + 1, unused);
        }
        self.pieces[id] = Piece {
            text: text.into(),
            kind,
        };
        Ok(())
    }

    pub(crate) fn finish(self) -> Vocabulary {
        Vocabulary::new(self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_pieces_are_two_hexadecimal_digits() {
        assert_eq!(byte_piece("<0x0A>"), Some(10));
        assert_eq!(byte_piece("<0xfF>"), Some(255));
        for other in [
            "<0x>", "<0x1>", "<0x123>", "<0x+1>", "0x41", "<0x41", "<0xé>",
        ] {
            assert_eq!(byte_piece(other), None, "{other}");
        }
    }

    #[test]
    fn holes_are_unused_and_far_ids_are_refused() {
        let mut builder = Builder::new(Path::new("t.json"), 2);
        builder.set(2, "b", PieceKind::Normal).unwrap();
        builder.set(0, "a", PieceKind::Normal).unwrap();
        let far = builder.set(u64::MAX, "c", PieceKind::Normal);
        assert_eq!(far.unwrap_err().code(), "piece-id");
        let vocabulary = builder.finish();
        assert_eq!(vocabulary.len(), 3);
        assert_eq!(vocabulary.piece(1).unwrap().kind, PieceKind::Unused);
        assert_eq!(vocabulary.piece(2).unwrap().text, "b");
        assert_eq!(vocabulary.piece(3), None);
    }
}
