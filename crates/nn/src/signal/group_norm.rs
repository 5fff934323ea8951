//! Norms over a whole signal.

use percept_weights::{Tensors, WeightsError};
use rayon::prelude::*;

use super::{Context, Layer, Memory, More, Padding, Window};
use crate::tiles::for_each_block;

/// PyTorch's default.
const EPSILON: f64 = 1e-5;
/// Values that are summed up apart from others, so that the sum does not depend on the threads.
const SUMMED: usize = 16 << 10;

/// Group norm with a single group: over all rows and channels of a signal, with a scale and a shift for every channel.
///
/// Nothing comes out before the signal has ended.
#[derive(Debug)]
pub struct GroupNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    cut_left: usize,
    cut_right: usize,
}

impl GroupNorm {
    /// Loads `{prefix}.weight` and `{prefix}.bias`, both `[channels]`.
    pub fn load(tensors: &Tensors, prefix: &str, channels: usize) -> Result<Self, WeightsError> {
        Ok(GroupNorm {
            scale: tensors.f32(&format!("{prefix}.weight"), &[channels])?,
            shift: tensors.f32(&format!("{prefix}.bias"), &[channels])?,
            cut_left: 0,
            cut_right: 0,
        })
    }

    /// The same without the first `left` and the last `right` rows, which count for the norm.
    pub fn cutting(self, left: usize, right: usize) -> Self {
        GroupNorm {
            cut_left: left,
            cut_right: right,
            ..self
        }
    }
}

/// Mean of `values`, and one by their standard deviation.
fn moments(values: &[f32]) -> [f32; 2] {
    let sums = values.par_chunks(SUMMED).map(|values| {
        let wide = values.iter().map(|v| f64::from(*v));
        wide.fold([0.0, 0.0], |[sum, squares], v| [sum + v, squares + v * v])
    });
    let sums: Vec<[f64; 2]> = sums.collect();
    let [sum, squares] = sums
        .iter()
        .fold([0.0, 0.0], |a, b| [a[0] + b[0], a[1] + b[1]]);
    let count = values.len().max(1) as f64;
    let mean = sum / count;
    let variance = (squares / count - mean * mean).max(0.0);
    [mean as f32, (variance + EPSILON).sqrt().recip() as f32]
}

impl Layer for GroupNorm {
    fn inputs(&self) -> usize {
        self.scale.len()
    }

    fn outputs(&self) -> usize {
        self.scale.len()
    }

    fn memory(&self) -> Memory {
        Memory::window(self.inputs(), Padding::NONE)
    }

    fn produced(&self, _: u64) -> u64 {
        0
    }

    fn total(&self, received: u64) -> u64 {
        received.saturating_sub((self.cut_left + self.cut_right) as u64)
    }

    fn advance(
        &self,
        memory: &mut Memory,
        limit: usize,
        _: &Context<'_>,
        out: &mut Window,
    ) -> bool {
        let Memory {
            input,
            more: More::Moments([mean, inverse]),
            ..
        } = memory
        else {
            return false;
        };
        let (channels, rows) = (self.inputs(), input.len().min(limit));
        if rows == 0 {
            return false;
        }
        let scale: Vec<f32> = self.scale.iter().map(|scale| scale * *inverse).collect();
        let x = input.rows();
        for_each_block(out.extend(rows), channels, |first, out| {
            let rows = x[first * channels..].chunks_exact(channels);
            for (out, x) in out.chunks_exact_mut(channels).zip(rows) {
                for (((out, x), scale), shift) in out.iter_mut().zip(x).zip(&scale).zip(&self.shift)
                {
                    *out = (x - *mean) * scale + shift;
                }
            }
        });
        input.consume(rows);
        true
    }

    fn finish(&self, memory: &mut Memory) {
        let input = &mut memory.input;
        memory.more = More::Moments(moments(input.rows()));
        let left = self.cut_left.min(input.len());
        input.consume(left);
        input.retract(self.cut_right.min(input.len()), 0..0);
    }
}

