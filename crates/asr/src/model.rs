//! A recogniser's weights: front end, encoder and head.

use std::sync::Arc;

use percept_audio::{MelConfig, MelFrontEnd, features, normalize};
use percept_kernels::DotKernel;
use percept_nn::{AttentionMask, Items, Loader, Precision};
use percept_weights::{
    CacheEntry, Checkpoint, Layout, PackedFile, PieceKind, Vocabulary, WeightCache, WeightsError,
};
use rayon::prelude::*;

use crate::confidence::{Aggregate, Confidence};
use crate::config::ModelConfig;
use crate::ctc::CtcHead;
use crate::encoder::FastConformer;
use crate::error::ModelError;
use crate::names::{hugging_face_name, nemo_name};
use crate::prompt::{Prompt, PromptMemory};
use crate::text::{Role, WORD_MARK};
use crate::transducer::Transducer;
use crate::windows::WindowPolicy;

/// Which search turns encoder frames into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// Token-and-duration transducer.
    Tdt,
    /// Recurrent neural network transducer.
    Rnnt,
    /// Connectionist temporal classification.
    Ctc,
}

impl Decoder {
    /// Its name, in capitals as the literature writes it.
    pub fn name(self) -> &'static str {
        match self {
            Decoder::Tdt => "TDT",
            Decoder::Rnnt => "RNNT",
            Decoder::Ctc => "CTC",
        }
    }
}

/// What may be chosen when a model is loaded.
#[derive(Clone, Debug, Default)]
pub struct ModelOptions {
    /// The head to use; the transducer where there is a choice.
    pub decoder: Option<Decoder>,
    /// How the confidence of tokens is measured.
    pub confidence: Confidence,
    /// How a word's confidence follows from its tokens'.
    pub aggregate: Aggregate,
    /// The language of the speech, for models that take a prompt.
    pub language: Option<String>,
    /// The arithmetic of the linear maps. Where it is `None`: 8-bit for models of 100 million parameters and more, on a
    /// CPU that has instructions for it; smaller ones gain little from it.
    pub precision: Option<Precision>,
    /// Where 8-bit weights are kept for the next load; nowhere where it is `None`.
    pub weight_cache: Option<WeightCache>,
}

/// A loaded recogniser. Immutable: share it by `Arc` between any number of [`Session`](crate::Session)s.
pub struct Model {
    config: ModelConfig,
    options: ModelOptions,
    front_end: Arc<MelFrontEnd>,
    encoder: FastConformer,
    prompt: Option<(Prompt, usize)>,
    head: Head,
    vocabulary: Vocabulary,
    token_texts: Vec<Arc<str>>,
    no_text: Arc<str>,
    policy: WindowPolicy,
    parameters: usize,
    precision: Precision,
    cache_fault: Option<WeightsError>,
}

pub(crate) enum Head {
    Transducer(Box<Transducer>),
    Ctc(CtcHead),
}

/// Parameters from which on a model runs in 8 bits unless told otherwise.
const INT8_PARAMETERS: usize = 100_000_000;

/// What a model runs in unless told otherwise.
fn quick_precision(parameters: usize) -> Precision {
    let is_int8_quick = DotKernel::best() != DotKernel::Portable;
    match is_int8_quick && parameters >= INT8_PARAMETERS {
        true => Precision::Int8,
        false => Precision::F32,
    }
}

/// Seconds of audio that models do well in one piece, where their configuration does not say otherwise. In more, a model of
/// 600 million parameters would take more than 200 MB beside its weights.
const PIECE_SECONDS: f64 = 240.0;

impl Model {
    /// Loads the weights of `checkpoint`, in either layout.
    ///
    /// # Errors
    /// [`ModelError`] names the file and what in it is missing, misshapen or unknown.
    pub fn load(mut checkpoint: Checkpoint, options: ModelOptions) -> Result<Self, ModelError> {
        if checkpoint.layout() == Layout::Nemo {
            return Self::load_renamed(&checkpoint, options);
        }
        checkpoint.rename_tensors(nemo_name)?;
        Self::load_renamed(&checkpoint, options).map_err(|mut error| {
            let model_type = checkpoint.config().get("model_type");
            let causal = model_type.is_some_and(|t| t.to_string().contains("nemotron"));
            if let ModelError::Weights(
                WeightsError::Missing { name, .. }
                | WeightsError::Shape { name, .. }
                | WeightsError::Dtype { name, .. },
            ) = &mut error
                && let Some(theirs) = hugging_face_name(name, causal)
            {
                *name = theirs;
            }
            error
        })
    }

