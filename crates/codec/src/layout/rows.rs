//! Rows of one code per book, side by side or delayed.

use std::sync::Arc;

use super::{
    LayoutError, TokenLayout, TokenStream, equal_strides, grid::Grid, grid_stream::GridStream,
    tree::layout_of_a_grid,
};
use crate::codes::{BookSpec, Codes};

/// `[frames, books]` in C order; ids are codes. The books have one rate.
#[derive(Clone, Debug)]
pub struct FrameMajor(Arc<Grid>);

impl FrameMajor {
    /// The order of these books, which must have one rate.
    pub fn new(specs: Arc<[BookSpec]>) -> Result<FrameMajor, LayoutError> {
        equal_strides(&specs)?;
        Ok(FrameMajor(Arc::new(Grid::tree(specs, None)?)))
    }
}

/// `[steps, books]` in C order, book `k` late by `delays[k]` steps; ids are codes, and `pad` where there is none:
/// before a book begins and after it ends. `frames` frames take `frames + max(delays)` steps.
///
/// A stream takes any id before a book begins for padding (models speak start marks there), and the first `pad` where a
/// code could stand as the end of the sound. Ids do not tell their book, so a missing one cannot be noticed.
#[derive(Clone, Debug)]
pub struct Delay(Arc<Grid>);

impl Delay {
    /// Delays in steps, one per book, and the padding, which is no code.
    pub fn new(specs: Arc<[BookSpec]>, delays: &[usize], pad: u32) -> Result<Delay, LayoutError> {
        equal_strides(&specs)?;
        let grid = Grid::tree(specs, None)?.delayed(delays, pad, None)?;
        Ok(Delay(Arc::new(grid)))
    }

    /// The pattern of MusicGen: book `k` late by `k` steps, padding 2048.
    pub fn musicgen(specs: Arc<[BookSpec]>) -> Result<Delay, LayoutError> {
        let delays: Vec<usize> = (0..specs.len()).collect();
        Delay::new(specs, &delays, 2_048)
    }
}

layout_of_a_grid!(FrameMajor);
layout_of_a_grid!(Delay);
