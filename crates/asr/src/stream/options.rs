//! What may be chosen when a stream begins.

use percept_audio::GateConfig;

use super::context::ContextConfig;
use super::endpoint::EndpointRules;

/// How a stream is recognised. The default follows the model.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct StreamOptions {
    /// How audio is cut.
    pub mode: StreamMode,
    /// Whether the right context is decoded too, and told as a tail that may still change.
    pub volatile: bool,
    /// Silence and length that end an utterance; where it is `None` only the model's own marks do.
    pub endpoints: Option<EndpointRules>,
    /// Which audio is recognised: where it is given, the stretches in which a detector hears speech, each by itself. The
    /// encoder rests in between and the clock goes on. Its grid is that of the model's frames, whatever it says.
    pub gate: Option<GateConfig>,
    /// Whether each utterance begins from nothing: after an endpoint the decoder forgets the text before it, unless words
    /// of the next utterance were decided in the same step. Nothing that was heard is lost or heard twice.
    pub reset_at_endpoints: bool,
}

impl Default for StreamOptions {
    fn default() -> Self {
        StreamOptions {
            mode: StreamMode::Auto,
            volatile: true,
            endpoints: None,
            gate: None,
            reset_at_endpoints: false,
        }
    }
}

/// How audio is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum StreamMode {
    /// Frame by frame with the model's own right context where it was made for that, otherwise in windows of 10 s left,
    /// 2 s chunk and 2 s right context.
    #[default]
    Auto,
    /// In windows that are encoded anew at each step (NeMo's left-chunk-right buffered streaming).
    Windows(ContextConfig),
    /// Frame by frame, each computed once (NeMo's cache-aware streaming).
    CacheAware {
        /// Frames of right context, of those that the model was trained with; `None` is the model's own.
        lookahead: Option<usize>,
    },
}
