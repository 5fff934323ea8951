//! From token ids to text.

use percept_weights::{PieceKind, Vocabulary};

/// What begins a word in a piece.
pub(crate) const WORD_MARK: char = '▁';
/// Punctuation that belongs to what stands before it.
const CLOSING: &str = ".,?!:;%)]}…”»。、，？！：；।॥،؛؟";
/// Punctuation that may also belong to what follows it.
const OTHER_MARKS: &str = "'\"-/([{¿¡«“„‘’‐‑‒–—―";

/// What a token means to those who read the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'a> {
    /// Text; `▁` stands for a space before a word.
    Text(&'a str),
    /// One byte of UTF-8 text.
    Byte(u8),
    /// The language of what is said, such as `en-US`.
    Language(&'a str),
    /// The speaker has finished a turn.
    EndOfUtterance,
    /// The speaker has finished a backchannel ("mhm").
    EndOfBackchannel,
    /// Nothing: padding, control marks, unknown text, ids without a piece.
    Hidden,
}

impl<'a> Role<'a> {
    /// The role of a token. Marks are known by their form, because lists and some tokenizers do not say what is one.
    pub fn of(vocabulary: &'a Vocabulary, id: u32) -> Role<'a> {
        let Some(piece) = vocabulary.piece(id as usize) else {
            return Role::Hidden;
        };
        if let Some(mark) = mark(&piece.text) {
            return mark;
        }
        match piece.kind {
            PieceKind::Normal | PieceKind::UserDefined => Role::Text(&piece.text),
            PieceKind::Byte(byte) => Role::Byte(byte),
            _ => Role::Hidden,
        }
    }
}

/// The role of a piece in angle brackets that is no text whatever its kind says.
fn mark(piece: &str) -> Option<Role<'_>> {
    let name = piece.strip_prefix('<')?.strip_suffix('>')?;
    match name {
        "EOU" => Some(Role::EndOfUtterance),
        "EOB" => Some(Role::EndOfBackchannel),
        _ if name.len() > 2 && name.starts_with('|') && name.ends_with('|') => Some(Role::Hidden),
        _ if is_language(name) => Some(Role::Language(name)),
        _ => None,
    }
}

/// Whether a name has the form `en-US`.
fn is_language(name: &str) -> bool {
    let Some((language, region)) = name.split_once('-') else {
        return false;
    };
    matches!(language.len(), 2 | 3)
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && region.len() == 2
        && region.bytes().all(|b| b.is_ascii_uppercase())
}

/// Turns tokens into text as they come.
///
/// What was appended is never taken back. Space at the start is dropped, and space is only appended with the text that
/// follows it, so the text of all tokens has none at its end. Bytes are held until they make a character; bytes that
/// never do become U+FFFD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detokenizer {
    /// The start of a character, at most 3 bytes.
    bytes: Vec<u8>,
    /// White space that waits for text.
    space: String,
    has_text: bool,
}

impl Detokenizer {
    /// For the start of a text.
    pub fn new() -> Detokenizer {
        Detokenizer::default()
    }

    /// Appends what a token adds to `out`.
    pub fn push(&mut self, role: Role<'_>, out: &mut String) {
        match role {
            Role::Text(piece) => {
                self.finish(out);
                for c in piece.chars() {
                    self.push_char(if c == WORD_MARK { ' ' } else { c }, out);
                }
            }
            Role::Byte(byte) => {
                self.bytes.push(byte);
                self.push_bytes(out);
            }
            _ => {}
        }
    }

    /// Ends the text, or a run of bytes in it: a character that was begun becomes U+FFFD for each of its bytes.
    pub fn finish(&mut self, out: &mut String) {
        for _ in 0..std::mem::take(&mut self.bytes).len() {
            self.push_char(char::REPLACEMENT_CHARACTER, out);
        }
    }

    fn push_bytes(&mut self, out: &mut String) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    text.chars().for_each(|c| self.push_char(c, out));
                    return;
                }
                // The first byte starts a character that the next bytes may still complete.
                Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => {
                    self.bytes = rest.to_vec();
                    return;
                }
                Err(_) => {
                    self.push_char(char::REPLACEMENT_CHARACTER, out);
                    rest = &rest[1..];
                }
            }
        }
    }

    fn push_char(&mut self, c: char, out: &mut String) {
        if c.is_whitespace() {
            if self.has_text {
                self.space.push(c);
            }
            return;
        }
        out.push_str(&self.space);
        self.space.clear();
        out.push(c);
        self.has_text = true;
    }
}

/// The text of tokens.
pub fn text(vocabulary: &Vocabulary, ids: impl IntoIterator<Item = u32>) -> String {
    let mut detokenizer = Detokenizer::new();
    let mut out = String::new();
    for id in ids {
        detokenizer.push(Role::of(vocabulary, id), &mut out);
    }
    detokenizer.finish(&mut out);
    out
}

/// Whether a piece begins a word. Closing punctuation never does, whatever stands before it.
pub(crate) fn begins_word(piece: &str) -> bool {
    let closes = |rest: &str| !rest.is_empty() && rest.chars().all(|c| CLOSING.contains(c));
    piece
        .strip_prefix(WORD_MARK)
        .is_some_and(|rest| !closes(rest))
}

