//! Three threads and two rings: stalls lose nothing, and each part may go away at any time.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be read fails the test"
)]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use percept_asr::{
    AudioProducer, ContextConfig, EmittedToken, Model, ModelOptions, Precision, RingOptions,
    Stream, StreamEvent, StreamMode, StreamingParakeetTdt, TokenConsumer, TokenResult,
};
use percept_testkit::golden::Case;
use percept_testkit::{Rng, signals};
use percept_weights::Checkpoint;

const RATE: u32 = 16_000;
/// Longer than any of these tests takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

fn model() -> Arc<Model> {
    let path = Case::open("tdt_v3").model().expect("a folder");
    let options = ModelOptions {
        precision: Some(Precision::F32),
        ..ModelOptions::default()
    };
    Arc::new(Model::load(Checkpoint::open(&path).unwrap(), options).unwrap())
}

fn options() -> RingOptions {
    let mut options = RingOptions::default();
    let context = ContextConfig::from_frames(10, 4, 3).unwrap();
    options.stream.mode = StreamMode::Windows(context);
    options
}

/// The tokens that stay, from a stream without rings.
fn alone(model: &Arc<Model>, pcm: &[f32]) -> Vec<EmittedToken> {
    let mut stream = Stream::new(Arc::clone(model), &options().stream).unwrap();
    stream.push(pcm).unwrap();
    stream.finish();
    let events = stream.events().iter();
    let tokens = events.filter_map(|event| match event {
        StreamEvent::Commit(token) => Some(*token),
        _ => None,
    });
    tokens.collect()
}

/// A thread's way of not being there for a while.
struct Stalls(Rng);

impl Stalls {
    fn maybe(&mut self) {
        match self.0.below(20) {
            0 => thread::sleep(Duration::from_micros(self.0.below(5_000) as u64)),
            1..5 => thread::yield_now(),
            _ => {}
        }
    }
}

/// When a part goes away of itself: after so many calls.
#[derive(Clone, Copy, Debug)]
struct Lives {
    producer: usize,
    engine: usize,
    consumer: usize,
}

const FOR_EVER: Lives = Lives {
    producer: usize::MAX,
    engine: usize::MAX,
    consumer: usize::MAX,
};

