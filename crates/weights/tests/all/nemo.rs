//! `.nemo` archives: what opens, and that the layout does not change a tensor.

use std::path::{Path, PathBuf};

use crate::make::pickle::{self, View};
use crate::make::{tar, zip};
use percept_weights::{Checkpoint, Dtype, Layout, PieceKind, Tensors};
use tempfile::TempDir;

const CONFIG: &str = "
sample_rate: 16000
encoder: &e {d_model: 4, xscaling: yes}
again: *e
note: ${model.d_model}
tokenizer: {type: bpe, model_path: 'nemo:1a2b_tokenizer.model'}
joint: {vocabulary: [<unk>, ▁the]}
";

/// The members of a small model: a weight stored transposed, a bias that shares its storage, a count.
fn checkpoint() -> Vec<u8> {
    let mut bias = View::f32("bias", "0", &[2], &[1]);
    (bias.elements, bias.offset, bias.parameter) = (6, 4, true);
    let mut count = View::f32("count", "1", &[], &[]);
    count.storage = "LongStorage";
    let tensors = [View::f32("weight", "0", &[3, 2], &[1, 3]), bias, count];
    ckpt(&pickle::state_dict(&tensors))
}

fn ckpt(program: &[u8]) -> Vec<u8> {
    let storage: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    zip::archive(&[
        ("model_weights/data.pkl", program),
        ("model_weights/byteorder", b"little"),
        ("model_weights/data/0", &storage),
        ("model_weights/data/1", &7i64.to_le_bytes()),
        ("model_weights/version", b"3\n"),
    ])
}

fn nemo(ckpt: &[u8]) -> Vec<u8> {
    let model = crate::make::sentencepiece(&[("<unk>", 2), ("▁the", 1), ("<en>", 4)]);
    tar::archive(&[
        ("./model_config.yaml", CONFIG.as_bytes()),
        ("./1a2b_tokenizer.model", &model),
        ("./3c4d_vocab.txt", b"the\n"),
        ("./model_weights.ckpt", ckpt),
    ])
}

fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn check(tensors: &Tensors) {
    let names: Vec<&str> = tensors.names().collect();
    assert_eq!(names, ["bias", "count", "weight"]);
    let weight = tensors.f32("weight", &[3, 2]).unwrap();
    assert_eq!(weight, [0., 3., 1., 4., 2., 5.]);
    assert_eq!(tensors.f32("bias", &[2]).unwrap(), [4., 5.]);
    assert_eq!(tensors.i64("count", &[]).unwrap(), [7]);
    assert_eq!(tensors.dtype("count"), Some(Dtype::I64));
}

#[test]
fn plain_and_packed_archives_give_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let plain = nemo(&checkpoint());
    for (name, bytes) in [
        ("a.nemo", plain.clone()),
        ("b.nemo", crate::make::gzip(&plain)),
    ] {
        let path = write(&dir, name, &bytes);
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.layout(), Layout::Nemo);
        assert_eq!(checkpoint.path(), path);
        assert_eq!(checkpoint.files(), [path]);
        let config = checkpoint.config();
        assert_eq!(config["again"]["d_model"], 4);
        assert_eq!(config["again"]["xscaling"], true);
        assert_eq!(config["note"], "${model.d_model}");
        assert!(checkpoint.preprocessor().is_none());
        check(checkpoint.tensors());
        let vocabulary = checkpoint.vocabulary().unwrap();
        assert_eq!(vocabulary.len(), 3);
        assert_eq!(vocabulary.piece(0).unwrap().kind, PieceKind::Unknown);
        assert_eq!(vocabulary.piece(2).unwrap().kind, PieceKind::UserDefined);
    }
}

#[test]
fn a_directory_with_one_archive_is_that_archive() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir, "a.nemo", &nemo(&checkpoint()));
    write(&dir, "README.md", b"about");
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(checkpoint.path(), dir.path());
    assert_eq!(checkpoint.files(), [file]);
    check(checkpoint.tensors());

    write(&dir, "b.nemo", b"");
    let several = Checkpoint::open(dir.path()).unwrap_err();
    assert!(several.to_string().contains("several .nemo files"));
}

#[test]
fn lightning_checkpoints_and_zip64_archives_open() {
    let dir = tempfile::tempdir().unwrap();
    let weight = View::f32("weight", "0", &[6], &[1]);
    let program = pickle::lightning(&[weight]);
    let style = zip::Style {
        zip64: true,
        ..Default::default()
    };
    let entries: [(&str, &[u8]); 2] = [("x/data.pkl", &program), ("x/data/0", &[0; 24])];
    let path = write(&dir, "a.nemo", &nemo(&zip::archive_of(&entries, style)));
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.tensors().shape("weight"), Some(&[6][..]));
}

#[test]
fn a_torch_file_in_a_hugging_face_directory_opens() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "config.json", b"{\"model_type\": \"x\"}");
    write(&dir, "pytorch_model.bin", &checkpoint());
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(checkpoint.layout(), Layout::HuggingFace);
    check(checkpoint.tensors());
}

