//! Which codec a checkpoint is, and what token files say of the one that made them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use percept_weights::Checkpoint;

use crate::container::largest_align;
use crate::error::ConfigFault;
use crate::{BookSpec, CodecError, CodecFamily, CodecModel, NctHeader};

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
        let books: Arc<[BookSpec]> = spec.books[..books].into();
        let align = self.file_align(&books).ok_or_else(|| {
            range(
                "vq_strides",
                spec.align.into(),
                "at most 255 for a token file",
            )
        })?;
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
            books,
            align,
            total_samples: None,
            superframes: None,
            weights_id: weights_id(self.weights_file())?,
            packet_superframes: 0,
            segmented: false,
            has_end: true,
            user_json: String::new(),
        })
    }

    /// What token files of `books` say of the latent frames that are encoded together, in 8 bits: the most super-frames that
    /// fit stand for more, and for encoders that make other numbers of frames than whole multiples.
    fn file_align(&self, books: &[BookSpec]) -> Option<u8> {
        let most = largest_align(BookSpec::check(books).ok()?)?;
        let align = u64::from(self.spec().align);
        let together = align * u64::from(self.spec().hop);
        let is_multiple =
            |samples: u64| self.encoded_frames(samples) == samples.div_ceil(together) * align;
        let is_exact = [1, together, together + 1, 3 * together]
            .into_iter()
            .all(is_multiple);
        match u8::try_from(align) {
            Ok(align) if is_exact => Some(align.min(most)),
            _ => Some(most),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Cursor;
    use std::path::Path;

    use percept_testkit::golden::{Array, read_safetensors};
    use percept_testkit::signals;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::weights_id;
    use crate::{CodecModel, EncodeOptions, NctReader, PcmRef, write_nct};

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

    /// A small published model with another configuration, and its folder.
    fn variant(name: &str, fields: &Value, change: impl Fn(&Path)) -> (TempDir, CodecModel) {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../golden/fixtures/codec")
            .join(name)
            .join("model");
        let folder = tempfile::tempdir().unwrap();
        for file in fs::read_dir(fixture).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for (field, value) in fields.as_object().unwrap() {
            config[field] = value.clone();
        }
        fs::write(path, config.to_string()).unwrap();
        change(folder.path());
        let model = CodecModel::open(folder.path()).unwrap();
        (folder, model)
    }

    /// Convolutions of so many taps in place of longer ones.
    fn shorten(file: &Path, taps: &[(&str, usize)]) {
        let mut tensors: BTreeMap<String, Array> = read_safetensors(file);
        for (name, taps) in taps {
            let tensor = tensors.get_mut(*name).unwrap();
            let last = tensor.shape.last_mut().unwrap();
            let rows = tensor.data.chunks(*last);
            tensor.data = rows.flat_map(|row| row[..*taps].to_vec()).collect();
            *last = *taps;
        }
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, tensor) in &tensors {
            let first = data.len();
            data.extend(tensor.data.iter().flat_map(|value| value.to_le_bytes()));
            let offsets = [first, data.len()];
            let entry = json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": offsets});
            header.insert(name.clone(), entry);
        }
        let header = Value::from(header).to_string();
        let length = (header.len() as u64).to_le_bytes();
        fs::write(file, [&length, header.as_bytes(), &data].concat()).unwrap();
    }

    /// Token files of a recording with the first `books` books, and copies of them with fewer, can be read again.
    fn check_files(model: &CodecModel, books: usize) {
        let (hop, align) = (model.spec().hop as usize, model.spec().align as usize);
        for samples in [1, hop, hop + 1, hop * align, hop * align + 1] {
            let noise = signals::noise(samples, 0.3, 9);
            let pcm = PcmRef {
                samples: &noise,
                sample_rate: model.spec().sample_rate,
                channels: 1,
            };
            let options = EncodeOptions {
                books: Some(books),
                ..EncodeOptions::default()
            };
            let codes = model.encode(pcm, &options).unwrap();
            let found = model.check_length(samples as u64, &[codes.frames()]);
            assert!(found.is_ok(), "{samples} {found:?}");
            let header = model.nct_header(books).unwrap();
            let file = write_nct(Vec::new(), header, &codes).unwrap();
            for kept in 1..=books {
                let reader = NctReader::new(&file[..]).unwrap();
                let reader = reader.with_books(kept).unwrap();
                let copy = reader.copy_to(Cursor::new(Vec::new())).unwrap();
                let copy = copy.into_inner();
                let back = NctReader::new(&copy[..]).unwrap().read_all().whole();
                let back = back.unwrap();
                assert_eq!(back.source_samples(), Some(samples as u64));
                assert_eq!(back.frames(), codes.frames());
            }
        }
    }

    #[test]
    fn files_of_an_encoder_that_ends_in_rate_one_can_be_read() {
        let rates = json!({"downsampling_ratios": [2, 4, 8, 1], "upsampling_ratios": [8, 8, 1, 1]});
        let (_folder, model) = variant("dac/44khz", &rates, |folder| {
            let kernels = [
                ("encoder.block.3.conv1.weight", 2),
                ("decoder.block.2.conv_t1.weight", 2),
                ("decoder.block.3.conv_t1.weight", 2),
            ];
            shorten(&folder.join("model.safetensors"), &kernels);
        });
        // Its last convolution has two taps and moves on by one: it makes a frame more.
        assert_eq!((model.spec().hop, model.encoded_frames(640)), (64, 11));
        check_files(&model, 2);
    }

    #[test]
    fn files_of_fewer_books_of_a_large_window_can_be_read() {
        let window = json!({"vq_strides": [4, 8], "attn_window_size": 512});
        let (_folder, model) = variant("snac/dense_attention", &window, |_| ());
        assert_eq!(model.spec().align, 512);
        for books in [1, 2] {
            check_files(&model, books);
        }
    }
}
