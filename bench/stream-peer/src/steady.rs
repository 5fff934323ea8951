//! Steps of streams that are under way, one after the other.

use std::error::Error;
use std::time::{Duration, Instant};

use percept_asr::{StepMemory, StreamEvent, StreamOptions, StreamState};
use serde::Serialize;

use crate::Bench;
use crate::request::{Mode, RATE};

/// Frames after which every left context is full.
const WARM_FRAMES: u64 = 160;

#[derive(Serialize)]
pub(crate) struct Answer {
    /// Taking the samples, mel frames and encoder.
    encode_ms: Vec<f64>,
    decode_ms: Vec<f64>,
    tokens_per_second: f64,
}

/// A stream and the place in the audio that it has heard up to.
struct Listener {
    state: StreamState,
    at: usize,
}

impl Listener {
    /// Pushes until a step is due.
    fn listen(&mut self, pcm: &[f32]) -> Result<(), Box<dyn Error>> {
        while !self.state.is_ready() {
            self.at = (self.at + self.state.push(&pcm[self.at..])?) % pcm.len();
        }
        Ok(())
    }
}

pub(crate) fn run(
    bench: &Bench,
    mode: &Mode,
    options: &StreamOptions,
    batch: usize,
    steps: usize,
) -> Result<Answer, Box<dyn Error>> {
    let mut memory = StepMemory::default();
    let mut warm = Listener {
        state: bench.model.stream(options)?,
        at: 0,
    };
    while warm.state.decided() < WARM_FRAMES {
        step(bench, std::slice::from_mut(&mut warm), &mut memory)?;
        warm.state.clear_events();
    }
    // Each is two steps further than the one before.
    let mut streams = Vec::new();
    for _ in 0..batch {
        let state = warm.state.fork().ok_or("the stream cannot be copied")?;
        streams.push(Listener { state, at: warm.at });
        for _ in 0..2 {
            step(bench, std::slice::from_mut(&mut warm), &mut memory)?;
            warm.state.clear_events();
        }
    }
    let (mut encode_ms, mut decode_ms, mut tokens) = (Vec::new(), Vec::new(), 0);
    for _ in 0..steps {
        let (encode, decode) = step(bench, &mut streams, &mut memory)?;
        encode_ms.push(1e3 * encode.as_secs_f64());
        decode_ms.push(1e3 * decode.as_secs_f64());
        for stream in &mut streams {
            let is_commit = |event: &&StreamEvent| matches!(event, StreamEvent::Commit(_));
            tokens += stream.state.events().iter().filter(is_commit).count();
            stream.state.clear_events();
        }
    }
    let heard = (steps * batch * mode.chunk_samples()) as f64 / RATE;
    Ok(Answer {
        encode_ms,
        decode_ms,
        tokens_per_second: tokens as f64 / heard,
    })
}

fn step(
    bench: &Bench,
    streams: &mut [Listener],
    memory: &mut StepMemory,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let start = Instant::now();
    for stream in &mut *streams {
        stream.listen(&bench.pcm)?;
    }
    let mut states: Vec<&mut StreamState> = streams.iter_mut().map(|s| &mut s.state).collect();
    let report = bench.pool.install(|| bench.model.step(&mut states, memory));
    let spent = start.elapsed();
    assert_eq!(report.streams, states.len(), "every stream was ready");
    Ok((spent.saturating_sub(report.decode), report.decode))
}