    /// Loads a checkpoint whose tensors have NeMo's names.
    fn load_renamed(checkpoint: &Checkpoint, options: ModelOptions) -> Result<Self, ModelError> {
        let (model, has_written) = Self::load_once(checkpoint, options.clone())?;
        if !has_written {
            return Ok(model);
        }
        // From the weights just written: mapped, they share their memory with the file and with other processes.
        drop(model);
        Ok(Self::load_once(checkpoint, options)?.0)
    }

    /// Also says whether 8-bit weights were written to the cache.
    fn load_once(
        checkpoint: &Checkpoint,
        options: ModelOptions,
    ) -> Result<(Self, bool), ModelError> {
        let config = ModelConfig::read(checkpoint)?;
        let vocabulary = vocabulary(checkpoint, &config)?;
        let decoder = choose_decoder(checkpoint, &config, options.decoder)?;
        let tensors = checkpoint.tensors();
        let precision = options
            .precision
            .unwrap_or_else(|| quick_precision(tensors.parameters()));
        let cache = options.weight_cache.as_ref();
        let cached = CachedLoad::begin(checkpoint, precision, cache);
        let loader = &cached.loader;
        let width = config.encoder.width();
        let head = match (decoder, &config.transducer, &config.ctc) {
            (Decoder::Ctc, _, Some((prefix, ctc))) => {
                Head::Ctc(CtcHead::load(loader, prefix, *ctc)?)
            }
            (_, Some(transducer), _) => {
                Head::Transducer(Box::new(Transducer::load(loader, transducer.clone())?))
            }
            _ => {
                return Err(ModelError::NoHead {
                    file: checkpoint.path().into(),
                    family: config.family,
                });
            }
        };
        let slot = language_slot(checkpoint, &config, options.language.as_deref())?;
        let prompt = match (&config.prompt, slot) {
            (Some(prompt), Some(slot)) => Some((Prompt::load(loader, prompt, width)?, slot)),
            _ => None,
        };
        let frames = piece_seconds(checkpoint)? / config.seconds_per_frame();
        let grid = match config.encoder.mask {
            AttentionMask::Chunked { right, .. } => right + 1,
            AttentionMask::ChunkedWithRight { chunk, .. } => chunk,
            _ => 1,
        };
        let encoder = FastConformer::load(loader, config.encoder.clone())?;
        let (has_written, cache_fault) = cached.end();
        let model = Model {
            front_end: Arc::new(front_end(checkpoint, &config)?),
            encoder,
            precision,
            cache_fault,
            prompt,
            head,
            token_texts: token_texts(&vocabulary),
            no_text: Arc::from(""),
            vocabulary,
            policy: WindowPolicy::for_pieces_of(frames.round() as usize, grid),
            parameters: tensors.parameters(),
            options,
            config,
        };
        Ok((model, has_written))
    }

    /// What the checkpoint says about the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The search in use.
    pub fn decoder(&self) -> Decoder {
        match &self.head {
            Head::Ctc(_) => Decoder::Ctc,
            Head::Transducer(head) if head.config().durations.is_empty() => Decoder::Rnnt,
            Head::Transducer(_) => Decoder::Tdt,
        }
    }

    /// The searches that the checkpoint has heads for.
    pub fn decoders(&self) -> Vec<Decoder> {
        available(&self.config)
    }

    /// The pieces of its tokens.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// How long audio is cut.
    pub fn windows(&self) -> WindowPolicy {
        self.policy
    }

    /// The same model with other windows for long audio.
    ///
    /// # Panics
    /// Where a chunk holds no frame, or audio in one piece would be shorter than the first window.
    pub fn with_windows(mut self, policy: WindowPolicy) -> Self {
        assert!(
            policy.chunk > 0 && policy.whole_frames >= policy.chunk + policy.right,
            "{policy:?}"
        );
        self.policy = policy;
        self
    }

    /// Numbers in the checkpoint.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Samples per second of the audio it takes.
    pub fn sample_rate(&self) -> u32 {
        self.config.mel.sample_rate
    }

    /// The arithmetic of the linear maps.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Why the 8-bit weights could not be kept for the next load, if so. The model works without.
    pub fn cache_fault(&self) -> Option<&WeightsError> {
        self.cache_fault.as_ref()
    }

