//! The language prompt of multilingual Nemotron models.

use percept_kernels::relu;
use percept_nn::{Bias, Linear, Loader};
use percept_weights::WeightsError;

use crate::config::PromptConfig;

/// Replaces each encoder frame by `second(relu(first([frame, one_hot(language)])))`.
#[derive(Debug)]
pub(crate) struct Prompt {
    first: Linear,
    second: Linear,
    slots: usize,
}

impl Prompt {
    pub(crate) fn load(
        loader: &Loader<'_>,
        config: &PromptConfig,
        width: usize,
    ) -> Result<Self, WeightsError> {
        Ok(Prompt {
            first: Linear::load(
                loader,
                "prompt_kernel.0",
                (width + config.slots, config.inner),
                Bias::Present,
            )?,
            second: Linear::load(
                loader,
                "prompt_kernel.2",
                (config.inner, width),
                Bias::Present,
            )?,
            slots: config.slots,
        })
    }

    /// Conditions `frames` `[T, width]` on the language in `slot`.
    pub(crate) fn apply(&self, frames: &mut [f32], slot: usize, memory: &mut PromptMemory) {
        let width = self.second.outputs();
        let PromptMemory { widened, hidden } = memory;
        // Bounds the memory of the widened frames.
        for block in frames.chunks_mut(256 * width) {
            widened.clear();
            for frame in block.chunks_exact(width) {
                widened.extend_from_slice(frame);
                widened.extend((0..self.slots).map(|s| if s == slot { 1.0 } else { 0.0 }));
            }
            hidden.resize(block.len() / width * self.first.outputs(), 0.0);
            self.first.forward(widened, hidden);
            relu(hidden);
            self.second.forward(hidden, block);
        }
    }
}

/// What [`Prompt::apply`] needs, kept for the next call.
#[derive(Debug, Default)]
pub(crate) struct PromptMemory {
    widened: Vec<f32>,
    hidden: Vec<f32>,
}
