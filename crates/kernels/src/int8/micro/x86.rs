//! The inner loops for x86-64.

use std::arch::x86_64::*;

use super::{Block, MAX_ROWS, PANEL, Store, Tile};

/// # Safety
/// Needs AVX-512 F and VNNI, and the lengths that `DotKernel::run` checks.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) unsafe fn avx512_vnni(block: &Block<'_>, tile: &mut Tile<'_>) {
    // SAFETY: passed on.
    unsafe {
        match block.quantized.scales.len() {
            1 => avx512_rows::<1>(block, tile),
            2 => avx512_rows::<2>(block, tile),
            3 => avx512_rows::<3>(block, tile),
            4 => avx512_rows::<4>(block, tile),
            5 => avx512_rows::<5>(block, tile),
            _ => avx512_rows::<MAX_ROWS>(block, tile),
        }
    }
}

/// # Safety
/// As [`avx512_vnni`]; the block has `ROWS` rows.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn avx512_rows<const ROWS: usize>(block: &Block<'_>, tile: &mut Tile<'_>) {
    const VECTORS: usize = PANEL / 16;
    assert_eq!(block.quantized.scales.len(), ROWS);
    let stride = block.quantized.stride;
    let x = block.quantized.data.as_ptr();
    let weights = block.panel.weights.as_ptr();
    let mut sums = [[_mm512_setzero_si512(); VECTORS]; ROWS];
    // One or a few cache lines with each step.
    let next = block.next.as_ptr();
    let step = block.next.len().div_ceil((stride / 4).max(1));
    let lines = step.div_ceil(64);
    for k in 0..stride / 4 {
        for line in 0..lines {
            // A prefetch reads nothing, so that the address may lie anywhere.
            _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(k * step + 64 * line).cast());
        }
        // SAFETY: a panel holds `stride / 4` quads of `4 * PANEL` bytes, and each row `stride` bytes
        // (`DotKernel::run` checked both).
        unsafe {
            let quad = weights.add(k * 4 * PANEL);
            let w: [__m512i; VECTORS] =
                std::array::from_fn(|v| _mm512_loadu_si512(quad.add(64 * v).cast()));
            for (row, sums) in sums.iter_mut().enumerate() {
                let x =
                    _mm512_set1_epi32(x.add(row * stride + 4 * k).cast::<i32>().read_unaligned());
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = _mm512_dpbusd_epi32(*sum, x, w);
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        let scale = _mm512_set1_ps(block.quantized.scales[row]);
        let zero = _mm512_set1_epi32(block.quantized.zeros[row]);
        let out = tile.row(row).as_mut_ptr();
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: all four arrays hold `PANEL` values.
            unsafe {
                let of_zero = _mm512_mullo_epi32(
                    zero,
                    _mm512_loadu_si512(block.panel.sums.as_ptr().add(16 * v).cast()),
                );
                let exact = _mm512_cvtepi32_ps(_mm512_sub_epi32(*sum, of_zero));
                let scale = _mm512_mul_ps(
                    scale,
                    _mm512_loadu_ps(block.panel.scales.as_ptr().add(16 * v)),
                );
                let bias = _mm512_loadu_ps(block.bias.as_ptr().add(16 * v));
                let mut value = _mm512_fmadd_ps(exact, scale, bias);
                if block.store == Store::Add {
                    value = _mm512_add_ps(_mm512_loadu_ps(out.add(16 * v)), value);
                }
                _mm512_storeu_ps(out.add(16 * v), value);
            }
        }
    }
}

/// How 256-bit kernels add the products of four 8-bit pairs to each of eight sums.
trait Dot256 {
    /// Weights as the sums take them.
    type Weights: Copy;

    /// # Safety
    /// Needs the instructions of the implementor.
    unsafe fn weights(w: __m256i) -> Self::Weights;

    /// # Safety
    /// Needs the instructions of the implementor.
    unsafe fn add(sum: __m256i, x: __m256i, w: Self::Weights) -> __m256i;
}

struct Vnni;

impl Dot256 for Vnni {
    type Weights = __m256i;

    #[inline]
    #[target_feature(enable = "avx2,fma,avxvnni")]
    unsafe fn weights(w: __m256i) -> __m256i {
        w
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,avxvnni")]
    unsafe fn add(sum: __m256i, x: __m256i, w: __m256i) -> __m256i {
        _mm256_dpbusd_avx_epi32(sum, x, w)
    }
}

struct Widened;

impl Dot256 for Widened {
    /// The even and the odd ones of each four, in 16 bits.
    type Weights = (__m256i, __m256i);

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn weights(w: __m256i) -> Self::Weights {
        let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w));
        (even, _mm256_srai_epi16::<8>(w))
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add(sum: __m256i, x: __m256i, (even, odd): Self::Weights) -> __m256i {
        let low = _mm256_and_si256(x, _mm256_set1_epi16(0xff));
        let high = _mm256_srli_epi16::<8>(x);
        let sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, even));
        _mm256_add_epi32(sum, _mm256_madd_epi16(high, odd))
    }
}

