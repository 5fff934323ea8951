//! The half-step feed-forward module of a Conformer layer.

use percept_weights::WeightsError;

use crate::arena::buffer;
use crate::tiles::for_each_tile;
use crate::{Bias, LayerNorm, Linear, Loader};

/// `x + 0.5 · linear2(silu(linear1(norm(x))))`. The half is folded into the second map.
#[derive(Debug)]
pub struct FeedForward {
    norm: LayerNorm,
    expand: Linear,
    contract: Linear,
}

impl FeedForward {
    /// Loads the norm at `norm` and the maps at `{prefix}.linear1` (`width` to `inner`) and `{prefix}.linear2`.
    pub fn load(
        loader: &Loader<'_>,
        (prefix, norm): (&str, &str),
        (width, inner): (usize, usize),
        bias: Bias,
    ) -> Result<Self, WeightsError> {
        let (expand, contract) = (format!("{prefix}.linear1"), format!("{prefix}.linear2"));
        Ok(FeedForward {
            norm: LayerNorm::load(loader.tensors(), norm, width)?,
            expand: Linear::load(loader, &expand, (width, inner), bias)?,
            contract: Linear::load_halved(loader, &contract, (inner, width), bias)?,
        })
    }

    /// Adds the module's output to `x` `[frames, width]`; where `output_norm` is given, it normalises the sum.
    pub fn forward(&self, x: &mut [f32], output_norm: Option<&LayerNorm>) {
        let (width, inner) = (self.expand.inputs(), self.expand.outputs());
        for_each_tile(x, width, |_, tile| {
            let mut hidden = buffer(tile.len() / width * inner);
            self.expand.forward_normed(&self.norm, tile, &mut hidden);
            self.contract.forward_add_silu(&mut hidden, tile);
            if let Some(norm) = output_norm {
                norm.forward_in_place(tile);
            }
        });
    }
}
