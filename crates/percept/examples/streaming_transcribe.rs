//! Streams a file, and shows its text as it would be known while somebody speaks: what stays, and in brackets what may
//! still change.
//!
//! `cargo run --release -p percept --example streaming_transcribe -- [FILE]`

#![allow(
    clippy::print_stdout,
    reason = "an example shows its result on the terminal"
)]

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use percept::audio::AudioReader;
use percept::{
    ContextConfig, Detokenizer, Recognizer, RecognizerOptions, Role, StreamEvent, StreamMode,
    StreamOptions, Vocabulary,
};

const SAMPLE: &str = "../../models/tiny-en/samples/timer.wav";

fn main() -> Result<(), Box<dyn Error>> {
    let sample = || Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLE);
    let file = std::env::args_os()
        .nth(1)
        .map_or_else(sample, PathBuf::from);
    let text = transcribe(&file, &mut std::io::stdout())?;
    println!("{text}");
    Ok(())
}

/// The text of a file; `out` sees how it comes about.
pub(crate) fn transcribe(file: &Path, out: &mut impl Write) -> Result<String, Box<dyn Error>> {
    let recognizer = Recognizer::embedded(&RecognizerOptions::default())?;
    let context = ContextConfig::new(4.0, 0.8, 1.2, recognizer.sample_rate())?;
    let mut options = StreamOptions::default();
    options.mode = StreamMode::Windows(context);

    let mut stream = recognizer.stream(&options)?;
    let mut captions = Captions::new(recognizer.model().vocabulary());
    let mut reader = AudioReader::open(file, recognizer.sample_rate())?;
    let mut pcm = Vec::new();
    while reader.read(&mut pcm)? > 0 {
        stream.push(&pcm)?;
        pcm.clear();
        captions.show(
            stream.events(),
            recognizer.model().config().seconds_per_frame(),
            out,
        )?;
        stream.clear_events();
    }
    stream.finish();
    captions.show(
        stream.events(),
        recognizer.model().config().seconds_per_frame(),
        out,
    )?;
    Ok(captions.text)
}

/// The text so far.
struct Captions<'a> {
    vocabulary: &'a Vocabulary,
    text: String,
    /// What the text needs to go on.
    detokenizer: Detokenizer,
    tail: Vec<u32>,
}

impl<'a> Captions<'a> {
    fn new(vocabulary: &'a Vocabulary) -> Self {
        Captions {
            vocabulary,
            text: String::new(),
            detokenizer: Detokenizer::new(),
            tail: Vec::new(),
        }
    }

    /// Follows the events, and writes a line at the end of each step.
    fn show(
        &mut self,
        events: &[StreamEvent],
        seconds_per_frame: f64,
        out: &mut impl Write,
    ) -> std::io::Result<()> {
        for event in events {
            match event {
                StreamEvent::Commit(token) => {
                    let role = Role::of(self.vocabulary, token.id);
                    self.detokenizer.push(role, &mut self.text);
                }
                StreamEvent::Tail => self.tail.clear(),
                StreamEvent::Volatile(token) => self.tail.push(token.id),
                StreamEvent::Decided { frame } => {
                    let seconds = *frame as f64 * seconds_per_frame;
                    let tail = self.tail();
                    writeln!(out, "{seconds:6.2} s {}[{tail}]", self.text)?;
                }
                StreamEvent::End => self.detokenizer.finish(&mut self.text),
                _ => {}
            }
        }
        Ok(())
    }

    /// The text that may still change, as it would follow the rest.
    fn tail(&self) -> String {
        let (mut detokenizer, mut tail) = (self.detokenizer.clone(), String::new());
        for id in &self.tail {
            detokenizer.push(Role::of(self.vocabulary, *id), &mut tail);
        }
        tail
    }
}
