//! The inner loops: a few rows of activations times one panel of weights.

use std::marker::PhantomData;
use std::sync::OnceLock;

use super::Store;

#[cfg(target_arch = "x86_64")]
mod x86;

/// Outputs of one panel.
pub(super) const PANEL: usize = 64;
/// Rows of activations that one call of a kernel takes.
pub(super) const MAX_ROWS: usize = 6;

/// 64 outputs of a weight matrix.
pub(super) struct Panel<'a> {
    /// `[inputs / 4, PANEL, 4]`, signed.
    pub(super) weights: &'a [u8],
    pub(super) scales: &'a [f32; PANEL],
    /// Sum of each output's weights.
    pub(super) sums: &'a [i32; PANEL],
}

/// Up to [`MAX_ROWS`] rows of activations.
pub(super) struct QuantizedBlock<'a> {
    /// `[rows, stride]`
    pub(super) data: &'a [u8],
    pub(super) stride: usize,
    pub(super) scales: &'a [f32],
    pub(super) zeros: &'a [i32],
}

/// What one call of a kernel computes.
pub(super) struct Block<'a> {
    pub(super) quantized: QuantizedBlock<'a>,
    pub(super) panel: Panel<'a>,
    pub(super) bias: &'a [f32; PANEL],
    pub(super) store: Store,
    /// Weights that will be needed soon.
    pub(super) next: &'a [u8],
}

/// Where a block's result goes: `[rows, PANEL]`, `stride` values from row to row.
pub(super) struct Tile<'a> {
    first: *mut f32,
    stride: usize,
    rows: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

impl<'a> Tile<'a> {
    /// # Safety
    /// For the life of the tile, `PANEL` values at each of the rows must be valid, and nobody else may use them.
    pub(super) unsafe fn new(first: *mut f32, stride: usize, rows: usize) -> Self {
        Tile {
            first,
            stride,
            rows,
            borrow: PhantomData,
        }
    }

    pub(super) fn of(values: &'a mut [f32], stride: usize) -> Self {
        assert!(stride >= PANEL && values.len().is_multiple_of(stride));
        // SAFETY: whole rows of at least `PANEL` values, borrowed exclusively.
        unsafe { Tile::new(values.as_mut_ptr(), stride, values.len() / stride) }
    }

    fn row(&mut self, row: usize) -> &mut [f32; PANEL] {
        assert!(row < self.rows);
        // SAFETY: `Tile::new`'s caller vouches for `PANEL` values at every row, and the borrow is exclusive.
        unsafe { &mut *self.first.add(row * self.stride).cast() }
    }
}

/// The instructions that multiply and add 8-bit integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DotKernel {
    /// `vpdpbusd` on 512 bits.
    Avx512Vnni,
    /// `vpdpbusd` on 256 bits.
    AvxVnni,
    /// Widened to 16 bits and `vpmaddwd` on 256 bits: `vpmaddubsw` would saturate.
    Avx2,
    /// What the compiler makes of a plain loop.
    Portable,
}

impl DotKernel {
    /// All, the fastest first.
    pub const ALL: [DotKernel; 4] = [
        DotKernel::Avx512Vnni,
        DotKernel::AvxVnni,
        DotKernel::Avx2,
        DotKernel::Portable,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            DotKernel::Avx512Vnni => "avx512-vnni",
            DotKernel::AvxVnni => "avx-vnni",
            DotKernel::Avx2 => "avx2",
            DotKernel::Portable => "portable",
        }
    }

    /// Whether this CPU has it.
    pub fn is_supported(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            match self {
                DotKernel::Avx512Vnni => {
                    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
                }
                DotKernel::AvxVnni => has_avx2 && is_x86_feature_detected!("avxvnni"),
                DotKernel::Avx2 => has_avx2,
                DotKernel::Portable => true,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == DotKernel::Portable
        }
    }

    /// The fastest that this CPU has.
    pub fn best() -> Self {
        static BEST: OnceLock<DotKernel> = OnceLock::new();
        *BEST.get_or_init(|| {
            let found = Self::ALL.into_iter().find(|kernel| kernel.is_supported());
            found.unwrap_or(DotKernel::Portable)
        })
    }

    pub(super) fn run(self, block: &Block<'_>, mut tile: Tile<'_>) {
        let rows = block.quantized.scales.len();
        let inputs = block.panel.weights.len() / PANEL;
        assert!(rows <= MAX_ROWS && rows <= tile.rows && self.is_supported());
        assert!(inputs.is_multiple_of(4) && block.quantized.stride == inputs);
        assert_eq!(block.quantized.data.len(), rows * inputs);
        assert_eq!(block.quantized.zeros.len(), rows);
        match self {
            // SAFETY: the instructions were detected (`is_supported`, asserted above); the lengths were checked here.
            #[cfg(target_arch = "x86_64")]
            DotKernel::Avx512Vnni => unsafe { x86::avx512_vnni(block, &mut tile) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            DotKernel::AvxVnni => unsafe { x86::avx_vnni(block, &mut tile) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            DotKernel::Avx2 => unsafe { x86::avx2(block, &mut tile) },
            _ => portable(block, &mut tile),
        }
    }
}

fn portable(block: &Block<'_>, tile: &mut Tile<'_>) {
    let Block {
        quantized, panel, ..
    } = block;
    for (row, x) in quantized
        .data
        .chunks_exact(quantized.stride.max(1))
        .enumerate()
    {
        let mut sums = [0i32; PANEL];
        let quads = panel.weights.as_chunks::<{ 4 * PANEL }>().0;
        for (x, weights) in x.as_chunks::<4>().0.iter().zip(quads) {
            let x = x.map(i32::from);
            for (sum, w) in sums.iter_mut().zip(weights.as_chunks::<4>().0) {
                let w = w.map(|w| i32::from(w as i8));
                *sum += x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3];
            }
        }
        finish(block, row, &sums, tile.row(row));
    }
    // Inputs of no width leave no chunks to walk over.
    if quantized.stride == 0 {
        for row in 0..quantized.scales.len() {
            finish(block, row, &[0; PANEL], tile.row(row));
        }
    }
}

/// Turns the sums of one row into its values.
fn finish(block: &Block<'_>, row: usize, sums: &[i32; PANEL], out: &mut [f32; PANEL]) {
    let (scale, zero) = (block.quantized.scales[row], block.quantized.zeros[row]);
    for (c, out) in out.iter_mut().enumerate() {
        let exact = (sums[c] - zero * block.panel.sums[c]) as f32;
        let value = exact.mul_add(scale * block.panel.scales[c], block.bias[c]);
        *out = match block.store {
            Store::Replace => value,
            Store::Add => *out + value,
        };
    }
}
