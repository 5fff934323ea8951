//! Damaged and hostile files: each gives one error that names the file and the fact, and nothing else happens.

use std::fs;
use std::path::Path;

use percept_weights::Checkpoint;

use crate::make::pickle::{self, Program, View};
use crate::make::{self, Raw, f32_tensor, safetensors, safetensors_of, tar, zip};

/// The error of opening `bytes` as a file of this name, beside a `config.json`.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    fs::write(&file, bytes).unwrap();
    let path = if name.ends_with(".nemo") {
        file
    } else {
        fs::write(dir.path().join("config.json"), "{}").unwrap();
        dir.path().into()
    };
    let error = match Checkpoint::open(&path) {
        Ok(checkpoint) => panic!("{name} opened: {checkpoint:?}"),
        Err(error) => error,
    };
    let message = error.to_string();
    assert!(message.contains(name), "{message:?} should name {name}");
    let (_, remedy) = message.rsplit_once("; ").unwrap_or_default();
    let is_remedy = ["fetch", "use", "run", "give", "check", "save", "unpack"]
        .iter()
        .any(|act| remedy.starts_with(act));
    assert!(is_remedy, "{message:?} should say what to do");
    assert!(!message.contains('\n'), "{message:?} should be one line");
    message
}

#[track_caller]
fn refuses(name: &str, bytes: &[u8], fact: &str) {
    let message = refusal(name, bytes);
    assert!(message.contains(fact), "{message:?} should say {fact:?}");
}

fn nemo_of(ckpt: &[u8]) -> Vec<u8> {
    tar::archive(&[
        ("./model_config.yaml", b"a: 1\n"),
        ("./model_weights.ckpt", ckpt),
    ])
}

fn ckpt_of(program: &[u8]) -> Vec<u8> {
    zip::archive(&[("m/data.pkl", program), ("m/data/0", &[0; 24])])
}

#[track_caller]
fn refuses_pickle(program: &[u8], fact: &str) {
    refuses("a.nemo", &nemo_of(&ckpt_of(program)), fact);
    refuses("pytorch_model.bin", &ckpt_of(program), fact);
}

fn good_program() -> Vec<u8> {
    pickle::state_dict(&[View::f32("w", "0", &[2, 3], &[3, 1])])
}

#[test]
fn safetensors_headers_that_lie_are_refused() {
    let one = |entry: &str| safetensors_of(&format!("{{\"a\":{entry}}}"), &[0; 8]);
    let two = |a: &str, b: &str| {
        let entry =
            |range: &str| format!("{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{range}}}");
        let header = format!("{{\"a\":{},\"b\":{}}}", entry(a), entry(b));
        safetensors_of(&header, &[0; 8])
    };
    let huge = "[4294967296,4294967296,4294967296]";
    let cases = [
        (b"".to_vec(), "0 bytes"),
        (b"{\"a\":1}".to_vec(), "7 bytes"),
        (
            u64::MAX.to_le_bytes().to_vec(),
            "header of 18446744073709551615 bytes",
        ),
        (safetensors_of("not json", b""), "bad header"),
        (safetensors_of("[1]", b""), "bad header"),
        (safetensors_of("{\"a\":{}}", b""), "bad header"),
        (safetensors_of(&"[".repeat(100_000), b""), "bad header"),
        (
            one("{\"dtype\":\"F7\",\"shape\":[2],\"data_offsets\":[0,8]}"),
            "unknown type `F7`",
        ),
        (
            one("{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}"),
            "given bytes 0..8",
        ),
        (
            one("{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}"),
            "bad header",
        ),
        (
            one("{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}"),
            "begins at byte 8",
        ),
        (
            one("{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"),
            "the file holds 8",
        ),
        (
            one("{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}"),
            "the file holds 8",
        ),
        (
            one(&format!(
                "{{\"dtype\":\"F32\",\"shape\":{huge},\"data_offsets\":[0,8]}}"
            )),
            "given",
        ),
        (
            one(&format!(
                "{{\"dtype\":\"U8\",\"shape\":{huge},\"data_offsets\":[0,0]}}"
            )),
            "given",
        ),
        (
            two("[0,4]", "[0,4]"),
            "begins at byte 0, the one before it ends at 4",
        ),
        (two("[0,4]", "[2,6]"), "begins at byte 2"),
        (two("[0,4]", "[5,9]"), "begins at byte 5"),
    ];
    for (bytes, fact) in cases {
        refuses("model.safetensors", &bytes, fact);
    }
    let entry = "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}";
    let other = "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}";
    let twice = safetensors_of(&format!("{{\"a\":{entry},\"a\":{other}}}"), &[0; 8]);
    refuses("model.safetensors", &twice, "two tensors are named `a`");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = safetensors(&[f32_tensor("a", &[2], &[1., 2.])]);
    for cut in 0..whole.len() {
        refusal("model.safetensors", &whole[..cut]);
    }
    let whole = ckpt_of(&good_program());
    for cut in 0..whole.len() {
        refusal("pytorch_model.bin", &whole[..cut]);
    }
    let whole = nemo_of(&ckpt_of(&good_program()));
    // The last kilobyte is the end mark, and before it is the padding of the last member.
    for cut in (0..whole.len() - 1024).step_by(97) {
        refusal("a.nemo", &whole[..cut]);
    }
    let packed = make::gzip(&whole);
    for cut in (0..packed.len()).step_by(17) {
        refusal("a.nemo", &packed[..cut]);
    }
}

