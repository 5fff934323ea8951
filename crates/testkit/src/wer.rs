//! Word error rate.

/// Word errors against a reference, summable over a test set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Substitutions, deletions and insertions of the cheapest alignment.
    pub errors: usize,
    /// Words of the reference.
    pub words: usize,
}

impl WordErrors {
    /// Errors per reference word; 0 if there are no errors, even without words.
    pub fn rate(self) -> f64 {
        match self.errors {
            0 => 0.0,
            errors => errors as f64 / self.words.max(1) as f64,
        }
    }
}

impl std::ops::AddAssign for WordErrors {
    fn add_assign(&mut self, other: WordErrors) {
        self.errors += other.errors;
        self.words += other.words;
    }
}

/// Compares two texts word by word; words are what white space separates, and case counts.
pub fn word_errors(reference: &str, hypothesis: &str) -> WordErrors {
    let reference: Vec<&str> = reference.split_whitespace().collect();
    let hypothesis: Vec<&str> = hypothesis.split_whitespace().collect();
    let mut row: Vec<usize> = (0..=hypothesis.len()).collect();
    for (i, word) in reference.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, said) in hypothesis.iter().enumerate() {
            let substitute = diagonal + usize::from(word != said);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    WordErrors {
        errors: row[hypothesis.len()],
        words: reference.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::{WordErrors, word_errors};

    #[test]
    fn counts_the_fewest_edits() {
        for (reference, hypothesis, errors) in [
            ("", "", 0),
            ("", "a b", 2),
            ("a b c", "", 3),
            ("a b c", "a  b\nc", 0),
            ("a b c", "a x c", 1),
            ("a b c", "b c", 1),
            ("a b c", "a b b c", 1),
            ("one two three four", "two three five four six", 3),
        ] {
            let found = word_errors(reference, hypothesis);
            let words = reference.split_whitespace().count();
            assert_eq!(
                found,
                WordErrors { errors, words },
                "{reference:?} {hypothesis:?}"
            );
        }
    }

    #[test]
    fn rates_add_up_over_texts() {
        let mut total = word_errors("a b c", "a x c");
        total += word_errors("d", "d");
        assert_eq!(total.rate(), 0.25);
        assert_eq!(WordErrors::default().rate(), 0.0);
    }
}
