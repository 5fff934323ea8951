//! The front door to neural audio codecs.

use std::path::Path;
use std::sync::Arc;

use percept_asr::ModelConfig;
use percept_codec::{
    CodecError, CodecModel, CodecSpec, Codes, ConfigFault, DecodeOptions, EncodeOptions, Excerpt,
    Pcm, PcmRef, StreamDecoder, StreamEncoder,
};
use percept_weights::Checkpoint;
use rayon::ThreadPool;

use crate::recognizer::{Error, new_pool};

/// What may be chosen when a codec is opened.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct CodecOptions {
    /// Threads that compute; as many as the machine has cores where it is `None`. Results do not depend on it.
    pub threads: Option<usize>,
    /// The threads themselves, in place of `threads`: codecs and recognisers that share a pool do not crowd each other out.
    pub pool: Option<Arc<ThreadPool>>,
}

/// A neural audio codec, which turns sound into tokens and tokens into sound: a model and the threads it computes on.
/// Cloning shares both.
///
/// ```no_run
/// use std::path::Path;
///
/// use percept::{Codec, CodecOptions, DecodeOptions, EncodeOptions, PcmRef};
///
/// let codec = Codec::open(Path::new("snac_24khz"), &CodecOptions::default())?;
/// let tone = vec![0.0; 24_000];
/// let codes = codec.encode(PcmRef::mono(&tone, 24_000), &EncodeOptions::default())?;
/// println!("{:?}", codes.book(0)); // the coarsest of codec.spec().books
/// let pcm = codec.decode(&codes, &DecodeOptions::default())?;
/// assert_eq!(pcm.samples.len(), tone.len());
/// # Ok::<(), percept::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Codec {
    model: Arc<CodecModel>,
    pool: Arc<ThreadPool>,
}

impl Codec {
    /// Opens a directory with the published files of a codec.
    ///
    /// # Errors
    /// [`Error`] names the file and what in it is missing, misshapen or unknown.
    pub fn open(path: &Path, options: &CodecOptions) -> Result<Self, Error> {
        let loaded = Self::load(options, || CodecModel::open(path));
        loaded.map_err(|error| match Checkpoint::open(path) {
            Ok(checkpoint) => explained(error, &checkpoint),
            Err(_) => error,
        })
    }

    /// Loads an opened checkpoint.
    ///
    /// # Errors
    /// As [`Codec::open`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, options: &CodecOptions) -> Result<Self, Error> {
        let loaded = Self::load(options, || CodecModel::from_checkpoint(checkpoint));
        loaded.map_err(|error| explained(error, checkpoint))
    }

    fn load(
        options: &CodecOptions,
        model: impl FnOnce() -> Result<CodecModel, CodecError> + Send,
    ) -> Result<Self, Error> {
        let pool = match &options.pool {
            Some(pool) => Arc::clone(pool),
            None => Arc::new(new_pool(options.threads)?),
        };
        let model = pool.install(model)?;
        Ok(Codec {
            model: Arc::new(model),
            pool,
        })
    }

    /// The model.
    pub fn model(&self) -> &Arc<CodecModel> {
        &self.model
    }

    /// Rate, channels, books and look-ahead.
    pub fn spec(&self) -> &CodecSpec {
        self.model.spec()
    }

    /// Threads that compute.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The codes of one recording.
    ///
    /// # Errors
    /// [`Error::Codec`] for audio of another rate or of other channels than [`Codec::spec`] says, for none at all, and where
    /// a sample is no number.
    pub fn encode(&self, pcm: PcmRef<'_>, options: &EncodeOptions) -> Result<Codes, Error> {
        Ok(self.pool.install(|| self.model.encode(pcm, options))?)
    }

    /// The sound of codes; as long as the recording was where the codes say so.
    ///
    /// # Errors
    /// [`Error::Codec`] for codes of another codec, and for none at all.
    pub fn decode(&self, codes: &Codes, options: &DecodeOptions) -> Result<Pcm, Error> {
        Ok(self.pool.install(|| self.model.decode(codes, options))?)
    }

    /// The codes of several recordings of any lengths, side by side. Each is what the recording gives alone.
    ///
    /// # Errors
    /// As [`Codec::encode`], for any of them.
    pub fn encode_batch(
        &self,
        pcm: &[PcmRef<'_>],
        options: &EncodeOptions,
    ) -> Result<Vec<Codes>, Error> {
        Ok(self
            .pool
            .install(|| self.model.encode_batch(pcm, options))?)
    }

    /// The sounds of several codes of any lengths, side by side. Each is what the codes give alone.
    ///
    /// # Errors
    /// As [`Codec::decode`], for any of them.
    pub fn decode_batch(
        &self,
        codes: &[Codes],
        options: &DecodeOptions,
    ) -> Result<Vec<Pcm>, Error> {
        Ok(self
            .pool
            .install(|| self.model.decode_batch(codes, options))?)
    }

    /// A recording that arrives in pieces; see [`CodecEncoder`].
    ///
    /// # Errors
    /// [`Error::Codec`] where more books are asked for than there are.
    pub fn encoder(&self, options: &EncodeOptions) -> Result<CodecEncoder, Error> {
        Ok(CodecEncoder {
            stream: StreamEncoder::new(Arc::clone(&self.model), options)?,
            pool: Arc::clone(&self.pool),
        })
    }

    /// Codes that arrive one by one; see [`CodecDecoder`].
    pub fn decoder(&self, options: &DecodeOptions) -> CodecDecoder {
        CodecDecoder {
            stream: StreamDecoder::new(Arc::clone(&self.model), options),
            pool: Arc::clone(&self.pool),
        }
    }

    /// The codes of a stretch of sound, see [`CodecModel::excerpt`], on their way to it.
    pub fn excerpt_decoder(&self, options: &DecodeOptions, excerpt: &Excerpt) -> CodecDecoder {
        CodecDecoder {
            stream: StreamDecoder::for_excerpt(Arc::clone(&self.model), options, excerpt),
            pool: Arc::clone(&self.pool),
        }
    }

    /// The same as futures, on the same threads.
    #[cfg(feature = "async")]
    pub fn asynch(&self) -> percept_codec::asynch::AsyncCodec {
        percept_codec::asynch::AsyncCodec::new(Arc::clone(&self.model))
            .on_pool(Arc::clone(&self.pool))
    }
}

