//! Layer norm.

use percept_weights::{Tensors, WeightsError};

use crate::arena::buffer;

const EPS: f32 = 1e-5;

/// Layer norm over channels, affine, with PyTorch's default epsilon of 1e-5 unless told otherwise.
#[derive(Debug)]
pub struct LayerNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    eps: f32,
}

impl LayerNorm {
    /// Loads `{prefix}.weight` and `{prefix}.bias`, both `[width]`.
    pub fn load(tensors: &Tensors, prefix: &str, width: usize) -> Result<Self, WeightsError> {
        Ok(LayerNorm {
            scale: tensors.f32(&format!("{prefix}.weight"), &[width])?,
            shift: tensors.f32(&format!("{prefix}.bias"), &[width])?,
            eps: EPS,
        })
    }

    /// The same with another epsilon.
    pub fn with_eps(self, eps: f32) -> Self {
        LayerNorm { eps, ..self }
    }

    /// Normalises each row of `x` `[rows, width]` into `out` of the same shape.
    pub fn forward(&self, x: &[f32], out: &mut [f32]) {
        percept_kernels::layer_norm(x, &self.scale, &self.shift, self.eps, out);
    }

    /// As what 8-bit products do first.
    pub(crate) fn prologue(&self) -> percept_kernels::Prologue<'_> {
        percept_kernels::Prologue::LayerNorm {
            scale: &self.scale,
            shift: &self.shift,
            eps: self.eps,
        }
    }

    /// Normalises rows in place.
    pub(crate) fn forward_in_place(&self, x: &mut [f32]) {
        let mut copy = buffer(x.len());
        copy.copy_from_slice(x);
        self.forward(&copy, x);
    }
}
