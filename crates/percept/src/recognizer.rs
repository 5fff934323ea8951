//! The front door to speech recognition.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use percept_asr::{
    Aggregate, Confidence, Decoder, Model, ModelError, ModelOptions, Profile, SchedulerError,
    StreamError, Transcript,
};
use percept_codec::{CodecError, CodecFamily};
use percept_weights::{Checkpoint, WeightCache, WeightsError};
use rayon::ThreadPool;

use crate::embedded;

/// What may be chosen when a recogniser is opened.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct RecognizerOptions {
    /// Threads that compute; as many as the machine has cores where it is `None`. Results do not depend on it.
    pub threads: Option<usize>,
    /// The threads themselves, in place of `threads`: recognisers that share a pool do not crowd each other out.
    pub pool: Option<Arc<ThreadPool>>,
    /// The arithmetic of the weights.
    pub precision: Precision,
    /// Where 8-bit weights are kept, so that the next start is quick; nothing is written where it is `None`.
    pub weight_cache: Option<WeightCache>,
    /// The head to use, for checkpoints with several; the transducer by default.
    pub decoder: Option<Decoder>,
    /// How the confidence of tokens is measured.
    pub confidence: Confidence,
    /// How a word's confidence follows from its tokens'.
    pub aggregate: Aggregate,
    /// The language of the speech, for models that can be told it.
    pub language: Option<String>,
}

/// The arithmetic of the weights.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 8-bit for models of 100 million parameters and more on a CPU with instructions for it (x86-64 with AVX2), 32-bit
    /// otherwise.
    #[default]
    Auto,
    /// 32-bit floats: agrees with the reference implementation.
    F32,
    /// 8-bit weights and activations, 32-bit sums; attention scores and norms stay in floats.
    Int8,
}

/// What keeps a recogniser or a codec from being opened or from answering.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint or the audio is at fault.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A stream cannot begin, or cannot take what it was given.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A scheduler refuses what it was asked.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The codec's checkpoint, its audio or its codes are at fault.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A codec in the place of a recogniser.
    #[error("{file}: is a codec ({family}), no speech recogniser; open it as a `Codec`", file = file.display(), family = family.name())]
    IsCodec {
        /// The checkpoint.
        file: PathBuf,
        /// Which kind.
        family: CodecFamily,
    },
    /// A recogniser in the place of a codec.
    #[error("{file}: is a speech recogniser ({family}), no codec; open it as a `Recognizer`", file = file.display())]
    IsRecognizer {
        /// The checkpoint.
        file: PathBuf,
        /// What it calls itself.
        family: String,
    },
    /// The system refused to start threads.
    #[error("{threads} threads could not be started: {source}; ask for fewer")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
}

impl From<WeightsError> for Error {
    fn from(error: WeightsError) -> Self {
        Error::Model(error.into())
    }
}

impl Error {
    /// A stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Model(error) => error.code(),
            Error::Stream(error) => error.code(),
            Error::Scheduler(error) => error.code(),
            Error::Codec(error) => error.code(),
            Error::IsCodec { .. } => "is-codec",
            Error::IsRecognizer { .. } => "is-recognizer",
            Error::Threads { .. } => "threads",
        }
    }
}

/// A stage of the model whose output can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Normalised log-mel frames.
    Mel,
    /// The encoder's output, before any projector or head.
    Encoder,
}

/// The output of a [`Stage`] for one recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Valid frames.
    pub frames: usize,
    /// Values per frame.
    pub width: usize,
    /// `[frames, width]`.
    pub data: Vec<f32>,
}

/// A speech recogniser: a model and the threads it computes on. Cloning shares both.
#[derive(Clone, Debug)]
pub struct Recognizer {
    model: Arc<Model>,
    pub(crate) pool: Arc<ThreadPool>,
}

impl Recognizer {
    /// The small English recogniser that is compiled in. It was trained on synthetic speech and gives lower-case words
    /// without punctuation; its model card says how well it does.
    ///
    /// # Errors
    /// [`Error`] for options that the model does not have, or threads that the system refuses.
    pub fn embedded(options: &RecognizerOptions) -> Result<Self, Error> {
        let options = RecognizerOptions {
            weight_cache: None, // it has no files that a cache could go by
            ..options.clone()
        };
        Self::from_checkpoint(embedded::embedded_checkpoint()?, &options)
    }

    /// Opens a Hugging Face directory, a `.nemo` file, or a directory whose only model is a `.nemo` file.
    ///
    /// # Errors
    /// [`Error`] names the file and what in it is missing, misshapen or unknown.
    pub fn open(path: &Path, options: &RecognizerOptions) -> Result<Self, Error> {
        Self::from_checkpoint(Checkpoint::open(path)?, options)
    }

