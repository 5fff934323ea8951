//! Two chains of books that both describe the whole of a latent frame (Mimi).

use percept_kernels::{PackedMatrix, Rows, matmul, matmul_add};

use super::{EuclideanQuantizer, Quantizer};

/// A linear map without a bias.
pub(crate) type Projection = PackedMatrix;

/// One chain of books.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) books: EuclideanQuantizer,
    /// To the space of the entries and back, where that is another than the latent frames'.
    pub(crate) maps: Option<[Projection; 2]>,
}

/// Semantic books, and acoustic ones after them. Each chain encodes the latent frames themselves; what they stand for
/// is added.
#[derive(Debug)]
pub(crate) struct SplitQuantizer {
    stages: [Stage; 2],
    width: usize,
}

impl SplitQuantizer {
    /// Of chains for latent frames of `width` values.
    pub(crate) fn new(stages: [Stage; 2], width: usize) -> Self {
        SplitQuantizer { stages, width }
    }
}

impl Quantizer for SplitQuantizer {
    fn width(&self) -> usize {
        self.width
    }

    fn encode(&self, latents: &[f32], out: &mut [Vec<u16>]) {
        let mut left = out;
        for stage in &self.stages {
            let (own, after) = left.split_at_mut(stage.books.len().min(left.len()));
            left = after;
            match &stage.maps {
                None => stage.books.encode(latents, own),
                Some([inward, _]) => {
                    let mut mapped = vec![0.0; latents.len() / self.width * inward.outputs()];
                    matmul(Rows::dense(latents, self.width), inward, None, &mut mapped);
                    stage.books.encode(&mapped, own);
                }
            }
        }
    }

    fn decode(&self, first: u64, books: &[&[u16]], out: &mut [f32]) {
        out.fill(0.0);
        let mut left = books;
        for stage in &self.stages {
            let (own, after) = left.split_at(stage.books.len().min(left.len()));
            left = after;
            if own.is_empty() {
                return;
            }
            let dimensions = stage.books.width();
            let mut meant = vec![0.0; out.len() / self.width * dimensions];
            stage.books.decode(first, own, &mut meant);
            match &stage.maps {
                None => out.iter_mut().zip(&meant).for_each(|(out, v)| *out += v),
                Some([_, outward]) => {
                    matmul_add(Rows::dense(&meant, dimensions), outward, None, out)
                }
            }
        }
    }
}
