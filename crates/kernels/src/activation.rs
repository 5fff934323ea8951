//! Activations of neural audio codecs.

use rten_simd::ops::{BitOps, FloatOps, IntOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp, SimdUnaryOp};
use rten_vecmath::Gelu;

use crate::span::{Map, Span};

/// 1.5 · 2²³: added to a small number, it leaves the nearest integer in the low bits of the sum.
const ROUNDING: f32 = 12_582_912.0;

/// The snake activation: each row of `x` `[rows, turns.len()]` becomes `x + sin(π · turns · x)² · inverse`, per channel.
///
/// With `turns` = `alpha / π` and `inverse` = `1 / (alpha + 1e-9)` this is the activation of DAC and SNAC. The sine is
/// within 2e-7 of the true one up to 4e6 half turns; without fused instructions its argument is off by as much as a
/// rounded product is. Beyond that it is no sine any more, but its square stays within 1. NaN and infinities give NaN. A
/// value does not depend on where it lies.
///
/// # Panics
/// Where a shape does not fit.
pub fn snake(x: &[f32], turns: &[f32], inverse: &[f32], out: &mut [f32]) {
    Snake::new(Span::apart(x, out), turns, inverse).dispatch();
}

/// [`snake`] in place.
pub fn snake_in_place(x: &mut [f32], turns: &[f32], inverse: &[f32]) {
    Snake::new(Span::in_place(x), turns, inverse).dispatch();
}

/// The exponential linear unit: `x` where it is positive, else `exp(x) - 1`, with full relative accuracy near 0. NaN
/// stays NaN.
///
/// # Panics
/// Where the lengths differ.
pub fn elu(x: &[f32], out: &mut [f32]) {
    let span = Span::apart(x, out);
    let function = Elu {};
    Map { function, span }.dispatch();
}

/// [`elu`] in place.
pub fn elu_in_place(x: &mut [f32]) {
    let span = Span::in_place(x);
    let function = Elu {};
    Map { function, span }.dispatch();
}

/// The Gaussian error linear unit in place, in its exact form: `x / 2 · (1 + erf(x / √2))`.
pub fn gelu(x: &mut [f32]) {
    let span = Span::in_place(x);
    let function = Gelu {};
    Map { function, span }.dispatch();
}

struct Snake<'a> {
    span: Span<'a>,
    turns: &'a [f32],
    inverse: &'a [f32],
}

impl<'a> Snake<'a> {
    fn new(span: Span<'a>, turns: &'a [f32], inverse: &'a [f32]) -> Self {
        let channels = turns.len();
        assert_eq!(channels, inverse.len(), "one inverse per channel");
        assert!(
            channels > 0 && span.len().is_multiple_of(channels),
            "{} values are not rows of {channels}",
            span.len()
        );
        Snake {
            span,
            turns,
            inverse,
        }
    }
}

impl<'a> SimdOp for Snake<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let Snake {
            mut span,
            turns,
            inverse,
        } = self;
        let ops = isa.f32();
        let channels = turns.len();
        for row in (0..span.len()).step_by(channels) {
            span.change(
                ops,
                (row, channels),
                [turns, inverse],
                #[inline(always)]
                |x, [turns, inverse]| snake_vector(isa, x, turns, inverse),
            );
        }
        span.written()
    }
}

/// [`snake`] of one vector.
#[inline(always)]
pub(crate) fn snake_vector<I: Isa>(isa: I, x: I::F32, turns: I::F32, inverse: I::F32) -> I::F32 {
    // sin(π f)² / f² in powers of f²: the least relative error for |f| <= 1 / 2.
    const S: [f32; 6] = [
        9.869_604,
        -32.469_66,
        42.726_92,
        -30.098_495,
        13.036_834,
        -3.335_739_1,
    ];
    let ops = isa.f32();
    let rounding = ops.splat(ROUNDING);
    // Half turns, whole and broken: the square of the sine has the period of one. A fused product makes `broken` exact.
    let whole = ops.sub(ops.mul_add(x, turns, rounding), rounding);
    let broken = ops.mul_sub_from(x, turns, whole);
    let z = ops.mul(broken, broken);
    // Where numbers are too large for fractions it is more than a half. NaN is not greater, and stays.
    let most = ops.splat(0.25);
    let z = ops.select(most, z, ops.gt(z, most));
    let s = ops.mul_add(z, ops.splat(S[5]), ops.splat(S[4]));
    let s = ops.mul_add(z, s, ops.splat(S[3]));
    let s = ops.mul_add(z, s, ops.splat(S[2]));
    let s = ops.mul_add(z, s, ops.splat(S[1]));
    let s = ops.mul_add(z, s, ops.splat(S[0]));
    ops.mul_add(ops.mul(z, s), inverse, x)
}