#[cfg(test)]
mod tests {
    use percept_testkit::{Rng, Tol, close};

    use super::*;
    use crate::signal::{Branches, Chain};

    const TIGHT: Tol = Tol {
        abs: 2e-6,
        rel_to_max: 0.0,
    };

    fn norm(channels: usize, rng: &mut Rng) -> (GroupNorm, Vec<f32>, Vec<f32>) {
        let (scale, shift) = (rng.normals(channels), rng.normals(channels));
        let tensors = [
            ("norm.weight", vec![channels], scale.clone()),
            ("norm.bias", vec![channels], shift.clone()),
        ];
        let tensors = Tensors::from_f32("mem", tensors).expect("two tensors");
        (
            GroupNorm::load(&tensors, "norm", channels).expect("complete"),
            scale,
            shift,
        )
    }

    /// All of `x` at once, in 64 bits.
    fn plain(x: &[f32], scale: &[f32], shift: &[f32]) -> Vec<f32> {
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / x.len() as f64;
        let squares = x
            .iter()
            .map(|v| (f64::from(*v) - mean).powi(2))
            .sum::<f64>();
        let deviation = (squares / x.len() as f64 + 1e-5).sqrt();
        let normed = x.iter().enumerate().map(|(i, v)| {
            let channel = i % scale.len();
            let unit = (f64::from(*v) - mean) / deviation;
            unit * f64::from(scale[channel]) + f64::from(shift[channel])
        });
        normed.map(|v| v as f32).collect()
    }

    #[test]
    fn nothing_comes_out_before_the_end_and_then_all_that_is_not_cut() {
        for (rows, channels, (left, right)) in [(1, 1, (0, 0)), (40, 3, (0, 0)), (9000, 4, (5, 2))]
        {
            let mut rng = Rng::new(rows as u64);
            let (layer, scale, shift) = norm(channels, &mut rng);
            let layer = layer.cutting(left, right);
            let x: Vec<f32> = rng
                .normals(rows * channels)
                .iter()
                .map(|v| 3.0 * v - 1.0)
                .collect();
            let chain = Chain::new(vec![Box::new(layer)]);
            let mut state = chain.state();
            for piece in x.chunks(1001 * channels) {
                state.input().push(piece);
                chain.advance(&mut state, &Context::default());
                assert!(state.output().is_empty());
            }
            chain.finish(&mut state, &Context::default());
            let expected = plain(&x, &scale, &shift);
            let expected = &expected[left * channels..(rows - right) * channels];
            close(
                state.output().rows(),
                expected,
                TIGHT,
                &format!("{rows} rows"),
            );
            assert_eq!(chain.total(rows as u64), state.output().received());
        }
    }

    #[test]
    fn branches_add_up_with_and_without_a_side() {
        let (rows, channels) = (700, 3);
        let mut rng = Rng::new(5);
        let x = rng.normals(rows * channels);
        for has_side in [false, true] {
            let (main, scale, shift) = norm(channels, &mut rng);
            let mut expected = plain(&x, &scale, &shift);
            let mut side = None;
            let mut aside = x.clone();
            if has_side {
                let (layer, scale, shift) = norm(channels, &mut rng);
                side = Some(Chain::new(vec![Box::new(layer)]));
                aside = plain(&x, &scale, &shift);
            }
            expected
                .iter_mut()
                .zip(&aside)
                .for_each(|(sum, more)| *sum += more);
            let main = Chain::new(vec![Box::new(main)]);
            let chain = Chain::new(vec![Box::new(Branches::new(main, side))]);
            let mut state = chain.state();
            for piece in x.chunks(33 * channels) {
                state.input().push(piece);
                chain.advance(&mut state, &Context::default());
            }
            chain.finish(&mut state, &Context::default());
            close(
                state.output().rows(),
                &expected,
                TIGHT,
                &format!("a side: {has_side}"),
            );
        }
    }
}
