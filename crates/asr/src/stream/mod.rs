//! Recognition while audio arrives.
//!
//! A [`StreamState`] is what one stream carries; [`Model::step`](crate::Model::step) moves any number of them on together.
//! A [`Stream`] is the two in one, for a single stream. What a stream tells are [`StreamEvent`]s.

mod adaptive;
mod begin;
mod context;
mod driver;
mod endpoint;
mod error;
mod event;
mod intake;
mod metrics;
mod options;
mod ring;
mod scheduler;
mod source;
mod state;
mod step;

pub use adaptive::{AdaptiveContext, AdaptiveError};
pub use context::{
    ContextConfig, ContextError, ContextPart, ContextWarning, Preset, UnknownPreset,
};
pub use driver::Stream;
pub use endpoint::{Endpoint, EndpointCause, EndpointRules};
pub use error::StreamError;
pub use event::StreamEvent;
pub use metrics::{Histogram, StreamMetrics};
pub use options::{StreamMode, StreamOptions};
pub use ring::{
    AudioProducer, RingOptions, StreamNotice, StreamingParakeetTdt, TokenConsumer, TokenResult,
};
pub use scheduler::{Next, Scheduler, SchedulerError, SchedulerOptions, StreamId};
pub use state::StreamState;
pub use step::{StepMemory, StepReport};

#[cfg(test)]
mod tests;
