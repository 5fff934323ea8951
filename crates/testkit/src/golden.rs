//! What a reference implementation said: the fixtures of `golden/`, which also holds the recipes that made them.
//!
//! ```
//! use percept_testkit::golden;
//!
//! for case in golden::cases() {
//!     let encoder = case.seam("encoder");
//!     assert_eq!(encoder.shape.len(), 2, "{}: [frames, width]", case.name());
//! }
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An `f32` tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Slowest axis first.
    pub shape: Vec<usize>,
    /// As many values as `shape` says.
    pub data: Vec<f32>,
}

/// The folder with all fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/fixtures")
}

/// Every recogniser case, by name.
///
/// # Panics
/// If the fixtures are missing or damaged, as everything in this module does.
pub fn cases() -> Vec<Case> {
    let folder = fixtures().join("parakeet");
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.iter().map(|name| Case::open(name)).collect()
}

/// One tiny checkpoint, the tensors at its seams, and what it says.
#[derive(Debug)]
pub struct Case {
    folder: PathBuf,
    name: String,
    seams: BTreeMap<String, Array>,
    expect: Expect,
}

impl Case {
    /// The case of this name under `golden/fixtures/parakeet`.
    pub fn open(name: &str) -> Case {
        let folder = fixtures().join("parakeet").join(name);
        Case {
            seams: read_safetensors(&folder.join("seams.safetensors")),
            expect: read_json(&folder.join("expect.json")),
            name: name.to_owned(),
            folder,
        }
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Hugging Face directory, if the case has one.
    pub fn model(&self) -> Option<PathBuf> {
        Some(self.folder.join("model")).filter(|path| path.is_dir())
    }

    /// The `.nemo` file with the same weights, if the case has one.
    pub fn nemo(&self) -> Option<PathBuf> {
        Some(self.folder.join("model.nemo")).filter(|path| path.is_file())
    }

    /// The tensor at a seam; the README of `golden/` lists the names.
    pub fn seam(&self, name: &str) -> &Array {
        let known = || self.seams.keys().cloned().collect::<Vec<_>>().join(", ");
        let found = self.seams.get(name);
        found.unwrap_or_else(|| panic!("{}: no seam `{name}`, only {}", self.name, known()))
    }

    /// Whether there is such a seam.
    pub fn has_seam(&self, name: &str) -> bool {
        self.seams.contains_key(name)
    }

    /// The `.nemo` file with the same weights that says it was trained for windows of any context, if the case has one.
    pub fn unified(&self) -> Option<PathBuf> {
        Some(self.folder.join("unified.nemo")).filter(|path| path.is_file())
    }

    /// What it says while audio comes in, where the reference was asked.
    pub fn streams(&self) -> Option<Streams> {
        let path = self.folder.join("stream.json");
        path.exists().then(|| read_json(&path))
    }

    /// The tensors of [`Case::streams`], by their seams.
    pub fn stream_seams(&self) -> BTreeMap<String, Array> {
        read_safetensors(&self.folder.join("stream.safetensors"))
    }

    /// What the reference says.
    pub fn expect(&self) -> &Expect {
        &self.expect
    }
}

/// `expect.json` of a case.
#[derive(Clone, Debug, Deserialize)]
pub struct Expect {
    /// The blank's id, which is the size of the vocabulary.
    pub blank: usize,
    /// Whole utterances.
    pub utterances: Vec<Utterance>,
    /// Encoder outputs under masks that the checkpoint does not ask for.
    pub masks: Vec<Masked>,
    /// The long file, decoded in windows.
    pub windows: Vec<Windowed>,
    /// What the rows of the seams `prediction` and `joint_logits` belong to; empty for CTC.
    #[serde(default)]
    pub joint_points: Vec<JointPoint>,
    /// The smallest distance between the best and second best label that decided anything.
    pub min_margin: f32,
}

/// What one decoder says about one file.
#[derive(Clone, Debug, Deserialize)]
pub struct Utterance {
    /// Path of the WAV file below the fixtures; [`Utterance::pcm`] reads it.
    pub audio: String,
    /// Its samples.
    pub samples: usize,
    /// Valid frames before subsampling.
    pub mel_frames: usize,
    /// Valid frames after it.
    pub encoder_frames: usize,
    /// `tdt`, `rnnt` or `ctc`.
    pub decoder: String,
    /// Ids said, blanks left out.
    pub tokens: Vec<u32>,
    /// Their pieces.
    pub pieces: Vec<String>,
    /// The encoder frame that each token was said at.
    pub frames: Vec<usize>,
    /// TDT's durations, 1 for RNNT, the length of the run for CTC.
    pub durations: Vec<usize>,
    /// Softmax probability of each token at its frame, over tokens and blank.
    pub probabilities: Vec<f32>,
    /// For CTC, the probability at every frame of each token's run.
    #[serde(default)]
    pub run_probabilities: Vec<Vec<f32>>,
    /// The tokens as text, control tokens left out.
    pub text: String,
    /// How often the joint network was asked (for CTC: frames).
    pub joint_evaluations: usize,
    /// Who sees whom.
    #[serde(default)]
    pub attention: Attention,
    /// The language slot, where the model has one.
    pub prompt: Option<usize>,
}

impl Utterance {
    /// The audio, 16 kHz mono.
    pub fn pcm(&self) -> Vec<f32> {
        read_wav(&fixtures().join(&self.audio))
    }
}

/// An attention mask in NeMo's terms.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Attention {
    /// `full`, `regular`, `chunked_limited` or `chunked_limited_with_rc`.
    pub style: String,
    /// `[left, right]` or `[left, chunk, right]` in frames, -1 for no limit; empty for `full`.
    #[serde(default)]
    pub context: Vec<i64>,
}

