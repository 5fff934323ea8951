//! NumPy's array file, format 1.0.

use std::io::{self, Write};

/// Writes a `[rows, columns]` array of little-endian `f32` in C order, as `numpy.load` reads it.
///
/// Layout: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The header is padded with spaces so
/// that the data starts at a multiple of 64 bytes.
pub(crate) fn write(
    file: &mut dyn Write,
    rows: usize,
    columns: usize,
    data: &[f32],
) -> io::Result<()> {
    assert_eq!(
        rows * columns,
        data.len(),
        "an array holds rows times columns numbers"
    );
    const PREFIX: usize = 10;
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let padding = 63 - (PREFIX + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("two integers fit into a header of 128 bytes");

    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&length.to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for value in data {
        file.write_all(&value.to_le_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_numpys_and_the_data_is_aligned() {
        for (rows, columns) in [(0, 80), (1, 1), (3, 80), (123_456_789, 0)] {
            let data: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let mut bytes = Vec::new();
            write(&mut bytes, rows, columns, &data).unwrap();
            assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
            let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            assert_eq!((10 + length) % 64, 0);
            let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
            assert!(header.ends_with('\n'));
            assert_eq!(
                header.trim_end(),
                format!(
                    "{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
                )
            );
            let body: Vec<f32> = bytes[10 + length..]
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                .collect();
            assert_eq!(body, data);
        }
    }
}
