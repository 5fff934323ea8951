//! What a checkpoint calls the tensors.

use percept_weights::Tensors;

/// The names of one checkpoint: those of transformers (`encoder.layers.0.conv`), or those of the original package
/// (`encoder.model.0.conv.conv`). Modules have the same numbers in both.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Names {
    is_original: bool,
}

/// Encoder or decoder.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Encoder,
    Decoder,
}

/// The names of a convolution and of the norm behind it.
#[derive(Debug)]
pub(super) struct ConvNames {
    pub(super) conv: String,
    pub(super) norm: String,
}

impl Names {
    /// Those of `tensors`, if they are an EnCodec model's at all.
    pub(super) fn of(tensors: &Tensors) -> Option<Self> {
        let kinds = [false, true].map(|is_original| Names { is_original });
        kinds
            .into_iter()
            .find(|names| tensors.contains(&names.book(0)))
    }

    /// The entries of a book.
    pub(super) fn book(self, k: usize) -> String {
        match self.is_original {
            true => format!("quantizer.vq.layers.{k}._codebook.embed"),
            false => format!("quantizer.layers.{k}.codebook.embed"),
        }
    }

    /// A module by its number.
    pub(super) fn module(self, half: Half, number: usize) -> String {
        let half = match half {
            Half::Encoder => "encoder",
            Half::Decoder => "decoder",
        };
        let list = if self.is_original { "model" } else { "layers" };
        format!("{half}.{list}.{number}")
    }

    /// The convolution that a module, or a part of it, is.
    pub(super) fn conv(self, module: &str) -> ConvNames {
        self.wrapped(module, "conv")
    }

    /// The transposed convolution that a module is.
    pub(super) fn transposed(self, module: &str) -> ConvNames {
        self.wrapped(module, "convtr")
    }

    fn wrapped(self, module: &str, kind: &str) -> ConvNames {
        match self.is_original {
            true => ConvNames {
                conv: format!("{module}.{kind}.{kind}"),
                norm: format!("{module}.{kind}.norm"),
            },
            false => ConvNames {
                conv: format!("{module}.conv"),
                norm: format!("{module}.norm"),
            },
        }
    }
}
