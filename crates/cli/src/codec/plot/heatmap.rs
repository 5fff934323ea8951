//! A rectangle of values as a picture that fits into SVG: indexed PNG (ISO/IEC 15948) as a `data:` address.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, Crc, write::ZlibEncoder};

use super::palette::Palette;

/// `[rows, columns]`, the top row first, values as places in a palette.
pub(super) struct Heatmap {
    pub(super) columns: usize,
    pub(super) cells: Vec<u8>,
}

impl Heatmap {
    /// The address of the picture.
    pub(super) fn address(&self, palette: &Palette) -> String {
        format!(
            "data:image/png;base64,{}",
            STANDARD.encode(self.png(palette))
        )
    }

    fn png(&self, palette: &Palette) -> Vec<u8> {
        let rows = self.cells.len() / self.columns;
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        let [width, height] = [self.columns, rows].map(|side| (side as u32).to_be_bytes());
        // 8 bits, indexed colour, deflate, adaptive filters, not interlaced.
        chunk(
            &mut png,
            b"IHDR",
            &[&width[..], &height, &[8, 3, 0, 0, 0]].concat(),
        );
        chunk(&mut png, b"PLTE", palette.as_flattened());
        let mut lines = ZlibEncoder::new(Vec::new(), Compression::default());
        for row in self.cells.chunks_exact(self.columns) {
            let line = lines.write_all(&[0]).and_then(|()| lines.write_all(row));
            line.expect("a Vec takes everything");
        }
        let lines = lines.finish().expect("a Vec takes everything");
        chunk(&mut png, b"IDAT", &lines);
        chunk(&mut png, b"IEND", &[]);
        png
    }
}

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    let start = png.len();
    png.extend(kind);
    png.extend(data);
    let mut crc = Crc::new();
    crc.update(&png[start..]);
    png.extend(crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::palette;
    use super::*;

    #[test]
    fn a_picture_has_the_chunks_of_its_format_with_their_checksums() {
        let map = Heatmap {
            columns: 3,
            cells: vec![0, 128, 255, 1, 2, 3],
        };
        let png = map.png(&palette::codes());
        assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
        assert_eq!(png[16..24], [0, 0, 0, 3, 0, 0, 0, 2]);
        // The checksum of an empty IEND is the same in every PNG file.
        assert_eq!(png[png.len() - 12..], *b"\0\0\0\0IEND\xae\x42\x60\x82");
        assert!(
            map.address(&palette::codes())
                .starts_with("data:image/png;base64,iVBORw0KGgo")
        );
    }
}