    pub(crate) fn options(&self) -> &ModelOptions {
        &self.options
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The normalised log-mel frames of each piece of audio, one after the other, and how many each has.
    pub fn mel(&self, pieces: &[&[f32]]) -> (Vec<f32>, Items) {
        let config = self.front_end.config();
        let one = |pcm: &&[f32]| {
            let (_, mut frames) = features(&self.front_end, pcm);
            normalize(config.normalize, &mut frames, config.n_mels);
            frames
        };
        let each: Vec<Vec<f32>> = pieces.par_iter().map(one).collect();
        let items = Items::new(each.iter().map(|frames| frames.len() / config.n_mels));
        (each.concat(), items)
    }

    /// The encoder's output for each piece of audio `[frames, width]`, one after the other, before any prompt or head.
    pub fn encode(&self, pieces: &[&[f32]]) -> (Vec<f32>, Items) {
        let (mel, items) = self.mel(pieces);
        self.encoder.encode(&mel, &items, &self.config.encoder.mask)
    }

    /// The encoder.
    pub fn encoder(&self) -> &FastConformer {
        &self.encoder
    }

    pub(crate) fn front_end(&self) -> &Arc<MelFrontEnd> {
        &self.front_end
    }

    /// Makes encoder frames `[T, width]` what the head sees: conditioned on the language where the model takes one.
    pub(crate) fn condition(&self, frames: &mut [f32], memory: &mut PromptMemory) {
        if let Some((prompt, slot)) = &self.prompt {
            prompt.apply(frames, *slot, memory);
        }
    }

    /// What a token adds to the text: a space for `▁`, nothing for marks, control tokens and ids without a piece. A byte
    /// of a character that takes several is U+FFFD here; [`Detokenizer`](crate::Detokenizer) puts them together.
    pub fn token_text(&self, id: u32) -> &Arc<str> {
        self.token_texts.get(id as usize).unwrap_or(&self.no_text)
    }
}

/// A load that takes 8-bit weights from the cache, or leaves them there.
struct CachedLoad<'a> {
    loader: Loader<'a>,
    /// Where to leave what is made.
    entry: Option<CacheEntry>,
    /// What is there already.
    packed: Option<PackedFile>,
    fault: Option<WeightsError>,
}

impl<'a> CachedLoad<'a> {
    fn begin(
        checkpoint: &'a Checkpoint,
        precision: Precision,
        cache: Option<&WeightCache>,
    ) -> Self {
        let tensors = checkpoint.tensors();
        let mut load = CachedLoad {
            loader: Loader::new(tensors, precision),
            entry: None,
            packed: None,
            fault: None,
        };
        let (Precision::Int8, Some(cache)) = (precision, cache) else {
            return load;
        };
        let weight_files = checkpoint.weight_files();
        match cache.entry(checkpoint.path(), weight_files, Loader::INT8_VARIANT) {
            Ok(entry) => {
                load.packed = entry.open();
                if let Some(packed) = &load.packed {
                    load.loader = Loader::with_packed(tensors, packed.clone());
                }
                load.entry = Some(entry);
            }
            Err(error) => load.fault = Some(error),
        }
        load
    }

