//! Weights in 8-bit integers, laid out for the micro-kernels.

use std::sync::Arc;

use memmap2::MmapMut;

use super::micro::{PANEL, Panel};

/// Inputs above which sums of products could leave 32 bits.
pub const MAX_INPUTS: usize = 1 << 16;

/// Bytes that several owners share: built at run time, or mapped from a file.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The weights of a linear map, `[outputs, inputs]`, with one scale per output.
///
/// Laid out in panels of 64 outputs; within a panel four inputs of each output lie together. The layout is the same for
/// every instruction set, so that it can be written to disk and mapped: see [`Int8Matrix::bytes`].
#[derive(Clone)]
pub struct Int8Matrix {
    bytes: SharedBytes,
    outputs: usize,
    inputs: usize,
    /// Per output, padded to whole panels: the scale, and the sum of the weights.
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Int8Matrix {
    /// Quantises `weights` `[outputs, inputs]`, the layout of `torch.nn.Linear`, each output to its largest weight.
    ///
    /// An output with a weight that is no finite number gives NaN.
    ///
    /// # Panics
    /// Where `weights` has another length, or there are more than [`MAX_INPUTS`] inputs.
    pub fn quantize(weights: &[f32], outputs: usize, inputs: usize) -> Self {
        assert_eq!(
            weights.len(),
            outputs * inputs,
            "weights are not [{outputs}, {inputs}]"
        );
        assert!(
            inputs <= MAX_INPUTS,
            "{inputs} inputs do not fit 32-bit sums"
        );
        let columns = outputs.next_multiple_of(PANEL);
        let panel_bytes = panel_bytes(inputs);
        let mut blob = Blob::zeros(blob_bytes(outputs, inputs).next_multiple_of(64));
        let bytes = blob.as_mut();
        let (panels, tail) = bytes.split_at_mut(columns / PANEL * panel_bytes);
        let (scales, sums) = tail.split_at_mut(4 * columns);
        for (output, row) in weights.chunks_exact(inputs.max(1)).enumerate() {
            let panel = &mut panels[output / PANEL * panel_bytes..][..panel_bytes];
            let largest = row.iter().fold(0.0f32, |m, w| m.max(w.abs()));
            let is_finite = row.iter().all(|w| w.is_finite());
            let scale = largest / 127.0;
            let inverse = if is_finite && scale > 0.0 {
                127.0 / largest
            } else {
                0.0
            };
            let mut sum = 0;
            for (fours, quad) in row.chunks(4).zip(panel.chunks_exact_mut(4 * PANEL)) {
                for (to, w) in quad[output % PANEL * 4..][..4].iter_mut().zip(fours) {
                    // A float that is no number becomes 0 here; the scale says what it was.
                    let q = (w * inverse).round_ties_even().clamp(-127.0, 127.0) as i8;
                    *to = q as u8;
                    sum += i32::from(q);
                }
            }
            let scale = if is_finite { scale } else { f32::NAN };
            scales[4 * output..][..4].copy_from_slice(&scale.to_le_bytes());
            sums[4 * output..][..4].copy_from_slice(&sum.to_le_bytes());
        }
        let bytes: SharedBytes = Arc::new(blob);
        Self::from_bytes(bytes, outputs, inputs).expect("the blob was made for this shape")
    }

    /// Takes weights as [`Int8Matrix::bytes`] gave them, without copying the panels; `None` where the length is not that
    /// of the shape.
    pub fn from_bytes(bytes: SharedBytes, outputs: usize, inputs: usize) -> Option<Self> {
        let all = (*bytes).as_ref();
        if inputs > MAX_INPUTS || all.len() != blob_bytes(outputs, inputs).next_multiple_of(64) {
            return None;
        }
        let columns = outputs.next_multiple_of(PANEL);
        let tail = &all[columns / PANEL * panel_bytes(inputs)..];
        let (scales, sums) = tail.split_at(4 * columns);
        let scales = scales.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
        let sums = sums.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b));
        Some(Int8Matrix {
            scales: scales.collect(),
            sums: sums.take(columns).collect(),
            bytes,
            outputs,
            inputs,
        })
    }

    /// The panels, then the scales, then the sums, in little-endian order: what [`Int8Matrix::from_bytes`] takes.
    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// Values per output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Values per input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The weight that stands at (`output`, `input`).
    pub fn value(&self, output: usize, input: usize) -> f32 {
        assert!(output < self.outputs && input < self.inputs);
        let panel = output / PANEL * panel_bytes(self.inputs);
        let at = panel + (input / 4 * PANEL + output % PANEL) * 4 + input % 4;
        self.scales[output] * f32::from(self.bytes()[at] as i8)
    }

    pub(super) fn panel(&self, panel: usize) -> Panel<'_> {
        let columns = panel * PANEL..(panel + 1) * PANEL;
        let bytes = panel_bytes(self.inputs);
        Panel {
            weights: &self.bytes()[panel * bytes..][..bytes],
            scales: self.scales[columns.clone()]
                .try_into()
                .expect("scales are padded to whole panels"),
            sums: self.sums[columns]
                .try_into()
                .expect("sums are padded to whole panels"),
        }
    }
}

impl std::fmt::Debug for Int8Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Int8Matrix[{}, {}]", self.outputs, self.inputs)
    }
}

fn panel_bytes(inputs: usize) -> usize {
    inputs.next_multiple_of(4) * PANEL
}

/// Panels, scales and sums, before padding to whole cache lines.
fn blob_bytes(outputs: usize, inputs: usize) -> usize {
    let columns = outputs.next_multiple_of(PANEL);
    columns / PANEL * panel_bytes(inputs) + 8 * columns
}

/// One cache line, so that panels begin on one.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Zeroed bytes that begin on a cache line.
enum Blob {
    Lines(Vec<Line>),
    /// Pages of their own: they go back to the system when weights are dropped.
    Pages(MmapMut),
}

impl Blob {
    /// Bytes from which on pages of their own are no waste.
    const MIN_PAGES: usize = 1 << 18;

    fn zeros(bytes: usize) -> Self {
        if bytes >= Self::MIN_PAGES
            && let Ok(pages) = MmapMut::map_anon(bytes)
        {
            return Blob::Pages(pages);
        }
        Blob::Lines(vec![Line([0; 64]); bytes.div_ceil(64)])
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        match self {
            // SAFETY: a `Line` is 64 bytes without padding, and the vector owns `len` of them.
            Blob::Lines(lines) => unsafe {
                std::slice::from_raw_parts(lines.as_ptr().cast(), 64 * lines.len())
            },
            Blob::Pages(pages) => pages,
        }
    }
}

impl AsMut<[u8]> for Blob {
    fn as_mut(&mut self) -> &mut [u8] {
        match self {
            // SAFETY: as in `as_ref`; every byte pattern is a `Line`, and the borrow is exclusive.
            Blob::Lines(lines) => unsafe {
                std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), 64 * lines.len())
            },
            Blob::Pages(pages) => pages,
        }
    }
}
