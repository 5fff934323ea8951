//! Decoded segments, faded from each to the next.

/// Segments that lie over each other: each counts the less, the nearer to its ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Fade {
    /// How much each sample of a segment counts; as long as the first, of which shorter ones take a part.
    weights: Vec<f32>,
    /// Samples times weights, from the start of the next segment on.
    sums: Vec<f32>,
    /// The sums of these weights.
    counted: Vec<f32>,
}

impl Fade {
    /// Adds a segment that begins where the last one was cut by [`Fade::emit`].
    pub(super) fn add(&mut self, samples: &[f32], channels: usize) {
        let rows = samples.len() / channels;
        if rows > self.weights.len() {
            self.weights = triangle(rows);
        }
        if rows > self.counted.len() {
            self.counted.resize(rows, 0.0);
            self.sums.resize(rows * channels, 0.0);
        }
        let sums = self.sums.chunks_exact_mut(channels).zip(&mut self.counted);
        let rows = samples.chunks_exact(channels).zip(&self.weights);
        for ((sums, counted), (row, weight)) in sums.zip(rows) {
            sums.iter_mut()
                .zip(row)
                .for_each(|(sum, sample)| *sum += weight * sample);
            *counted += weight;
        }
    }

    /// Adds the first `rows` samples to `out`, or all if there are fewer, and lets them go.
    pub(super) fn emit(&mut self, rows: usize, channels: usize, out: &mut Vec<f32>) {
        let rows = rows.min(self.counted.len());
        let sums = self.sums.drain(..rows * channels).enumerate();
        out.extend(sums.map(|(i, sum)| sum / self.counted[i / channels]));
        self.counted.drain(..rows);
    }
}

/// `0.5 - |t - 0.5|` for `rows` values `t` evenly between 0 and 1, without these two.
fn triangle(rows: usize) -> Vec<f32> {
    let step = 1.0 / (rows + 1) as f32;
    let half = |row: usize| step * (row + 1) as f32;
    // The second half mirrors the first, as PyTorch's `linspace` does.
    let at = |row: usize| match row < rows / 2 {
        true => half(row),
        false => 1.0 - half(rows - 1 - row),
    };
    (0..rows).map(|row| 0.5 - (at(row) - 0.5).abs()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_alone_is_what_it_was_and_two_are_faded_by_their_distance_from_the_edge() {
        let mut fade = Fade::default();
        let mut out = Vec::new();
        fade.add(&[1.0; 20], 2);
        fade.emit(8, 2, &mut out);
        assert_eq!(out, [1.0; 16]);
        fade.add(&[4.0; 20], 2);
        fade.emit(usize::MAX, 2, &mut out);
        let expected = [2.0, 2.0, 3.0, 3.0, 4.0, 4.0];
        let faded = &out[16..22];
        assert!(
            faded
                .iter()
                .zip(expected)
                .all(|(f, e)| (f - e).abs() < 1e-6),
            "{faded:?}"
        );
        assert_eq!(out.len(), 36);
        assert!(out[22..].iter().all(|v| (v - 4.0).abs() < 1e-6));
    }
}
