//! Named, shaped tensors, asked for by name and shape.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::WeightsError;
use crate::dtype::{self, Dtype};
use crate::view::View;

/// The tensors of a checkpoint by name.
///
/// Nothing is read or converted until a tensor is asked for; the bytes stay where they are (usually a mapped file).
#[derive(Clone)]
pub struct Tensors {
    path: PathBuf,
    by_name: BTreeMap<String, Stored>,
}

/// One tensor in its file.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) dtype: Dtype,
    /// Slowest axis first; empty for a scalar.
    pub(crate) shape: Vec<usize>,
    /// Where the elements are.
    pub(crate) data: View,
    /// How `data` is walked.
    pub(crate) order: Order,
}

/// How the elements of a tensor follow each other in its bytes.
#[derive(Clone)]
pub(crate) enum Order {
    /// Row-major; the view holds exactly the elements.
    Contiguous,
    /// One stride per axis, in elements; the view holds every element that they reach.
    Strided(Vec<usize>),
}

impl Stored {
    fn elements(&self) -> usize {
        // Readers checked that the product does not overflow.
        self.shape.iter().product()
    }

    /// Elements from one index of each axis to the next.
    fn strides(&self) -> Vec<usize> {
        match &self.order {
            Order::Strided(strides) => strides.clone(),
            Order::Contiguous => {
                let axes = self.shape.iter().rev().scan(1, |stride, axis| {
                    let own = *stride;
                    *stride *= axis;
                    Some(own)
                });
                let mut strides: Vec<usize> = axes.collect();
                strides.reverse();
                strides
            }
        }
    }

    /// The elements' bytes in row-major order.
    fn contiguous(&self) -> Cow<'_, [u8]> {
        let bytes = self.data.bytes();
        let strides = match &self.order {
            Order::Contiguous => return Cow::Borrowed(bytes),
            Order::Strided(strides) => strides,
        };
        let size = self.dtype.bytes();
        let mut gathered = Vec::with_capacity(self.elements() * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..self.elements() {
            let at: usize = index.iter().zip(strides).map(|(i, s)| i * s).sum();
            gathered.extend_from_slice(&bytes[at * size..(at + 1) * size]);
            for (i, &len) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < len {
                    break;
                }
                *i = 0;
            }
        }
        Cow::Owned(gathered)
    }
}

impl Tensors {
    pub(crate) fn new(path: &Path, by_name: BTreeMap<String, Stored>) -> Tensors {
        Tensors {
            path: path.to_path_buf(),
            by_name,
        }
    }

    /// Tensors from values in memory; `path` is what errors name.
    ///
    /// # Errors
    /// [`WeightsError::Duplicate`] for a repeated name, [`WeightsError::Length`] where the values do not fill the shape.
    pub fn from_f32<N: Into<String>>(
        path: impl AsRef<Path>,
        tensors: impl IntoIterator<Item = (N, Vec<usize>, Vec<f32>)>,
    ) -> Result<Tensors, WeightsError> {
        let path = path.as_ref();
        let mut by_name = BTreeMap::new();
        for (name, shape, values) in tensors {
            let name = name.into();
            if checked_elements(&shape) != Some(values.len()) {
                return Err(WeightsError::Length {
                    file: path.into(),
                    name,
                    shape,
                    values: values.len(),
                });
            }
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let stored = Stored {
                dtype: Dtype::F32,
                shape,
                data: View::of_vec(bytes),
                order: Order::Contiguous,
            };
            insert(path, &mut by_name, name, stored)?;
        }
        Ok(Tensors::new(path, by_name))
    }

