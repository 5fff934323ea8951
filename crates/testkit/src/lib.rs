//! Tools for the tests of every room; development only.
//!
//! - [`golden`]: what a reference implementation said, from `golden/fixtures`.
//! - [`close`]: compares numbers and names the worst one.
//! - [`chunking`]: any way of cutting the input gives the same result.
//! - [`signals`], [`Rng`]: seeded input.
//! - [`wer`]: word error rate.
//!
//! Everything here panics on failure, with a message that says what to look at: a test has no caller to return to.
//!
//! ```
//! use percept_testkit::{Tol, chunking, close, signals};
//!
//! let pcm = signals::chirp(16_000, 0.1, 7);
//! let energy = |x: &[f32]| x.iter().map(|v| v * v).sum::<f32>();
//! close(&[energy(&pcm)], &[energy(&pcm)], Tol { abs: 0.0, rel_to_max: 0.0 }, "energy");
//! chunking::assert_same(&pcm, 1, |chunks| chunks.flatten().copied().collect::<Vec<f32>>());
//! ```

#![forbid(unsafe_code)]

pub mod chunking;
mod compare;
pub mod golden;
mod rng;
pub mod signals;
pub mod wer;

pub use compare::{Tol, close};
pub use rng::Rng;
