//! The id-to-piece table of a Hugging Face `tokenizer.json`.
//!
//! Only the table is read: merges, scores, normalisers and pre-tokenisers matter for encoding, not for decoding speech.

use std::path::Path;

use serde_json::Value;

use crate::WeightsError;
use crate::vocabulary::{Builder, PieceKind, Vocabulary, byte_piece};

/// The pieces of a parsed `tokenizer.json`.
///
/// Base pieces come from `model.vocab` (an object of ids for BPE, WordPiece and WordLevel, a list for Unigram);
/// `added_tokens` follow and win: special ones are control pieces, others are user-defined. The piece that the model
/// names as unknown is [`PieceKind::Unknown`] even where it is special too.
pub(crate) fn vocabulary(file: &Path, tokenizer: &Value) -> Result<Vocabulary, WeightsError> {
    let field = |field: &str, expected| WeightsError::Field {
        file: file.into(),
        field: field.into(),
        expected,
    };
    let model = &tokenizer["model"];
    let base = base_pieces(model).ok_or_else(|| {
        let expected = "an object from pieces to ids, or a list of [piece, score]";
        field("model.vocab", expected)
    })?;
    let no_tokens = Vec::new();
    let added = match &tokenizer["added_tokens"] {
        Value::Null => &no_tokens,
        Value::Array(added) => added,
        _ => return Err(field("added_tokens", "a list of tokens")),
    };
    let unknown = Unknown {
        id: model["unk_id"].as_u64(),
        text: model["unk_token"].as_str(),
    };
    let word_pieces = WordPieces::of(model);
    let bytes = has_byte_fallback(tokenizer);

    let mut table = Builder::new(file, base.len() + added.len());
    for (text, id) in base {
        let kind = match byte_piece(text) {
            Some(byte) if bytes => PieceKind::Byte(byte),
            _ if unknown.is(id, text) => PieceKind::Unknown,
            _ => PieceKind::Normal,
        };
        match (&word_pieces, kind) {
            (Some(style), PieceKind::Normal) => table.set(id, &style.rewrite(text), kind)?,
            _ => table.set(id, text, kind)?,
        }
    }
    for token in added {
        let id = token["id"].as_u64();
        let (Some(id), Some(text)) = (id, token["content"].as_str()) else {
            let expected = "a list of tokens with `id` and `content`";
            return Err(field("added_tokens", expected));
        };
        let kind = match token["special"].as_bool() {
            _ if unknown.is(id, text) => PieceKind::Unknown,
            Some(true) => PieceKind::Control,
            _ => PieceKind::UserDefined,
        };
        table.set(id, text, kind)?;
    }
    Ok(table.finish())
}

/// Which piece stands for text that the tokenizer does not know.
struct Unknown<'a> {
    id: Option<u64>,
    text: Option<&'a str>,
}

impl Unknown<'_> {
    fn is(&self, id: u64, text: &str) -> bool {
        self.id == Some(id) || self.text == Some(text)
    }
}

/// The prefix that continues a word in a WordPiece table.
struct WordPieces<'a> {
    continues: &'a str,
}

impl<'a> WordPieces<'a> {
    fn of(model: &'a Value) -> Option<WordPieces<'a>> {
        let continues = model["continuing_subword_prefix"].as_str();
        let continues = continues.filter(|prefix| !prefix.is_empty());
        let is_word_piece = model["type"] == "WordPiece";
        is_word_piece.then(|| WordPieces {
            continues: continues.unwrap_or("##"),
        })
    }

    fn rewrite(&self, text: &str) -> String {
        match text.strip_prefix(self.continues) {
            Some(rest) => rest.into(),
            None => format!("▁{text}"),
        }
    }
}

/// The pieces and ids of `model.vocab`, or `None` where it is not a table.
fn base_pieces(model: &Value) -> Option<Vec<(&str, u64)>> {
    match &model["vocab"] {
        Value::Object(ids) => ids
            .iter()
            .map(|(text, id)| Some((text.as_str(), id.as_u64()?)))
            .collect(),
        Value::Array(pieces) => {
            let ids = 0u64..;
            pieces
                .iter()
                .zip(ids)
                .map(|(piece, id)| Some((piece[0].as_str()?, id)))
                .collect()
        }
        _ => None,
    }
}

/// Whether pieces such as `<0x41>` stand for bytes: the model says so, or its decoder puts bytes together.
fn has_byte_fallback(tokenizer: &Value) -> bool {
    let decoder = &tokenizer["decoder"];
    let is_fallback = |decoder: &Value| decoder["type"] == "ByteFallback";
    let steps = decoder["decoders"].as_array().map(Vec::as_slice);
    tokenizer["model"]["byte_fallback"] == true
        || is_fallback(decoder)
        || steps.unwrap_or_default().iter().any(is_fallback)
}
