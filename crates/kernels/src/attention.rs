//! Attention with relative positions for a few queries of one head.

use std::ops::Range;

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use crate::softmax;

/// Query rows that share one walk over the keys; their scores stay in the second-level cache.
pub const MAX_QUERIES: usize = 24;
/// Query rows that one inner loop holds in registers.
const GROUP: usize = 6;
/// Columns that may be read and written past those asked for.
const SLACK: usize = 64;
/// Rows of values that are asked for before they are needed.
const VALUES_AHEAD: usize = 8;

/// A matrix whose rows may be read past their last column: `[rows, columns]`, `stride` values from row to row.
#[derive(Clone, Copy, Debug)]
pub struct Padded<'a> {
    data: &'a [f32],
    stride: usize,
    columns: usize,
}

impl<'a> Padded<'a> {
    /// How many values a buffer for `rows` rows of `columns` needs, and how many there are from row to row.
    pub fn layout(rows: usize, columns: usize) -> (usize, usize) {
        // An odd number of cache lines, so that the rows of a column do not share one set of the cache.
        let stride = (columns.div_ceil(16) | 1) * 16;
        (rows * stride + SLACK, stride)
    }

    /// Values from row to row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// A matrix in a buffer that [`Padded::layout`] has measured. What lies between the rows does not matter.
    ///
    /// # Panics
    /// Where the buffer is too short.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        let (len, stride) = Self::layout(rows, columns);
        assert!(data.len() >= len, "a buffer of {} for {len}", data.len());
        Padded {
            data,
            stride,
            columns,
        }
    }
}

/// What a query sees: a range of keys, and where the positions of these begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// The keys; at least one.
    pub keys: Range<usize>,
    /// The column of the first key's position.
    pub first_position: usize,
}

/// The operands of [`relative_attention`].
#[derive(Clone, Debug)]
pub struct HeadBlock<'a> {
    /// Scaled queries with the content bias, `[queries, width]`.
    pub with_u: &'a [f32],
    /// Scaled queries with the position bias, `[queries, width]`.
    pub with_v: &'a [f32],
    /// Keys, transposed: `[width, keys]`.
    pub keys: Padded<'a>,
    /// Projected positions, transposed: `[width, positions]`.
    pub positions: Padded<'a>,
    /// `[keys, width]`
    pub values: Padded<'a>,
    /// What each query sees.
    pub visible: &'a [Visible],
}

/// For each query `i`, the softmax over its visible keys `j` of `u_i · k_j + v_i · p_(j - i)`, applied to their values:
/// `out` `[queries, width]`. At most [`MAX_QUERIES`] queries.
///
/// Every sum runs in the order of the keys or channels, one fused multiply-add at a time, so that a query's result does
/// not depend on the other queries, as long as all values are finite.
///
/// # Panics
/// Where a shape does not fit, or a query sees no key or one outside `keys` or `positions`.
pub fn relative_attention(block: &HeadBlock<'_>, scratch: &mut Vec<f32>, out: &mut [f32]) {
    let queries = block.visible.len();
    let width = block.values.columns;
    assert!((1..=MAX_QUERIES).contains(&queries));
    for rows in [block.with_u, block.with_v, &*out] {
        assert_eq!(rows.len(), queries * width, "not [{queries}, {width}]");
    }
    for seen in block.visible {
        let positions = seen.first_position + seen.keys.len();
        assert!(!seen.keys.is_empty() && seen.keys.end <= block.keys.columns);
        assert!(positions <= block.positions.columns);
    }
    let keys = block.visible.iter().map(|seen| seen.keys.end).max();
    assert!(keys.unwrap_or(0) * block.values.stride <= block.values.data.len());
    for transposed in [&block.keys, &block.positions] {
        assert!(width * transposed.stride + SLACK <= transposed.data.len());
    }
    Attention {
        block,
        scratch,
        out,
    }
    .dispatch();
}

struct Attention<'a> {
    block: &'a HeadBlock<'a>,
    scratch: &'a mut Vec<f32>,
    out: &'a mut [f32],
}

/// Consecutive queries that share one inner loop.
struct Group {
    rows: Range<usize>,
    /// All keys that one of them sees.
    keys: Range<usize>,
    /// All positions that one of them needs.
    positions: Range<usize>,
}

