//! The CTC head: one linear layer on encoder frames.

use percept_nn::{Bias, Linear, Loader};
use percept_weights::WeightsError;

/// The sizes of a CTC head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtcConfig {
    /// How many classes there are, the blank among them.
    pub vocab: usize,
    /// The id of the blank.
    pub blank: u32,
    /// The width of encoder frames.
    pub encoder_hidden: usize,
}

/// The weights of a CTC head. Searching is in [`CtcHead::decode`].
pub struct CtcHead {
    config: CtcConfig,
    linear: Linear,
}

impl CtcHead {
    /// Takes `{prefix}.weight` `[vocab, encoder_hidden, 1]` and `{prefix}.bias` from `loader`. NeMo's prefix is
    /// `decoder.decoder_layers.0`, or `ctc_decoder.decoder_layers.0` where the model has a transducer too.
    ///
    /// # Errors
    /// What [`percept_weights::Tensors::f32`] refuses, and [`WeightsError::Field`] where the frames have no width or the blank is none
    /// of the classes.
    pub fn load(
        loader: &Loader<'_>,
        prefix: &str,
        config: CtcConfig,
    ) -> Result<CtcHead, WeightsError> {
        let fault = if config.encoder_hidden == 0 {
            Some(("encoder_hidden", "above zero"))
        } else if config.blank as usize >= config.vocab {
            Some(("pad_token_id", "below the number of classes"))
        } else {
            None
        };
        if let Some((field, expected)) = fault {
            return Err(WeightsError::Field {
                file: loader.tensors().path().into(),
                field: field.into(),
                expected,
            });
        }
        let linear = Linear::load(
            loader,
            prefix,
            (config.encoder_hidden, config.vocab),
            Bias::Present,
        )?;
        Ok(CtcHead { config, linear })
    }

    /// The sizes it was loaded with.
    pub fn config(&self) -> &CtcConfig {
        &self.config
    }

    /// The logits `[T, vocab]` of `frames` `[T, encoder_hidden]`.
    pub(crate) fn logits(&self, frames: &[f32], out: &mut [f32]) {
        self.linear.forward(frames, out);
    }
}