/// A piece without the mark that it may begin with.
pub(crate) fn without_word_mark(piece: &str) -> &str {
    piece.strip_prefix(WORD_MARK).unwrap_or(piece)
}

/// Whether a piece is punctuation alone, which takes no time to say.
pub(crate) fn is_punctuation(piece: &str) -> bool {
    let text = without_word_mark(piece);
    !text.is_empty()
        && text
            .chars()
            .all(|c| CLOSING.contains(c) || OTHER_MARKS.contains(c))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use percept_weights::Piece;

    /// Pieces as they are listed; those in angle brackets get the kind that a tokenizer would give them.
    pub(crate) fn vocabulary(pieces: &[&str]) -> Vocabulary {
        let piece = |text: &&str| {
            let hex = text.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
            let kind = match *text {
                "<unk>" => PieceKind::Unknown,
                "<pad>" => PieceKind::Control,
                "" => PieceKind::Unused,
                _ => hex.map_or(PieceKind::Normal, |hex| {
                    PieceKind::Byte(u8::from_str_radix(hex, 16).unwrap())
                }),
            };
            Piece {
                text: text.to_string(),
                kind,
            }
        };
        Vocabulary::new(pieces.iter().map(piece).collect())
    }

    fn all(pieces: &[&str]) -> String {
        text(&vocabulary(pieces), 0..pieces.len() as u32)
    }

    #[test]
    fn pieces_become_words() {
        for (pieces, want) in [
            (&["▁the", "▁f", "o", "x", "▁"][..], "the fox"),
            (&["the", "▁", "▁f", "ox", "."], "the  fox."),
            (&["▁", "▁"], ""),
            (&["\u{3000}▁a\n", "▁"], "a"),
            (&[], ""),
        ] {
            assert_eq!(all(pieces), want, "{pieces:?}");
        }
    }

    #[test]
    fn marks_are_no_text() {
        let pieces = [
            "▁t", "<unk>", "<|pnc|>", "<pad>", "<en-US>", "", "<EOU>", "<EOB>", "th",
        ];
        assert_eq!(all(&pieces), "tth");
        let vocabulary = vocabulary(&[
            "<en-US>", "<fil-PH>", "<EOU>", "<EOB>", "<||>", "<|x|>", "<i>", "<a-B>",
        ]);
        let roles: Vec<_> = (0..9).map(|id| Role::of(&vocabulary, id)).collect();
        let want = [
            Role::Language("en-US"),
            Role::Language("fil-PH"),
            Role::EndOfUtterance,
            Role::EndOfBackchannel,
            Role::Text("<||>"),
            Role::Hidden,
            Role::Text("<i>"),
            Role::Text("<a-B>"),
            Role::Hidden,
        ];
        assert_eq!(roles, want);
    }

    #[test]
    fn bytes_become_characters_once_they_are_whole() {
        for (pieces, want) in [
            (&["▁a", "<0xE2>", "<0x82>", "<0xAC>", "b"][..], "a€b"),
            (&["<0xE2>", "<pad>", "<0x82>", "<0xAC>"], "€"),
            (&["<0xE2>", "<0x82>"], "\u{FFFD}\u{FFFD}"),
            (&["<0xE2>", "<0x82>", "▁b"], "\u{FFFD}\u{FFFD} b"),
            (&["<0xE2>", "<0x41>", "<0x80>"], "\u{FFFD}A\u{FFFD}"),
            (
                &["<0xFF>", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"],
                "\u{FFFD}😀",
            ),
            (&["<0x20>", "<0x61>", "<0x20>"], "a"),
        ] {
            assert_eq!(all(pieces), want, "{pieces:?}");
        }
    }

    #[test]
    fn text_is_only_ever_appended_and_ends_as_the_whole() {
        let pieces = [
            "▁a", "▁", "▁b", "<0xC3>", "<0xA9>", "<0xE2>", "c", "<unk>", ".", "▁",
        ];
        let vocabulary = vocabulary(&pieces);
        let mut seed = 7u64;
        for _ in 0..2000 {
            let ids: Vec<u32> = (0..8)
                .map(|_| random(&mut seed) % pieces.len() as u32)
                .collect();
            let whole = text(&vocabulary, ids.iter().copied());
            let mut detokenizer = Detokenizer::new();
            let mut out = String::new();
            for &id in &ids {
                detokenizer.push(Role::of(&vocabulary, id), &mut out);
                assert!(whole.starts_with(&out), "{ids:?}: {out:?} begins {whole:?}");
                assert_eq!(out.trim_end(), out, "{ids:?}");
                assert!(detokenizer.bytes.len() < 4);
            }
            detokenizer.finish(&mut out);
            assert_eq!(out, whole, "{ids:?}");
        }
    }

    fn random(seed: &mut u64) -> u32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (*seed >> 33) as u32
    }

    #[test]
    fn words_begin_at_marks_but_not_with_closing_punctuation() {
        for (piece, begins, mark) in [
            ("▁the", true, false),
            ("the", false, false),
            ("▁", true, false),
            ("▁.", false, true),
            ("?!", false, true),
            ("▁¿", true, true),
            ("'", false, true),
            ("'s", false, false),
            ("▁3", true, false),
            ("", false, false),
        ] {
            assert_eq!(
                (begins_word(piece), is_punctuation(piece)),
                (begins, mark),
                "{piece}"
            );
        }
    }
}