struct Elu {}

impl SimdUnaryOp<f32> for Elu {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
        // ln 2 in two parts; multiples of the first are exact.
        const LN_2: [f32; 2] = [6.931_152_3e-1, 3.194_618_3e-5];
        // exp(r) - 1 = r + r² · (E0 + E1 · r + …): the least relative error for |r| <= ln 2 / 2.
        const E: [f32; 5] = [
            4.999_999_7e-1,
            1.666_654_6e-1,
            4.166_743_5e-2,
            8.366_272e-3,
            1.387_069_6e-3,
        ];
        let (ops, int_ops) = (isa.f32(), isa.i32());
        let rounding = ops.splat(ROUNDING);
        // From -30 down the result is -1; above 0 it is not used.
        let low = ops.max(ops.splat(-30.0), ops.min(ops.zero(), x));
        let shifted = ops.mul_add(low, ops.splat(std::f32::consts::LOG2_E), rounding);
        let halvings = ops.sub(shifted, rounding);
        let r = ops.mul_sub_from(halvings, ops.splat(LN_2[0]), low);
        let r = ops.mul_sub_from(halvings, ops.splat(LN_2[1]), r);
        let e = ops.mul_add(r, ops.splat(E[4]), ops.splat(E[3]));
        let e = ops.mul_add(r, e, ops.splat(E[2]));
        let e = ops.mul_add(r, e, ops.splat(E[1]));
        let e = ops.mul_add(r, e, ops.splat(E[0]));
        let e = ops.mul_add(ops.mul(r, r), e, r);
        // 2ᵏ · (e + 1) - 1 without the loss that adding 1 to a small `e` would bring.
        let bits: I::I32 = shifted.reinterpret_cast();
        let exponent = int_ops.add(int_ops.shift_left::<23>(bits), int_ops.splat(0x3f80_0000));
        let scale: I::F32 = exponent.reinterpret_cast();
        let e = ops.mul_add(scale, e, ops.sub(scale, ops.one()));
        // NaN is not smaller, and stays.
        ops.select(e, x, ops.le(x, ops.zero()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::on_every_isa;
    use crate::reference;
    use crate::signal::noise;
    use rten_vecmath::Tanh;

    fn leak(x: &[f32]) -> &'static mut [f32] {
        Box::leak(x.to_vec().into_boxed_slice())
    }

    /// Values in `[-range, range]`, dense around 0 too.
    fn values(range: f32) -> Vec<f32> {
        let uniform = noise(20_000, 1).into_iter().map(|v| v * range);
        let small = noise(4_000, 2).into_iter().zip(0..);
        let small = small.map(|(v, i)| v * 2.0_f32.powi(-(i % 60)));
        let edges = [0.0, -0.0, range, -range];
        uniform.chain(small).chain(edges).collect()
    }

    /// Runs a function on every instruction set and holds each value to `check(input, output)`.
    fn check_values<F: SimdUnaryOp<f32>>(
        function: impl Fn() -> F,
        x: &[f32],
        check: impl Fn(f32, f32) -> bool,
    ) {
        let map = || Map {
            function: function(),
            span: Span::in_place(leak(x)),
        };
        on_every_isa(map, |isa, out| {
            for (x, y) in x.iter().zip(out) {
                assert!(check(*x, *y), "{isa}: {y:e} at {x:e}");
            }
        });
    }

    /// Runs a function on lengths around the vector's, where every value has to be that of a long run.
    fn assert_same_anywhere(x: &[f32], run: impl Fn(&[f32]) -> Vec<f32>) {
        let whole = run(x);
        for (from, n) in [(0, 0), (1, 1), (2, 3), (5, 15), (7, 16), (3, 17), (11, 100)] {
            let part = run(&x[from..from + n]);
            for (i, (a, e)) in part.iter().zip(&whole[from..]).enumerate() {
                assert_eq!(a.to_bits(), e.to_bits(), "{n} from {from}, at {i}");
            }
            assert_eq!(part.len(), n);
        }
    }

    /// `sin(π · turns · x)²`: snake, where what it is added to is nothing beside its scale.
    struct SquaredSine {
        turns: f32,
    }

    impl SimdUnaryOp<f32> for SquaredSine {
        #[inline(always)]
        fn eval<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
            let ops = isa.f32();
            let scale = 2.0_f32.powi(100);
            let snake = snake_vector(isa, x, ops.splat(self.turns), ops.splat(scale));
            ops.mul(snake, ops.splat(1.0 / scale))
        }
    }