    /// The file that the tensors come from, as errors name it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every name, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no tensor at all.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The shape of a tensor, slowest axis first; `None` if there is none of this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(&self.by_name.get(name)?.shape)
    }

    /// The element type of a tensor as stored; `None` if there is none of this name.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        Some(self.by_name.get(name)?.dtype)
    }

    /// How many numbers all tensors hold.
    pub fn parameters(&self) -> usize {
        self.by_name.values().map(Stored::elements).sum()
    }

    /// How many bytes all tensors take as stored.
    pub fn total_bytes(&self) -> usize {
        let bytes = |stored: &Stored| stored.elements() * stored.dtype.bytes();
        self.by_name.values().map(bytes).sum()
    }

    /// The values of a floating-point tensor in row-major order, as `f32`.
    ///
    /// # Errors
    /// [`WeightsError::Missing`], [`WeightsError::Shape`], [`WeightsError::Dtype`] unless the tensor is stored as f16,
    /// bf16, f32 or f64, and [`WeightsError::NotFinite`] where a value is NaN or infinite.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let stored = self.get(name, shape)?;
        let values = dtype::to_f32(stored.dtype, &stored.contiguous());
        // Loading a model would otherwise hold its weights twice: as pages of the file and as values.
        stored.data.release();
        let values =
            values.ok_or_else(|| self.wrong_dtype(name, stored.dtype, "floating-point numbers"))?;
        match first_not_finite(&values) {
            None => Ok(values),
            Some(index) => Err(WeightsError::NotFinite {
                file: self.path.clone(),
                name: name.into(),
                value: values[index],
                index,
            }),
        }
    }

    /// The values of an integer tensor in row-major order, as `i64`.
    ///
    /// # Errors
    /// [`WeightsError::Missing`], [`WeightsError::Shape`], and [`WeightsError::Dtype`] unless the tensor is stored as
    /// i32 or i64.
    pub fn i64(&self, name: &str, shape: &[usize]) -> Result<Vec<i64>, WeightsError> {
        let stored = self.get(name, shape)?;
        dtype::to_i64(stored.dtype, &stored.contiguous())
            .ok_or_else(|| self.wrong_dtype(name, stored.dtype, "integers"))
    }

    /// The same tensors under other names; `map` returns `None` to keep a name.
    ///
    /// # Errors
    /// [`WeightsError::Duplicate`] if two tensors would share a name.
    pub fn rename(self, map: impl Fn(&str) -> Option<String>) -> Result<Tensors, WeightsError> {
        let mut by_name = BTreeMap::new();
        for (name, stored) in self.by_name {
            let name = map(&name).unwrap_or(name);
            insert(&self.path, &mut by_name, name, stored)?;
        }
        Ok(Tensors {
            path: self.path,
            by_name,
        })
    }

    /// The same tensors, where the last two axes of those that `which` says yes to are exchanged; it is given name and
    /// shape. Tensors of fewer than two axes stay as they are.
    pub fn with_last_axes_exchanged(mut self, which: impl Fn(&str, &[usize]) -> bool) -> Tensors {
        for (name, stored) in &mut self.by_name {
            let axes = stored.shape.len();
            if axes < 2 || !which(name, &stored.shape) {
                continue;
            }
            let mut strides = stored.strides();
            strides.swap(axes - 2, axes - 1);
            stored.shape.swap(axes - 2, axes - 1);
            stored.order = Order::Strided(strides);
        }
        self
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<&Stored, WeightsError> {
        let Some(stored) = self.by_name.get(name) else {
            return Err(WeightsError::Missing {
                file: self.path.clone(),
                name: name.into(),
            });
        };
        if stored.shape != shape {
            return Err(WeightsError::Shape {
                file: self.path.clone(),
                name: name.into(),
                found: stored.shape.clone(),
                expected: shape.into(),
            });
        }
        Ok(stored)
    }

    fn wrong_dtype(&self, name: &str, found: Dtype, expected: &'static str) -> WeightsError {
        WeightsError::Dtype {
            file: self.path.clone(),
            name: name.into(),
            found,
            expected,
        }
    }
}

/// The index of the first value that is NaN or infinite.
fn first_not_finite(values: &[f32]) -> Option<usize> {
    /// Values that are looked at without a branch.
    const BLOCK: usize = 256;
    let is_bad = |block: &[f32]| block.iter().fold(false, |bad, v| bad | !v.is_finite());
    let block = values.chunks(BLOCK).position(is_bad)?;
    let first = block * BLOCK;
    let within = values[first..].iter().position(|v| !v.is_finite())?;
    Some(first + within)
}

impl std::fmt::Debug for Tensors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensors")
            .field("path", &self.path)
            .field("len", &self.len())
            .finish()
    }
}

/// The product of the axes, unless it overflows.
pub(crate) fn checked_elements(shape: &[usize]) -> Option<usize> {
    // A zero axis makes the tensor empty, but must not hide an overflow of the others from a later reshape.
    let mut nonzero = shape.iter().filter(|&&axis| axis != 0);
    let product = nonzero.try_fold(1usize, |n, &axis| n.checked_mul(axis))?;
    Some(if shape.contains(&0) { 0 } else { product })
}