/// Pushes all of `pcm`, unless its life or the engine ends before; how much that was.
fn produce(mut producer: AudioProducer, pcm: &[f32], life: usize, seed: u64) -> usize {
    let mut stalls = Stalls(Rng::new(seed));
    let (start, mut pushed) = (Instant::now(), 0);
    for _ in 0..life {
        if pushed == pcm.len() || producer.is_abandoned() {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the engine takes no audio");
        let packet = 1 + stalls.0.below(2_000);
        let end = pcm.len().min(pushed + packet);
        pushed += producer.push_slice(&pcm[pushed..end]);
        stalls.maybe();
    }
    pushed
}

/// Processes audio until all is over, or its life ends; whether all was over.
fn process(mut engine: StreamingParakeetTdt, life: usize, seed: u64) -> bool {
    let mut stalls = Stalls(Rng::new(seed));
    let start = Instant::now();
    for _ in 0..life {
        if engine.is_over() {
            return true;
        }
        assert!(start.elapsed() < PATIENCE, "the stream does not end");
        engine.process_audio().unwrap();
        stalls.maybe();
    }
    false
}

/// Takes tokens until none can come, or its life ends.
fn consume(mut consumer: TokenConsumer, life: usize, seed: u64) -> Vec<TokenResult> {
    let mut stalls = Stalls(Rng::new(seed));
    let (start, mut tokens) = (Instant::now(), Vec::new());
    for _ in 0..life {
        // Asked before the ring is emptied: what it holds then is all.
        let is_last = consumer.is_abandoned();
        while let Some(token) = consumer.pop() {
            tokens.push(token);
            stalls.maybe();
        }
        if is_last {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "no end of tokens");
        stalls.maybe();
    }
    tokens
}

fn stay(tokens: &[TokenResult]) -> Vec<EmittedToken> {
    let stay = tokens.iter().filter(|token| !token.volatile);
    let emitted = stay.map(|token| EmittedToken {
        id: token.token_id,
        frame: token.timestamp / 1280,
        duration: token.duration,
        confidence: token.confidence,
    });
    emitted.collect()
}

/// Runs the three on a thread each: samples pushed, whether the stream came to its end, tokens taken.
fn run(
    model: &Arc<Model>,
    pcm: &[f32],
    lives: Lives,
    seed: u64,
) -> (usize, bool, Vec<TokenResult>) {
    let mut rng = Rng::new(seed);
    let mut options = options();
    options.ring_samples = Some(1 + rng.below(20_000));
    options.ring_tokens = 1 + rng.below(8);
    let model = Arc::clone(model);
    let (engine, producer, consumer) =
        StreamingParakeetTdt::with_options(model, RATE, options).unwrap();
    let mut next = || rng.bits();
    let (first, second, third) = (next(), next(), next());
    thread::scope(|scope| {
        let pushed = scope.spawn(move || produce(producer, pcm, lives.producer, first));
        let is_over = scope.spawn(move || process(engine, lives.engine, second));
        let tokens = scope.spawn(move || consume(consumer, lives.consumer, third));
        (
            pushed.join().unwrap(),
            is_over.join().unwrap(),
            tokens.join().unwrap(),
        )
    })
}

#[test]
fn stalls_and_small_rings_lose_nothing_that_stays() {
    let model = model();
    let pcm = signals::babble(RATE, 6.3, 31);
    let want = alone(&model, &pcm);
    assert!(want.len() > 10);
    for seed in 0..12 {
        let (pushed, is_over, tokens) = run(&model, &pcm, FOR_EVER, seed);
        assert_eq!((pushed, is_over), (pcm.len(), true), "seed {seed}");
        assert_eq!(stay(&tokens), want, "seed {seed}");
        for pair in tokens.windows(2) {
            let begins_step = pair[0].volatile && !pair[1].volatile;
            let grows = u64::from(begins_step);
            assert!(
                pair[0].tail + grows <= pair[1].tail,
                "seed {seed}: {pair:?}"
            );
        }
    }
}

#[test]
fn a_producer_that_goes_away_ends_the_audio_where_it_stopped() {
    let model = model();
    let pcm = signals::babble(RATE, 6.3, 32);
    for seed in 0..12 {
        let lives = Lives {
            producer: 10 * seed as usize,
            ..FOR_EVER
        };
        let (pushed, is_over, tokens) = run(&model, &pcm, lives, seed);
        assert!(is_over, "seed {seed}");
        assert_eq!(stay(&tokens), alone(&model, &pcm[..pushed]), "seed {seed}");
    }
}

#[test]
fn whoever_goes_away_nobody_waits_for_ever_and_tokens_are_a_beginning() {
    let model = model();
    let pcm = signals::babble(RATE, 6.3, 33);
    let want = alone(&model, &pcm);
    let mut rng = Rng::new(34);
    for seed in 0..24 {
        let mut life = |may_end| match may_end {
            true => rng.below(120),
            false => usize::MAX,
        };
        // Every choice of who goes away, each three times.
        let lives = Lives {
            producer: usize::MAX,
            engine: life(seed & 1 == 0),
            consumer: life(seed & 2 == 0),
        };
        let (_, _, tokens) = run(&model, &pcm, lives, seed);
        let tokens = stay(&tokens);
        assert_eq!(tokens, want[..tokens.len()], "seed {seed}, {lives:?}");
    }
}

#[test]
fn finalising_while_the_producer_pushes_ends_the_stream() {
    let model = model();
    let pcm = signals::babble(RATE, 6.3, 35);
    let context = ContextConfig::from_frames(10, 4, 3).unwrap();
    for seed in 0..6 {
        let (mut engine, producer, consumer) =
            StreamingParakeetTdt::new(Arc::clone(&model), context, RATE).unwrap();
        thread::scope(|scope| {
            let pcm = &pcm;
            let pushed = scope.spawn(move || {
                let endless = pcm.repeat(50);
                produce(producer, &endless, usize::MAX, seed)
            });
            let tokens = scope.spawn(move || consume(consumer, usize::MAX, seed));
            for _ in 0..5 * seed {
                engine.process_audio().unwrap();
            }
            engine.finalize().unwrap();
            let heard = engine.state().received() as usize;
            assert!(engine.is_over());
            let pushed = pushed.join().unwrap();
            engine.process_audio().unwrap();
            let late = engine.metrics().dropped_samples as usize;
            assert_eq!(pushed, heard + late, "every sample is heard or counted");
            let want = alone(&model, &pcm.repeat(50)[..heard]);
            assert_eq!(stay(&tokens.join().unwrap()), want);
        });
    }
}
