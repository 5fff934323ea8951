//! Weights laid out for the matrix kernel.

use std::ops::Range;

use super::micro::{lanes, panel_width};
use crate::AlignedFloats;

/// The weights of a linear map, laid out for the matrix kernel of this CPU.
///
/// A panel holds the weights of some outputs, `[inputs, width]`; the last one may be narrower, but a whole number of
/// vectors wide, with zeros where there is no output.
pub struct PackedMatrix {
    panels: AlignedFloats,
    outputs: usize,
    inputs: usize,
    /// Outputs of a panel, and of a vector.
    width: usize,
    lanes: usize,
}

impl PackedMatrix {
    /// Packs `weights` `[outputs, inputs]`, the layout of `torch.nn.Linear`.
    ///
    /// # Panics
    /// Where there are not as many weights.
    pub fn pack(weights: &[f32], outputs: usize, inputs: usize) -> Self {
        Self::pack_for((panel_width(), lanes()), weights, outputs, inputs)
    }

    /// [`PackedMatrix::pack`] for panels of `width` outputs and vectors of `lanes`.
    pub(super) fn pack_for(
        (width, lanes): (usize, usize),
        weights: &[f32],
        outputs: usize,
        inputs: usize,
    ) -> Self {
        assert!(
            outputs.checked_mul(inputs) == Some(weights.len()),
            "weights are not [{outputs}, {inputs}]"
        );
        let mut packed = PackedMatrix {
            panels: AlignedFloats::zeros(outputs.next_multiple_of(lanes) * inputs),
            outputs,
            inputs,
            width,
            lanes,
        };
        for panel in 0..packed.panels() {
            let outputs = packed.outputs_of(panel);
            let place = packed.place(panel);
            let width = outputs.len().next_multiple_of(lanes);
            let panel = &mut packed.panels[place];
            for (column, output) in outputs.enumerate() {
                let row = &weights[output * inputs..][..inputs];
                for (weights, weight) in panel.chunks_exact_mut(width).zip(row) {
                    weights[column] = *weight;
                }
            }
        }
        packed
    }

    /// Rows of the weight matrix: values per output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of the weight matrix: values per input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of panels.
    pub(super) fn panels(&self) -> usize {
        self.outputs.div_ceil(self.width)
    }

    /// The outputs of a panel.
    pub(super) fn outputs_of(&self, panel: usize) -> Range<usize> {
        panel * self.width..self.outputs.min((panel + 1) * self.width)
    }

    /// The part `depth` of a panel, `[depth, width]`, where the width is that of its outputs in whole vectors.
    pub(super) fn panel(&self, panel: usize, depth: Range<usize>) -> &[f32] {
        let width = self.outputs_of(panel).len().next_multiple_of(self.lanes);
        &self.panels[self.place(panel)][depth.start * width..depth.end * width]
    }

    fn place(&self, panel: usize) -> Range<usize> {
        let outputs = self.outputs_of(panel);
        let end = outputs.end.next_multiple_of(self.lanes);
        outputs.start * self.inputs..end * self.inputs
    }
}

impl std::fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedMatrix[{}, {}]", self.outputs, self.inputs)
    }
}
