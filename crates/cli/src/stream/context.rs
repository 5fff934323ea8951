//! From the arguments to how a stream is recognised.

use std::time::Duration;

use percept::audio::GateConfig;
use percept::{
    AdaptiveContext, ContextConfig, ContextError, EndpointRules, Model, Preset, StreamMode,
    StreamOptions,
};

use super::args::{ContextArgs, LiveArgs, PresetArg};
use crate::error::CliError;

/// How much of a chunk may be given up to hold a latency, in encoder frames.
const LEAST_CHUNK_FRAMES: usize = 2;

/// How streams are recognised, and what is said about it.
pub(crate) struct Context {
    pub(crate) options: StreamOptions,
    /// Left, chunk and right context, where streams go in windows.
    windows: Option<ContextConfig>,
    /// The latency to be held.
    target: Option<Duration>,
}

impl Context {
    /// How much of the audio streams of this model hear.
    ///
    /// # Errors
    ///
    /// Lengths that make no window.
    pub(crate) fn new(args: &ContextArgs, model: &Model) -> Result<Self, CliError> {
        let mut options = StreamOptions::default();
        options.mode = mode(args, model.sample_rate())?;
        let windows = match options.mode {
            StreamMode::Windows(context) => Some(context),
            StreamMode::Auto if !model.is_cache_aware() => {
                Some(ContextConfig::default().with_sample_rate(model.sample_rate())?)
            }
            _ => None,
        };
        Ok(Self {
            options,
            windows,
            target: None,
        })
    }

    /// What the arguments choose for live streams of this model.
    ///
    /// # Errors
    ///
    /// Lengths that make no window, and a latency for a model whose chunks are fixed.
    pub(crate) fn live(args: &LiveArgs, model: &Model) -> Result<Self, CliError> {
        let mut context = Self::new(&args.context, model)?;
        context.options.volatile = !args.no_volatile;
        context.options.endpoints = args.endpoint.then(EndpointRules::default);
        context.options.gate = args.vad.then(GateConfig::default);
        context.target = args.adaptive.map(Duration::from_secs_f64);
        if context.target.is_some() && context.windows.is_none() {
            return Err(CliError::FixedChunk);
        }
        Ok(context)
    }

    /// What is likely to go wrong with these windows, if anything.
    pub(crate) fn warning(&self, model: &Model) -> Option<String> {
        let windows = self.windows?;
        let mask = windows.mask(&model.config().encoder);
        let warning = windows.warning(&mask, model.decoder())?;
        Some(warning.to_string())
    }

    /// Seconds of audio that a step decides.
    pub(crate) fn chunk(&self, model: &Model) -> f64 {
        let frames = match &self.windows {
            Some(windows) => windows.chunk_frames(),
            None => self.lookahead(model) + 1,
        };
        frames as f64 * model.config().seconds_per_frame()
    }

    /// Frames that a cache-aware model hears in advance.
    fn lookahead(&self, model: &Model) -> usize {
        match self.options.mode {
            StreamMode::CacheAware {
                lookahead: Some(frames),
            } => frames,
            _ => model.lookaheads().first().copied().unwrap_or(0),
        }
    }

    /// What holds the latency that was asked for, for one stream.
    ///
    /// # Errors
    ///
    /// A latency that the context alone exceeds.
    pub(crate) fn adaptive(&self, model: &Model) -> Result<Option<AdaptiveContext>, CliError> {
        let (Some(target), Some(windows)) = (self.target, &self.windows) else {
            return Ok(None);
        };
        let mask = windows.mask(&model.config().encoder);
        Ok(Some(AdaptiveContext::new(
            target,
            windows,
            &mask,
            LEAST_CHUNK_FRAMES,
        )?))
    }

    /// In a few words.
    pub(crate) fn describe(&self, model: &Model) -> String {
        match (&self.windows, self.target) {
            (Some(windows), None) => format!("windows {windows}"),
            (Some(windows), Some(target)) => {
                format!("windows {windows} adapted to {} s", target.as_secs_f64())
            }
            (None, _) => format!("cache-aware with lookahead {}", self.lookahead(model)),
        }
    }

    /// The latency that chunk and right context alone explain, in seconds, where it stays the same.
    pub(crate) fn latency(&self, model: &Model) -> Option<f64> {
        if self.target.is_some() {
            return None;
        }
        Some(match &self.windows {
            Some(windows) => windows.latency_secs(),
            None => self.chunk(model),
        })
    }
}

fn mode(args: &ContextArgs, sample_rate: u32) -> Result<StreamMode, ContextError> {
    if let Some(frames) = args.lookahead {
        let lookahead = Some(usize::from(frames));
        return Ok(StreamMode::CacheAware { lookahead });
    }
    if let Some(preset) = args.preset {
        let preset = match preset {
            PresetArg::Quality => Preset::Quality,
            PresetArg::Balanced => Preset::Balanced,
            PresetArg::Quick => Preset::Quick,
            PresetArg::Quickest => Preset::Quickest,
        };
        let context = preset.context().with_sample_rate(sample_rate)?;
        return Ok(StreamMode::Windows(context));
    }
    if args.left.is_none() && args.chunk.is_none() && args.right.is_none() {
        return Ok(StreamMode::Auto);
    }
    let (left, chunk, right) = (
        args.left.unwrap_or(10.0),
        args.chunk.unwrap_or(2.0),
        args.right.unwrap_or(2.0),
    );
    let context = ContextConfig::new(left, chunk, right, sample_rate)?;
    Ok(StreamMode::Windows(context))
}