    /// Loads an opened checkpoint.
    ///
    /// # Errors
    /// As [`Recognizer::open`].
    pub fn from_checkpoint(
        checkpoint: Checkpoint,
        options: &RecognizerOptions,
    ) -> Result<Self, Error> {
        let pool = match &options.pool {
            Some(pool) => Arc::clone(pool),
            None => Arc::new(new_pool(options.threads)?),
        };
        let options = ModelOptions {
            decoder: options.decoder,
            confidence: options.confidence,
            aggregate: options.aggregate,
            language: options.language.clone(),
            precision: match options.precision {
                Precision::Auto => None,
                Precision::F32 => Some(percept_asr::Precision::F32),
                Precision::Int8 => Some(percept_asr::Precision::Int8),
            },
            weight_cache: options.weight_cache.clone(),
        };
        let (file, codec) = (checkpoint.path().to_owned(), CodecFamily::of(&checkpoint));
        match (pool.install(|| Model::load(checkpoint, options)), codec) {
            (Ok(model), _) => Ok(Recognizer {
                model: Arc::new(model),
                pool,
            }),
            (Err(ModelError::UnknownFamily { .. }), Some(family)) => {
                Err(Error::IsCodec { file, family })
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// The model, with its configuration and vocabulary.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The arithmetic in use, `F32` or `Int8`.
    pub fn precision(&self) -> Precision {
        match self.model.precision() {
            percept_asr::Precision::F32 => Precision::F32,
            percept_asr::Precision::Int8 => Precision::Int8,
        }
    }

    /// Threads that compute.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// These threads themselves: for work around the recogniser, such as decoding audio, that is not to crowd it out.
    pub fn pool(&self) -> &Arc<ThreadPool> {
        &self.pool
    }

    /// Samples per second of the audio it takes.
    pub fn sample_rate(&self) -> u32 {
        self.model.sample_rate()
    }

    /// A recording that arrives in pieces; see [`Session`].
    pub fn session(&self) -> Session {
        let session = percept_asr::Session::new(Arc::clone(&self.model));
        Session {
            session,
            pool: Arc::clone(&self.pool),
        }
    }

    /// Recognises one recording: mono samples in `[-1, 1]` at [`Recognizer::sample_rate`].
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where a sample is no number.
    pub fn transcribe(&self, pcm: &[f32]) -> Result<Transcript, Error> {
        let mut session = self.session();
        session.push(pcm)?;
        session.finish()
    }

    /// Recognises several recordings side by side, in their order. Each transcript is what the recording gives alone.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where a sample of any of them is no number.
    pub fn transcribe_batch(&self, recordings: &[&[f32]]) -> Result<Vec<Transcript>, Error> {
        Ok(self.pool.install(|| self.model.transcribe(recordings))?)
    }

    /// Recognises one recording and says where the time went.
    ///
    /// # Errors
    /// As [`Recognizer::transcribe`].
    pub fn profile(&self, pcm: &[f32]) -> Result<Profile, Error> {
        Ok(self.pool.install(|| self.model.profile(pcm))?)
    }

    /// What a stage of the model makes of one recording, in one piece however long it is.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where a sample is no number.
    pub fn features(&self, stage: Stage, pcm: &[f32]) -> Result<Features, Error> {
        if let Some(at) = pcm.iter().position(|v| !v.is_finite()) {
            let seconds = at as f64 / f64::from(self.sample_rate());
            return Err(ModelError::NotFinite { seconds }.into());
        }
        let (data, items) = self.pool.install(|| match stage {
            Stage::Mel => self.model.mel(&[pcm]),
            Stage::Encoder => self.model.encode(&[pcm]),
        });
        let width = match stage {
            Stage::Mel => self.model.config().mel.n_mels,
            Stage::Encoder => self.model.config().encoder.width(),
        };
        Ok(Features {
            frames: items.total(),
            width,
            data,
        })
    }
}

/// As many threads as were asked for, or as the machine has cores.
pub(crate) fn new_pool(threads: Option<usize>) -> Result<ThreadPool, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or(cores).max(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|n| format!("percept-{n}"))
        .build()
        .map_err(|source| Error::Threads { threads, source })
}

/// One recording on its way through a [`Recognizer`]. Any way of cutting it into pushes gives the same transcript, and
/// memory stays bounded however long it is.
#[derive(Debug)]
pub struct Session {
    session: percept_asr::Session,
    pool: Arc<ThreadPool>,
}

impl Session {
    /// Takes any number of mono samples in `[-1, 1]`, and computes what they decide.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] where a sample is no number; the samples before it are kept.
    pub fn push(&mut self, pcm: &[f32]) -> Result<(), Error> {
        Ok(self.pool.install(|| self.session.push(pcm))?)
    }

    /// Ends the recording and returns all that was said.
    ///
    /// # Errors
    /// None today; a model that can fail here will say so.
    pub fn finish(self) -> Result<Transcript, Error> {
        let Session { session, pool } = self;
        Ok(pool.install(|| session.finish()))
    }
}
