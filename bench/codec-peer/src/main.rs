//! Times our codecs, on request: `codec-peer MODEL`, threads from `RAYON_NUM_THREADS`.
//!
//! After loading it prints `"ready"`. Then each line is a request and each answer a line, both JSON; those of
//! `codec_peer.py` are the same. Sound in files is little-endian `f32`, channels in turn.

mod request;
mod streams;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use percept_codec::{CodecModel, Codes, DecodeOptions, EncodeOptions, Noise, PcmRef};
use serde::Serialize;

use request::{Answer, Books, Request};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(path) = env::args().nth(1) else {
        return Err("usage: codec-peer MODEL".into());
    };
    let model = Arc::new(CodecModel::open(Path::new(&path))?);
    let pool = rayon::ThreadPoolBuilder::new().build()?;
    reply(&"ready")?;
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        // Errors as text: those of the reading of files cannot go from thread to thread.
        let answer = pool.install(|| run(&model, &request).map_err(|error| error.to_string()))?;
        reply(&answer)?;
    }
    Ok(())
}

fn run(model: &Arc<CodecModel>, request: &Request) -> Result<Answer, Box<dyn Error>> {
    match request {
        Request::Encode { pcm, books, out } => encode(model, pcm, *books, out.as_deref()),
        Request::Decode { codes, noise, out } => {
            let codes = read_codes(model, codes)?;
            decode(model, &codes, *noise, out.as_deref())
        }
        Request::StreamDecode {
            codes,
            noise,
            times,
        } => streams::decode(model, &read_codes(model, codes)?, &options(*noise), *times),
        Request::StreamEncode { pcm, books, times } => {
            streams::encode(model, &read_samples(pcm)?, *books, *times)
        }
    }
}

fn encode(
    model: &CodecModel,
    pcm: &str,
    books: usize,
    out: Option<&str>,
) -> Result<Answer, Box<dyn Error>> {
    let samples = read_samples(pcm)?;
    let pcm = PcmRef {
        samples: &samples,
        sample_rate: model.spec().sample_rate,
        channels: model.spec().channels,
    };
    let options = EncodeOptions {
        books: Some(books),
        ..EncodeOptions::default()
    };
    let start = Instant::now();
    let codes = model.encode(pcm, &options)?;
    let answer = Answer::of(start.elapsed());
    if let Some(out) = out {
        let books = (0..codes.books()).map(|k| codes.book(k).to_vec()).collect();
        fs::write(out, serde_json::to_vec(&Books { books })?)?;
    }
    Ok(answer)
}

fn decode(
    model: &CodecModel,
    codes: &Codes,
    noise: bool,
    out: Option<&str>,
) -> Result<Answer, Box<dyn Error>> {
    let start = Instant::now();
    let pcm = model.decode(codes, &options(noise))?;
    let answer = Answer::of(start.elapsed());
    if let Some(out) = out {
        let bytes: Vec<u8> = pcm.samples.iter().flat_map(|v| v.to_le_bytes()).collect();
        fs::write(out, bytes)?;
    }
    Ok(answer)
}

fn options(noise: bool) -> DecodeOptions {
    DecodeOptions {
        noise: if noise { Noise::Seeded(0) } else { Noise::Off },
        ..DecodeOptions::default()
    }
}

fn read_codes(model: &CodecModel, path: &str) -> Result<Codes, Box<dyn Error>> {
    let Books { books } = serde_json::from_slice(&fs::read(path)?)?;
    let specs = model.spec().books.get(..books.len());
    let specs = specs.ok_or("more books than the model has")?.into();
    Ok(Codes::from_books(specs, books)?)
}

fn read_samples(path: &str) -> io::Result<Vec<f32>> {
    let bytes = fs::read(path)?;
    let (fours, _) = bytes.as_chunks();
    Ok(fours.iter().map(|&four| f32::from_le_bytes(four)).collect())
}

fn reply(answer: &impl Serialize) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
