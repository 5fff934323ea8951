//! Checkpoints of `torch.save`: a zip archive of one pickle, which describes the tensors, and their raw storages.

pub(crate) mod zip;

mod global;
mod pickle;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::WeightsError;
use crate::tensors::{Order, Stored, checked_elements, insert};
use crate::view::View;

use pickle::NamedTensor;
pub use pickle::PickleFault;
pub use zip::ZipFault;

/// A tensor may name its elements more often than its storage has them (a stride of zero repeats one), but an archive
/// of a few bytes must not ask for all memory.
const MAX_REPEATED_ELEMENTS: usize = 1 << 24;

/// What is wrong with a torch checkpoint.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TorchFault {
    /// The archive around it is damaged.
    #[error(transparent)]
    Zip(#[from] ZipFault),
    /// The pickle in it is damaged or hostile.
    #[error("its data.pkl: {0}")]
    Pickle(#[from] PickleFault),
    /// The archive holds no `data.pkl`.
    #[error("it holds no data.pkl, so torch did not write it")]
    NoPickle,
    /// The storages are not little-endian.
    #[error("it was saved on a big-endian machine; save it again on another")]
    BigEndian,
    /// A storage that the pickle names is absent.
    #[error("tensor `{name}` needs the entry data/{key}, which is not there")]
    NoStorage {
        /// The tensor.
        name: String,
        /// The storage.
        key: String,
    },
    /// A storage is shorter than the pickle says.
    #[error("tensor `{name}` needs {needed} bytes of data/{key}, which has {found}")]
    ShortStorage {
        /// The tensor.
        name: String,
        /// The storage.
        key: String,
        /// The bytes that the pickle promises.
        needed: usize,
        /// The bytes of the entry.
        found: usize,
    },
}

/// The tensors of a checkpoint that `view` holds; `file` is what errors name.
pub(crate) fn read(file: &Path, view: &View) -> Result<BTreeMap<String, Stored>, WeightsError> {
    let fault = |fault| WeightsError::Torch {
        file: file.into(),
        fault,
    };
    let mut by_name = BTreeMap::new();
    for (name, stored) in tensors(view).map_err(fault)? {
        insert(file, &mut by_name, name, stored)?;
    }
    Ok(by_name)
}

/// Runs a pickle and looks at its tensors, whose storages need not be there.
pub(crate) fn describe(program: &[u8]) {
    if let Ok(heap) = pickle::run(program) {
        drop(heap.state_dict());
    }
}

fn tensors(view: &View) -> Result<Vec<(String, Stored)>, TorchFault> {
    let entries = zip::entries(view.bytes())?;
    let entry = |range: &Range<usize>| view.slice(range.clone()).expect("entries lie in the file");
    // All entries share one folder, named after the file that was saved.
    let (folder, program) = entries
        .iter()
        .find_map(|(name, range)| Some((name.strip_suffix("data.pkl")?, entry(range))))
        .filter(|(folder, _)| folder.is_empty() || folder.ends_with('/'))
        .ok_or(TorchFault::NoPickle)?;
    if let Some(order) = entries.get(&format!("{folder}byteorder"))
        && entry(order).bytes().trim_ascii() != b"little"
    {
        return Err(TorchFault::BigEndian);
    }
    let heap = pickle::run(program.bytes())?;
    let mut tensors = Vec::new();
    for tensor in heap.state_dict()? {
        let (name, key) = (tensor.name, tensor.storage.key);
        let Some(range) = entries.get(&format!("{folder}data/{key}")) else {
            return Err(TorchFault::NoStorage {
                name: name.into(),
                key: key.into(),
            });
        };
        let stored = tensor_view(&tensor, &entry(range))?;
        tensors.push((name.to_string(), stored));
    }
    Ok(tensors)
}

/// The tensor as a view of its storage, every index of it checked.
fn tensor_view(tensor: &NamedTensor<'_>, storage: &View) -> Result<Stored, TorchFault> {
    let odd = |what| PickleFault::Tensor {
        name: tensor.name.into(),
        what,
    };
    let dtype = tensor.storage.dtype;
    let storage_elements = tensor.storage.elements;
    let needed = storage_elements
        .checked_mul(dtype.bytes())
        .ok_or_else(|| odd("a storage larger than any memory"))?;
    if storage.len() < needed {
        return Err(TorchFault::ShortStorage {
            name: tensor.name.into(),
            key: tensor.storage.key.into(),
            needed,
            found: storage.len(),
        });
    }
    if tensor.shape.len() != tensor.strides.len() {
        return Err(odd("a shape and strides of different lengths").into());
    }
    let elements = checked_elements(&tensor.shape)
        .filter(|&n| n <= storage_elements.max(MAX_REPEATED_ELEMENTS))
        .ok_or_else(|| odd("more elements than its storage"))?;
    let end = end(tensor, elements)
        .filter(|&end| end <= storage_elements)
        .ok_or_else(|| odd("elements outside its storage"))?;
    let data = storage
        .slice(tensor.offset * dtype.bytes()..end * dtype.bytes())
        .expect("`end` is within the storage, which is within its entry");
    let order = if elements == 0 || is_row_major(&tensor.shape, &tensor.strides) {
        Order::Contiguous
    } else {
        Order::Strided(tensor.strides.clone())
    };
    Ok(Stored {
        dtype,
        shape: tensor.shape.clone(),
        data,
        order,
    })
}

/// One past the last element of the storage that a tensor reaches; its offset if it is empty.
fn end(tensor: &NamedTensor<'_>, elements: usize) -> Option<usize> {
    if elements == 0 {
        return Some(tensor.offset);
    }
    let axes = tensor.shape.iter().zip(&tensor.strides);
    let reach = axes.map(|(&axis, &stride)| (axis - 1).checked_mul(stride));
    let mut last = reach.chain([Some(tensor.offset)]);
    let last = last.try_fold(0usize, |sum, reach| sum.checked_add(reach?))?;
    last.checked_add(1)
}

/// Whether the elements follow each other without gaps; the stride of an axis of one element does not matter.
fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&axis, &stride)| {
        let fits = axis == 1 || stride == expected;
        expected *= axis;
        fits
    })
}
