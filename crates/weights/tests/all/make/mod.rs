//! Writers of the formats that the room reads, as small as the tests allow.

pub(crate) mod packed;
pub(crate) mod pickle;
pub(crate) mod tar;
pub(crate) mod zip;

use std::io::Write;

/// A tensor to be written: name, shape, type and raw little-endian bytes.
pub(crate) struct Raw {
    pub(crate) name: String,
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn f32_tensor(name: &str, shape: &[usize], values: &[f32]) -> Raw {
    Raw {
        name: name.into(),
        dtype: "F32",
        shape: shape.into(),
        bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

/// A safetensors file.
pub(crate) fn safetensors(tensors: &[Raw]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!({"format": "pt"}));
    let mut data = Vec::new();
    for tensor in tensors {
        let start = data.len();
        data.extend(&tensor.bytes);
        header.insert(
            tensor.name.clone(),
            serde_json::json!({
                "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, data.len()],
            }),
        );
    }
    safetensors_of(&serde_json::to_string(&header).unwrap(), &data)
}

/// A safetensors file with any header.
pub(crate) fn safetensors_of(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A SentencePiece model of pieces with the numbers of their types.
pub(crate) fn sentencepiece(pieces: &[(&str, u8)]) -> Vec<u8> {
    let mut model = Vec::new();
    for (text, kind) in pieces {
        let mut piece = vec![0x0a, text.len() as u8];
        piece.extend(text.as_bytes());
        piece.extend([0x15, 0, 0, 0, 0, 0x18, *kind]);
        model.extend([0x0a, piece.len() as u8]);
        model.extend(piece);
    }
    model
}
