//! What a checkpoint calls the tensors.

use percept_weights::Tensors;

/// The names of one checkpoint: those of transformers (`encoder.block.0.res_unit1.conv1`), or those of the original
/// package (`encoder.block.1.block.0.block.1`), which Parler-TTS has behind `model.`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    prefix: &'static str,
    is_original: bool,
}

/// Encoder or decoder, with its number of blocks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Encoder(usize),
    Decoder(usize),
}

/// The names of a residual unit.
#[derive(Debug)]
pub(super) struct UnitNames {
    pub(super) snakes: [String; 2],
    pub(super) convs: [String; 2],
}

impl Names {
    pub(super) fn of(tensors: &Tensors) -> Self {
        let prefixed = |prefix: &str| tensors.names().any(|name| name.starts_with(prefix));
        let prefix = match prefixed("model.decoder.") {
            true => "model.",
            false => "",
        };
        Names {
            prefix,
            is_original: prefixed(&format!("{prefix}decoder.model.")),
        }
    }

    pub(super) fn book(&self, k: usize) -> String {
        format!("{}quantizer.quantizers.{k}", self.prefix)
    }

    /// The convolution before the blocks.
    pub(super) fn first(&self, half: Half) -> String {
        match self.is_original {
            true => self.module(half, 0),
            false => format!("{}.conv1", self.half(half)),
        }
    }

    /// The snake and the convolution after the blocks.
    pub(super) fn last(&self, half: Half) -> [String; 2] {
        let (Half::Encoder(blocks) | Half::Decoder(blocks)) = half;
        match self.is_original {
            true => [1, 2].map(|after| self.module(half, blocks + after)),
            false => ["snake1", "conv2"].map(|name| format!("{}.{name}", self.half(half))),
        }
    }

    /// The snake and the convolution of a block that change the rate.
    pub(super) fn rate(&self, half: Half, block: usize) -> [String; 2] {
        let (modules, conv) = match half {
            Half::Encoder(_) => ([3, 4], "conv1"),
            Half::Decoder(_) => ([0, 1], "conv_t1"),
        };
        match self.is_original {
            true => modules.map(|n| format!("{}.block.{n}", self.module(half, block + 1))),
            false => {
                ["snake1", conv].map(|name| format!("{}.block.{block}.{name}", self.half(half)))
            }
        }
    }

    /// One of the three residual units of a block.
    pub(super) fn unit(&self, half: Half, block: usize, unit: usize) -> UnitNames {
        let before = match half {
            Half::Encoder(_) => 0,
            Half::Decoder(_) => 2,
        };
        let name = |original: usize, other: &str| match self.is_original {
            true => {
                let block = self.module(half, block + 1);
                format!("{block}.block.{}.block.{original}", before + unit)
            }
            false => format!(
                "{}.block.{block}.res_unit{}.{other}",
                self.half(half),
                unit + 1
            ),
        };
        UnitNames {
            snakes: [name(0, "snake1"), name(2, "snake2")],
            convs: [name(1, "conv1"), name(3, "conv2")],
        }
    }

    fn half(&self, half: Half) -> String {
        let name = match half {
            Half::Encoder(_) => "encoder",
            Half::Decoder(_) => "decoder",
        };
        format!("{}{name}", self.prefix)
    }

    /// A module of the original package by its number.
    fn module(&self, half: Half, number: usize) -> String {
        let list = match half {
            Half::Encoder(_) => "block",
            Half::Decoder(_) => "model",
        };
        format!("{}.{list}.{number}", self.half(half))
    }
}