macro_rules! kernel_256 {
    ($name:ident, $rows:ident, $dot:ty, $features:literal) => {
        /// # Safety
        /// Needs the instructions of its name, and the lengths that `DotKernel::run` checks.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(block: &Block<'_>, tile: &mut Tile<'_>) {
            // SAFETY: passed on.
            unsafe {
                match block.quantized.scales.len() {
                    1 => $rows::<1>(block, 0, tile),
                    2 => $rows::<2>(block, 0, tile),
                    3 => $rows::<3>(block, 0, tile),
                    4 => $rows::<4>(block, 0, tile),
                    5 => {
                        $rows::<3>(block, 0, tile);
                        $rows::<2>(block, 3, tile);
                    }
                    _ => {
                        $rows::<3>(block, 0, tile);
                        $rows::<3>(block, 3, tile);
                    }
                }
            }
        }

        /// Rows `first .. first + ROWS` of the block, 16 columns at a time.
        ///
        /// # Safety
        /// As its caller; the block holds these rows.
        #[target_feature(enable = $features)]
        unsafe fn $rows<const ROWS: usize>(block: &Block<'_>, first: usize, tile: &mut Tile<'_>) {
            const COLUMNS: usize = 16;
            let stride = block.quantized.stride;
            assert!(first + ROWS <= block.quantized.scales.len());
            for column in (0..PANEL).step_by(COLUMNS) {
                let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
                for k in 0..stride / 4 {
                    // SAFETY: a panel holds `stride / 4` quads of `4 * PANEL` bytes, and each row `stride` bytes
                    // (`DotKernel::run` checked both).
                    unsafe {
                        let quad = block.panel.weights.as_ptr().add(4 * (k * PANEL + column));
                        let w = [
                            <$dot>::weights(_mm256_loadu_si256(quad.cast())),
                            <$dot>::weights(_mm256_loadu_si256(quad.add(32).cast())),
                        ];
                        for (row, sums) in sums.iter_mut().enumerate() {
                            let x = block
                                .quantized
                                .data
                                .as_ptr()
                                .add((first + row) * stride + 4 * k);
                            let x = _mm256_set1_epi32(x.cast::<i32>().read_unaligned());
                            for (sum, w) in sums.iter_mut().zip(w) {
                                *sum = <$dot>::add(*sum, x, w);
                            }
                        }
                    }
                }
                for (row, sums) in sums.iter().enumerate() {
                    // SAFETY: the instructions are passed on.
                    unsafe { finish_256(block, first + row, column, sums, tile) };
                }
            }
        }
    };
}

kernel_256!(avx_vnni, avx_vnni_rows, Vnni, "avx2,fma,avxvnni");
kernel_256!(avx2, avx2_rows, Widened, "avx2,fma");

/// Turns the sums of 16 columns of one row into their values.
///
/// # Safety
/// Needs AVX2 and FMA.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn finish_256(
    block: &Block<'_>,
    row: usize,
    column: usize,
    sums: &[__m256i; 2],
    tile: &mut Tile<'_>,
) {
    assert!(column + 16 <= PANEL);
    let scale = _mm256_set1_ps(block.quantized.scales[row]);
    let zero = _mm256_set1_epi32(block.quantized.zeros[row]);
    let out = tile.row(row).as_mut_ptr();
    for (v, sum) in sums.iter().enumerate() {
        let at = column + 8 * v;
        // SAFETY: all four arrays hold `PANEL` values, and `at + 8 <= PANEL`.
        unsafe {
            let of_zero = _mm256_mullo_epi32(
                zero,
                _mm256_loadu_si256(block.panel.sums.as_ptr().add(at).cast()),
            );
            let exact = _mm256_cvtepi32_ps(_mm256_sub_epi32(*sum, of_zero));
            let scale = _mm256_mul_ps(scale, _mm256_loadu_ps(block.panel.scales.as_ptr().add(at)));
            let bias = _mm256_loadu_ps(block.bias.as_ptr().add(at));
            let mut value = _mm256_fmadd_ps(exact, scale, bias);
            if block.store == Store::Add {
                value = _mm256_add_ps(_mm256_loadu_ps(out.add(at)), value);
            }
            _mm256_storeu_ps(out.add(at), value);
        }
    }
}
