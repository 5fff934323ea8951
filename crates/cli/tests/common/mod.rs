//! The command as tests see it: arguments in; status, stdout and stderr out.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What the command left behind.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Asserts success in silence and returns stdout.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(
            (self.code, self.stderr.as_str()),
            (Some(0), ""),
            "stdout: {}",
            self.stdout
        );
        self.stdout
    }

    /// Asserts status 1 and one line on stderr that holds `parts`, and returns stdout.
    #[track_caller]
    pub(crate) fn fails(self, parts: &[&str]) -> String {
        assert_eq!(self.code, Some(1), "{}", self.stderr);
        assert!(self.stderr.starts_with("percept: "), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "{part:?} is not in {}",
                self.stderr
            );
        }
        self.stdout
    }
}

thread_local! {
    /// A home for caches. Each test has a thread of its own, and the folder goes with it.
    static HOME: TempDir = tempfile::tempdir().expect("folders can be made");
}

/// Where the command keeps what it caches in this test.
pub(crate) fn home() -> PathBuf {
    HOME.with(|home| home.path().to_owned())
}

/// The command, cut off from the hub, its cache and the user's settings.
pub(crate) fn percept() -> Command {
    cut_off(Command::new(env!("CARGO_BIN_EXE_percept")))
}

/// A command that starts `percept`, cut off likewise.
pub(crate) fn cut_off(mut command: Command) -> Command {
    for name in [
        "HF_TOKEN",
        "HF_ENDPOINT",
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "XDG_CACHE_HOME",
    ] {
        command.env_remove(name);
    }
    command.env("HF_HOME", home()).env("HF_HUB_OFFLINE", "1");
    command
}

pub(crate) fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
    Outcome::of(percept().args(args).output().expect("the command starts"))
}

pub(crate) fn run_in(folder: &Path, args: &[&str]) -> Outcome {
    run_command(percept().current_dir(folder).args(args))
}

pub(crate) fn run_command(command: &mut Command) -> Outcome {
    Outcome::of(command.output().expect("the command starts"))
}

pub(crate) fn run_with_stdin(args: &[&str], stdin: &[u8]) -> Outcome {
    let mut child = percept()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // The command may stop reading when it has seen enough.
    let _ = child.stdin.take().expect("stdin is piped").write_all(stdin);
    Outcome::of(child.wait_with_output().expect("the command ends"))
}

/// A PCM file of 16-bit samples, interleaved.
pub(crate) fn wav(sample_rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    riff(1, sample_rate, channels, 16, &data)
}

/// A mono file of 32-bit float samples at 16 kHz.
pub(crate) fn float_wav(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    riff(3, 16_000, 1, 32, &data)
}

fn riff(format: u16, sample_rate: u32, channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
    let frame_bytes = channels * bits / 8;
    let length = data.len() as u32;
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend(format.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(sample_rate.to_le_bytes());
    bytes.extend((sample_rate * u32::from(frame_bytes)).to_le_bytes());
    bytes.extend(frame_bytes.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(data);
    bytes
}

/// Speech at 16 kHz, so many times over with pauses between: "hello we should meet for lunch next tuesday".
pub(crate) fn speech(times: usize) -> Vec<i16> {
    let file = fs::read(tiny_en().join("samples/hello.wav")).expect("the sample is there");
    let at = file.windows(4).position(|four| four == b"data");
    let data = &file[at.expect("a WAV file has data") + 8..];
    let sample = |two: &[u8]| i16::from_le_bytes([two[0], two[1]]);
    let once: Vec<i16> = data.chunks_exact(2).map(sample).collect();
    vec![once; times].join(&[0; 6_000][..])
}

/// Samples as they go over a pipe.
pub(crate) fn raw(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

/// The same as floats.
pub(crate) fn raw_float(samples: &[i16]) -> Vec<u8> {
    let float = |sample: &i16| (f32::from(*sample) / 32_768.0).to_le_bytes();
    samples.iter().flat_map(float).collect()
}

/// A second of quiet noise at 16 kHz, different for each seed.
pub(crate) fn noise(seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let samples: Vec<i16> = (0..16_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state % 600) as i16 - 300
        })
        .collect();
    wav(16_000, 1, &samples)
}

/// Writes files below `root`, folders included.
pub(crate) fn put(root: &Path, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("folders can be made");
        fs::write(path, bytes).expect("files can be written");
    }
}

/// Every file below `root` by its path, sorted; hidden ones only on request.
pub(crate) fn files(root: &Path, hidden: bool) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                walk(&entry.path(), found)
            } else {
                found.push(entry.path())
            }
        }
    }
    let mut found = Vec::new();
    walk(root, &mut found);
    let mut names: Vec<String> = found
        .iter()
        .filter(|path| {
            hidden
                || !path
                    .file_name()
                    .expect("a file has a name")
                    .as_encoded_bytes()
                    .starts_with(b".")
        })
        .map(|path| {
            path.strip_prefix(root)
                .expect("below the root")
                .display()
                .to_string()
        })
        .collect();
    names.sort();
    names
}

pub(crate) fn path(folder: &Path, name: &str) -> String {
    folder
        .join(name)
        .into_os_string()
        .into_string()
        .expect("paths in tests are UTF-8")
}

/// The folder of the built-in model.
pub(crate) fn tiny_en() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny-en")
}

/// A small random model that streams frame by frame, ends utterances with a mark and was trained to hear 1, 0 or 3 frames
/// in advance.
pub(crate) fn cache_aware() -> String {
    fixture("rnnt_eou")
}

/// A checkpoint of the goldens.
pub(crate) fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/fixtures/parakeet");
    path(&folder, &format!("{name}/model"))
}

/// A codec of the goldens.
pub(crate) fn codec_fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/fixtures/codec");
    path(&folder, &format!("{name}/model"))
}

/// A copy of the built-in model below `root`.
pub(crate) fn copy_of_tiny_en(root: &Path, name: &str) -> PathBuf {
    let copy = root.join(name);
    fs::create_dir(&copy).expect("folders can be made");
    for entry in fs::read_dir(tiny_en()).expect("the built-in model has a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_file() {
            let name = path.file_name().expect("a file has a name");
            fs::copy(&path, copy.join(name)).expect("files can be copied");
        }
    }
    copy
}
