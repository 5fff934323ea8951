//! Codecs behind the interface that speech pipelines know: samples to a flat list of tokens and back.
//!
//! A [`CodecBackend`] is named before it is loaded. The first call that needs the weights finds them (a folder, else the
//! Hugging Face cache, else the hub) and loads them once, however many threads wait for them; [`unload`] lets go of the
//! memory when the last running call is done, and the next call loads again.
//!
//! Tokens are flat by book ([`FlatByBook`]): all of book 0, then all of book 1. Books may have different lengths
//! ([`per_codebook_lens`]).
//!
//! Every call blocks and computes on the rayon pool that it is made in. The feature `async` has futures for them. Those
//! that take a [`Control`] can be cancelled; loading, for which other calls may wait, is done to its end.
//!
//! [`unload`]: CodecBackend::unload
//! [`per_codebook_lens`]: crate::per_codebook_lens

mod config;
mod error;
mod handle;
mod known;
mod slot;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread;

pub use config::{BackendConfig, BackendFamily, DacFamily, EncodecFamily, MimiFamily, SnacFamily};
pub use error::BackendError;
pub use handle::{CodecBackendHandle, DynCodecProvider};

use crate::{
    CodecError, CodecModel, CodecSpec, Codes, Control, DecodeOptions, EncodeOptions, FlatByBook,
    PcmRef, TokenLayout,
};
use known::Known;
use slot::Slot;

/// SNAC; `hubertsiuzdak/snac_24khz` unless told otherwise.
pub type SnacBackend = Backend<SnacFamily>;
/// Descript audio codec; `descript/dac_44khz` unless told otherwise.
pub type DacBackend = Backend<DacFamily>;
/// EnCodec; `facebook/encodec_24khz` unless told otherwise.
pub type EncodecBackend = Backend<EncodecFamily>;
/// Mimi; `kyutai/mimi` unless told otherwise.
pub type MimiBackend = Backend<MimiFamily>;

/// A codec that is loaded when it is first needed.
pub trait CodecBackend: Send + Sync {
    /// The family and the repository or folder: `snac:hubertsiuzdak/snac_24khz`.
    fn id(&self) -> &str;

    /// `codec`.
    fn provider_kind(&self) -> &'static str {
        "codec"
    }

    /// Brings the weights into memory, if they are not there.
    ///
    /// # Errors
    /// [`CodecError`] names the repository or the file and what is wrong; the next call tries again.
    fn load(&self) -> Result<(), CodecError>;

    /// Lets go of the weights. Calls that are running keep them to their end; one that is loading them is waited for.
    ///
    /// # Errors
    /// None today.
    fn unload(&self) -> Result<(), CodecError>;

    /// Whether the weights are in memory.
    fn is_loaded(&self) -> bool;

    /// Tokens of mono samples (interleaved ones for a codec of several channels) at `sample_rate` Hz, flat by book, of all
    /// [`num_codebooks`](Self::num_codebooks).
    ///
    /// # Errors
    /// [`CodecError::EmptyAudio`] before anything is loaded; [`CodecError::RateMismatch`], [`CodecError::NotFinite`].
    fn encode_pcm(&self, samples: &[f32], sample_rate: u32) -> Result<Vec<u32>, CodecError>;

    /// Samples of tokens that are flat by book, as long as the tokens say: what `encode_pcm` padded is still there.
    ///
    /// # Errors
    /// [`CodecError::EmptyCodes`] and [`BackendError`] before anything is loaded where the model need not be known;
    /// [`CodecError::Codes`] for a token that its book does not have.
    fn decode_tokens(&self, tokens: &[u32], num_codebooks: usize) -> Result<Vec<f32>, CodecError>;

    /// As [`encode_pcm`](Self::encode_pcm), with a hand on the work: told of progress, and cancelled within a piece of it.
    /// A backend that does not say how has its work cancelled before it begins only.
    ///
    /// # Errors
    /// As for [`encode_pcm`](Self::encode_pcm), and [`CodecError::Cancelled`].
    fn encode_pcm_with(
        &self,
        samples: &[f32],
        sample_rate: u32,
        control: &Control,
    ) -> Result<Vec<u32>, CodecError> {
        control.check()?;
        self.encode_pcm(samples, sample_rate)
    }

    /// As [`decode_tokens`](Self::decode_tokens), with a hand on the work as in
    /// [`encode_pcm_with`](Self::encode_pcm_with).
    ///
    /// # Errors
    /// As for [`decode_tokens`](Self::decode_tokens), and [`CodecError::Cancelled`].
    fn decode_tokens_with(
        &self,
        tokens: &[u32],
        num_codebooks: usize,
        control: &Control,
    ) -> Result<Vec<f32>, CodecError> {
        control.check()?;
        self.decode_tokens(tokens, num_codebooks)
    }

    /// Samples per second. Before the weights are loaded, what the configuration says if it is on this machine, else
    /// what is known of a published repository; 0 where neither is.
    fn sample_rate(&self) -> u32;

    /// The codebooks; before the weights are loaded as [`sample_rate`](Self::sample_rate).
    fn num_codebooks(&self) -> usize;
}