    /// The true one, and how far off the generic kernel may be, which has no fused products.
    fn squared_sine(turns: f32, x: f32) -> (f64, f64) {
        let turns = f64::from(turns) * f64::from(x);
        let angle = std::f64::consts::PI * (turns - turns.round());
        (angle.sin().powi(2), turns.abs() * 2.0e-7)
    }

    #[test]
    fn the_sine_of_snake_is_exact_to_2e_7_where_it_promises_so() {
        for (turns, range) in [(0.3, 1.6), (0.3, 30.0), (1.7, 1e3), (0.01, 1e5), (3.0, 1e6)] {
            let map = || Map {
                function: SquaredSine { turns },
                span: Span::in_place(leak(&values(range))),
            };
            on_every_isa(map, |isa, out| {
                for (x, y) in values(range).iter().zip(out) {
                    let (square, unfused) = squared_sine(turns, *x);
                    let more = if isa == "generic" { unfused } else { 0.0 };
                    let off = (f64::from(y.max(0.0)).sqrt() - square.sqrt()).abs();
                    assert!(
                        off <= 2e-7 + more && *y <= 1.0 + 3e-7,
                        "{isa}: {y:e} at {x:e}"
                    );
                }
            });
        }
        // Around 0 small results keep their relative accuracy.
        let turns = 0.3;
        check_values(
            || SquaredSine { turns },
            &values(1.5),
            |x, y| {
                let (square, _) = squared_sine(turns, x);
                (f64::from(y) - square).abs() <= 6e-7 * square + 2e-30
            },
        );
    }

    #[test]
    fn the_sine_of_snake_stays_bounded_beyond_its_range() {
        for range in [1e8, 1e15, 1e18] {
            check_values(
                || SquaredSine { turns: 0.3 },
                &values(range),
                |_, y| (-1e-11..=1.0 + 3e-7).contains(&y),
            );
        }
        let outside = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        check_values(|| SquaredSine { turns: 0.3 }, &outside, |_, y| y.is_nan());
    }

