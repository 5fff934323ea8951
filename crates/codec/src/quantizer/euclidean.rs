//! Quantisers that look codes up by distance (EnCodec, Mimi).

use percept_kernels::{PackedMatrix, Rows, matmul};
use rayon::prelude::*;

use super::{Quantizer, nearest, square};

/// Latent frames that are searched for at once.
const SEARCHED_FRAMES: usize = 32;

/// Books of vectors as wide as a latent frame, the nearest of which stands for it. A code covers one frame.
#[derive(Debug)]
pub(crate) struct EuclideanQuantizer {
    books: Vec<EuclideanBook>,
    width: usize,
}

/// One book.
#[derive(Debug)]
pub(crate) struct EuclideanBook {
    /// `[size, width]`.
    entries: Vec<f32>,
    /// The same, for products with all of them.
    packed: PackedMatrix,
    /// The squares of their lengths.
    squares: Vec<f32>,
}

impl EuclideanBook {
    /// Of `entries` `[size, width]`.
    pub(crate) fn new(entries: Vec<f32>, width: usize) -> Self {
        EuclideanBook {
            packed: PackedMatrix::pack(&entries, entries.len() / width, width),
            squares: entries.chunks_exact(width).map(square).collect(),
            entries,
        }
    }

    fn entry(&self, code: u16) -> &[f32] {
        let width = self.packed.inputs();
        &self.entries[usize::from(code) * width..][..width]
    }

    /// The codes of frames `[codes, width]`.
    fn search(&self, frames: &[f32], codes: &mut [u16]) {
        let (width, size) = (self.packed.inputs(), self.packed.outputs());
        let frames = frames.par_chunks(SEARCHED_FRAMES * width);
        let codes = codes.par_chunks_mut(SEARCHED_FRAMES);
        codes.zip(frames).for_each(|(codes, frames)| {
            let mut products = vec![0.0; codes.len() * size];
            matmul(
                Rows::dense(frames, width),
                &self.packed,
                None,
                &mut products,
            );
            let each = products.chunks_exact(size).zip(frames.chunks_exact(width));
            for (code, (products, frame)) in codes.iter_mut().zip(each) {
                *code = nearest(products, &self.squares, square(frame));
            }
        });
    }
}

impl EuclideanQuantizer {
    /// Of books that are all `width` wide.
    pub(crate) fn new(books: Vec<EuclideanBook>, width: usize) -> Self {
        EuclideanQuantizer { books, width }
    }

    /// How many books there are.
    pub(crate) fn len(&self) -> usize {
        self.books.len()
    }
}

impl Quantizer for EuclideanQuantizer {
    fn width(&self) -> usize {
        self.width
    }

    fn encode(&self, latents: &[f32], out: &mut [Vec<u16>]) {
        let mut rest = latents.to_vec();
        let mut codes = vec![0; latents.len() / self.width];
        for (book, out) in self.books.iter().zip(out) {
            book.search(&rest, &mut codes);
            for (rest, &code) in rest.chunks_exact_mut(self.width).zip(&codes) {
                let entry = book.entry(code);
                rest.iter_mut()
                    .zip(entry)
                    .for_each(|(rest, entry)| *rest -= entry);
            }
            out.extend_from_slice(&codes);
        }
    }

    fn decode(&self, _: u64, books: &[&[u16]], out: &mut [f32]) {
        out.fill(0.0);
        for (book, codes) in self.books.iter().zip(books) {
            for (out, &code) in out.chunks_exact_mut(self.width).zip(*codes) {
                let entry = book.entry(code);
                out.iter_mut()
                    .zip(entry)
                    .for_each(|(sum, entry)| *sum += entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use percept_testkit::Rng;

    use super::*;

    #[test]
    fn codes_are_the_nearest_entries_of_what_is_left_and_add_up() {
        let (width, size, frames) = (6, 50, 100);
        let mut rng = Rng::new(1);
        let tables: Vec<Vec<f32>> = (0..3).map(|_| rng.normals(size * width)).collect();
        let books = tables
            .iter()
            .map(|table| EuclideanBook::new(table.clone(), width));
        let quantizer = EuclideanQuantizer::new(books.collect(), width);
        let latents = rng.normals(frames * width);
        let mut codes = vec![Vec::new(); 3];
        quantizer.encode(&latents, &mut codes);
        for (frame, latent) in latents.chunks_exact(width).enumerate() {
            let mut rest: Vec<f64> = latent.iter().map(|v| f64::from(*v)).collect();
            for (table, codes) in tables.iter().zip(&codes) {
                let distance = |entry: &[f32]| {
                    let difference = entry.iter().zip(&rest).map(|(e, r)| f64::from(*e) - r);
                    difference.map(|d| d * d).sum::<f64>()
                };
                let all: Vec<f64> = table.chunks_exact(width).map(distance).collect();
                let least = all.iter().copied().fold(f64::INFINITY, f64::min);
                let chosen = usize::from(codes[frame]);
                assert!(all[chosen] < least + 1e-5, "frame {frame}: {chosen}");
                let entry = &table[chosen * width..][..width];
                rest.iter_mut()
                    .zip(entry)
                    .for_each(|(rest, e)| *rest -= f64::from(*e));
            }
            let books: Vec<&[u16]> = codes.iter().map(|codes| &codes[frame..]).collect();
            let mut back = vec![0.0; width];
            quantizer.decode(frame as u64, &books, &mut back);
            for ((back, rest), latent) in back.iter().zip(&rest).zip(latent) {
                assert!((f64::from(*back) + rest - f64::from(*latent)).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_first_of_equal_entries_is_chosen() {
        let table = [2.0, 2.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0].to_vec();
        let quantizer = EuclideanQuantizer::new(vec![EuclideanBook::new(table, 2)], 2);
        let mut codes = [Vec::new()];
        quantizer.encode(&[1.0, 0.0, 0.5, 0.5, 0.0, 0.9], &mut codes);
        assert_eq!(codes[0], [1, 1, 3]);
    }
}