/// A codec of one family, from a repository or a folder.
pub struct Backend<F: BackendFamily> {
    config: BackendConfig<F>,
    id: String,
    model: Slot<CodecModel>,
}

impl<F: BackendFamily> Backend<F> {
    /// Names the codec; nothing is read.
    pub fn new(config: BackendConfig<F>) -> Self {
        Self {
            id: format!("{}:{}", F::FAMILY.name(), config.repo_id),
            config,
            model: Slot::default(),
        }
    }

    /// What it was made from.
    pub fn config(&self) -> &BackendConfig<F> {
        &self.config
    }

    /// The model, loaded if it is not. The memory is free when every copy of the `Arc` is gone and
    /// [`unload`](CodecBackend::unload) was called.
    ///
    /// # Errors
    /// As for [`CodecBackend::load`].
    pub fn model(&self) -> Result<Arc<CodecModel>, CodecError> {
        self.model.get_or_load(|| apart(|| self.read()))
    }

    /// The numbers of the loaded model.
    pub fn loaded_spec(&self) -> Option<CodecSpec> {
        self.model.get().map(|model| model.spec().clone())
    }

    /// Latent frames that one code of each book covers, coarse to fine; empty where nothing is known before loading.
    pub fn vq_strides(&self) -> Vec<u32> {
        match self.model.get() {
            Some(model) => model.spec().books.iter().map(|book| book.stride).collect(),
            None => self.known().map_or_else(Vec::new, |known| known.strides),
        }
    }

    /// Codes of each book in `frames` latent frames; empty where nothing is known before loading.
    pub fn per_codebook_lens(&self, frames: u64) -> Vec<u64> {
        crate::per_codebook_lens(&self.vq_strides(), frames)
    }

    fn read(&self) -> Result<CodecModel, CodecError> {
        let model = self.config.open()?;
        let found = model.spec().family;
        match found == F::FAMILY {
            true => Ok(model),
            false => Err(BackendError::Family {
                id: self.id.clone(),
                expected: F::FAMILY.name(),
                found: found.name(),
            }
            .into()),
        }
    }

    /// What can be said without the weights.
    fn known(&self) -> Option<Known> {
        let config = self.config.config_at_hand();
        let read = config.and_then(|config| Known::of_config(F::FAMILY, &config));
        read.or_else(|| Known::published(&self.config.repo_id))
    }
}

impl<F: BackendFamily> Default for Backend<F> {
    fn default() -> Self {
        Self::new(BackendConfig::default())
    }
}

impl<F: BackendFamily> CodecBackend for Backend<F> {
    fn id(&self) -> &str {
        &self.id
    }

    fn load(&self) -> Result<(), CodecError> {
        self.model().map(drop)
    }

    fn unload(&self) -> Result<(), CodecError> {
        self.model.clear();
        Ok(())
    }

    fn is_loaded(&self) -> bool {
        self.model.get().is_some()
    }

    fn encode_pcm(&self, samples: &[f32], sample_rate: u32) -> Result<Vec<u32>, CodecError> {
        self.encode_pcm_with(samples, sample_rate, &Control::default())
    }

    fn decode_tokens(&self, tokens: &[u32], num_codebooks: usize) -> Result<Vec<f32>, CodecError> {
        self.decode_tokens_with(tokens, num_codebooks, &Control::default())
    }

