//! Sinusoids of relative positions.

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
        let mut table = Vec::with_capacity((back + ahead + 1) * width);
        for row in 0..=back + ahead {
            let position = back as f32 - row as f32;
            for frequency in &frequencies {
                let angle = position * frequency;
                table.push(angle.sin());
                if table.len() % width != 0 {
                    table.push(angle.cos());
                }
            }
        }
        RelativePositions { table, back }
    }
}