/// Adds a tensor under a name that must be new.
pub(crate) fn insert(
    file: &Path,
    by_name: &mut BTreeMap<String, Stored>,
    name: String,
    stored: Stored,
) -> Result<(), WeightsError> {
    if by_name.contains_key(&name) {
        return Err(WeightsError::Duplicate {
            file: file.into(),
            name,
        });
    }
    by_name.insert(name, stored);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Tensors {
        let weight = ("a.weight", vec![2, 3], vec![0., 1., 2., 3., 4., 5.]);
        let bias = ("a.bias", vec![2], vec![6., 7.]);
        Tensors::from_f32("mem", [weight, bias]).unwrap()
    }

    #[test]
    fn a_tensor_is_given_only_under_its_name_and_shape() {
        let t = two();
        assert_eq!(t.f32("a.bias", &[2]).unwrap(), [6., 7.]);
        let missing = t.f32("b", &[2]).unwrap_err();
        assert_eq!(missing.code(), "missing-tensor");
        let shape = t.f32("a.weight", &[3, 2]).unwrap_err();
        assert_eq!(
            shape.to_string(),
            "mem: tensor `a.weight` has shape [2, 3], the model needs [3, 2]; \
             use the configuration published with these weights"
        );
        assert_eq!(t.i64("a.bias", &[2]).unwrap_err().code(), "tensor-dtype");
        assert_eq!((t.parameters(), t.total_bytes(), t.len()), (8, 32, 2));
    }

    #[test]
    fn a_value_that_is_no_number_is_refused_and_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 255, 256, 599] {
                let mut values = vec![1.0; 600];
                values[at] = bad;
                let t = Tensors::from_f32("mem", [("a", vec![600], values)]).unwrap();
                let refused = t.f32("a", &[600]).unwrap_err();
                assert_eq!(refused.code(), "tensor-not-finite");
                let said = format!("mem: value {at} of tensor `a` is {bad}, not a finite number");
                assert!(refused.to_string().starts_with(&said), "{refused}");
            }
        }
        let half = f16_tensor(half::f16::INFINITY);
        assert_eq!(half.f32("a", &[1]).unwrap_err().code(), "tensor-not-finite");
    }

    fn f16_tensor(value: half::f16) -> Tensors {
        let stored = Stored {
            dtype: Dtype::F16,
            shape: vec![1],
            data: View::of_vec(value.to_le_bytes().to_vec()),
            order: Order::Contiguous,
        };
        Tensors::new(Path::new("mem"), [("a".to_owned(), stored)].into())
    }

    #[test]
    fn renaming_keeps_values_and_refuses_collisions() {
        let t = two()
            .rename(|n| n.strip_prefix("a.").map(String::from))
            .unwrap();
        assert_eq!(t.names().collect::<Vec<_>>(), ["bias", "weight"]);
        assert_eq!(t.f32("bias", &[2]).unwrap(), [6., 7.]);
        let clash = t.rename(|_| Some("x".into())).unwrap_err();
        assert_eq!(clash.code(), "duplicate-tensor");
    }

    #[test]
    fn strided_elements_are_gathered_in_row_major_order() {
        let mut t = two();
        let stored = t.by_name.get_mut("a.weight").unwrap();
        stored.shape = vec![3, 2];
        stored.order = Order::Strided(vec![1, 3]);
        let transposed = t.f32("a.weight", &[3, 2]).unwrap();
        assert_eq!(transposed, [0., 3., 1., 4., 2., 5.]);
    }

    #[test]
    fn exchanged_axes_read_as_the_transpose() {
        let cube: Vec<f32> = (0..24u8).map(f32::from).collect();
        let t = Tensors::from_f32(
            "mem",
            [("c", vec![2, 3, 4], cube), ("v", vec![2], vec![1., 2.])],
        );
        let t = t.unwrap().with_last_axes_exchanged(|_, _| true);
        let exchanged = t.f32("c", &[2, 4, 3]).unwrap();
        assert_eq!(exchanged[..6], [0., 4., 8., 1., 5., 9.]);
        assert_eq!(exchanged[12..15], [12., 16., 20.]);
        assert_eq!(t.f32("v", &[2]).unwrap(), [1., 2.]);
        let back = t.with_last_axes_exchanged(|name, shape| name == "c" && shape == [2, 4, 3]);
        assert_eq!(
            back.f32("c", &[2, 3, 4]).unwrap()[..5],
            [0., 1., 2., 3., 4.]
        );
    }

    #[test]
    fn values_must_fill_the_shape() {
        let short = Tensors::from_f32("mem", [("a", vec![3], vec![0.0])]);
        assert_eq!(short.unwrap_err().code(), "tensor-length");
        assert_eq!(checked_elements(&[usize::MAX, 2]), None);
        assert_eq!(checked_elements(&[usize::MAX, 2, 0]), None);
        assert_eq!(checked_elements(&[0, 7]), Some(0));
        assert_eq!(checked_elements(&[]), Some(1));
    }
}
