//! Times our encoder: `percept-peer MODEL PRECISION`, threads from `RAYON_NUM_THREADS`.
//!
//! The protocol is that of `rten-peer`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;
use std::{env, fs, io};

use percept_asr::{Model, ModelOptions};
use percept_nn::Items;
use percept_weights::Checkpoint;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(path), Some(precision)) = (arguments.next(), arguments.next()) else {
        return Err("usage: percept-peer MODEL PRECISION".into());
    };
    if precision != "f32" {
        return Err(format!("no precision `{precision}`; there is f32").into());
    }
    let model = Model::load(Checkpoint::open(Path::new(&path))?, ModelOptions::default())?;
    reply("ready")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (features, output) = line.split_once(' ').ok_or("expected FEATURES OUTPUT")?;
        let (milliseconds, encoded) = run(&model, &read(features)?);
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

fn run(model: &Model, features: &[f32]) -> (f64, Vec<f32>) {
    let config = model.config();
    let items = Items::one(features.len() / config.mel.n_mels);
    let start = Instant::now();
    let (encoded, _) = model
        .encoder()
        .encode(features, &items, &config.encoder.mask);
    (start.elapsed().as_secs_f64() * 1e3, encoded)
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