/// An encoder output under another mask.
#[derive(Clone, Debug, Deserialize)]
pub struct Masked {
    /// The mask.
    #[serde(flatten)]
    pub attention: Attention,
    /// The seam that holds the output.
    pub seam: String,
    /// The file, as [`Utterance::audio`].
    pub audio: String,
}

/// A long file in left-chunk-right windows with carried decoder state.
#[derive(Clone, Debug, Deserialize)]
pub struct Windowed {
    /// What was said; frames count from the start of the file.
    #[serde(flatten)]
    pub utterance: Utterance,
    /// Left, chunk and right in encoder frames.
    pub context_frames: [usize; 3],
    /// The windows in order.
    pub plan: Vec<Window>,
}

/// One window of [`Windowed`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Window {
    /// Its first sample.
    pub start: usize,
    /// Its length in samples.
    pub samples: usize,
    /// Encoder frames of left context.
    pub skip: usize,
    /// Encoder frames that the decoder visits.
    pub frames: usize,
    /// The first of them, counted from the start of the file.
    pub first_frame: usize,
}

/// One prediction state and the encoder frames it was joined with.
#[derive(Clone, Debug, Deserialize)]
pub struct JointPoint {
    /// Encoder frames of the first utterance.
    pub frames: Vec<usize>,
    /// Tokens heard since the start.
    pub history: Vec<u32>,
}

/// What a case says while its audio comes in.
#[derive(Debug, Deserialize)]
pub struct Streams {
    /// Streams in left-chunk-right windows.
    pub windows: Vec<WindowedStream>,
    /// Streams whose frames are each computed once.
    pub cache_aware: Vec<CacheAwareStream>,
    /// Streams in windows whose mask is that of the context, of the checkpoint [`Case::unified`].
    #[serde(default)]
    pub unified_windows: Vec<WindowedStream>,
}

/// One tiny codec, the tensors at its seams, and what it makes of sound.
#[derive(Debug)]
pub struct CodecCase {
    folder: PathBuf,
    seams: BTreeMap<String, Array>,
    /// What the reference said.
    pub expect: CodecExpect,
}

/// What the reference says of a codec.
#[derive(Debug, Deserialize)]
pub struct CodecExpect {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels of the sound.
    pub channels: u16,
    /// Samples per latent frame.
    pub hop: u32,
    /// Size and stride of each book.
    pub books: Vec<CodecBook>,
    /// Parts of the recording `pcm` from its start, and what they become.
    pub clips: Vec<Clip>,
}

/// One codebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct CodecBook {
    /// Entries.
    pub size: u32,
    /// Latent frames of one code.
    pub stride: u32,
}

