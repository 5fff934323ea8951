//! Cuts a stream into the spans that a recogniser should hear.

use std::ops::{Range, RangeInclusive};

use super::VoiceActivity;

/// When a [`SpeechGate`] opens and closes.
#[derive(Debug, Clone, PartialEq)]
pub struct GateConfig {
    /// The probability at which a frame begins speech.
    pub threshold: f32,
    /// The probability at which a frame continues speech; at most `threshold`.
    pub release_threshold: f32,
    /// How long the frames that begin speech must last together: what is shorter is a click.
    pub min_speech_ms: u32,
    /// What is heard of the time before speech; less where the gate was open until then.
    pub pre_roll_ms: u32,
    /// How long the gate stays open after speech; at least 1.
    pub hang_over_ms: u32,
    /// Spans start and end on multiples of it: the samples of an encoder frame, so that frames keep their clock.
    pub grid_samples: usize,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            release_threshold: 0.35,
            min_speech_ms: 96,
            pre_roll_ms: 300,
            hang_over_ms: 600,
            grid_samples: 1280,
        }
    }
}

/// What is wrong with a [`GateConfig`] or with the detector.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GateError {
    /// A number is outside what the gate can work with.
    #[error("speech gate: `{field}` is {value}, it must be {rule}")]
    Config {
        /// The field of [`GateConfig`], or the method of [`VoiceActivity`].
        field: &'static str,
        /// What it holds.
        value: f64,
        /// What it may hold.
        rule: &'static str,
    },
}

impl GateError {
    /// A stable name for scripts: it does not change when the message does.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "gate.config",
        }
    }
}

/// What a [`SpeechGate`] found, in the order of the stream; positions are samples from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateSpan {
    /// Samples to be heard: [`SpeechGate::pcm`] holds them. One cell of the grid; the last of a stream may be shorter.
    Speech {
        /// The first of them, on the grid.
        start: u64,
        /// The first after them.
        end: u64,
    },
    /// Speech that was handed out up to here is over; what follows is not heard until speech begins again.
    End {
        /// The end of the last span, on the grid unless the stream is over.
        at: u64,
    },
}

/// Passes the speech of a stream, with some time before and after it, and drops the rest.
///
/// Decisions fall at the detector's frames and spans on the grid, counted from the start of the stream, so that any
/// cutting of the input gives the same spans. Speech begins once frames at or above the threshold have lasted
/// `min_speech_ms`; it is over when no frame has reached the release threshold for `hang_over_ms`. What is dropped keeps
/// its place in the count: the time between two spans is the difference of their positions. The gate holds what one push
/// brings and, between pushes, little more than pre-roll and `min_speech_ms`.
///
/// ```
/// use percept_audio::{Earshot, GateConfig, GateSpan, SpeechGate};
///
/// let mut gate = SpeechGate::new(Box::new(Earshot::new()), GateConfig::default())?;
/// let mut spans = Vec::new();
/// gate.push(&[0.0; 16_000], &mut spans);
/// for span in spans.drain(..) {
///     match span {
///         GateSpan::Speech { start, end } => println!("{} samples", gate.pcm(start..end).len()),
///         GateSpan::End { at } => println!("silence from {at} on"),
///     }
/// }
/// gate.finish(&mut spans);
/// assert!(spans.is_empty());
/// # Ok::<(), percept_audio::GateError>(())
/// ```
pub struct SpeechGate {
    detector: Box<dyn VoiceActivity>,
    config: GateConfig,
    min_speech: u64,
    pre_roll: u64,
    hang_over: u64,
    /// The samples from `first_sample` on.
    pcm: Vec<f32>,
    first_sample: u64,
    /// What came before it was handed out or is not heard; on the grid until the stream is finished.
    decided: u64,
    /// The end of the frames that the detector has heard.
    heard: u64,
    state: State,
    is_finished: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Closed; `since` is where the frames that may turn out to be speech begin.
    Silence { since: Option<u64> },
    /// Open, until there if no more speech comes.
    Speech { until: u64 },
}

impl SpeechGate {
    /// A stream at sample 0, at the detector's sample rate.
    ///
    /// # Errors
    /// [`GateError::Config`] names the field that cannot be used and what it may hold.
    pub fn new(detector: Box<dyn VoiceActivity>, config: GateConfig) -> Result<Self, GateError> {
        check(&*detector, &config)?;
        let rate = u64::from(detector.sample_rate());
        let samples = |ms: u32| u64::from(ms) * rate / 1000;
        Ok(Self {
            min_speech: samples(config.min_speech_ms),
            pre_roll: samples(config.pre_roll_ms),
            hang_over: samples(config.hang_over_ms),
            detector,
            config,
            pcm: Vec::new(),
            first_sample: 0,
            decided: 0,
            heard: 0,
            state: State::Silence { since: None },
            is_finished: false,
        })
    }

    /// What it was made from.
    pub fn config(&self) -> &GateConfig {
        &self.config
    }

    /// Samples pushed so far.
    pub fn samples(&self) -> u64 {
        self.first_sample + self.pcm.len() as u64
    }

    /// Samples before which everything was handed out or is not heard.
    pub fn decided(&self) -> u64 {
        self.decided
    }

