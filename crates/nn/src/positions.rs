//! Encodings of relative positions, and what the layers of an encoder make of them.

use std::sync::{Arc, Mutex, PoisonError};

use half::bf16;
use percept_kernels::Padded;
use rayon::prelude::*;

use crate::AttentionShape;
use crate::arena::{Buffer, buffer};

/// Encodings of the relative positions `back, back - 1, ..., -ahead`; positive positions are keys to the left.
#[derive(Clone, Debug)]
pub struct RelativePositions {
    /// `[back + ahead + 1, width]`
    pub(crate) table: Vec<f32>,
    /// The first row's position.
    pub(crate) back: usize,
}

impl RelativePositions {
    /// Encodings of `width` values: `sin(p · w_i)` and `cos(p · w_i)` in turn, `w_i = 10000^(-2i / width)`.
    pub fn new(back: usize, ahead: usize, width: usize) -> Self {
        let frequencies: Vec<f32> = (0..width)
            .step_by(2)
            .map(|i| 1.0 / 10_000f32.powf(i as f32 / width as f32))
            .collect();
        let mut table = vec![0.0; (back + ahead + 1) * width];
        table
            .par_chunks_mut(width)
            .enumerate()
            .for_each(|(row, values)| {
                let position = back as f32 - row as f32;
                for (pair, frequency) in values.chunks_mut(2).zip(&frequencies) {
                    let angle = position * frequency;
                    pair[0] = angle.sin();
                    if let Some(second) = pair.get_mut(1) {
                        *second = angle.cos();
                    }
                }
            });
        RelativePositions { table, back }
    }
}

/// Positions as the attention of one layer compares queries with them; from
/// [`RelPosAttention::project`](crate::RelPosAttention::project).
#[derive(Clone, Debug)]
pub struct ProjectedPositions {
    /// For each head `[head width, rows]`.
    pub(crate) by_head: Table,
    /// Positions.
    pub(crate) rows: usize,
    /// The first row's position.
    pub(crate) back: usize,
}

/// Values as they are kept: half as wide where they come from 8-bit weights, which leave more noise than that.
#[derive(Clone, Debug)]
pub(crate) enum Table {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Table {
    /// Copies `values` from `at` on.
    fn read(&self, at: usize, values: &mut [f32]) {
        match self {
            Table::F32(table) => values.copy_from_slice(&table[at..at + values.len()]),
            Table::Bf16(table) => {
                for (value, kept) in values.iter_mut().zip(&table[at..]) {
                    *value = kept.to_f32();
                }
            }
        }
    }
}

impl ProjectedPositions {
    /// Those from `back` to `-ahead`, for `heads` heads.
    ///
    /// # Panics
    /// Where the table does not reach that far.
    pub fn padded(&self, (back, ahead): (usize, usize), shape: AttentionShape) -> PaddedPositions {
        let (first, rows) = (self.back - back, back + ahead + 1);
        let head_width = shape.width / shape.heads;
        let heads = (0..shape.heads).map(|head| self.head((head, head_width), (first, rows)));
        PaddedPositions {
            by_head: heads.flat_map(|table| table.to_vec()).collect(),
            rows,
            back,
        }
    }

    /// Columns `first .. first + count` of the table of one head in padded form, `[head_width, count]`.
    pub(crate) fn head(
        &self,
        (head, head_width): (usize, usize),
        (first, count): (usize, usize),
    ) -> Buffer {
        let (len, stride) = Padded::layout(head_width, count);
        let mut out = buffer(len);
        for (channel, row) in out.chunks_mut(stride).take(head_width).enumerate() {
            let at = (head * head_width + channel) * self.rows + first;
            self.by_head.read(at, &mut row[..count]);
        }
        out
    }
}

/// Positions ready for the kernel, for masks of a fixed reach; from [`ProjectedPositions::padded`].
#[derive(Clone, Debug)]
pub struct PaddedPositions {
    /// For each head `[head width, rows]`, in [`Padded`] form.
    by_head: Vec<f32>,
    rows: usize,
    /// The column of position 0.
    pub(crate) back: usize,
}

impl PaddedPositions {
    pub(crate) fn head(&self, head: usize, head_width: usize) -> Padded<'_> {
        let (len, _) = Padded::layout(head_width, self.rows);
        Padded::new(&self.by_head[head * len..][..len], head_width, self.rows)
    }
}

/// The projected positions of all layers, kept from one call to the next: they depend on the weights alone.
///
/// A wider reach replaces a narrower one. What would be more than the limit is not kept.
#[derive(Debug)]
pub struct PositionCache {
    kept: Mutex<Option<Arc<Projected>>>,
    limit: usize,
}

/// The positions of every layer.
#[derive(Debug)]
pub struct Projected {
    layers: Vec<ProjectedPositions>,
    ahead: usize,
}

impl Projected {
    /// The positions of layer `n`.
    pub fn layer(&self, n: usize) -> &ProjectedPositions {
        &self.layers[n]
    }

    fn back(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.back)
    }
}

impl PositionCache {
    /// Kept reaches are multiples of this, so that recordings of slightly different lengths share a table.
    const STEP: usize = 64;

    /// Keeps nothing yet, and never more than `limit` values, of two bytes where they come from 8-bit weights and of four
    /// otherwise.
    pub fn new(limit: usize) -> Self {
        PositionCache {
            kept: Mutex::new(None),
            limit,
        }
    }

    /// Tables that reach at least `back` and `ahead`, for `layers` layers of `width` channels; `project(n, encodings)`
    /// makes those of layer `n`. `None` where they would not be kept.
    pub fn reaching(
        &self,
        (back, ahead): (usize, usize),
        (layers, width): (usize, usize),
        project: impl Fn(usize, &RelativePositions) -> ProjectedPositions + Sync,
    ) -> Option<Arc<Projected>> {
        let kept = self.lock().clone();
        let (mut wide_back, mut wide_ahead) = (
            back.next_multiple_of(Self::STEP),
            ahead.next_multiple_of(Self::STEP),
        );
        if let Some(kept) = kept {
            if kept.back() >= back && kept.ahead >= ahead {
                return Some(kept);
            }
            wide_back = wide_back.max(kept.back());
            wide_ahead = wide_ahead.max(kept.ahead);
        }
        if (wide_back + wide_ahead + 1) * width * layers > self.limit {
            return None;
        }
        let positions = RelativePositions::new(wide_back, wide_ahead, width);
        let made = Arc::new(Projected {
            layers: (0..layers)
                .into_par_iter()
                .map(|n| project(n, &positions))
                .collect(),
            ahead: wide_ahead,
        });
        *self.lock() = Some(Arc::clone(&made));
        Some(made)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Projected>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
