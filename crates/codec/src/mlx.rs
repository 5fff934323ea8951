//! Checkpoints that were written for MLX.
//!
//! Its lists of modules are called `layers`, and the taps of a convolution come before its inputs
//! (`codec/models/snac/layers.py` of <https://github.com/Blaizzy/mlx-audio>).

use percept_weights::{Tensors, WeightsError};

/// Whether tensors are so arranged.
pub(crate) fn is_in(tensors: &Tensors) -> bool {
    tensors.contains("encoder.block.layers.0.weight_v")
}

/// The same tensors as PyTorch arranges them.
pub(crate) fn to_torch(tensors: &Tensors) -> Result<Tensors, WeightsError> {
    let is_convolution = |name: &str, shape: &[usize]| {
        shape.len() == 3 && (name.ends_with(".weight_v") || name.ends_with(".weight"))
    };
    let tensors = tensors.clone().with_last_axes_exchanged(is_convolution);
    tensors.rename(|name| Some(name.replace(".layers.", ".")))
}
