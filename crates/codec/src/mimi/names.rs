//! What a checkpoint calls the tensors.

use percept_nn::signal::TransformerLayout;
use percept_weights::Tensors;

/// The names of one checkpoint: those of transformers, or those of the `moshi` package.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub(super) layout: TransformerLayout,
}

/// Encoder or decoder.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Encoder,
    Decoder,
}

impl Names {
    pub(super) fn of(tensors: &Tensors) -> Self {
        let is_joined = tensors
            .names()
            .any(|name| name.starts_with("quantizer.rvq_"));
        Names {
            layout: match is_joined {
                true => TransformerLayout::Joined,
                false => TransformerLayout::Split,
            },
        }
    }

    /// The convolution of module `module`, or of its part `part`.
    pub(super) fn conv(&self, half: Half, module: usize, part: &str) -> String {
        match self.layout {
            TransformerLayout::Split => format!("{}.layers.{module}{part}.conv", name(half)),
            TransformerLayout::Joined => format!("{}.model.{module}{part}.conv.conv", name(half)),
        }
    }

    /// The transposed convolution of module `module` of the decoder.
    pub(super) fn transposed(&self, module: usize) -> String {
        match self.layout {
            TransformerLayout::Split => format!("decoder.layers.{module}.conv"),
            TransformerLayout::Joined => format!("decoder.model.{module}.convtr.convtr"),
        }
    }

    pub(super) fn transformer(&self, half: Half, layer: usize) -> String {
        match self.layout {
            TransformerLayout::Split => format!("{}_transformer.layers.{layer}", name(half)),
            TransformerLayout::Joined => {
                format!("{}_transformer.transformer.layers.{layer}", name(half))
            }
        }
    }

    /// What makes latent frames of the transformer's rows.
    pub(super) fn downsample(&self) -> &'static str {
        match self.layout {
            TransformerLayout::Split => "downsample.conv",
            TransformerLayout::Joined => "downsample.conv.conv.conv",
        }
    }

    /// What makes the transformer's rows of latent frames.
    pub(super) fn upsample(&self) -> &'static str {
        match self.layout {
            TransformerLayout::Split => "upsample.conv",
            TransformerLayout::Joined => "upsample.convtr.convtr.convtr",
        }
    }

    /// The semantic books, and the acoustic ones.
    pub(super) fn quantizers(&self) -> [&'static str; 2] {
        match self.layout {
            TransformerLayout::Split => [
                "quantizer.semantic_residual_vector_quantizer",
                "quantizer.acoustic_residual_vector_quantizer",
            ],
            TransformerLayout::Joined => ["quantizer.rvq_first", "quantizer.rvq_rest"],
        }
    }

    /// The sums of what fell to each entry of a book, and how often something did.
    pub(super) fn book(&self, tensors: &Tensors, quantizer: &str, book: usize) -> [String; 2] {
        let prefix = match self.layout {
            TransformerLayout::Split => format!("{quantizer}.layers.{book}.codebook"),
            TransformerLayout::Joined => format!("{quantizer}.vq.layers.{book}._codebook"),
        };
        let newer = format!("{prefix}.embedding_sum");
        let sum = match tensors.contains(&newer) {
            true => newer,
            false => format!("{prefix}.embed_sum"),
        };
        [sum, format!("{prefix}.cluster_usage")]
    }
}

fn name(half: Half) -> &'static str {
    match half {
        Half::Encoder => "encoder",
        Half::Decoder => "decoder",
    }
}