impl Group {
    fn of(rows: Range<usize>, visible: &[Visible]) -> Self {
        let seen = &visible[rows.clone()];
        let start = |f: fn(&Visible) -> usize| seen.iter().map(f).min().unwrap_or(0);
        let end = |f: fn(&Visible) -> usize| seen.iter().map(f).max().unwrap_or(0);
        Group {
            keys: start(|s| s.keys.start)..end(|s| s.keys.end),
            positions: start(|s| s.first_position)..end(|s| s.first_position + s.keys.len()),
            rows,
        }
    }
}

impl<'a> SimdOp for Attention<'a> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let Attention {
            block,
            scratch,
            out,
        } = self;
        let (queries, width) = (block.visible.len(), block.values.columns);
        let count = queries.div_ceil(GROUP);
        let groups: [Group; MAX_QUERIES.div_ceil(GROUP)] = std::array::from_fn(|g| {
            let g = g.min(count - 1);
            let rows = queries * g / count..queries * (g + 1) / count;
            Group::of(rows, block.visible)
        });
        let groups = &groups[..count];
        let longest = |f: fn(&Group) -> usize| groups.iter().map(f).max().unwrap_or(0) + SLACK;
        let (score_stride, position_stride) =
            (longest(|g| g.keys.len()), longest(|g| g.positions.len()));
        let context_stride = width + SLACK;
        let needed = queries * (score_stride + position_stride + context_stride);
        if scratch.len() < needed {
            scratch.resize(needed, 0.0);
        }
        let (scores, rest) = scratch.split_at_mut(queries * score_stride);
        let (by_position, context) = rest.split_at_mut(queries * position_stride);

        let by_keys = Scores {
            queries: block.with_u,
            against: block.keys,
            stride: score_stride,
        };
        by_keys.compute(isa, groups, |group| group.keys.clone(), scores);
        let by_positions = Scores {
            queries: block.with_v,
            against: block.positions,
            stride: position_stride,
        };
        by_positions.compute(isa, groups, |group| group.positions.clone(), by_position);
        for group in groups {
            for row in group.rows.clone() {
                let seen = &block.visible[row];
                let scores = &mut scores[row * score_stride..][..group.keys.len()];
                let (before, rest) = scores.split_at_mut(seen.keys.start - group.keys.start);
                let (visible, after) = rest.split_at_mut(seen.keys.len());
                let skew = seen.first_position - group.positions.start;
                let shifted = &by_position[row * position_stride + skew..][..visible.len()];
                for (score, position) in visible.iter_mut().zip(shifted) {
                    *score += position;
                }
                softmax(visible);
                before.fill(0.0);
                after.fill(0.0);
            }
            for tile in (0..width).step_by(SLACK) {
                multiply(
                    isa,
                    &Product {
                        a: &scores[group.rows.start * score_stride..],
                        a_stride: score_stride,
                        b: &block.values.data[group.keys.start * block.values.stride + tile..],
                        b_stride: block.values.stride,
                        rows: group.rows.len(),
                        depth: group.keys.len(),
                        columns: SLACK.min(width - tile),
                        ahead: VALUES_AHEAD * block.values.stride
                            ..VALUES_AHEAD * block.values.stride + SLACK,
                        out_stride: context_stride,
                    },
                    &mut context[group.rows.start * context_stride + tile..],
                );
            }
        }
        for (out, context) in out
            .chunks_exact_mut(width)
            .zip(context.chunks_exact(context_stride))
        {
            out.copy_from_slice(&context[..width]);
        }
        out
    }
}

/// Queries against the columns of a transposed matrix.
struct Scores<'a> {
    /// `[queries, width]`
    queries: &'a [f32],
    /// `[width, columns]`
    against: Padded<'a>,
    /// From row to row of the result.
    stride: usize,
}

