//! Streams on our engine, on request: `stream-peer MODEL PRECISION PCM`, threads from `RAYON_NUM_THREADS`.
//!
//! `PCM` is a file of little-endian `f32` at 16 kHz that the streams hear, each from a place of its own, over and over.
//! Requests and answers are those of `ort_streams.py`. `steady` calls the step itself; `live` is served by the scheduler,
//! with a clock that only its work moves forward.

mod live;
mod request;
mod steady;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use percept_asr::{Model, ModelOptions, Precision};
use percept_weights::Checkpoint;
use rayon::ThreadPool;
use serde::Serialize;

use request::{Request, Task};

/// What every request works with.
struct Bench {
    model: Arc<Model>,
    pool: Arc<ThreadPool>,
    pcm: Vec<f32>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, precision, pcm] = arguments.as_slice() else {
        return Err("usage: stream-peer MODEL PRECISION PCM".into());
    };
    let precision = match precision.as_str() {
        "f32" => Precision::F32,
        "int8" => Precision::Int8,
        other => return Err(format!("no precision `{other}`; there is f32 and int8").into()),
    };
    let options = ModelOptions {
        precision: Some(precision),
        ..ModelOptions::default()
    };
    let bench = Bench {
        model: Arc::new(Model::load(Checkpoint::open(Path::new(path))?, options)?),
        pool: Arc::new(rayon::ThreadPoolBuilder::new().build()?),
        pcm: samples(&fs::read(pcm)?),
    };
    reply(&"ready")?;
    for line in io::stdin().lock().lines() {
        let Request {
            mode,
            volatile,
            task,
        } = serde_json::from_str(&line?)?;
        let options = mode.options(volatile)?;
        match task {
            Task::Steady { batch, steps } => {
                reply(&steady::run(&bench, &mode, &options, batch, steps)?)?;
            }
            Task::Live {
                streams,
                seconds,
                batch,
            } => {
                let load = live::Load {
                    streams,
                    seconds,
                    batch,
                };
                reply(&live::run(&bench, &mode, &options, load)?)?;
            }
        }
    }
    Ok(())
}

fn samples(bytes: &[u8]) -> Vec<f32> {
    let (fours, _) = bytes.as_chunks();
    fours.iter().map(|&four| f32::from_le_bytes(four)).collect()
}

fn reply(answer: &impl Serialize) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
