//! LSTM layers, one step at a time.

use percept_kernels::lstm_cell;
use percept_weights::WeightsError;

use crate::arena::buffer;
use crate::{Linear, Loader};

/// Stacked LSTM layers in PyTorch's layout (gates i, f, g, o; no projection).
#[derive(Debug)]
pub struct Lstm {
    layers: Vec<LstmLayer>,
    hidden: usize,
}

#[derive(Debug)]
struct LstmLayer {
    from_input: Linear,
    from_hidden: Linear,
}

/// Memory of one stream through an [`Lstm`]; starts at zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LstmState {
    /// Outputs of each layer, `[layers, hidden]`.
    pub h: Vec<f32>,
    /// Cell states of each layer, `[layers, hidden]`.
    pub c: Vec<f32>,
}

impl Lstm {
    /// Loads `{prefix}.weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, then `_l1` and so on: at least `layers`
    /// of them, and more where `tensors` has more.
    pub fn load(
        loader: &Loader<'_>,
        prefix: &str,
        (inputs, hidden): (usize, usize),
        layers: usize,
    ) -> Result<Self, WeightsError> {
        let tensors = loader.tensors();
        let any_of = |n: usize| {
            ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
                .iter()
                .any(|part| tensors.contains(&format!("{prefix}.{part}_l{n}")))
        };
        let mut loaded = Vec::new();
        while loaded.len() < layers.max(1) || any_of(loaded.len()) {
            let n = loaded.len();
            let inputs = if n == 0 { inputs } else { hidden };
            let part =
                |name: &str, shape: &[usize]| tensors.f32(&format!("{prefix}.{name}_l{n}"), shape);
            let map = |name: &str, inputs, bias| {
                Linear::load_with(
                    loader,
                    &format!("{prefix}.{name}_l{n}"),
                    (inputs, 4 * hidden),
                    bias,
                    || part(name, &[4 * hidden, inputs]),
                )
            };
            let mut bias = part("bias_ih", &[4 * hidden])?;
            for (sum, b) in bias.iter_mut().zip(part("bias_hh", &[4 * hidden])?) {
                *sum += b;
            }
            loaded.push(LstmLayer {
                from_input: map("weight_ih", inputs, Some(bias))?,
                from_hidden: map("weight_hh", hidden, None)?,
            });
        }
        Ok(Lstm {
            layers: loaded,
            hidden,
        })
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Values per output.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// A stream's memory before its first step.
    pub fn state(&self) -> LstmState {
        let zeros = vec![0.0; self.layers.len() * self.hidden];
        LstmState {
            h: zeros.clone(),
            c: zeros,
        }
    }

    /// One step of several streams: `x` `[rows.len(), inputs]`, `out` `[rows.len(), hidden]` (the top layer's output). Row
    /// `k` is that of `streams[rows[k]]`, whose memory `state` gives. A stream's result does not depend on the others.
    pub fn step<S>(
        &self,
        x: &[f32],
        (rows, streams): (&[usize], &mut [S]),
        state: impl for<'s> Fn(&'s mut S) -> &'s mut LstmState,
        out: &mut [f32],
    ) {
        let n = self.hidden;
        assert_eq!(
            x.len(),
            rows.len() * self.layers[0].from_input.inputs(),
            "one input row per stream"
        );
        assert_eq!(out.len(), rows.len() * n, "one output row per stream");
        let mut gates = buffer(rows.len() * 4 * n);
        let mut hidden = buffer(rows.len() * n);
        for (l, layer) in self.layers.iter().enumerate() {
            let span = l * n..(l + 1) * n;
            for (row, stream) in hidden.chunks_exact_mut(n).zip(rows) {
                row.copy_from_slice(&state(&mut streams[*stream]).h[span.clone()]);
            }
            layer
                .from_input
                .forward(if l == 0 { x } else { &*out }, &mut gates);
            layer.from_hidden.forward_add(&hidden, &mut gates);
            let each = gates.chunks_exact_mut(4 * n).zip(out.chunks_exact_mut(n));
            for (stream, (gates, out)) in rows.iter().zip(each) {
                let state = state(&mut streams[*stream]);
                let h = &mut state.h[span.clone()];
                lstm_cell(gates, &mut state.c[span.clone()], h);
                out.copy_from_slice(h);
            }
        }
    }
}