impl Scores<'_> {
    /// For each group its queries against its own columns, from the start of its rows of `out`.
    ///
    /// Tile by tile, all groups: a tile stays in the first-level cache meanwhile.
    #[inline(always)]
    fn compute<I: Isa>(
        &self,
        isa: I,
        groups: &[Group],
        columns: impl Fn(&Group) -> Range<usize>,
        out: &mut [f32],
    ) {
        let count = groups.len();
        let width = self.queries.len() / groups.last().map_or(1, |last| last.rows.end);
        for tile in (0..self.stride).step_by(SLACK) {
            for (g, group) in groups.iter().enumerate() {
                let columns = columns(group);
                if tile >= columns.len() {
                    continue;
                }
                let product = Product {
                    a: &self.queries[group.rows.start * width..group.rows.end * width],
                    a_stride: width,
                    b: &self.against.data[columns.start + tile..],
                    b_stride: self.against.stride,
                    rows: group.rows.len(),
                    depth: width,
                    columns: SLACK.min(columns.len() - tile),
                    // Each group asks for a part of the next tile.
                    ahead: SLACK + SLACK * g / count..SLACK + SLACK * (g + 1) / count,
                    out_stride: self.stride,
                };
                multiply(
                    isa,
                    &product,
                    &mut out[group.rows.start * self.stride + tile..],
                );
            }
        }
    }
}

/// `out = a · b` for at most [`GROUP`] rows and [`SLACK`] columns: `a` `[rows, depth]`, `b` `[depth, columns]`. Columns
/// are rounded up to whole vectors.
struct Product<'a> {
    a: &'a [f32],
    a_stride: usize,
    b: &'a [f32],
    b_stride: usize,
    rows: usize,
    depth: usize,
    columns: usize,
    out_stride: usize,
    /// What to ask the memory for with each row of `b`, counted from its first column.
    ahead: Range<usize>,
}

#[inline(always)]
fn multiply<I: Isa>(isa: I, product: &Product<'_>, out: &mut [f32]) {
    match product.rows {
        1 => multiply_rows::<I, 1>(isa, product, out),
        2 => multiply_rows::<I, 2>(isa, product, out),
        3 => multiply_rows::<I, 3>(isa, product, out),
        4 => multiply_rows::<I, 4>(isa, product, out),
        5 => multiply_rows::<I, 5>(isa, product, out),
        _ => multiply_rows::<I, GROUP>(isa, product, out),
    }
}

#[inline(always)]
fn multiply_rows<I: Isa, const ROWS: usize>(isa: I, product: &Product<'_>, out: &mut [f32]) {
    let lanes = isa.f32().len();
    let vectors = product.columns.div_ceil(lanes);
    let mut at = 0;
    // Registers for the sums: 24 of 32, or 12 of 16 where vectors are short.
    while lanes >= 16 && at + 4 <= vectors {
        multiply_tile::<I, ROWS, 4>(isa, product, at * lanes, out);
        at += 4;
    }
    while at + 2 <= vectors {
        multiply_tile::<I, ROWS, 2>(isa, product, at * lanes, out);
        at += 2;
    }
    if at < vectors {
        multiply_tile::<I, ROWS, 1>(isa, product, at * lanes, out);
    }
}

