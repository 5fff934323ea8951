//! One function per reader of untrusted bytes. Each reads the bytes, and every tensor in them, and forgets the result.

use std::collections::BTreeMap;
use std::path::Path;

use crate::tensors::{Stored, Tensors};
use crate::view::View;
use crate::{cache, nemo, safetensors, sentencepiece, torch};

/// A tensor that claims more than this is not read, only looked at.
const MAX_ELEMENTS: usize = 1 << 16;

/// A safetensors file.
pub fn safetensors(bytes: &[u8]) {
    let mut by_name = BTreeMap::new();
    let view = View::of_vec(bytes.to_vec());
    if safetensors::read(Path::new("fuzz"), &view, &mut by_name).is_ok() {
        read_all(by_name);
    }
}

/// A file of `torch.save`: zip and pickle.
pub fn torch(bytes: &[u8]) {
    if let Ok(by_name) = torch::read(Path::new("fuzz"), &View::of_vec(bytes.to_vec())) {
        read_all(by_name);
    }
}

/// A pickle alone.
pub fn pickle(bytes: &[u8]) {
    torch::describe(bytes);
}

/// A `.nemo` archive: tar, YAML and all that is in it.
pub fn nemo(bytes: &[u8]) {
    let view = View::of_vec(bytes.to_vec());
    if let Ok((nemo, _)) = nemo::Nemo::open(Path::new("fuzz"), view) {
        drop(nemo.vocabulary());
    }
}

/// A YAML configuration.
pub fn yaml(bytes: &[u8]) {
    drop(nemo::yaml::parse(bytes));
}

/// A SentencePiece model.
pub fn sentencepiece(bytes: &[u8]) {
    drop(sentencepiece::vocabulary(Path::new("fuzz"), bytes));
}

/// A file of derived weights. Whether all of it is as it was written.
pub fn packed(bytes: &[u8]) -> bool {
    let view = View::of_vec(bytes.to_vec());
    let packed = cache::read_packed(Path::new("fuzz"), view);
    packed.is_ok_and(|packed| packed.verify().is_ok())
}

fn read_all(by_name: BTreeMap<String, Stored>) {
    let tensors = Tensors::new(Path::new("fuzz"), by_name);
    for name in tensors.names() {
        let shape = tensors.shape(name).expect("a name that was listed");
        if shape.iter().product::<usize>() <= MAX_ELEMENTS {
            drop((tensors.f32(name, shape), tensors.i64(name, shape)));
        }
    }
}
