//! Backends as values that are passed around.

use std::fmt;
use std::sync::Arc;

use super::CodecBackend;
use crate::{CodecError, Control};

/// A backend that several owners share; cloning shares it too. Calls go on to the backend as they are.
pub struct CodecBackendHandle<B: CodecBackend + ?Sized>(Arc<B>);

/// A handle that does not say which backend it is of.
pub type DynCodecProvider = CodecBackendHandle<dyn CodecBackend>;

impl<B: CodecBackend + 'static> CodecBackendHandle<B> {
    /// Of a backend that nobody else has.
    pub fn new(backend: B) -> Self {
        Self(Arc::new(backend))
    }

    /// The same backend without its type.
    pub fn into_dyn(self) -> DynCodecProvider {
        CodecBackendHandle(self.0)
    }
}

impl<B: CodecBackend + ?Sized> CodecBackendHandle<B> {
    /// Of a backend that is shared already.
    pub fn from_arc(backend: Arc<B>) -> Self {
        Self(backend)
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<B> {
        &self.0
    }
}

impl<B: CodecBackend + ?Sized> Clone for CodecBackendHandle<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: CodecBackend + ?Sized> fmt::Debug for CodecBackendHandle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecBackendHandle")
            .field("backend_id", &self.0.id())
            .field("provider_kind", &self.0.provider_kind())
            .finish()
    }
}

impl<B: CodecBackend + ?Sized> CodecBackend for CodecBackendHandle<B> {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn provider_kind(&self) -> &'static str {
        self.0.provider_kind()
    }

    fn load(&self) -> Result<(), CodecError> {
        self.0.load()
    }

    fn unload(&self) -> Result<(), CodecError> {
        self.0.unload()
    }

    fn is_loaded(&self) -> bool {
        self.0.is_loaded()
    }

    fn encode_pcm(&self, samples: &[f32], sample_rate: u32) -> Result<Vec<u32>, CodecError> {
        self.0.encode_pcm(samples, sample_rate)
    }

    fn decode_tokens(&self, tokens: &[u32], num_codebooks: usize) -> Result<Vec<f32>, CodecError> {
        self.0.decode_tokens(tokens, num_codebooks)
    }

    fn encode_pcm_with(
        &self,
        samples: &[f32],
        sample_rate: u32,
        control: &Control,
    ) -> Result<Vec<u32>, CodecError> {
        self.0.encode_pcm_with(samples, sample_rate, control)
    }

    fn decode_tokens_with(
        &self,
        tokens: &[u32],
        num_codebooks: usize,
        control: &Control,
    ) -> Result<Vec<f32>, CodecError> {
        self.0.decode_tokens_with(tokens, num_codebooks, control)
    }

    fn sample_rate(&self) -> u32 {
        self.0.sample_rate()
    }

    fn num_codebooks(&self) -> usize {
        self.0.num_codebooks()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;

    /// Samples in thousandths, and back.
    #[derive(Default)]
    struct Thousandths;

    impl CodecBackend for Thousandths {
        fn id(&self) -> &str {
            "thousandths:test"
        }

        fn load(&self) -> Result<(), CodecError> {
            Ok(())
        }

        fn unload(&self) -> Result<(), CodecError> {
            Ok(())
        }

        fn is_loaded(&self) -> bool {
            true
        }

        fn encode_pcm(&self, samples: &[f32], _: u32) -> Result<Vec<u32>, CodecError> {
            Ok(samples.iter().map(|s| (s * 1000.0) as u32).collect())
        }

        fn decode_tokens(&self, tokens: &[u32], _: usize) -> Result<Vec<f32>, CodecError> {
            Ok(tokens.iter().map(|&t| t as f32 / 1000.0).collect())
        }

        fn sample_rate(&self) -> u32 {
            16_000
        }

        fn num_codebooks(&self) -> usize {
            2
        }
    }

    fn forwards(handle: &impl CodecBackend) {
        assert_eq!(handle.encode_pcm(&[0.5], 16_000).unwrap(), [500]);
        assert_eq!(handle.decode_tokens(&[250], 1).unwrap(), [0.25]);
        assert_eq!((handle.sample_rate(), handle.num_codebooks()), (16_000, 2));
        let control = Control::default();
        let encoded = handle.encode_pcm_with(&[0.5], 16_000, &control);
        assert_eq!(encoded.unwrap(), [500]);
        control.cancel.cancel();
        let cancelled = handle.decode_tokens_with(&[250], 1, &control);
        assert!(matches!(cancelled, Err(CodecError::Cancelled)));
        handle.load().unwrap();
        handle.unload().unwrap();
        assert!(handle.is_loaded());
    }

    #[test]
    fn a_handle_with_its_type_or_without_forwards_every_call() {
        let typed = CodecBackendHandle::new(Thousandths);
        forwards(&typed);
        let shared = CodecBackendHandle::from_arc(Arc::clone(typed.backend()));
        forwards(&shared);
        forwards(&typed.clone().into_dyn());
        let unnamed: Arc<dyn CodecBackend> = Arc::new(Thousandths);
        forwards(&DynCodecProvider::from_arc(unnamed));
        assert_eq!(Arc::strong_count(shared.backend()), 2);
    }

    #[test]
    fn a_handle_shows_the_name_and_the_kind_of_its_backend() {
        let shown = format!("{:?}", CodecBackendHandle::new(Thousandths).into_dyn());
        for part in ["backend_id", "thousandths:test", "provider_kind", "codec"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }
}
