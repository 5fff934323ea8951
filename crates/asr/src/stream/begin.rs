//! How a stream begins: which way its model can be streamed.

use percept_audio::{Earshot, GateConfig, Normalize, SpeechGate, VoiceActivity};
use percept_nn::AttentionMask;

use super::context::{ContextConfig, Preset};
use super::endpoint::Endpointer;
use super::error::StreamError;
use super::options::{StreamMode, StreamOptions};
use super::source::{FrameSource, Source, WindowSource};
use super::state::{SearchState, StreamParts, StreamState};
use crate::model::Model;
use crate::windows::{Schedule, WindowPolicy};

/// Seconds that a recording which is there as a whole moves on at a step, at least a chunk, where each frame is computed
/// once: enough rows for the matrix kernels, little memory.
const WHOLE_STEP_SECONDS: f64 = 15.0;

impl Model {
    /// A stream that has heard nothing.
    ///
    /// # Errors
    /// [`StreamError`] where the model cannot be streamed in this way.
    pub fn stream(&self, options: &StreamOptions) -> Result<StreamState, StreamError> {
        let source = self.source(options)?;
        let gate = options.gate.as_ref().map(|config| {
            let detector = Box::new(Earshot::new());
            self.gate(detector, config)
        });
        Ok(self.begin(source, gate.transpose()?, options))
    }

    /// As [`Model::stream`] with a detector of speech of your own for [`StreamOptions::gate`], whose defaults hold where it
    /// is `None`.
    ///
    /// # Errors
    /// As [`Model::stream`], and where the detector hears another rate.
    pub fn stream_gated_by(
        &self,
        detector: Box<dyn VoiceActivity>,
        options: &StreamOptions,
    ) -> Result<StreamState, StreamError> {
        let config = options.gate.clone().unwrap_or_default();
        let gate = self.gate(detector, &config)?;
        let source = self.source(options)?;
        Ok(self.begin(source, Some(gate), options))
    }

    fn gate(
        &self,
        detector: Box<dyn VoiceActivity>,
        config: &GateConfig,
    ) -> Result<SpeechGate, StreamError> {
        if detector.sample_rate() != self.sample_rate() {
            return Err(StreamError::GateRate {
                detector: detector.sample_rate(),
                model: self.sample_rate(),
            });
        }
        let config = GateConfig {
            grid_samples: self.config().samples_per_frame(),
            ..config.clone()
        };
        Ok(SpeechGate::new(detector, config)?)
    }

    fn source(&self, options: &StreamOptions) -> Result<Source, StreamError> {
        Ok(match options.mode {
            StreamMode::Auto if self.is_cache_aware() => self.frame_source(None, 1)?,
            StreamMode::Auto => self.window_source(&Preset::default().context()),
            StreamMode::Windows(context) => self.window_source(&context),
            StreamMode::CacheAware { lookahead } => self.frame_source(lookahead, 1)?,
        })
    }

    /// A stream for a recording that is there as a whole: in one piece, or in pieces as long as the model does well.
    pub(crate) fn recording(&self) -> StreamState {
        let chunk = self.own_lookahead().map_or(1, |right| right + 1);
        let frames = (WHOLE_STEP_SECONDS / self.config().seconds_per_frame()) as usize;
        let source = self.frame_source(None, (frames / chunk).max(1));
        let source = source.unwrap_or_else(|_| {
            let schedule = Schedule::new(self.windows(), self.config().samples_per_frame());
            let mask = (self.config().encoder.mask, false);
            let source = WindowSource::new(schedule, self.front_end(), mask);
            Source::Windows(Box::new(source))
        });
        let options = StreamOptions {
            volatile: false,
            ..StreamOptions::default()
        };
        self.begin(source, None, &options)
    }

    /// Whether it was made for streaming frame by frame, each frame computed once.
    pub fn is_cache_aware(&self) -> bool {
        self.own_lookahead()
            .is_some_and(|right| self.encoder().geometry(right).is_some())
    }

    /// The right contexts, in frames, with which it can be streamed frame by frame, its own one first; none where it
    /// cannot.
    pub fn lookaheads(&self) -> Vec<usize> {
        let (Some(own), true) = (self.own_lookahead(), self.is_cache_aware()) else {
            return Vec::new();
        };
        let AttentionMask::Chunked { left, .. } = self.config().encoder.mask else {
            return Vec::new();
        };
        let left = left.unwrap_or(0);
        let trained = &self.config().encoder.lookaheads;
        let known = trained.iter().copied();
        let fits = |right: &usize| left.is_multiple_of(right + 1) && *right != own;
        let mut all = vec![own];
        match trained.is_empty() {
            // A checkpoint that lists none does not say what it was trained with: all that its left context allows.
            true => all.extend((0..left).filter(fits)),
            false => all.extend(known.filter(fits)),
        }
        all
    }

    fn own_lookahead(&self) -> Option<usize> {
        match self.config().encoder.mask {
            AttentionMask::Chunked {
                left: Some(_),
                right,
            } if self.config().mel.normalize == Normalize::None => Some(right),
            _ => None,
        }
    }

    fn frame_source(&self, lookahead: Option<usize>, chunks: usize) -> Result<Source, StreamError> {
        let available = self.lookaheads();
        let Some(own) = available.first() else {
            return Err(StreamError::NotCacheAware {
                family: self.config().family.clone(),
                mask: self.config().encoder.mask.to_string(),
            });
        };
        let right = lookahead.unwrap_or(*own);
        let geometry = self.encoder().geometry(right);
        let (Some(geometry), true) = (geometry, available.contains(&right)) else {
            let available: Vec<String> = available.iter().map(usize::to_string).collect();
            return Err(StreamError::Lookahead {
                asked: right,
                available: available.join(", "),
            });
        };
        let longest_step = chunks * geometry.chunk();
        let encoder = self.encoder().stream(&geometry, longest_step);
        let source = FrameSource::new(self.front_end(), encoder, chunks);
        Ok(Source::Frames(Box::new(source)))
    }

    fn window_source(&self, context: &ContextConfig) -> Source {
        let policy = WindowPolicy {
            whole_frames: context.chunk_frames() + context.right_frames(),
            left: context.left_frames(),
            chunk: context.chunk_frames(),
            right: context.right_frames(),
        };
        let encoder = &self.config().encoder;
        let mask = (context.mask(encoder), encoder.follows_context);
        let schedule = Schedule::new(policy, self.config().samples_per_frame());
        let source = WindowSource::new(schedule, self.front_end(), mask);
        Source::Windows(Box::new(source))
    }

    fn begin(
        &self,
        source: Source,
        gate: Option<SpeechGate>,
        options: &StreamOptions,
    ) -> StreamState {
        StreamState::new(StreamParts {
            source,
            gate,
            search: SearchState::new(self.head()),
            endpointer: Endpointer::new(options.endpoints, self.config().seconds_per_frame()),
            is_volatile: options.volatile,
            resets: options.reset_at_endpoints,
            frame_samples: self.config().samples_per_frame(),
            sample_rate: self.sample_rate(),
        })
    }
}