    /// Writes what had to be made, and says whether it did and why not. A cache that cannot be written costs time, not
    /// the model.
    fn end(self) -> (bool, Option<WeightsError>) {
        let made = self.loader.made();
        let (Some(entry), false) = (self.entry, made.is_empty()) else {
            return (false, self.fault);
        };
        let write = || {
            let mut writer = entry.create()?;
            for (name, matrix) in &made {
                writer.add(name, &[matrix.outputs(), matrix.inputs()], matrix.bytes())?;
            }
            // Another head of the same checkpoint may have left its own.
            if let Some(packed) = &self.packed {
                writer.add_others(packed)?;
            }
            writer.finish()
        };
        match write() {
            Ok(()) => (true, self.fault),
            Err(error) => (false, Some(error)),
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("config", &self.config)
            .field("parameters", &self.parameters)
            .finish()
    }
}

fn available(config: &ModelConfig) -> Vec<Decoder> {
    let transducer = config.transducer.as_ref();
    let first = transducer.map(|t| {
        if t.durations.is_empty() {
            Decoder::Rnnt
        } else {
            Decoder::Tdt
        }
    });
    first
        .into_iter()
        .chain(config.ctc.as_ref().map(|_| Decoder::Ctc))
        .collect()
}

fn choose_decoder(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    asked: Option<Decoder>,
) -> Result<Decoder, ModelError> {
    let available = available(config);
    match (asked, available.first()) {
        (None, Some(first)) => Ok(*first),
        (None, None) => Err(ModelError::NoHead {
            file: checkpoint.path().into(),
            family: config.family.clone(),
        }),
        (Some(asked), _) if available.contains(&asked) => Ok(asked),
        (Some(asked), _) => Err(ModelError::NoDecoder {
            file: checkpoint.path().into(),
            asked: asked.name(),
            available: available
                .iter()
                .map(|d| d.name())
                .collect::<Vec<_>>()
                .join(" and "),
        }),
    }
}

/// The vocabulary, with a piece for every token of every head. NeMo's has none for the blank; a Hugging Face one may.
fn vocabulary(checkpoint: &Checkpoint, config: &ModelConfig) -> Result<Vocabulary, ModelError> {
    let vocabulary = checkpoint.vocabulary()?;
    let holes = vocabulary
        .pieces()
        .iter()
        .filter(|piece| piece.kind == PieceKind::Unused && piece.text.is_empty())
        .count();
    let heads = [
        config.transducer.as_ref().map(|head| head.vocab),
        config.ctc.as_ref().map(|(_, head)| head.vocab),
    ];
    for classes in heads.into_iter().flatten() {
        let with_blank = vocabulary.len() == classes && checkpoint.layout() != Layout::Nemo;
        if holes > 0 || !(with_blank || vocabulary.len() + 1 == classes) {
            return Err(ModelError::VocabularySize {
                file: checkpoint.path().into(),
                found: vocabulary.len() - holes,
                expected: classes - 1,
            });
        }
    }
    Ok(vocabulary)
}

/// What each token adds to a text.
fn token_texts(vocabulary: &Vocabulary) -> Vec<Arc<str>> {
    let ids = 0..vocabulary.len() as u32;
    let text = |id| match Role::of(vocabulary, id) {
        Role::Text(piece) => Arc::from(piece.replace(WORD_MARK, " ")),
        Role::Byte(byte) if byte.is_ascii() => Arc::from(char::from(byte).to_string()),
        Role::Byte(_) => Arc::from(char::REPLACEMENT_CHARACTER.to_string()),
        _ => Arc::from(""),
    };
    ids.map(text).collect()
}

/// The front end, with the checkpoint's own window and filterbank where it carries them.
fn front_end(checkpoint: &Checkpoint, config: &ModelConfig) -> Result<MelFrontEnd, ModelError> {
    let tensors = checkpoint.tensors();
    let own = |name: &str, shape: &[usize]| -> Result<Option<Vec<f32>>, WeightsError> {
        let name = format!("preprocessor.featurizer.{name}");
        if tensors.contains(&name) {
            tensors.f32(&name, shape).map(Some)
        } else {
            Ok(None)
        }
    };
    let mel = &config.mel;
    let mel = MelConfig {
        window: own("window", &[mel.win_samples])?,
        filterbank: own("fb", &[1, mel.n_mels, mel.n_fft / 2 + 1])?,
        ..mel.clone()
    };
    MelFrontEnd::new(mel).map_err(|source| ModelError::Mel {
        file: checkpoint.path().into(),
        source,
    })
}

/// The slot of the language asked for, or the model's default one; `None` for models without a prompt.
fn language_slot(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    asked: Option<&str>,
) -> Result<Option<usize>, ModelError> {
    let refuse = |asked: &str, available: String| {
        Err(ModelError::NoLanguage {
            file: checkpoint.path().into(),
            asked: asked.into(),
            available,
        })
    };
    match (&config.prompt, asked) {
        (None, None) => Ok(None),
        (None, Some(asked)) => refuse(asked, "this model cannot be told a language".into()),
        (Some(prompt), None) => Ok(Some(prompt.default_slot)),
        (Some(prompt), Some(asked)) => match prompt.languages.get(asked) {
            Some(slot) => Ok(Some(*slot)),
            None => {
                let known: Vec<&str> = prompt.languages.keys().map(String::as_str).collect();
                refuse(asked, format!("it knows {}", known.join(", ")))
            }
        },
    }
}

/// `percept.piece_seconds` of the configuration: how much audio the model does well in one piece.
fn piece_seconds(checkpoint: &Checkpoint) -> Result<f64, WeightsError> {
    let Some(value) = checkpoint
        .config()
        .get("percept")
        .and_then(|p| p.get("piece_seconds"))
    else {
        return Ok(PIECE_SECONDS);
    };
    value
        .as_f64()
        .filter(|s| (1.0..=3600.0).contains(s))
        .ok_or_else(|| WeightsError::Field {
            file: checkpoint.config_path(),
            field: "percept.piece_seconds".into(),
            expected: "a number of seconds from 1 to 3600",
        })
}