/// The first samples of a recording.
#[derive(Debug, Deserialize)]
pub struct Clip {
    /// How many, per channel.
    pub samples: usize,
    /// Latent frames that they become.
    pub frames: u64,
    /// The codes of each book.
    pub codes: Vec<Vec<u16>>,
    /// How clearly each was decided.
    #[serde(default)]
    pub margins: Vec<Vec<f32>>,
    /// The seam with what the codes become without noise.
    pub decoded: Option<String>,
    /// The seams with the noise of each noise layer.
    #[serde(default)]
    pub noise: Vec<String>,
    /// The seam with what the codes become with that noise.
    pub noisy: Option<String>,
    /// What does not fit above: of one family alone.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

impl CodecCase {
    /// Every case of a family, by name.
    pub fn all(family: &str) -> Vec<CodecCase> {
        CodecCase::below(&fixtures().join("codec").join(family))
    }

    /// Every case in a folder, by name.
    pub fn below(folder: &Path) -> Vec<CodecCase> {
        let entries =
            fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut folders: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
            .map(|entry| entry.path())
            .collect();
        folders.sort();
        folders.into_iter().map(CodecCase::at).collect()
    }

    /// The case of this name.
    pub fn open(family: &str, name: &str) -> CodecCase {
        CodecCase::at(fixtures().join("codec").join(family).join(name))
    }

    fn at(folder: PathBuf) -> CodecCase {
        CodecCase {
            seams: read_safetensors(&folder.join("seams.safetensors")),
            expect: read_json(&folder.join("expect.json")),
            folder,
        }
    }

