//! Token ids out of a pipe, in pieces of any size.

use super::args::TokenForm;

/// Longest thing in angle brackets, or number, that is waited for.
const MOST_WORD_BYTES: usize = 256;

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The id itself.
    Id(u32),
    /// `<custom_token_N>`.
    Custom(u32),
    /// Another thing in angle brackets, such as `<|eot_id|>`.
    Special,
}

/// What is no token. All that came before was used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WordFault {
    #[error(
        "line {line}: {word:?} is no token id; give decimal numbers or <custom_token_N>, or say what they are with --tokens"
    )]
    NoId { line: u64, word: String },
    #[error(
        "ends within a token id, {left_over} bytes after the last whole one of {id_bytes}; check --tokens"
    )]
    Partial { left_over: usize, id_bytes: usize },
}

/// Reads ids as they come. How their bytes are cut changes nothing.
pub(crate) struct Words {
    form: TokenForm,
    /// The beginning of a word, or of an integer.
    partial: Vec<u8>,
    line: u64,
}

impl Words {
    pub(crate) fn new(form: TokenForm) -> Self {
        Self {
            form,
            partial: Vec::new(),
            line: 1,
        }
    }

    /// Appends what the bytes complete.
    ///
    /// # Errors
    ///
    /// [`WordFault::NoId`]; the words before it were appended.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<Word>) -> Result<(), WordFault> {
        match self.form {
            TokenForm::Text => bytes.iter().try_for_each(|&byte| self.take(byte, out)),
            TokenForm::U16 => {
                self.integers(
                    bytes,
                    |[low, high]: [u8; 2]| u16::from_le_bytes([low, high]).into(),
                    out,
                );
                Ok(())
            }
            TokenForm::U32 => {
                self.integers(bytes, u32::from_le_bytes, out);
                Ok(())
            }
        }
    }

    /// Ends the words; the last one needs nothing behind it.
    ///
    /// # Errors
    ///
    /// Where it is not complete.
    pub(crate) fn finish(&mut self, out: &mut Vec<Word>) -> Result<(), WordFault> {
        let id_bytes = match self.form {
            TokenForm::Text => return self.end_word(out),
            TokenForm::U16 => 2,
            TokenForm::U32 => 4,
        };
        match self.partial.len() {
            0 => Ok(()),
            left_over => Err(WordFault::Partial {
                left_over,
                id_bytes,
            }),
        }
    }

    fn integers<const N: usize>(
        &mut self,
        bytes: &[u8],
        id: impl Fn([u8; N]) -> u32,
        out: &mut Vec<Word>,
    ) {
        self.partial.extend_from_slice(bytes);
        let (whole, rest) = self.partial.as_chunks::<N>();
        out.extend(whole.iter().map(|&bytes| Word::Id(id(bytes))));
        let rest = rest.len();
        self.partial.drain(..self.partial.len() - rest);
    }

    fn take(&mut self, byte: u8, out: &mut Vec<Word>) -> Result<(), WordFault> {
        let is_tag = self.partial.first() == Some(&b'<');
        match byte {
            b'>' if is_tag => {
                self.partial.push(byte);
                self.end_word(out)?;
            }
            b'<' if !is_tag => {
                self.end_word(out)?;
                self.partial.push(byte);
            }
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' if !is_tag => self.end_word(out)?,
            _ if self.partial.len() < MOST_WORD_BYTES => self.partial.push(byte),
            _ => return Err(self.no_id()),
        }
        self.line += u64::from(byte == b'\n');
        Ok(())
    }

    fn end_word(&mut self, out: &mut Vec<Word>) -> Result<(), WordFault> {
        if self.partial.is_empty() {
            return Ok(());
        }
        let word = std::str::from_utf8(&self.partial).ok().and_then(read);
        out.push(word.ok_or_else(|| self.no_id())?);
        self.partial.clear();
        Ok(())
    }

    fn no_id(&self) -> WordFault {
        let text = String::from_utf8_lossy(&self.partial);
        WordFault::NoId {
            line: self.line,
            word: text.chars().take(40).collect(),
        }
    }
}

fn read(word: &str) -> Option<Word> {
    let Some(tag) = word.strip_prefix('<') else {
        return word.parse().ok().map(Word::Id);
    };
    let tag = tag.strip_suffix('>')?;
    let custom = tag
        .strip_prefix("custom_token_")
        .and_then(|n| n.parse().ok());
    Some(custom.map_or(Word::Special, Word::Custom))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In pieces of so many bytes.
    fn words(form: TokenForm, bytes: &[u8], piece: usize) -> (Vec<Word>, Result<(), WordFault>) {
        let (mut words, mut out) = (Words::new(form), Vec::new());
        for piece in bytes.chunks(piece) {
            if let Err(fault) = words.push(piece, &mut out) {
                return (out, Err(fault));
            }
        }
        let end = words.finish(&mut out);
        (out, end)
    }

    #[test]
    fn ids_are_the_same_however_their_bytes_are_cut() {
        let text = b"128266 132362\n[7,8]\n<custom_token_10><custom_token_4106> <|eot_id|>,9";
        let expected = [
            Word::Id(128_266),
            Word::Id(132_362),
            Word::Id(7),
            Word::Id(8),
            Word::Custom(10),
            Word::Custom(4_106),
            Word::Special,
            Word::Id(9),
        ];
        let integers: Vec<u8> = [1_u32, 70_000, 3]
            .iter()
            .flat_map(|id| id.to_le_bytes())
            .collect();
        for piece in [1, 2, 3, 7, 100] {
            assert_eq!(
                words(TokenForm::Text, text, piece),
                (expected.to_vec(), Ok(()))
            );
            let (found, end) = words(TokenForm::U32, &integers, piece);
            assert_eq!(
                (found, end),
                ([1, 70_000, 3].map(Word::Id).to_vec(), Ok(()))
            );
            let (found, end) = words(TokenForm::U16, &[1, 0, 0, 1], piece);
            assert_eq!((found, end), ([1, 256].map(Word::Id).to_vec(), Ok(())));
        }
    }

    #[test]
    fn a_word_is_taken_as_soon_as_it_is_complete() {
        let (mut words, mut out) = (Words::new(TokenForm::Text), Vec::new());
        for (piece, known) in [
            ("<custom_token_1", 0),
            ("7>", 1),
            ("4", 1),
            ("2", 1),
            ("\n", 2),
        ] {
            words.push(piece.as_bytes(), &mut out).unwrap();
            assert_eq!(out.len(), known, "{piece:?}");
        }
        assert_eq!(out, [Word::Custom(17), Word::Id(42)]);
    }

    #[test]
    fn what_is_no_id_is_named_with_its_line_and_what_came_before_is_used() {
        for bad in ["x7", "-1", "4294967296", "1.5", "<custom_token_1", "\u{e9}"] {
            let text = format!("1\n2 {bad}");
            let (found, end) = words(TokenForm::Text, text.as_bytes(), 3);
            assert_eq!(found, [Word::Id(1), Word::Id(2)], "{bad}");
            let expected = WordFault::NoId {
                line: 2,
                word: bad.to_owned(),
            };
            assert_eq!(end, Err(expected));
        }
        let (found, end) = words(TokenForm::Text, &[b'1'; 100_000], 4_096);
        assert!(
            found.is_empty() && end.is_err(),
            "no line is collected without end"
        );
        let partial = WordFault::Partial {
            left_over: 3,
            id_bytes: 4,
        };
        assert_eq!(
            words(TokenForm::U32, &[0; 7], 2),
            (vec![Word::Id(0)], Err(partial))
        );
    }
}