#[test]
fn long_names_and_pax_headers_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut archive = Vec::new();
    tar::member(&mut archive, "./", b'5', "", b"");
    tar::member(&mut archive, "g", b'g', "", &tar::pax(&[("comment", "x")]));
    tar::member(
        &mut archive,
        "pax",
        b'x',
        "",
        &tar::pax(&[("path", "./model_config.yaml")]),
    );
    tar::member(&mut archive, "short", b'0', "", CONFIG.as_bytes());
    tar::member(
        &mut archive,
        "././@LongLink",
        b'L',
        "",
        b"./model_weights.ckpt\0",
    );
    tar::member(&mut archive, "short", b'0', "", &checkpoint());
    // No zero blocks at the end: some writers leave them out.
    let path = write(&dir, "a.nemo", &archive);
    let checkpoint = Checkpoint::open(&path).unwrap();
    check(checkpoint.tensors());
    let vocabulary = checkpoint.vocabulary().unwrap();
    assert_eq!(vocabulary.piece(1).unwrap().text, "▁the", "the yaml's list");
}

#[test]
fn the_list_beside_a_sentencepiece_model_gets_its_unknown_piece_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = "tokenizer: {type: bpe}\n";
    let archive = tar::archive(&[
        ("model_config.yaml", config.as_bytes()),
        ("3c4d_vocab.txt", "the\n##s\n".as_bytes()),
        ("model_weights.ckpt", &checkpoint()),
    ]);
    let path = write(&dir, "a.nemo", &archive);
    let vocabulary = Checkpoint::open(&path).unwrap().vocabulary().unwrap();
    let texts: Vec<&str> = vocabulary.pieces().iter().map(|p| &p.text[..]).collect();
    assert_eq!(texts, ["<unk>", "▁the", "s"]);
}

/// The name that NeMo gives to a tensor of the Hugging Face layout.
fn nemo_name(name: &str) -> String {
    const PARTS: [(&str, &str); 21] = [
        ("prompt_projector.linear_1", "prompt_kernel.0"),
        ("prompt_projector.linear_2", "prompt_kernel.2"),
        ("subsampling.linear", "pre_encode.out"),
        ("subsampling.conv_in", "pre_encode.conv.0"),
        ("subsampling.layers.0.depthwise_conv", "pre_encode.conv.2"),
        ("subsampling.layers.0.pointwise_conv", "pre_encode.conv.3"),
        ("subsampling.layers.1.depthwise_conv", "pre_encode.conv.5"),
        ("subsampling.layers.1.pointwise_conv", "pre_encode.conv.6"),
        ("subsampling.layers.", "pre_encode.conv."),
        ("conv.norm.", "conv.batch_norm."),
        ("relative_k_proj", "linear_pos"),
        ("o_proj", "linear_out"),
        ("q_proj", "linear_q"),
        ("k_proj", "linear_k"),
        ("v_proj", "linear_v"),
        ("self_attn.bias_", "self_attn.pos_bias_"),
        ("decoder.embedding", "decoder.prediction.embed"),
        ("decoder.lstm", "decoder.prediction.dec_rnn.lstm"),
        ("encoder_projector", "joint.enc"),
        ("decoder.decoder_projector", "joint.pred"),
        ("joint.head", "joint.joint_net.2"),
    ];
    let renamed = PARTS
        .iter()
        .fold(name.to_string(), |name, (from, to)| name.replace(from, to));
    renamed.replace("ctc_head", "decoder.decoder_layers.0")
}

#[test]
fn golden_archives_hold_what_their_directories_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/fixtures/parakeet");
    let cases = std::fs::read_dir(&root).unwrap();
    let mut compared = 0;
    for case in cases.map(|case| case.unwrap().path()) {
        let file = case.join("model.nemo");
        if !file.is_file() {
            continue;
        }
        let nemo = Checkpoint::open(&file).unwrap();
        let vocabulary = nemo.vocabulary().unwrap();
        assert_eq!(
            vocabulary.piece(0).unwrap().kind,
            PieceKind::Unknown,
            "{case:?}"
        );
        if !case.join("model").is_dir() {
            continue;
        }
        let mut directory = Checkpoint::open(&case.join("model")).unwrap();
        directory
            .rename_tensors(|name| Some(nemo_name(name)))
            .unwrap();
        let theirs = directory.tensors();
        for name in theirs.names() {
            let values = |tensors: &Tensors| {
                let shape = tensors
                    .shape(name)
                    .unwrap_or_else(|| panic!("{case:?}: {name}"));
                match tensors.dtype(name) {
                    Some(Dtype::I64) => tensors
                        .i64(name, shape)
                        .unwrap()
                        .iter()
                        .map(|&n| n as f32)
                        .collect(),
                    _ => tensors.f32(name, shape).unwrap(),
                }
            };
            assert!(values(theirs) == values(nemo.tensors()), "{case:?}: {name}");
            compared += 1;
        }
        let pieces = directory.vocabulary().unwrap();
        for (id, piece) in vocabulary.pieces().iter().enumerate() {
            assert_eq!(
                pieces.piece(id).unwrap().text,
                piece.text,
                "{case:?}: piece {id}"
            );
        }
    }
    assert!(compared > 300, "only {compared} tensors were compared");
}