    /// The name of its folder.
    pub fn name(&self) -> &str {
        self.folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// Its checkpoint.
    pub fn model(&self) -> PathBuf {
        self.folder.join("model")
    }

    /// The tensor at a seam.
    pub fn seam(&self, name: &str) -> &Array {
        self.seams
            .get(name)
            .unwrap_or_else(|| panic!("{}: no seam `{name}`", self.folder.display()))
    }

    /// The tensor at a seam, if it was kept.
    pub fn find_seam(&self, name: &str) -> Option<&Array> {
        self.seams.get(name)
    }

    /// The samples of a clip, of several channels one of each in turn.
    pub fn pcm(&self, clip: &Clip) -> &[f32] {
        &self.seam("pcm").data[..clip.samples * usize::from(self.expect.channels)]
    }
}

/// A part of a recording as if nothing came before it, and all that is committed of it.
#[derive(Debug, Deserialize)]
pub struct Said {
    /// The recording, below the fixtures.
    pub audio: String,
    /// The first sample.
    pub start: usize,
    /// How many.
    pub samples: usize,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// The frame of each token.
    pub frames: Vec<u64>,
    /// Its duration in frames.
    pub durations: Vec<u32>,
    /// Its probability.
    pub probabilities: Vec<f32>,
}

impl Said {
    /// The samples.
    pub fn pcm(&self) -> Vec<f32> {
        let pcm = read_wav(&fixtures().join(&self.audio));
        pcm[self.start..self.start + self.samples].to_vec()
    }
}

/// A stream in windows.
#[derive(Debug, Deserialize)]
pub struct WindowedStream {
    /// What is said.
    #[serde(flatten)]
    pub said: Said,
    /// Left context, chunk and right context, in encoder frames.
    pub context_frames: [usize; 3],
    /// How the length lies to the schedule.
    pub ends: String,
    /// The windows.
    pub steps: Vec<WindowStep>,
}

/// One window of a stream, and what is known after it.
#[derive(Debug, Deserialize)]
pub struct WindowStep {
    /// The first encoder frame that it decodes.
    pub first_frame: u64,
    /// How many it decodes.
    pub frames: u64,
    /// Tokens said so far; for CTC one whose run goes on counts.
    pub committed: usize,
    /// Tokens of the right context.
    pub volatile: Volatile,
    /// CTC: the length of the run that the chunk ends in.
    #[serde(default)]
    pub open_run: u32,
    /// CTC: by how many frames of right context it goes on.
    #[serde(default)]
    pub volatile_run: u32,
}

/// Tokens that may still change.
#[derive(Debug, Deserialize)]
pub struct Volatile {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// The frame of each.
    pub frames: Vec<u64>,
    /// Its duration in frames.
    pub durations: Vec<u32>,
}

/// A stream whose frames are each computed once.
#[derive(Debug, Deserialize)]
pub struct CacheAwareStream {
    /// What is said.
    #[serde(flatten)]
    pub said: Said,
    /// Right context in encoder frames.
    pub lookahead: usize,
    /// Encoder frames in all.
    pub encoder_frames: usize,
    /// The name of the encoder's output, `[encoder_frames, width]`.
    pub seam: String,
    /// The slot of the language prompt, for models that have one.
    pub prompt: Option<usize>,
}

/// All tensors of a safetensors file, which must be `f32`.
pub fn read_safetensors(path: &Path) -> BTreeMap<String, Array> {
    let bytes = read(path);
    let (length, rest) = bytes
        .split_first_chunk()
        .unwrap_or_else(|| panic!("{}: too short", path.display()));
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: BTreeMap<String, Value> = serde_json::from_slice(header)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tensor = |(name, entry): (String, Value)| {
        let Entry {
            dtype,
            shape,
            data_offsets,
        } = Entry::deserialize(entry)
            .unwrap_or_else(|error| panic!("{}: `{name}`: {error}", path.display()));
        assert_eq!(dtype, "F32", "{}: `{name}`", path.display());
        let values = data[data_offsets[0]..data_offsets[1]].as_chunks().0;
        let data = values
            .iter()
            .map(|&four| f32::from_le_bytes(four))
            .collect();
        (name, Array { shape, data })
    };
    header
        .into_iter()
        .filter(|(name, _)| name != "__metadata__")
        .map(tensor)
        .collect()
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// The samples of a 16-bit mono WAV file with a plain 44-byte header, as the recipes write them.
pub fn read_wav(path: &Path) -> Vec<f32> {
    let bytes = read(path);
    assert!(
        bytes.len() >= 44 && &bytes[36..40] == b"data",
        "{}: not a fixture",
        path.display()
    );
    let samples = bytes[44..].as_chunks().0;
    samples
        .iter()
        .map(|&two| f32::from(i16::from_le_bytes(two)) / 32_768.0)
        .collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&read(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; golden/README.md says how to make it",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Case, cases, fixtures, read_safetensors};

    #[test]
    fn every_case_is_whole() {
        let cases = cases();
        assert!(cases.len() >= 9, "{}", cases.len());
        for case in &cases {
            let name = case.name();
            assert!(
                case.model().is_some() || case.nemo().is_some(),
                "{name}: no checkpoint"
            );
            let expect = case.expect();
            assert!(expect.min_margin > 1e-3, "{name}: {}", expect.min_margin);
            assert_eq!(case.seam("mel").shape, case.seam("mel_raw").shape, "{name}");
            let first = &expect.utterances[0];
            assert_eq!(case.seam("mel").shape[0], first.mel_frames, "{name}");
            assert_eq!(
                case.seam("encoder").shape[0],
                first.encoder_frames,
                "{name}"
            );
            let windows = expect.windows.iter().map(|windowed| &windowed.utterance);
            for utterance in expect.utterances.iter().chain(windows) {
                assert_eq!(utterance.pcm().len(), utterance.samples, "{name}");
                let tokens = utterance.tokens.len();
                assert_eq!(utterance.frames.len(), tokens, "{name}");
                assert_eq!(utterance.durations.len(), tokens, "{name}");
                assert_eq!(utterance.probabilities.len(), tokens, "{name}");
                assert!(utterance.frames.is_sorted(), "{name}");
                assert!(
                    utterance
                        .frames
                        .iter()
                        .all(|&t| t < utterance.encoder_frames),
                    "{name}"
                );
            }
            assert!(
                expect
                    .masks
                    .iter()
                    .all(|masked| case.has_seam(&masked.seam)),
                "{name}"
            );
        }
    }

    #[test]
    fn windows_visit_every_frame_once() {
        for case in cases() {
            for windowed in &case.expect().windows {
                let visited: usize = windowed.plan.iter().map(|window| window.frames).sum();
                assert_eq!(
                    visited,
                    windowed.utterance.encoder_frames,
                    "{}",
                    case.name()
                );
            }
        }
    }

    #[test]
    fn mel_goldens_have_a_frame_per_hop() {
        let mel = read_safetensors(&fixtures().join("mel/mel_80.safetensors"));
        assert_eq!(mel["speech.161.raw"].shape, [1, 80]);
        assert_eq!(mel["speech.159.raw"].shape, [0, 80]);
        assert_eq!(mel["filterbank"].shape, [80, 257]);
    }

    #[test]
    #[should_panic(expected = "golden/README.md says how to make it")]
    fn a_missing_case_says_what_to_do() {
        Case::open("no such case");
    }
}
