//! Live audio on three threads: one that hears, one that computes, one that reads.
//!
//! The audio is made up here, at the pace and rate of a sound card, so that the example runs anywhere:
//! `cargo run --release -p percept --example simple_streaming`

#![allow(
    clippy::print_stdout,
    reason = "an example shows its result on the terminal"
)]

use std::error::Error;
use std::f32::consts::TAU;
use std::thread;
use std::time::Duration;

use percept::{
    AudioProducer, Preset, Recognizer, RecognizerOptions, StreamMetrics, StreamingParakeetTdt,
    TokenConsumer,
};

const CARD_RATE: u32 = 48_000;
const PACKET: usize = 480;
const PACKETS: usize = 250;

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let recognizer = Recognizer::embedded(&RecognizerOptions::default())?;
    let context = Preset::Quickest.context();
    println!(
        "windows of {context} s, {} s late at best",
        context.latency_secs()
    );

    let model = recognizer.model().clone();
    let (engine, producer, consumer) = StreamingParakeetTdt::new(model, context, CARD_RATE)?;
    let hear = thread::spawn(move || hear(producer));
    let compute = thread::spawn(move || compute(engine));
    let text = read(consumer);
    let lost = hear
        .join()
        .map_err(|_| "the sound card's thread panicked")?;
    let metrics = compute
        .join()
        .map_err(|_| "the computing thread panicked")??;

    println!("{:?}, {lost} samples lost\n{metrics}", text.trim_start());
    Ok(())
}

/// Plays the sound card: a packet every 10 ms, whether anybody has time for it or not. Dropping the producer ends the
/// audio.
fn hear(mut producer: AudioProducer) -> usize {
    let mut lost = 0;
    for packet in 0..PACKETS {
        let first = packet * PACKET;
        let samples: Vec<f32> = (first..first + PACKET).map(hum).collect();
        lost += producer.push_or_lose(&samples);
        thread::sleep(Duration::from_millis(10));
    }
    lost
}

/// A hum whose loudness and pitch go up and down.
fn hum(sample: usize) -> f32 {
    let seconds = sample as f32 / CARD_RATE as f32;
    let loudness = 0.1 * (1.0 + (TAU * 3.0 * seconds).sin());
    loudness * (TAU * 140.0 * seconds + 4.0 * (TAU * 0.7 * seconds).sin()).sin()
}

/// Computes whenever there is audio, until there is no more.
fn compute(mut engine: StreamingParakeetTdt) -> Result<StreamMetrics, percept::StreamError> {
    while !engine.is_over() {
        engine.process_audio()?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(engine.metrics().clone())
}

/// Shows endpoints, gaps and tokens as they come, those in brackets for now; returns the text of those that stayed.
fn read(mut consumer: TokenConsumer) -> String {
    let mut text = String::new();
    loop {
        let is_last = consumer.is_abandoned();
        while let Some(notice) = consumer.pop_notice() {
            println!("{notice:?}");
        }
        while let Some(token) = consumer.pop() {
            let seconds = token.timestamp as f64 / 16_000.0;
            match token.volatile {
                true => println!("{seconds:6.2} s [{}]", token.text),
                false => println!("{seconds:6.2} s {}", token.text),
            }
            if !token.volatile {
                text += &token.text;
            }
        }
        if is_last {
            return text;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