#[test]
fn shards_stay_in_their_directory() {
    let index = |shard: &str| format!("{{\"weight_map\":{{\"a\":\"{shard}\"}}}}");
    let name = "model.safetensors.index.json";
    for shard in ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\\\\b", "C:x"] {
        refuses(name, index(shard).as_bytes(), "not a plain file name");
    }
    refuses(name, index("x.safetensors").as_bytes(), "not there");
    refuses(name, b"{}", "`weight_map` must be");
    refuses(name, b"{\"weight_map\":{\"a\":1}}", "`weight_map` must be");
    refuses(name, b"{", "not valid JSON");
}

#[test]
fn a_pickle_that_names_anything_else_is_refused() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch.serialization", "load"),
        ("collections", "Counter"),
    ] {
        let mut p = Program::new();
        p.global(module, name)
            .raw(b"(")
            .text("touch owned")
            .raw(b"tR");
        refuses_pickle(&p.stop(), &format!("`{module}.{name}`"));
        let mut p = Program::new();
        p.text(module).text(name).raw(b"\x93");
        refuses_pickle(&p.stop(), &format!("`{module}.{name}`"));
    }
    let mut p = Program::new();
    p.global(&"x\u{1b}[31m".repeat(1000), "y");
    refuses_pickle(&p.stop(), "x[31mx[31m");
}

#[test]
fn a_pickle_that_makes_no_sense_is_refused() {
    let cases: [(&[u8], &str); 22] = [
        (b"}N(0", "bad operands for opcode 0x30"),
        (b"R", "bad operands for opcode 0x52"),
        (b"0", "bad operands"),
        (b"}(s", "bad operands"),
        (b"}(Nu", "bad operands"),
        (b"N(0", "bad operands"),
        (b"(N}1", "bad operands"),
        (b"h\x07", "bad operands"),
        (b"q\x00", "bad operands"),
        (b"t", "bad operands"),
        (b"\x85", "bad operands"),
        (b"N)R", "bad operands"),
        (b"ctorch\nSize\n)R", "bad operands"),
        (b"ctorch\nFloatStorage\n)R", "bad operands"),
        (b"ccollections\nOrderedDict\nK\x01\x85R", "bad operands"),
        (b"N)b", "bad operands"),
        (b")Q", "bad operands"),
        (b"\x8a\x09123456789", "bad operands"),
        (b"i", "opcode 0x69"),
        (b"\x81", "opcode 0x81"),
        (b"X\xff\xff\xff\xff", "cut"),
        (b"}", "no state dict"),
    ];
    for (body, fact) in cases {
        refuses_pickle(&[b"\x80\x02", body, b"."].concat(), fact);
    }
    refuses_pickle(b"", "cut");
    refuses_pickle(b".", "bad operands");
}

#[test]
fn a_pickle_without_end_is_refused() {
    let endless_memo: Vec<u8> = [b"N".as_slice(), &b"\x94".repeat(2_000_000)].concat();
    refuses_pickle(&endless_memo, "too long");
    let nested = [&b")".to_vec()[..], &b"\x85".repeat(2_000_000), b"."].concat();
    refuses_pickle(&nested, "too long");
    let deep = [&b")".to_vec()[..], &b"\x85".repeat(900_000), b"."].concat();
    refuses_pickle(&deep, "no state dict");
    refuses_pickle(&vec![b'N'; 40 << 20], "too long");
}

