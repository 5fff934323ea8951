//! What every family asks of a configuration.

use percept_weights::WeightsError;

use crate::error::ConfigFault;

/// The largest of any size that is believed.
pub(crate) const MAX_SIZE: usize = 1 << 16;

/// Why a configuration and tensors make no model.
#[derive(Debug)]
pub(crate) enum LoadFault {
    Config(ConfigFault),
    Weights(WeightsError),
}

impl From<ConfigFault> for LoadFault {
    fn from(fault: ConfigFault) -> Self {
        LoadFault::Config(fault)
    }
}

impl From<serde_json::Error> for LoadFault {
    fn from(error: serde_json::Error) -> Self {
        LoadFault::Config(error.into())
    }
}

impl From<WeightsError> for LoadFault {
    fn from(error: WeightsError) -> Self {
        LoadFault::Weights(error)
    }
}

/// Refuses a size that is zero or more than `most`.
pub(crate) fn in_range(field: &'static str, value: usize, most: usize) -> Result<(), ConfigFault> {
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(ConfigFault::Range {
            field,
            value: value as u64,
            wanted: "positive and of a sensible size",
        }),
    }
}

/// Refuses rates that are none, too many, or out of range one by one or together.
pub(crate) fn rates_in_range(field: &'static str, rates: &[usize]) -> Result<(), ConfigFault> {
    if rates.is_empty() || rates.len() > 16 {
        return Err(ConfigFault::EmptyList { field });
    }
    for &rate in rates {
        in_range(field, rate, 1024)?;
    }
    in_range(field, product(rates), MAX_SIZE * 16)
}

/// For `return`: `field` is `value`, which does not fit `other`.
pub(crate) fn contradiction(
    field: &'static str,
    value: usize,
    other: &'static str,
) -> Result<(), ConfigFault> {
    Err(ConfigFault::Contradiction {
        field,
        value: value as u64,
        other,
    })
}

pub(crate) fn product(rates: &[usize]) -> usize {
    rates
        .iter()
        .fold(1, |product: usize, &rate| product.saturating_mul(rate))
}

/// Rows that one row has become behind each of `rates`.
pub(crate) fn rates_behind(rates: &[usize]) -> Vec<u64> {
    let rise = |rows: &mut u64, &rate: &usize| {
        *rows = rows.saturating_mul(rate as u64);
        Some(*rows)
    };
    rates.iter().scan(1, rise).collect()
}
