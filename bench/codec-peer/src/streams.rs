//! Streams in steps of one super-frame. What comes out is dropped, so that memory is that of the stream alone.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use percept_codec::{
    CodecModel, Codes, DecodeOptions, EncodeOptions, StreamDecoder, StreamEncoder,
};

use crate::request::Answer;

pub fn decode(
    model: &Arc<CodecModel>,
    codes: &Codes,
    options: &DecodeOptions,
    times: usize,
) -> Result<Answer, Box<dyn Error>> {
    let steps = (0..codes.superframes()).map(|at| codes.slice(at..at + 1));
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    let mut stream = StreamDecoder::new(model.clone(), options);
    let (mut out, mut made, mut taken) = (Vec::new(), 0, Vec::new());
    for step in (0..times).flat_map(|_| &steps) {
        let start = Instant::now();
        stream.push(step, &mut out)?;
        taken.push(start.elapsed());
        made += out.len();
        out.clear();
    }
    let start = Instant::now();
    stream.finish(&mut out)?;
    taken.push(start.elapsed());
    Ok(Answer::of_steps(taken, made + out.len()))
}

pub fn encode(
    model: &Arc<CodecModel>,
    pcm: &[f32],
    books: usize,
    times: usize,
) -> Result<Answer, Box<dyn Error>> {
    let options = EncodeOptions {
        books: Some(books),
        ..EncodeOptions::default()
    };
    let spec = model.spec();
    let strides = spec.books.iter().map(|book| book.stride as usize);
    let frames = strides.max().unwrap_or(1);
    let step = frames * spec.hop as usize * usize::from(spec.channels);
    let mut stream = StreamEncoder::new(model.clone(), &options)?;
    let (mut out, mut made, mut taken) = (stream.empty_codes(), 0, Vec::new());
    for step in (0..times).flat_map(|_| pcm.chunks(step)) {
        let start = Instant::now();
        made += stream.push(step, &mut out)?;
        taken.push(start.elapsed());
        out = stream.empty_codes();
    }
    let start = Instant::now();
    made += stream.finish(&mut out)?;
    taken.push(start.elapsed());
    Ok(Answer::of_steps(taken, made))
}
