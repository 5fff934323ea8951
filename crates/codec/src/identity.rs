//! Which codec a checkpoint is, and what token files say of the one that made them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use percept_weights::Checkpoint;

use crate::error::ConfigFault;
use crate::{CodecError, CodecFamily, CodecModel, NctHeader};

/// The first 8 bytes of the SHA-256 of a file of weights. A file in the cache of the hub is named after it; others are read.
///
/// # Errors
/// [`CodecError::Io`] where the file cannot be read.
pub fn weights_id(file: &Path) -> Result<[u8; 8], CodecError> {
    let io = |source| CodecError::Io {
        file: file.into(),
        source,
    };
    let blob = file.canonicalize().map_err(io)?;
    match blob
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(of_digits)
    {
        Some(id) => Ok(id),
        None => of_content(&blob).map_err(io),
    }
}

/// The bytes that 64 hexadecimal digits begin with.
fn of_digits(name: &str) -> Option<[u8; 8]> {
    let is_hash = name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u64::from_str_radix(name.get(..16).filter(|_| is_hash)?, 16).ok()?;
    Some(number.to_be_bytes())
}

fn of_content(file: &Path) -> io::Result<[u8; 8]> {
    let (mut file, mut hash) = (File::open(file)?, Sha256::new());
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(read) => hash.update(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut id = [0; 8];
    id.copy_from_slice(&hash.finalize()[..8]);
    Ok(id)
}

impl CodecFamily {
    /// The family of a checkpoint; `None` where it is no codec that is known.
    pub fn of(checkpoint: &Checkpoint) -> Option<Self> {
        crate::model::family_of(checkpoint.config(), checkpoint.tensors())
    }
}

impl CodecModel {
    /// The header of a token file of codes of the first `books` books of this model. The length of the sound is not in it,
    /// but will be at the end of the file.
    ///
    /// # Errors
    /// [`CodecError::Io`] where the weights cannot be read again, [`CodecError::Books`] for books that there are not, and
    /// [`CodecError::Config`] for numbers that token files have no room for.
    pub fn nct_header(&self, books: usize) -> Result<NctHeader, CodecError> {
        let spec = self.spec();
        let available = spec.books.len();
        if !(1..=available).contains(&books) {
            return Err(CodecError::Books {
                asked: books,
                available,
            });
        }
        let range = |field, value, wanted| CodecError::Config {
            file: self.weights_file().into(),
            fault: ConfigFault::Range {
                field,
                value,
                wanted,
            },
        };
        // Token files count what must be decoded together in 8 bits; the most super-frames that fit stand for more.
        let strides = self.parts().strides();
        let most = u64::from(u8::MAX).checked_div(strides).unwrap_or(0) * strides;
        let together = match most {
            0 => u8::try_from(strides),
            most => u8::try_from(u64::from(spec.align).min(most)),
        };
        Ok(NctHeader {
            family: spec.family.id(),
            sample_rate: spec.sample_rate,
            channels: u8::try_from(spec.channels).map_err(|_| {
                range(
                    "channels",
                    spec.channels.into(),
                    "at most 255 for a token file",
                )
            })?,
            hop: u16::try_from(spec.hop)
                .map_err(|_| range("hop", spec.hop.into(), "at most 65535 for a token file"))?,
            books: spec.books[..books].into(),
            align: together.map_err(|_| {
                range(
                    "vq_strides",
                    spec.align.into(),
                    "at most 255 for a token file",
                )
            })?,
            total_samples: None,
            superframes: None,
            weights_id: weights_id(self.weights_file())?,
            packet_superframes: 0,
            segmented: false,
            has_end: true,
            user_json: String::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use std::fs;

    use super::weights_id;

    /// SHA-256 of `abc` (FIPS 180-2, B.1).
    const ABC: [u8; 8] = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea];

    #[test]
    fn the_identity_is_that_of_the_content_and_a_blob_of_the_hub_is_named_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        fs::write(&file, b"abc").unwrap();
        assert_eq!(weights_id(&file).unwrap(), ABC);
        let blob = folder.path().join("ba7816bf8f01cfea".repeat(4));
        fs::write(&blob, b"whatever").unwrap();
        assert_eq!(weights_id(&blob).unwrap(), ABC);
        let error = weights_id(&folder.path().join("none")).unwrap_err();
        assert_eq!(error.code(), "io");
    }
}