#[inline(always)]
fn multiply_tile<I: Isa, const ROWS: usize, const VECTORS: usize>(
    isa: I,
    product: &Product<'_>,
    column: usize,
    out: &mut [f32],
) {
    let ops = isa.f32();
    let lanes = ops.len();
    let Product {
        a,
        a_stride,
        b,
        b_stride,
        depth,
        out_stride,
        ref ahead,
        ..
    } = *product;
    let reach = column + VECTORS * lanes;
    assert!(depth > 0 && (ROWS - 1) * a_stride + depth <= a.len());
    assert!((depth - 1) * b_stride + reach <= b.len());
    assert!((ROWS - 1) * out_stride + reach <= out.len());
    let mut sums = [[ops.zero(); VECTORS]; ROWS];
    for k in 0..depth {
        // SAFETY: `k < depth`, and the last row of each operand was checked to lie inside its slice above.
        unsafe {
            let row = b.as_ptr().add(k * b_stride);
            if column == 0 {
                for line in ahead.clone().step_by(16) {
                    ops.prefetch(row.wrapping_add(line));
                }
            }
            let row = row.add(column);
            let b: [I::F32; VECTORS] = std::array::from_fn(|v| ops.load_ptr(row.add(v * lanes)));
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = ops.splat(*a.get_unchecked(r * a_stride + k));
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = ops.mul_add(a, b, *sum);
                }
            }
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            ops.store(sum, &mut out[r * out_stride + column + v * lanes..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::on_every_isa;
    use crate::reference;
    use crate::signal::noise;

    /// `[rows, columns]` in its padded form, with NaN between the rows.
    fn padded(dense: &[f32], rows: usize, columns: usize) -> Vec<f32> {
        let (len, stride) = Padded::layout(rows, columns);
        let mut data = vec![f32::NAN; len];
        for (row, values) in dense.chunks_exact(columns).enumerate() {
            data[row * stride..][..columns].copy_from_slice(values);
        }
        data
    }

    struct Case {
        with_u: Vec<f32>,
        with_v: Vec<f32>,
        keys: Vec<f32>,
        positions: Vec<f32>,
        values: Vec<f32>,
        visible: Vec<Visible>,
        frames: usize,
        width: usize,
    }

    impl Case {
        fn new(frames: usize, width: usize, queries: Range<usize>, left: usize) -> Self {
            let n = queries.len();
            let visible = queries
                .map(|i| {
                    let start = i.saturating_sub(left);
                    Visible {
                        keys: start..frames,
                        first_position: frames - 1 - i + start,
                    }
                })
                .collect();
            Case {
                with_u: noise(n * width, 1),
                with_v: noise(n * width, 2),
                keys: noise(width * frames, 3),
                positions: noise(width * (2 * frames - 1), 4),
                values: noise(frames * width, 5),
                visible,
                frames,
                width,
            }
        }

        fn with_block<R>(&self, work: impl FnOnce(&HeadBlock<'_>) -> R) -> R {
            let (frames, width) = (self.frames, self.width);
            let keys = padded(&self.keys, width, frames);
            let positions = padded(&self.positions, width, 2 * frames - 1);
            let values = padded(&self.values, frames, width);
            work(&HeadBlock {
                with_u: &self.with_u,
                with_v: &self.with_v,
                keys: Padded::new(&keys, width, frames),
                positions: Padded::new(&positions, width, 2 * frames - 1),
                values: Padded::new(&values, frames, width),
                visible: &self.visible,
            })
        }
    }

    #[test]
    fn attention_equals_the_plain_loop_on_every_isa() {
        for (frames, width, queries, left) in [
            (1, 1, 0..1, 9),
            (5, 8, 0..5, 9),
            (70, 36, 3..20, 9),
            (70, 36, 46..70, 99),
            (200, 128, 60..84, 40),
        ] {
            let case = Case::new(frames, width, queries.clone(), left);
            let expected = reference::relative_attention(
                (&case.with_u, &case.with_v),
                (&case.keys, &case.positions, &case.values),
                &case.visible,
                (frames, width),
            );
            case.with_block(|block| {
                let leak = |n| Box::leak(vec![0.0; n].into_boxed_slice());
                on_every_isa(
                    || Attention {
                        block,
                        scratch: Box::leak(Box::default()),
                        out: leak(queries.len() * width),
                    },
                    |isa, out| {
                        for (i, (a, e)) in out.iter().zip(&expected).enumerate() {
                            assert!(
                                (a - e).abs() < 1e-4,
                                "{isa} {frames} {width} {queries:?} at {i}: {a} {e}"
                            );
                        }
                    },
                );
            });
        }
    }

    #[test]
    fn a_query_does_not_depend_on_its_neighbours() {
        let (frames, width) = (90, 24);
        let run = |queries: Range<usize>| {
            let mut case = Case::new(frames, width, queries.clone(), 30);
            let all = noise(frames * width, 1);
            case.with_u = all[queries.start * width..queries.end * width].to_vec();
            case.with_v = case.with_u.clone();
            let mut out = vec![0.0; queries.len() * width];
            case.with_block(|block| relative_attention(block, &mut Vec::new(), &mut out));
            out
        };
        let whole = run(40..64);
        for part in [40..41, 41..64, 50..57, 63..64] {
            let expected = &whole[(part.start - 40) * width..(part.end - 40) * width];
            assert_eq!(run(part.clone()), expected, "{part:?}");
        }
    }
}
