//! How a peer is asked to run: by lines on standard input, so that several engines can be timed in turn.
//!
//! After loading it prints `ready`. Then, for each line `FEATURES OUTPUT FRAMES` (files of little-endian `f32`; features
//! are `[frames, mels]`), it runs once over the features, in pieces of so many frames (0: in one piece), and prints the
//! milliseconds. What the encoder makes of the pieces goes to `OUTPUT`, one after the other, unless that is `-`.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};
use std::time::Instant;

/// Answers until standard input ends. `run` encodes features of rows of `mels`.
///
/// # Errors
/// A line that is no request, a file that cannot be read or written, and whatever `run` says.
pub fn serve<E>(
    mels: usize,
    mut run: impl FnMut(&[f32]) -> Result<E, Box<dyn Error>>,
    values: impl Fn(E) -> Vec<f32>,
) -> Result<(), Box<dyn Error>> {
    reply("ready")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let &[features, output, frames] = line.split(' ').collect::<Vec<_>>().as_slice() else {
            return Err("expected FEATURES OUTPUT FRAMES".into());
        };
        let features = read(features)?;
        let piece = match frames.parse::<usize>()? {
            0 => features.len(),
            frames => frames * mels,
        };
        let (mut milliseconds, mut encoded) = (0.0, Vec::new());
        for piece in features.chunks(piece) {
            let start = Instant::now();
            let made = run(piece)?;
            milliseconds += start.elapsed().as_secs_f64() * 1e3;
            encoded.extend(values(made));
        }
        if output != "-" {
            write(output, &encoded)?;
        }
        reply(&milliseconds.to_string())?;
    }
    Ok(())
}

fn read(path: &str) -> io::Result<Vec<f32>> {
    let bytes = fs::read(path)?;
    let (fours, _) = bytes.as_chunks();
    Ok(fours.iter().map(|&four| f32::from_le_bytes(four)).collect())
}

fn write(path: &str, values: &[f32]) -> io::Result<()> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::write(path, bytes)
}

fn reply(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