/// Says what a checkpoint is that holds no known codec, where it is a recogniser.
fn explained(error: Error, checkpoint: &Checkpoint) -> Error {
    let is_unknown = matches!(
        &error,
        Error::Codec(CodecError::Config {
            fault: ConfigFault::UnknownFamily,
            ..
        })
    );
    match ModelConfig::family_of(checkpoint) {
        Some(family) if is_unknown => Error::IsRecognizer {
            file: checkpoint.path().to_owned(),
            family,
        },
        _ => error,
    }
}

/// Sound on its way to codes. Any way of cutting it into pushes gives the same codes, and memory stays bounded where they
/// are cleared. A clone goes its own way.
#[derive(Clone, Debug)]
pub struct CodecEncoder {
    stream: StreamEncoder,
    pool: Arc<ThreadPool>,
}

impl CodecEncoder {
    /// Codes with nothing in them, to push to.
    pub fn empty_codes(&self) -> Codes {
        self.stream.empty_codes()
    }

    /// Takes samples, interleaved, and adds the super-frames that they decide to `out`; returns how many.
    ///
    /// # Errors
    /// [`Error::Codec`]; see [`StreamEncoder::push`].
    pub fn push(&mut self, pcm: &[f32], out: &mut Codes) -> Result<usize, Error> {
        Ok(self.pool.install(|| self.stream.push(pcm, out))?)
    }

    /// Ends the recording and adds the rest to `out`, which then knows how long it was; returns how many super-frames.
    ///
    /// # Errors
    /// [`Error::Codec`]; see [`StreamEncoder::finish`].
    pub fn finish(&mut self, out: &mut Codes) -> Result<usize, Error> {
        Ok(self.pool.install(|| self.stream.finish(out))?)
    }

    /// Samples per channel that were taken.
    pub fn received(&self) -> u64 {
        self.stream.received()
    }

    /// Samples that must follow a super-frame before it comes out.
    pub fn latency_samples(&self) -> u64 {
        self.stream.latency_samples()
    }
}

/// Codes on their way to sound, as they come: a book may be ahead of another. Any way of cutting them into pushes gives the
/// same samples, and memory stays bounded where they are cleared. A clone goes its own way.
#[derive(Clone, Debug)]
pub struct CodecDecoder {
    stream: StreamDecoder,
    pool: Arc<ThreadPool>,
}

impl CodecDecoder {
    /// Takes codes and adds the samples that they decide to `out`, interleaved; returns how many.
    ///
    /// # Errors
    /// [`Error::Codec`]; see [`StreamDecoder::push`].
    pub fn push(&mut self, codes: &Codes, out: &mut Vec<f32>) -> Result<usize, Error> {
        Ok(self.pool.install(|| self.stream.push(codes, out))?)
    }

    /// Ends the stream and adds the rest; returns how many samples. What the encoder padded is still there.
    ///
    /// # Errors
    /// [`Error::Codec`]; see [`StreamDecoder::finish`].
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<usize, Error> {
        Ok(self.pool.install(|| self.stream.finish(out))?)
    }

    /// Samples per channel that have come out.
    pub fn emitted(&self) -> u64 {
        self.stream.emitted()
    }

    /// Samples that what comes out runs behind the frames put in.
    pub fn latency_samples(&self) -> u64 {
        self.stream.latency_samples()
    }
}
