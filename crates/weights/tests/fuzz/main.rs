//! No reader of untrusted bytes panics or asks for all memory, whatever the bytes.
//!
//! Each target reads its input as it is, and once more as a list of changes to a valid file: random bytes alone would
//! seldom pass the first check. Plain `cargo test` replays the files under `__fuzz__/<target>/corpus` and adds some
//! random inputs; `BOLERO_RANDOM_TEST_TIME_MS=60000 cargo test --test fuzz` looks for longer, and `cargo bolero test`
//! looks with coverage.
#![allow(clippy::unwrap_used)] // a test that cannot go on stops

#[path = "../all/make/mod.rs"]
#[allow(dead_code)] // the other tests use the rest
mod make;

use bolero::check;
use make::pickle::{self, View};
use make::{packed, tar, zip};
use percept_weights::fuzz;
use sha2::Digest;

/// `file` with changes made to it: each four bytes of `script` are what, where (two bytes) and a value.
fn changed(file: &[u8], script: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for change in script.as_chunks::<4>().0.iter().take(32) {
        let [what, high, low, value] = *change;
        if file.is_empty() {
            break;
        }
        let at = usize::from(u16::from_be_bytes([high, low])) % file.len();
        let span = at..(at + usize::from(value)).min(file.len());
        match what % 8 {
            0 => file[at] = value,
            1 => file[at] ^= 1 << (value % 8),
            2 => file.insert(at, value),
            3 => drop(file.drain(span)),
            4 => {
                let copy = file[span].to_vec();
                file.splice(at..at, copy);
            }
            5 => file[span].fill(0xff),
            6 => file.truncate(file.len() - usize::from(value).min(file.len() / 2)),
            _ => file[at] = file[usize::from(value) % file.len()],
        }
    }
    file
}

fn program() -> Vec<u8> {
    let mut bias = View::f32("bias", "0", &[2], &[1]);
    (bias.elements, bias.offset, bias.parameter) = (6, 4, true);
    pickle::state_dict(&[View::f32("weight", "0", &[3, 2], &[1, 3]), bias])
}

fn checkpoint(program: &[u8]) -> Vec<u8> {
    zip::archive(&[
        ("m/data.pkl", program),
        ("m/byteorder", b"little"),
        ("m/data/0", &[0; 24]),
    ])
}

const CONFIG: &str =
    "a: &x {b: [1, 2.5, yes], c: ~}\nd: *x\njoint:\n  vocabulary:\n  - '▁a'\n  - >-\n    b\n";

fn archive(config: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    let pax = tar::pax(&[("path", "./model_config.yaml"), ("size", "5")]);
    tar::member(&mut archive, "pax", b'x', "", &pax[..pax.len().min(400)]);
    tar::member(&mut archive, "x", b'0', "", config);
    tar::member(
        &mut archive,
        "././@LongLink",
        b'L',
        "",
        b"./model_weights.ckpt\0",
    );
    tar::member(&mut archive, "x", b'0', "", &checkpoint(&program()));
    let model = make::sentencepiece(&[("<unk>", 2), ("▁a", 1), ("<0x41>", 6)]);
    tar::member(&mut archive, "1_tokenizer.model", b'0', "", &model);
    tar::end(&mut archive);
    archive
}

/// The archive with the checksum of every block made right, so that changed headers are read.
fn sealed(mut archive: Vec<u8>) -> Vec<u8> {
    for block in archive.chunks_exact_mut(512) {
        if block[257..].starts_with(b"ustar") {
            tar::seal(block);
        }
    }
    archive
}

#[test]
fn safetensors() {
    let tensors = [
        make::f32_tensor("a", &[2, 2], &[1.0; 4]),
        make::f32_tensor("b", &[], &[1.0]),
    ];
    let file = make::safetensors(&tensors);
    check!().for_each(|input: &[u8]| {
        fuzz::safetensors(input);
        fuzz::safetensors(&changed(&file, input));
    });
}

#[test]
fn pickle() {
    let program = program();
    check!().for_each(|input: &[u8]| {
        fuzz::pickle(input);
        let changed = changed(&program, input);
        fuzz::pickle(&changed);
        fuzz::torch(&checkpoint(&changed));
    });
}

#[test]
fn torch() {
    let file = checkpoint(&program());
    check!().for_each(|input: &[u8]| {
        fuzz::torch(input);
        fuzz::torch(&changed(&file, input));
    });
}

#[test]
fn nemo() {
    let file = archive(CONFIG.as_bytes());
    check!().for_each(|input: &[u8]| {
        fuzz::nemo(input);
        let changed = changed(&file, input);
        fuzz::nemo(&changed);
        fuzz::nemo(&sealed(changed));
    });
}

#[test]
fn yaml() {
    check!().for_each(|input: &[u8]| {
        fuzz::yaml(input);
        let changed = changed(CONFIG.as_bytes(), input);
        fuzz::yaml(&changed);
        fuzz::yaml(String::from_utf8_lossy(&changed).as_bytes());
        // Letters of the grammar come up more often than by chance.
        let letters = b"&*!|>'\"%@`-?:,[]{}#\n\t ax1~<.";
        let text: Vec<u8> = input
            .iter()
            .map(|b| letters[usize::from(*b) % letters.len()])
            .collect();
        fuzz::yaml(&text);
    });
}

#[test]
fn sentencepiece() {
    let file = make::sentencepiece(&[("<unk>", 2), ("▁the", 1), ("<0x41>", 6), ("", 5)]);
    check!().for_each(|input: &[u8]| {
        fuzz::sentencepiece(input);
        fuzz::sentencepiece(&changed(&file, input));
    });
}

/// A file of derived weights with two blobs.
fn derived_weights() -> Vec<u8> {
    let blob = |name: &str, offset: usize, bytes: &[u8]| {
        let digest = sha2::Sha256::digest(bytes);
        let sum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!({
            "name": name, "shape": [bytes.len()], "offset": offset, "bytes": bytes.len(), "sha256": sum,
        })
    };
    let table = serde_json::json!({
        "source": "/m/model.nemo", "variant": "int8-1", "place": "p", "files": ["f"],
        "blobs": [blob("a", 64, &[1; 70]), blob("b", 192, &[2; 3])],
    });
    let mut blobs = vec![0; 192];
    blobs[..70].fill(1);
    blobs[128..131].fill(2);
    packed::file(&blobs, 2, &table.to_string())
}

#[test]
fn packed() {
    let file = derived_weights();
    assert!(fuzz::packed(&file));
    let table = packed::table_offset(&file);
    check!().for_each(|input: &[u8]| {
        fuzz::packed(input);
        let mut changed = changed(&file, input);
        fuzz::packed(&changed);
        packed::seal(&mut changed, table);
        fuzz::packed(&changed);
        // Tables that are sound but for one place.
        let mut other = [&file[..table], &self::changed(&file[table..], input)].concat();
        packed::seal(&mut other, table);
        fuzz::packed(&other);
    });
}
