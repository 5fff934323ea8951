//! How many tokens the books of one sound have.

use crate::codes::{self, lcm};

/// The greatest common divisor; `gcd(0, n)` is `n`.
pub fn gcd(a: u64, b: u64) -> u64 {
    codes::gcd(a, b)
}

/// The least common multiple of `strides`: latent frames per super-frame. 1 for none, 0 if one of them is 0.
pub fn lcm_all(strides: &[u32]) -> u64 {
    strides
        .iter()
        .fold(1, |all, &stride| lcm(all, stride.into()))
}

/// Tokens of each book for `base_len` latent frames, a multiple of every stride. A stride of 0 gives 0.
pub fn per_codebook_lens(strides: &[u32], base_len: u64) -> Vec<u64> {
    let len = |&stride: &u32| base_len.checked_div(stride.into()).unwrap_or(0);
    strides.iter().map(len).collect()
}

/// Tokens of all books together for `base_len` latent frames.
pub fn total_tokens(strides: &[u32], base_len: u64) -> u64 {
    per_codebook_lens(strides, base_len)
        .into_iter()
        .fold(0, u64::saturating_add)
}

/// Latent frames behind `tokens` tokens of all books together; `None` unless they are one or more whole super-frames.
pub fn base_len_from_token_count(strides: &[u32], tokens: u64) -> Option<u64> {
    let align = lcm_all(strides);
    let step = total_tokens(strides, align);
    match tokens.checked_rem(step) {
        Some(0) if tokens > 0 => (tokens / step).checked_mul(align),
        _ => None,
    }
}
