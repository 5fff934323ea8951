//! Typed access to a JSON configuration by dotted name.

use std::collections::BTreeMap;
use std::path::Path;

use percept_nn::{ConvPadding, SubsamplingShape};
use percept_weights::{Tensors, WeightsError};
use serde_json::Value;

/// A configuration and the file that errors name.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    file: &'a Path,
    root: &'a Value,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(file: &'a Path, root: &'a Value) -> Self {
        Fields { file, root }
    }

    /// The value at a dotted name; `null` counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        let value = name
            .split('.')
            .try_fold(self.root, |value, key| value.get(key))?;
        (!value.is_null()).then_some(value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn fault(&self, name: &str, expected: &'static str) -> WeightsError {
        WeightsError::Field {
            file: self.file.into(),
            field: name.into(),
            expected,
        }
    }

    /// A whole number within `range`; `default` where it is absent, an error where there is no default.
    pub(crate) fn size(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<usize>,
        default: Option<usize>,
    ) -> Result<usize, WeightsError> {
        let Some(value) = self.get(name) else {
            return default.ok_or_else(|| self.fault(name, "a number"));
        };
        value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| range.contains(n))
            .ok_or_else(|| self.fault(name, "a whole number of a plausible size"))
    }

    pub(crate) fn number(&self, name: &str, default: f64) -> Result<f64, WeightsError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .filter(|n| n.is_finite())
                .ok_or_else(|| self.fault(name, "a number")),
        }
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, WeightsError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.fault(name, "true or false")),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    /// A list of whole numbers, none below -1; `None` where it is absent.
    pub(crate) fn list(&self, name: &str) -> Result<Option<Vec<i64>>, WeightsError> {
        self.get(name)
            .map(|value| self.list_of(name, value))
            .transpose()
    }

    pub(crate) fn list_of(&self, name: &str, value: &Value) -> Result<Vec<i64>, WeightsError> {
        let plausible = -1..=i64::from(u16::MAX);
        let items = value
            .as_array()
            .map(|items| items.iter().map(Value::as_i64).collect::<Option<Vec<_>>>());
        items
            .flatten()
            .filter(|list| list.iter().all(|n| plausible.contains(n)))
            .ok_or_else(|| self.fault(name, "a list of whole numbers"))
    }

    /// The slots of a language prompt below `slots`, by language; entries that are no numbers are left out.
    pub(crate) fn languages(dictionary: Option<&Value>, slots: usize) -> BTreeMap<String, usize> {
        let entries = dictionary.and_then(Value::as_object).into_iter().flatten();
        entries
            .filter_map(|(language, slot)| {
                let slot = usize::try_from(slot.as_u64()?).ok()?;
                (slot < slots).then(|| (language.clone(), slot))
            })
            .collect()
    }

    /// How many layers the encoder has: the number at `name`, which must not leave layers of the weights out.
    pub(crate) fn layers(
        &self,
        name: &str,
        default: Option<usize>,
        tensors: &Tensors,
    ) -> Result<usize, WeightsError> {
        let layers = self.size(name, 1..=1 << 10, default)?;
        let next = format!("encoder.layers.{layers}.");
        if tensors.names().any(|name| name.starts_with(&next)) {
            return Err(self.fault(name, "the number of layers in the weights"));
        }
        Ok(layers)
    }

    /// The taps of the depthwise convolutions: an odd number where they look both ways.
    pub(crate) fn kernel(
        &self,
        name: &str,
        default: usize,
        padding: ConvPadding,
    ) -> Result<usize, WeightsError> {
        let kernel = self.size(name, 1..=1024, Some(default))?;
        if padding == ConvPadding::Symmetric && kernel.is_multiple_of(2) {
            return Err(self.fault(name, "an odd number"));
        }
        Ok(kernel)
    }

    /// Checks what the layers assume about sizes, so that loading cannot divide by zero.
    pub(crate) fn check_encoder(
        &self,
        shape: &SubsamplingShape,
        (heads, heads_name): (usize, &str),
        factor_name: &str,
    ) -> Result<(), WeightsError> {
        if !shape.width.is_multiple_of(heads) {
            return Err(self.fault(heads_name, "a divisor of the encoder's width"));
        }
        if !shape.factor.is_power_of_two() || shape.factor < 2 {
            return Err(self.fault(factor_name, "a power of two"));
        }
        Ok(())
    }
}