#[test]
fn tensors_stay_in_their_storage() {
    let base = View::f32("w", "0", &[2, 3], &[3, 1]);
    let cases = [
        (
            View {
                elements: 7,
                ..base.clone()
            },
            "needs 28 bytes of data/0, which has 24",
        ),
        (
            View {
                offset: 1,
                ..base.clone()
            },
            "elements outside its storage",
        ),
        (
            View {
                offset: -1,
                ..base.clone()
            },
            "bad operands",
        ),
        (
            View {
                strides: &[4, 1],
                ..base.clone()
            },
            "elements outside its storage",
        ),
        (
            View {
                strides: &[-3, 1],
                ..base.clone()
            },
            "numbers from zero up",
        ),
        (
            View {
                shape: &[-2, 3],
                ..base.clone()
            },
            "numbers from zero up",
        ),
        (
            View {
                strides: &[1],
                ..base.clone()
            },
            "different lengths",
        ),
        (
            View {
                shape: &[1; 40],
                strides: &[1; 40],
                ..base.clone()
            },
            "numbers from zero up",
        ),
        (
            View {
                shape: &[i32::MAX, 3],
                strides: &[0, 1],
                ..base.clone()
            },
            "more elements",
        ),
        (
            View {
                shape: &[i32::MAX; 3],
                strides: &[0; 3],
                ..base.clone()
            },
            "more elements",
        ),
        (
            View {
                shape: &[2, 2],
                strides: &[i32::MAX; 2],
                ..base.clone()
            },
            "outside",
        ),
        (
            View {
                elements: -1,
                ..base.clone()
            },
            "bad operands",
        ),
        (
            View {
                key: "9",
                ..base.clone()
            },
            "data/9",
        ),
        (
            View {
                key: "../../x",
                ..base.clone()
            },
            "data/../../x",
        ),
        (
            View {
                storage: "QInt8Storage",
                ..base.clone()
            },
            "`torch.QInt8Storage`",
        ),
    ];
    for (view, fact) in cases {
        refuses_pickle(&pickle::state_dict(&[view]), fact);
    }
}

#[test]
fn zip_archives_that_torch_would_not_write_are_refused() {
    let program = good_program();
    let entries: [(&str, &[u8]); 2] = [("m/data.pkl", &program), ("m/data/0", &[0; 24])];
    let style = |method, flags| zip::Style {
        method,
        flags,
        zip64: false,
    };
    let name = "pytorch_model.bin";
    refuses(
        name,
        &zip::archive_of(&entries, style(8, 0)),
        "`m/data.pkl` is compressed",
    );
    refuses(
        name,
        &zip::archive_of(&entries, style(0, 1)),
        "`m/data.pkl` is encrypted",
    );
    refuses(name, &zip::archive(&entries[1..]), "no data.pkl");
    refuses(
        name,
        &zip::archive(&[entries[0], entries[0]]),
        "two entries are named",
    );
    refuses(
        name,
        &zip::archive(&[entries[0], ("m/byteorder", b"big")]),
        "big-endian",
    );
    refuses(name, b"hello", "no zip archive");
    // Every byte of the central directory, changed: an error or the same tensors, never a panic.
    let good = zip::archive(&entries);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    for at in good.len() - 150..good.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            fs::write(dir.path().join(name), bad).unwrap();
            let _ = Checkpoint::open(dir.path());
        }
    }
}

#[test]
fn tar_members_that_would_escape_are_refused() {
    for name in [
        "../evil",
        "/etc/passwd",
        "a/../../b",
        "./../x",
        "a\\b",
        "C:x",
    ] {
        let mut bytes = nemo_of(&ckpt_of(&good_program()));
        bytes.truncate(bytes.len() - 1024);
        tar::member(&mut bytes, name, b'0', "", b"x");
        refuses("a.nemo", &bytes, &format!("`{name}` points outside"));
    }
    for (kind, what) in [
        (b'1', "hard link"),
        (b'2', "symbolic link"),
        (b'3', "device"),
        (b'S', "sparse"),
    ] {
        let mut bytes = Vec::new();
        tar::member(&mut bytes, "model_weights.ckpt", kind, "/etc/passwd", b"");
        refuses(
            "a.nemo",
            &bytes,
            &format!("`model_weights.ckpt` is a {what}"),
        );
    }
}