    fn encode_pcm_with(
        &self,
        samples: &[f32],
        sample_rate: u32,
        control: &Control,
    ) -> Result<Vec<u32>, CodecError> {
        if samples.is_empty() {
            return Err(CodecError::EmptyAudio);
        }
        control.check()?;
        let model = self.model()?;
        control.check()?;
        self.check_segments(&model)?;
        let pcm = PcmRef {
            samples,
            sample_rate,
            channels: model.spec().channels,
        };
        // As many books as `num_codebooks` says, whatever the model's usual number is.
        let options = EncodeOptions {
            books: Some(model.spec().books.len()),
            control: control.clone(),
        };
        let books = model.encode(pcm, &options)?.into_books();
        Ok(books
            .iter()
            .flatten()
            .map(|&code| u32::from(code))
            .collect())
    }

    fn decode_tokens_with(
        &self,
        tokens: &[u32],
        num_codebooks: usize,
        control: &Control,
    ) -> Result<Vec<f32>, CodecError> {
        if num_codebooks == 0 {
            return Err(BackendError::NoCodebooks.into());
        }
        if tokens.is_empty() && !F::HAS_ONE_STRIDE {
            return Err(CodecError::EmptyCodes);
        }
        if F::HAS_ONE_STRIDE && (tokens.is_empty() || !tokens.len().is_multiple_of(num_codebooks)) {
            return Err(BackendError::NotRectangular {
                tokens: tokens.len(),
                codebooks: num_codebooks,
            }
            .into());
        }
        control.check()?;
        let model = self.model()?;
        control.check()?;
        self.check_segments(&model)?;
        let codes = unpack::<F>(model.spec(), tokens, num_codebooks)?;
        let options = DecodeOptions {
            control: control.clone(),
            ..DecodeOptions::default()
        };
        Ok(model.decode(&codes, &options)?.samples)
    }

    fn sample_rate(&self) -> u32 {
        match self.model.get() {
            Some(model) => model.spec().sample_rate,
            None => self.known().map_or(0, |known| known.sample_rate),
        }
    }

    fn num_codebooks(&self) -> usize {
        match self.model.get() {
            Some(model) => model.spec().books.len(),
            None => self.known().map_or(0, |known| known.strides.len()),
        }
    }
}

impl<F: BackendFamily> std::fmt::Debug for Backend<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend")
            .field("id", &self.id)
            .field("provider_kind", &self.provider_kind())
            .field("is_loaded", &self.is_loaded())
            .finish()
    }
}

impl<F: BackendFamily> Backend<F> {
    /// Refuses a codec whose codes are more than tokens.
    fn check_segments(&self, model: &CodecModel) -> Result<(), BackendError> {
        match model.segment_frames() {
            None => Ok(()),
            Some(_) => Err(BackendError::Segments {
                id: self.id.clone(),
            }),
        }
    }
}

/// Codes of the first `books` books, of which there must be as many as the family takes.
fn unpack<F: BackendFamily>(
    spec: &CodecSpec,
    tokens: &[u32],
    books: usize,
) -> Result<Codes, CodecError> {
    let available = spec.books.len();
    if books > available || (books < available && !F::TAKES_FEWER_BOOKS) {
        return Err(BackendError::Codebooks {
            expected: available,
            got: books,
        }
        .into());
    }
    let specs = &spec.books[..books];
    let strides: Vec<u32> = specs.iter().map(|book| book.stride).collect();
    if crate::base_len_from_token_count(&strides, tokens.len() as u64).is_none() {
        let align = crate::lcm_all(&strides);
        return Err(BackendError::TokenCount {
            tokens: tokens.len(),
            step: crate::total_tokens(&strides, align),
            strides,
            align,
        }
        .into());
    }
    Ok(FlatByBook::new(specs.into())?.unpack(tokens)?)
}

/// Runs `work` on a thread of its own with a pool of its own: a thread of the caller's pool that loads must not, while it
/// waits for parts of that, take up another call that waits for the loading.
fn apart<T: Send>(work: impl FnOnce() -> Result<T, CodecError> + Send) -> Result<T, CodecError> {
    thread::scope(|scope| {
        let run = || match rayon::ThreadPoolBuilder::new().build() {
            Ok(pool) => pool.install(work),
            Err(source) => Err(BackendError::Threads { source }.into()),
        };
        match scope.spawn(run).join() {
            Ok(result) => result,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    })
}
