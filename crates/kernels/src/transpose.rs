//! Rows to columns.

/// A matrix among others: `stride` values from row to row.
#[derive(Clone, Copy, Debug)]
pub struct Strided<T> {
    /// From the first value of the first row on.
    pub data: T,
    /// Values from row to row.
    pub stride: usize,
}

/// Writes `x` `[rows, columns]` as `[columns, rows]`.
///
/// # Panics
/// Where either has fewer values than that, or rows that overlap.
pub fn transpose(x: Strided<&[f32]>, (rows, columns): (usize, usize), out: Strided<&mut [f32]>) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns <= x.stride && (rows - 1) * x.stride + columns <= x.data.len());
    assert!(rows <= out.stride && (columns - 1) * out.stride + rows <= out.data.len());
    #[cfg(target_arch = "x86_64")]
    if rows >= x86::SIDE && columns >= x86::SIDE && is_x86_feature_detected!("avx") {
        // SAFETY: AVX was detected; both matrices lie inside their slices, and hold a whole block, as checked above.
        return unsafe { x86::transpose(x, (rows, columns), out) };
    }
    portable(x, (rows, columns), out);
}

fn portable(x: Strided<&[f32]>, (rows, columns): (usize, usize), out: Strided<&mut [f32]>) {
    /// Rows and columns of a block that fits the first-level cache both ways.
    const BLOCK: usize = 16;
    for row in (0..rows).step_by(BLOCK) {
        for block in (0..columns).step_by(BLOCK) {
            for c in block..(block + BLOCK).min(columns) {
                let out = &mut out.data[c * out.stride + row..][..BLOCK.min(rows - row)];
                for (r, out) in out.iter_mut().enumerate() {
                    *out = x.data[(row + r) * x.stride + c];
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Strided;

    /// Rows and columns of a block.
    pub(super) const SIDE: usize = 8;

    /// # Safety
    /// The CPU has AVX; there are at least [`SIDE`] rows and columns, and both matrices lie inside their slices.
    #[target_feature(enable = "avx")]
    pub(super) unsafe fn transpose(
        x: Strided<&[f32]>,
        (rows, columns): (usize, usize),
        out: Strided<&mut [f32]>,
    ) {
        for row in (0..rows).step_by(SIDE) {
            // The last block may overlap the one before it.
            let row = row.min(rows - SIDE);
            for column in (0..columns).step_by(SIDE) {
                let column = column.min(columns - SIDE);
                // SAFETY: the block is inside both matrices, as the caller vouches.
                unsafe {
                    let from = x.data.as_ptr().add(row * x.stride + column);
                    let to = out.data.as_mut_ptr().add(column * out.stride + row);
                    block((from, x.stride), (to, out.stride));
                }
            }
        }
    }

    /// # Safety
    /// The CPU has AVX; [`SIDE`] values at each of as many rows may be read and written.
    #[target_feature(enable = "avx")]
    unsafe fn block((from, stride): (*const f32, usize), (to, out_stride): (*mut f32, usize)) {
        // SAFETY: the caller vouches for the rows.
        let row = |r: usize| unsafe { _mm256_loadu_ps(from.add(r * stride)) };
        // Pairs of rows, then fours, then all eight.
        let fours = |r: usize| {
            let (a, b, c, d) = (row(r), row(r + 1), row(r + 2), row(r + 3));
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0x44>(ab, cd),
                _mm256_shuffle_ps::<0xEE>(ab, cd),
                _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
                _mm256_shuffle_ps::<0xEE>(ab_high, cd_high),
            ]
        };
        let (upper, lower) = (fours(0), fours(4));
        for (c, (upper, lower)) in upper.into_iter().zip(lower).enumerate() {
            let low = _mm256_permute2f128_ps::<0x20>(upper, lower);
            let high = _mm256_permute2f128_ps::<0x31>(upper, lower);
            // SAFETY: the caller vouches for the rows.
            unsafe {
                _mm256_storeu_ps(to.add(c * out_stride), low);
                _mm256_storeu_ps(to.add((c + 4) * out_stride), high);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::signal::noise;

    type Kernel = fn(Strided<&[f32]>, (usize, usize), Strided<&mut [f32]>);

    #[test]
    fn transposes_equal_the_plain_loop_and_leave_the_rest_alone() {
        for (rows, columns) in [(1, 1), (3, 8), (7, 9), (8, 8), (9, 17), (16, 7), (175, 128)] {
            let (stride, out_stride) = (columns + 3, rows + 5);
            let x = noise(rows * stride, 1);
            let dense: Vec<f32> = x
                .chunks(stride)
                .flat_map(|row| &row[..columns])
                .copied()
                .collect();
            let expected = reference::transpose(&dense, columns);
            for (name, kernel) in [("dispatched", transpose as Kernel), ("portable", portable)] {
                let mut out = vec![7.0; columns * out_stride];
                let from = Strided {
                    data: &x[..],
                    stride,
                };
                let to = Strided {
                    data: &mut out[..],
                    stride: out_stride,
                };
                kernel(from, (rows, columns), to);
                for (out, expected) in out.chunks(out_stride).zip(expected.chunks(rows)) {
                    assert_eq!(out[..rows], *expected, "{name} [{rows}, {columns}]");
                    assert_eq!(out[rows..], [7.0; 5], "{name} [{rows}, {columns}]");
                }
            }
        }
        #[cfg(target_arch = "x86_64")]
        if !is_x86_feature_detected!("avx") {
            eprintln!("skipped: this CPU has no AVX");
        }
    }
}
