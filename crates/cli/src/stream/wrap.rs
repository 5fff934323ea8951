//! Text in cells of a terminal.

use std::ops::Range;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The rows of a text: as many words in each as fit, without the space between rows. Words wider than a row are broken.
pub(super) fn wrap(text: &str, width: usize) -> Vec<Range<usize>> {
    let mut rows: Vec<Range<usize>> = Vec::new();
    for word in words(text) {
        match rows.last_mut() {
            Some(row) if text[row.start..word.end].width() <= width => row.end = word.end,
            _ => rows.extend(broken(text, word, width)),
        }
    }
    rows
}

fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let start_of = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(move |word| {
            let start = start_of(word);
            start..start + word.len()
        })
}

/// A word in pieces that each fit into a row.
fn broken(text: &str, word: Range<usize>, width: usize) -> Vec<Range<usize>> {
    let (mut pieces, mut start, mut used) = (Vec::new(), word.start, 0);
    for (at, c) in text[word.clone()].char_indices() {
        let (at, cells) = (word.start + at, c.width().unwrap_or(0));
        if used + cells > width && used > 0 {
            pieces.push(start..at);
            (start, used) = (at, 0);
        }
        used += cells;
    }
    pieces.push(start..word.end);
    pieces
}

/// The end of a text that is as wide as allowed, with a mark where some is missing.
pub(super) fn end_of(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        match left.checked_sub(c.width().unwrap_or(0)) {
            Some(rest) => (left, start) = (rest, at),
            None => break,
        }
    }
    format!("…{}", &text[start..])
}

/// A character that moves nothing but the cursor, and that by its width.
pub(super) fn harmless(c: char) -> char {
    match c {
        c if c.is_whitespace() => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wider_than_a_row_are_broken_by_their_cells() {
        for (text, width, rows) in [
            ("ab 漢字漢字 c", 4, &["ab", "漢字", "漢字", "c"][..]),
            ("  a  b ", 4, &["a  b"]),
            ("abcdefgh i", 3, &["abc", "def", "gh", "i"]),
            ("漢", 1, &["漢"]),
            (" ", 4, &[]),
        ] {
            let found: Vec<&str> = wrap(text, width)
                .into_iter()
                .map(|row| &text[row])
                .collect();
            assert_eq!(found, rows, "{text:?} in {width}");
        }
    }
}
