//! Vocabularies that are plain lists: `vocab.txt`, and the lists of labels in a NeMo configuration.
//!
//! Three conventions meet in such lists, and all come out as SentencePiece's (`▁` begins a word):
//! pieces as SentencePiece writes them; WordPiece, where `##` continues a word (BERT's files, and those that NeMo
//! writes beside a SentencePiece model:
//! <https://github.com/NVIDIA/NeMo/blob/00754f1e3634a5d230f1581ea7e203a306276f6d/nemo/collections/common/tokenizers/sentencepiece_tokenizer.py>);
//! and single characters, where a space is a piece.

use std::path::Path;

use crate::WeightsError;
use crate::vocabulary::{Piece, PieceKind, Vocabulary, byte_piece};

/// The pieces of a text file, one a line in the order of their ids.
pub(crate) fn from_lines(file: &Path, text: &[u8]) -> Result<Vocabulary, WeightsError> {
    let text = std::str::from_utf8(text).map_err(|_| WeightsError::NotText {
        file: file.into(),
        expected: "one piece a line",
    })?;
    if text.is_empty() {
        return Ok(Vocabulary::new(Vec::new()));
    }
    // Not `lines`: it would drop a carriage return that is itself a piece, but it must go where every line has one.
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let text = text.strip_suffix(ending).unwrap_or(text);
    Ok(from_pieces(text.split(ending)))
}

/// The vocabulary of a list of pieces in the order of their ids.
pub(crate) fn from_pieces<'a>(pieces: impl Iterator<Item = &'a str> + Clone) -> Vocabulary {
    let is_word_piece = pieces.clone().any(is_continuation);
    let piece = |text: &str| {
        let kind = kind(text);
        let text = match kind {
            PieceKind::Normal if is_word_piece => sentencepiece_text(text),
            PieceKind::Normal if text == " " => "▁".into(),
            _ => text.into(),
        };
        Piece { text, kind }
    };
    Vocabulary::new(pieces.map(piece).collect())
}

/// Whether a piece continues a word in WordPiece's convention.
fn is_continuation(text: &str) -> bool {
    text.len() > 2 && text.starts_with("##")
}

/// A WordPiece piece in SentencePiece's convention.
fn sentencepiece_text(text: &str) -> String {
    match text.strip_prefix("##") {
        Some(rest) if !rest.is_empty() => rest.into(),
        // A word's beginning alone, which has no text to mark.
        _ if text == "▁" => text.into(),
        _ => format!("▁{text}"),
    }
}

/// What a piece stands for, by the names that tokenizers give to marks; lists say nothing else about it.
fn kind(text: &str) -> PieceKind {
    match text {
        "<unk>" | "[UNK]" => PieceKind::Unknown,
        "<s>" | "</s>" | "<pad>" | "<blank>" | "<blk>" | "[PAD]" | "[CLS]" | "[SEP]" | "[MASK]" => {
            PieceKind::Control
        }
        _ if text.len() > 4 && text.starts_with("<|") && text.ends_with("|>") => PieceKind::Control,
        _ => byte_piece(text).map_or(PieceKind::Normal, PieceKind::Byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &str) -> Vec<String> {
        let vocabulary = from_lines(Path::new("vocab.txt"), list.as_bytes()).unwrap();
        let pieces = vocabulary.pieces().iter();
        pieces.map(|piece| piece.text.clone()).collect()
    }

    #[test]
    fn every_convention_becomes_that_of_sentencepiece() {
        assert_eq!(texts("▁the\ns\n▁\n"), ["▁the", "s", "▁"]);
        assert_eq!(texts("the\n##s\n▁\n#\n"), ["▁the", "s", "▁", "▁#"]);
        assert_eq!(texts(" \na\n'\n"), ["▁", "a", "'"]);
        assert_eq!(texts("a\r\nb\r\n"), ["a", "b"]);
        assert_eq!(texts("a\n\nb"), ["a", "", "b"]);
    }

    #[test]
    fn marks_are_known_by_their_names() {
        let list = ["[PAD]", "<unk>", "<|en|>", "<0x0A>", "##x", "<a>"];
        let vocabulary = from_pieces(list.into_iter());
        let kinds: Vec<_> = vocabulary.pieces().iter().map(|p| p.kind).collect();
        let want = [
            PieceKind::Control,
            PieceKind::Unknown,
            PieceKind::Control,
            PieceKind::Byte(10),
            PieceKind::Normal,
            PieceKind::Normal,
        ];
        assert_eq!(kinds, want);
        let texts: Vec<_> = vocabulary.pieces().iter().map(|p| &p.text[..]).collect();
        assert_eq!(texts[..5], ["[PAD]", "<unk>", "<|en|>", "<0x0A>", "x"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let refused = from_lines(Path::new("vocab.txt"), b"a\n\xff\n").unwrap_err();
        assert_eq!(refused.code(), "not-text");
    }
}