#[test]
fn tar_headers_that_lie_are_refused() {
    let header = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = Vec::new();
        tar::member(&mut bytes, "a", b'0', "", b"x");
        change(&mut bytes);
        tar::seal(&mut bytes[..512]);
        bytes
    };
    let base_256 = |size: &mut [u8]| size.copy_from_slice(&[0xff; 12]);
    refuses("a.nemo", &header(&|h| base_256(&mut h[124..136])), "size");
    refuses("a.nemo", &header(&|h| h[124] = b'9'), "size");
    refuses(
        "a.nemo",
        &header(&|h| h[124..135].copy_from_slice(b"77777777777")),
        "cut inside member `a`",
    );
    refuses("a.nemo", &header(&|h| h[156] = b'x'), "bad extended header");
    refuses("a.nemo", &header(&|h| h[156] = b'?'), "of an unknown kind");
    let twice = tar::archive(&[("a", b"1"), ("./a", b"2")]);
    refuses("a.nemo", &twice, "two members are named `a`");
    let neither = tar::archive(&[("README", b"1")]);
    refuses("a.nemo", &neither, "no model_config.yaml");
    let no_weights = tar::archive(&[("model_config.yaml", b"a: 1")]);
    refuses("a.nemo", &no_weights, "no model_weights.ckpt");
    let bad_yaml = tar::archive(&[("model_config.yaml", b"a: [")]);
    refuses("a.nemo", &bad_yaml, "not a usable configuration");
}

#[test]
fn archives_that_grow_without_end_are_refused() {
    let zeros = vec![0u8; 80 << 20];
    let bomb = make::gzip(&zeros);
    assert!(bomb.len() < 1 << 20);
    refuses("a.nemo", &bomb, "which weights never do");
}

#[test]
fn what_is_no_checkpoint_is_named() {
    refuses("a.nemo", b"", "the file is empty");
    refuses("a.nemo", b"hello, this is text\n", "not a .nemo archive");
    refuses("a.nemo", &safetensors(&[]), "weights alone");
    refuses("a.nemo", &ckpt_of(&good_program()), "weights alone");
    let empty = tempfile::tempdir().unwrap();
    let error = Checkpoint::open(empty.path()).unwrap_err();
    assert!(error.to_string().contains("holds no model"), "{error}");
    let nothing = Checkpoint::open(Path::new("/no/such/model")).unwrap_err();
    assert_eq!(nothing.code(), "not-a-checkpoint");
    assert!(
        nothing
            .to_string()
            .starts_with("/no/such/model: no such file")
    );
}

#[test]
fn a_pointer_of_git_lfs_is_named() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    for name in ["model.safetensors", "pytorch_model.bin", "a.nemo"] {
        refuses(name, pointer, "run `git lfs pull`");
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    // An administrator reads it all the same and finds it empty.
    let may_read = fs::read_dir(&locked).is_ok();
    let error = Checkpoint::open(&locked).unwrap_err();
    assert_eq!(
        error.code(),
        if may_read { "not-a-checkpoint" } else { "io" }
    );
    assert!(error.to_string().contains("locked"));
    let device = Checkpoint::open(Path::new("/dev/null")).unwrap_err();
    assert!(device.to_string().contains("not a regular file"));
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn configurations_that_are_no_json_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("model.safetensors"), safetensors(&[])).unwrap();
    for bad in ["", "text", "{\"a\":", "\u{0}"] {
        fs::write(dir.path().join("config.json"), bad).unwrap();
        let error = Checkpoint::open(dir.path()).unwrap_err();
        assert_eq!(error.code(), "json", "{bad:?}");
        assert!(error.to_string().contains("config.json"));
        assert!(error.to_string().ends_with("; fetch the file again"));
    }
}

#[test]
fn tokenizers_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    fs::write(dir.path().join("model.safetensors"), safetensors(&[])).unwrap();
    let cases = [
        ("{}", "field"),
        ("{\"model\":{\"vocab\":3}}", "field"),
        ("{\"model\":{\"vocab\":{\"a\":-1}}}", "field"),
        ("{\"model\":{\"vocab\":{\"a\":4000000000}}}", "piece-id"),
        ("{\"model\":{\"vocab\":[[1,2]]}}", "field"),
        ("{\"model\":{\"vocab\":{}},\"added_tokens\":{}}", "field"),
        ("{\"model\":{\"vocab\":{}},\"added_tokens\":[{}]}", "field"),
        ("[", "json"),
    ];
    for (tokenizer, code) in cases {
        fs::write(dir.path().join("tokenizer.json"), tokenizer).unwrap();
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let error = checkpoint.vocabulary().unwrap_err();
        assert_eq!(error.code(), code, "{tokenizer}");
        assert!(error.to_string().contains("tokenizer.json"));
    }
}

#[test]
fn an_element_type_without_conversion_is_an_error_only_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let byte = Raw {
        name: "b".into(),
        dtype: "F8_E4M3",
        shape: vec![2],
        bytes: vec![1, 2],
    };
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    fs::write(dir.path().join("model.safetensors"), safetensors(&[byte])).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let error = checkpoint.tensors().f32("b", &[2]).unwrap_err();
    assert!(
        error.to_string().contains("tensor `b` holds F8_E4M3"),
        "{error}"
    );
}
