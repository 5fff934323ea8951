//! Where layers take their weights from, and in which arithmetic they keep them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use percept_kernels::{Int8Matrix, PackedMatrix};
use percept_weights::{PackedFile, Tensors, WeightsError};

use crate::linear::Matrix;

/// The arithmetic of linear maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats: agrees with the reference implementation.
    #[default]
    F32,
    /// 8-bit weights with a scale per output, 8-bit activations with a scale per row.
    Int8,
}

/// The weights of a model on their way into its layers.
///
/// 8-bit weights are taken from a [`PackedFile`] that an earlier load has left, where there is one; otherwise they are
/// made from the tensors and can be collected afterwards with [`Loader::made`].
#[derive(Debug)]
pub struct Loader<'a> {
    tensors: &'a Tensors,
    precision: Precision,
    packed: Option<PackedFile>,
    made: Mutex<BTreeMap<String, Int8Matrix>>,
}

impl<'a> Loader<'a> {
    /// How this room lays out 8-bit weights, and what it folds into them. Another version cannot use them.
    pub const INT8_VARIANT: &'static str = "int8-1";

    /// Takes everything from `tensors`.
    pub fn new(tensors: &'a Tensors, precision: Precision) -> Self {
        Loader {
            tensors,
            precision,
            packed: None,
            made: Mutex::default(),
        }
    }

    /// 8-bit weights made from `tensors`, as [`Loader::made`] gave them, and everything else from `tensors`.
    pub fn with_packed(tensors: &'a Tensors, packed: PackedFile) -> Self {
        Loader {
            packed: Some(packed),
            ..Self::new(tensors, Precision::Int8)
        }
    }

    /// The tensors of the checkpoint.
    pub fn tensors(&self) -> &'a Tensors {
        self.tensors
    }

    /// The 8-bit weights that had to be made, by name. They share their memory with the layers.
    pub fn made(self) -> BTreeMap<String, Int8Matrix> {
        self.made
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The matrix `[outputs, inputs]` called `name`; `weights` reads it in 32 bits.
    pub(crate) fn matrix(
        &self,
        name: &str,
        (inputs, outputs): (usize, usize),
        weights: impl FnOnce() -> Result<Vec<f32>, WeightsError>,
    ) -> Result<Matrix, WeightsError> {
        if self.precision == Precision::F32 || inputs > percept_kernels::MAX_INPUTS {
            return Ok(Matrix::F32(PackedMatrix::pack(
                &weights()?,
                outputs,
                inputs,
            )));
        }
        let stored = self
            .packed
            .as_ref()
            .and_then(|file| file.get(name, &[outputs, inputs]))
            .and_then(|bytes| Int8Matrix::from_bytes(Arc::new(bytes), outputs, inputs));
        if let Some(matrix) = stored {
            return Ok(Matrix::Int8(matrix));
        }
        let matrix = Int8Matrix::quantize(&weights()?, outputs, inputs);
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), matrix.clone());
        Ok(Matrix::Int8(matrix))
    }
}
