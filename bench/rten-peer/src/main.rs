//! Times an ONNX encoder with rten: `rten-peer MODEL.onnx MELS`, threads from `RTEN_NUM_THREADS`.
//!
//! Protocol, shared by all peers: after loading it prints `ready`. Then, for each line `FEATURES OUTPUT` on standard
//! input (files of little-endian `f32`; features are `[frames, mels]`), it runs once and prints the milliseconds. The
//! encoder's output goes to `OUTPUT` unless that is `-`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;
use std::{env, fs, io};

use rten::{Model, ModelOptions};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(path), Some(mels)) = (arguments.next(), arguments.next()) else {
        return Err("usage: rten-peer MODEL.onnx MELS".into());
    };
    let mels: usize = mels.parse()?;
    let model = ModelOptions::with_all_ops()
        .prepack_weights(true)
        .load_file(path)?;
    reply("ready")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (features, output) = line.split_once(' ').ok_or("expected FEATURES OUTPUT")?;
        let (milliseconds, encoded) = run(&model, &read(features)?, mels)?;
        if output != "-" {
            fs::write(
                output,
                encoded
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect::<Vec<u8>>(),
            )?;
        }
        reply(&milliseconds.to_string())?;
    }
    Ok(())
}

fn run(model: &Model, features: &[f32], mels: usize) -> Result<(f64, Vec<f32>), Box<dyn Error>> {
    let input = NdTensor::from_data([1, features.len() / mels, mels], features.to_vec());
    let start = Instant::now();
    let output = model.run_one(input.view().into(), None)?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let encoded: NdTensor<f32, 3> = output.try_into()?;
    Ok((milliseconds, encoded.to_vec()))
}

fn read(path: &str) -> io::Result<Vec<f32>> {
    let bytes = fs::read(path)?;
    Ok(bytes
        .as_chunks()
        .0
        .iter()
        .map(|&four| f32::from_le_bytes(four))
        .collect())
}

fn reply(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