    #[test]
    fn snake_equals_the_plain_loop_on_every_isa() {
        for channels in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 48, 100] {
            let x: Vec<f32> = noise(6 * channels, 3).iter().map(|v| v * 8.0).collect();
            let alpha: Vec<f32> = noise(channels, 4).iter().map(|v| v * v * 9.0).collect();
            let inverse: Vec<f32> = alpha.iter().map(|a| 1.0 / (a + 1e-9)).collect();
            for x in [&x[..], &x[..channels], &[]] {
                let expected = reference::snake(x, &alpha, &inverse);
                let turns: Vec<f32> = alpha.iter().map(|a| a / std::f32::consts::PI).collect();
                let in_place = || Snake::new(Span::in_place(leak(x)), &turns, &inverse);
                let apart = || {
                    let out = vec![f32::NAN; x.len()];
                    Snake::new(Span::apart(x, leak(&out)), &turns, &inverse)
                };
                let check = |isa: &str, out: &mut [f32]| {
                    assert_eq!(out.len(), x.len());
                    for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                        let most = 4e-7 * (x[i].abs() + e.abs()) + 1e-30;
                        assert!((a - e).abs() <= most, "{isa} {channels} at {i}: {a} {e}");
                    }
                };
                on_every_isa(in_place, check);
                on_every_isa(apart, check);
            }
        }
    }

    #[test]
    fn snake_depends_on_the_value_alone() {
        let x: Vec<f32> = noise(300, 5).iter().map(|v| v * 8.0).collect();
        // As many channels as values: body and tail lanes hold the same ones in turn.
        assert_same_anywhere(&x, |x| {
            let mut out = vec![0.0; x.len()];
            if !x.is_empty() {
                snake(x, &vec![1.3; x.len()], &vec![0.77; x.len()], &mut out);
            }
            out
        });
        let (alpha, inverse) = (noise(20, 6), noise(20, 7));
        let mut whole = vec![0.0; 300];
        snake(&x, &alpha, &inverse, &mut whole);
        for row in 0..15 {
            let mut one = x[20 * row..20 * (row + 1)].to_vec();
            snake_in_place(&mut one, &alpha, &inverse);
            assert_eq!(one, whole[20 * row..20 * (row + 1)]);
        }
    }

    #[test]
    fn snake_gives_nan_for_what_is_not_finite() {
        for v in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let x = || Span::in_place(leak(&[v, 1.0, v, 1.0]));
            on_every_isa(
                || Snake::new(x(), &[0.5, 0.5], &[2.0, 2.0]),
                |isa, out| {
                    assert!(out[0].is_nan() && out[2].is_nan(), "{isa}: {out:?}");
                    assert!(out[1].is_finite() && out[3].is_finite(), "{isa}: {out:?}");
                },
            );
        }
    }

    #[test]
    fn elu_is_exact_near_zero_and_elsewhere() {
        for range in [0.5, 20.0, 200.0, f32::MAX] {
            check_values(
                || Elu {},
                &values(range),
                |x, y| {
                    let e = f64::from(reference::elu(&[x])[0]);
                    (f64::from(y) - e).abs() <= 2.5e-7 * e.abs() && (f64::from(y) - e).abs() <= 1e-7
                        || x > 0.0 && x == y
                },
            );
        }
        check_values(|| Elu {}, &[f32::NAN], |_, y| y.is_nan());
        check_values(|| Elu {}, &[f32::NEG_INFINITY], |_, y| y == -1.0);
        check_values(|| Elu {}, &[f32::INFINITY], |_, y| y == f32::INFINITY);
    }

    #[test]
    fn elu_depends_on_the_value_alone() {
        let x: Vec<f32> = noise(200, 8).iter().map(|v| v * 4.0).collect();
        let apart = |x: &[f32]| {
            let mut out = vec![0.0; x.len()];
            elu(x, &mut out);
            out
        };
        let in_place = |x: &[f32]| {
            let mut x = x.to_vec();
            elu_in_place(&mut x);
            x
        };
        assert_same_anywhere(&x, apart);
        assert_eq!(apart(&x), in_place(&x));
    }

    #[test]
    fn gelu_equals_the_plain_loop_on_every_isa() {
        for range in [1.0, 5.0, 100.0] {
            check_values(
                || Gelu {},
                &values(range),
                |x, y| (y - reference::gelu(&[x])[0]).abs() <= 1e-6 + 1e-7 * x.abs(),
            );
        }
        check_values(|| Gelu {}, &[f32::NAN], |_, y| y.is_nan());
        let x: Vec<f32> = noise(200, 9).iter().map(|v| v * 4.0).collect();
        assert_same_anywhere(&x, |x| {
            let mut x = x.to_vec();
            gelu(&mut x);
            x
        });
    }

    #[test]
    fn tanh_is_exact_to_2e_7_and_never_above_one() {
        for range in [0.7, 10.0, f32::MAX] {
            check_values(
                || Tanh {},
                &values(range),
                |x, y| (f64::from(y) - f64::from(x).tanh()).abs() <= 2e-7 && y.abs() <= 1.0,
            );
        }
        check_values(|| Tanh {}, &[f32::NAN], |_, y| y.is_nan());
        let x: Vec<f32> = noise(200, 10).iter().map(|v| v * 4.0).collect();
        assert_same_anywhere(&x, |x| {
            let mut x = x.to_vec();
            crate::tanh(&mut x);
            x
        });
    }
}
