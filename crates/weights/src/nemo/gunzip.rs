//! Unpacks a gzip'd archive into a nameless temporary file, so that weights need not fit in memory twice.

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;

use crate::view::View;

/// The largest archive that is unpacked.
const MAX_BYTES: u64 = 16 << 30;
/// An archive may always unpack to this much ...
const FREE_BYTES: u64 = 64 << 20;
/// ... and beyond it to this many times its packed size. Weights pack to no less than a tenth.
const MAX_RATIO: u64 = 100;

/// Why an archive cannot be unpacked.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum GzipFault {
    /// The packed data is damaged or cut.
    #[error("damaged gzip data: {0}; fetch it again")]
    Damaged(io::Error),
    /// The data grows beyond what weights can.
    #[error(
        "{packed} bytes unpack to more than {limit}, which weights never do; fetch it from a source you trust"
    )]
    Bomb {
        /// The size of the file.
        packed: u64,
        /// The size that was reached.
        limit: u64,
    },
    /// The temporary file cannot be written.
    #[error(
        "cannot unpack it into the folder of temporary files: {0}; set TMPDIR to a folder with room"
    )]
    Scratch(io::Error),
}

/// Whether the bytes begin as gzip data does.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The unpacked bytes. The file behind them has no name and goes with the last view of it.
pub(crate) fn unpack(packed: &[u8]) -> Result<View, GzipFault> {
    let limit = limit(packed.len() as u64);
    let mut scratch = tempfile::tempfile().map_err(GzipFault::Scratch)?;
    let mut decoder = MultiGzDecoder::new(packed);
    let mut block = vec![0; 256 << 10];
    let mut unpacked = 0u64;
    loop {
        let n = match decoder.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(GzipFault::Damaged(error)),
        };
        unpacked += n as u64;
        if unpacked > limit {
            let packed = packed.len() as u64;
            return Err(GzipFault::Bomb { packed, limit });
        }
        scratch.write_all(&block[..n]).map_err(GzipFault::Scratch)?;
    }
    View::map_file(&scratch).map_err(GzipFault::Scratch)
}

fn limit(packed: u64) -> u64 {
    packed
        .saturating_mul(MAX_RATIO)
        .saturating_add(FREE_BYTES)
        .min(MAX_BYTES)
}
