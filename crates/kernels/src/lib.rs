//! Fast arithmetic on slices: the only room with SIMD.
//!
//! Every function works on plain `f32` slices in C order and picks the widest instruction set of the CPU at run time.
//! Lengths are checked in release builds too. A result never depends on alignment, on the thread count, or on how many
//! other rows a call holds: products always run over packed weights, never through a one-row path.
//! Each kernel has a plain loop in [`mod@reference`] that the tests hold it to, on every instruction set this CPU has.
//!
//! ```
//! use percept_kernels::{PackedMatrix, Rows};
//!
//! // Two outputs of three inputs, one row of activations.
//! let weights = PackedMatrix::pack(&[1.0, 0.0, 0.0, 0.0, 2.0, 0.0], 2, 3);
//! let mut out = [0.0; 2];
//! percept_kernels::matmul(Rows::dense(&[5.0, 7.0, 9.0], 3), &weights, None, &mut out);
//! assert_eq!(out, [5.0, 14.0]);
//! ```

mod activation;
mod aligned;
mod attention;
mod choice;
mod conv;
mod conv1d;
mod elementwise;
mod gemm;
mod int8;
mod isa;
mod norm;
mod project;
pub mod reference;
#[cfg(test)]
mod signal;
mod span;
mod transpose;

pub use activation::{elu, elu_in_place, gelu, snake, snake_in_place};
pub use aligned::{AlignedFloats, CACHE_LINE, first_line};
pub use attention::{HeadBlock, MAX_QUERIES, Padded, Visible, relative_attention};
pub use choice::{Candidate, KernelChoice, kernels};
pub use conv::{Conv2dGeometry, RowWindow, conv2d_depthwise, conv2d_first, depthwise_conv1d};
pub use conv1d::{depthwise_conv1d_dilated, snake_of_depthwise_conv1d};
pub use elementwise::{
    add_bias_rows, differences, glu, lstm_cell, relu, scale_rows_and_add, silu, tanh,
};
pub use gemm::{
    PackedMatrix, Rows, Start, kernel_name, matmul, matmul_add, matmul_onto, matmul_spread,
};
pub use int8::{
    DotKernel, Int8Matrix, MAX_INPUTS, Prologue, QuantizedRows, SharedBytes, Store, matmul_int8,
};
pub use isa::instruction_sets;
pub use norm::{layer_norm, softmax};
pub use project::{project_few, scaled_dot_attention};
pub use transpose::{Strided, transpose};