    /// Takes any number of samples and appends the spans that they decide. A stream that was finished takes no more.
    pub fn push(&mut self, pcm: &[f32], spans: &mut Vec<GateSpan>) {
        if self.is_finished {
            return;
        }
        self.pcm
            .drain(..(self.decided - self.first_sample) as usize);
        self.first_sample = self.decided;
        self.pcm.extend_from_slice(pcm);
        let frame_samples = self.detector.frame_samples();
        while self.heard + frame_samples as u64 <= self.samples() {
            let at = (self.heard - self.first_sample) as usize;
            let speech = self.detector.speech(&self.pcm[at..][..frame_samples]);
            self.hear(speech, frame_samples as u64);
            self.decide(spans);
        }
    }

    /// Ends the stream: an open gate passes everything to the end, a closed one nothing.
    pub fn finish(&mut self, spans: &mut Vec<GateSpan>) {
        if self.is_finished {
            return;
        }
        self.is_finished = true;
        let samples = self.samples();
        if matches!(self.state, State::Speech { .. }) {
            self.pass(samples, spans);
            if self.decided < samples {
                spans.push(GateSpan::Speech {
                    start: self.decided,
                    end: samples,
                });
            }
            spans.push(GateSpan::End { at: samples });
        }
        self.decided = samples;
    }

    /// The samples `range` of the stream. Those of a [`GateSpan::Speech`] are held until the next push.
    ///
    /// # Panics
    /// If the range is not held (any more).
    pub fn pcm(&self, range: Range<u64>) -> &[f32] {
        let held = self.first_sample..self.samples();
        assert!(
            held.start <= range.start && range.start <= range.end && range.end <= held.end,
            "the samples {range:?} are not inside {held:?}, those that are held"
        );
        let at = |sample: u64| (sample - held.start) as usize;
        &self.pcm[at(range.start)..at(range.end)]
    }

    /// What the next frame, speech with probability `speech`, makes of the state.
    fn hear(&mut self, speech: f32, frame_samples: u64) {
        let start = self.heard;
        self.heard += frame_samples;
        match &mut self.state {
            State::Silence { since } if speech >= self.config.threshold => {
                let since = *since.get_or_insert(start);
                if self.heard - since >= self.min_speech {
                    let until = self.heard + self.hang_over;
                    self.state = State::Speech { until };
                }
            }
            State::Silence { since } => *since = None,
            State::Speech { until } if speech >= self.config.release_threshold => {
                *until = self.heard + self.hang_over;
            }
            State::Speech { .. } => {}
        }
    }

    /// Hands out, or gives up, the cells of the grid that the frames so far decide.
    fn decide(&mut self, spans: &mut Vec<GateSpan>) {
        match self.state {
            State::Silence { since } => {
                let wanted = since.unwrap_or(self.heard).saturating_sub(self.pre_roll);
                let cell = wanted - wanted % self.config.grid_samples as u64;
                self.decided = self.decided.max(cell);
            }
            State::Speech { until } => {
                self.pass(self.heard, spans);
                if self.decided >= until {
                    spans.push(GateSpan::End { at: self.decided });
                    self.state = State::Silence { since: None };
                }
            }
        }
    }

    /// Hands out the cells that end at or before `end`.
    fn pass(&mut self, end: u64, spans: &mut Vec<GateSpan>) {
        let grid = self.config.grid_samples as u64;
        while self.decided + grid <= end {
            let start = self.decided;
            self.decided += grid;
            spans.push(GateSpan::Speech {
                start,
                end: self.decided,
            });
        }
    }
}

impl std::fmt::Debug for SpeechGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpeechGate")
            .field("config", &self.config)
            .field("samples", &self.samples())
            .field("decided", &self.decided)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

fn check(detector: &dyn VoiceActivity, config: &GateConfig) -> Result<(), GateError> {
    let number = |field, value: f64, range: RangeInclusive<f64>, rule| match range.contains(&value)
    {
        true => Ok(()),
        false => Err(GateError::Config { field, value, rule }),
    };
    let time = |field, ms: u32| number(field, ms.into(), 0.0..=60_000.0, "at most 60000");
    let length = |field, samples: usize| {
        number(
            field,
            samples as f64,
            1.0..=1_048_576.0,
            "from 1 to 1048576",
        )
    };
    let threshold = f64::from(config.threshold);
    let above_zero = f64::MIN_POSITIVE..=1.0;
    number("threshold", threshold, above_zero, "above 0, at most 1")?;
    let release = config.release_threshold.into();
    number(
        "release_threshold",
        release,
        0.0..=threshold,
        "from 0 to the threshold",
    )?;
    time("min_speech_ms", config.min_speech_ms)?;
    time("pre_roll_ms", config.pre_roll_ms)?;
    let hang_over = config.hang_over_ms.into();
    number("hang_over_ms", hang_over, 1.0..=60_000.0, "from 1 to 60000")?;
    length("grid_samples", config.grid_samples)?;
    length("frame_samples", detector.frame_samples())?;
    let rate = detector.sample_rate().into();
    number(
        "sample_rate",
        rate,
        1_000.0..=768_000.0,
        "from 1000 to 768000",
    )
}
