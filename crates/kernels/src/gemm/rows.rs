//! What a matrix product reads.

/// A view of rows, `[rows, width]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    data: &'a [f32],
    rows: usize,
    width: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows that lie one after the other. Panics if `data` is not a whole number of rows.
    pub fn dense(data: &'a [f32], width: usize) -> Self {
        assert!(
            width > 0 && data.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            data.len()
        );
        Rows {
            data,
            rows: data.len() / width,
            width,
            stride: width,
        }
    }

    /// Rows that begin every `stride` values: row `r` is `data[r · stride..][..width]`.
    ///
    /// With a stride below `width` the rows share values: over time-major frames these are the windows of a strided
    /// convolution, without a copy. With one above, each row is a part of a longer one. What lies past the last row does
    /// not matter.
    ///
    /// # Panics
    /// Where `data` ends before the last row does, or `width` is 0.
    pub fn overlapping(data: &'a [f32], rows: usize, width: usize, stride: usize) -> Self {
        assert!(width > 0, "rows of no values");
        let needed = match rows {
            0 => Some(0),
            n => (n - 1)
                .checked_mul(stride)
                .and_then(|last| last.checked_add(width)),
        };
        assert!(
            needed.is_some_and(|needed| needed <= data.len()),
            "{} values do not hold {rows} rows of {width}, one every {stride}",
            data.len()
        );
        Rows {
            data,
            rows,
            width,
            stride,
        }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.rows
    }

    /// Values of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows `range`.
    pub(crate) fn range(&self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows);
        Rows {
            data: match range.is_empty() {
                true => &[],
                false => &self.data[range.start * self.stride..],
            },
            rows: range.len(),
            ..*self
        }
    }

    /// Row `r`.
    pub(crate) fn row(&self, r: usize) -> &'a [f32] {
        assert!(r < self.rows, "row {r} of {}", self.rows);
        &self.data[r * self.stride..][..self.width]
    }
}
