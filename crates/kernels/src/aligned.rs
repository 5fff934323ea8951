//! Floats that begin where a cache line does: a vector that lies across two lines is two to read.

use std::ops::{Deref, DerefMut};

/// Floats of a cache line.
pub const CACHE_LINE: usize = 16;

/// Floats from the start of `values` to where a cache line begins, below [`CACHE_LINE`].
pub fn first_line(values: &[f32]) -> usize {
    let offset = values.as_ptr().align_offset(size_of::<f32>() * CACHE_LINE);
    if offset < CACHE_LINE { offset } else { 0 }
}

/// Floats of which the first begins a cache line, in copies too.
#[derive(Debug, Default)]
pub struct AlignedFloats {
    values: Vec<f32>,
    first: usize,
}

impl AlignedFloats {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let values = vec![0.0; len + CACHE_LINE];
        let first = first_line(&values);
        AlignedFloats { values, first }
    }
}

impl Clone for AlignedFloats {
    fn clone(&self) -> Self {
        let mut copy = AlignedFloats::zeros(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for AlignedFloats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let len = self.values.len().saturating_sub(CACHE_LINE);
        &self.values[self.first..self.first + len]
    }
}

impl DerefMut for AlignedFloats {
    fn deref_mut(&mut self) -> &mut [f32] {
        let len = self.values.len().saturating_sub(CACHE_LINE);
        &mut self.values[self.first..self.first + len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_holds_the_same_on_a_line_of_its_own() {
        assert!(AlignedFloats::default().is_empty() && AlignedFloats::default().clone().is_empty());
        for len in [0, 1, 15, 16, 1000] {
            let mut floats = AlignedFloats::zeros(len);
            floats.iter_mut().zip(0..).for_each(|(v, n)| *v = n as f32);
            let copies: Vec<_> = (0..20).map(|_| floats.clone()).collect();
            for copy in copies.iter().chain([&floats]) {
                assert_eq!(copy.as_ptr() as usize % 64, 0);
                assert!(copy.iter().zip(0..).all(|(v, n)| *v == n as f32) && copy.len() == len);
            }
        }
    }
}
