//! Weights of convolutions as checkpoints have them.

use percept_weights::{Tensors, WeightsError};

/// The weights `{prefix}.weight` of `shape`, slowest axis first.
///
/// Where they are stored as a magnitude and a direction (PyTorch's weight norm over all axes but the first, under its new
/// names `parametrizations.weight.original{0,1}` or its old ones `weight_{g,v}`) they are put together.
pub fn conv_weights(
    tensors: &Tensors,
    prefix: &str,
    shape: &[usize],
) -> Result<Vec<f32>, WeightsError> {
    let forms = [
        (
            "parametrizations.weight.original0",
            "parametrizations.weight.original1",
        ),
        ("weight_g", "weight_v"),
    ];
    for (magnitude, direction) in
        forms.map(|(g, v)| (format!("{prefix}.{g}"), format!("{prefix}.{v}")))
    {
        if !tensors.contains(&direction) {
            continue;
        }
        let mut of_slices = vec![1; shape.len()];
        of_slices[0] = shape[0];
        let magnitude = tensors.f32(&magnitude, &of_slices)?;
        let mut weights = tensors.f32(&direction, shape)?;
        let slice: usize = shape[1..].iter().product();
        for (slice, magnitude) in weights.chunks_exact_mut(slice.max(1)).zip(magnitude) {
            let square: f64 = slice.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
            let scale = magnitude / square.sqrt() as f32;
            slice.iter_mut().for_each(|v| *v *= scale);
        }
        return Ok(weights);
    }
    tensors.f32(&format!("{prefix}.weight"), shape)
}

/// `{prefix}.bias` `[outputs]`, if there is one.
pub fn conv_bias(
    tensors: &Tensors,
    prefix: &str,
    outputs: usize,
) -> Result<Option<Vec<f32>>, WeightsError> {
    let name = format!("{prefix}.bias");
    match tensors.contains(&name) {
        true => tensors.f32(&name, &[outputs]).map(Some),
        false => Ok(None),
    }
}
