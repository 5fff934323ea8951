use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use percept_audio::Resampler;
use percept_testkit::golden::Case;
use percept_testkit::{Rng, signals};
use percept_weights::Checkpoint;

use super::intake::{Ends, Intake, Piece};
use super::*;
use crate::search::EmittedToken;
use crate::stream::{ContextConfig, EndpointRules, Stream, StreamError, StreamEvent, StreamMode};
use crate::{Model, ModelOptions, Precision};

const RATE: u32 = 16_000;

fn model() -> Arc<Model> {
    let path = Case::open("tdt_v3").model().expect("a folder");
    let options = ModelOptions {
        precision: Some(Precision::F32),
        ..ModelOptions::default()
    };
    Arc::new(Model::load(Checkpoint::open(&path).unwrap(), options).unwrap())
}

fn speech() -> Vec<f32> {
    signals::babble(RATE, 9.7, 21)
}

fn options() -> RingOptions {
    let mut options = RingOptions::default();
    let context = ContextConfig::from_frames(10, 4, 3).unwrap();
    options.stream.mode = StreamMode::Windows(context);
    options
}

type Ring = (StreamingParakeetTdt, AudioProducer, TokenConsumer);

fn ring(model: &Arc<Model>, options: &RingOptions) -> Ring {
    StreamingParakeetTdt::with_options(Arc::clone(model), RATE, options.clone()).unwrap()
}

/// A piece of what goes into a ring.
#[derive(Clone, Debug, PartialEq)]
enum Input {
    Samples(Vec<f32>),
    Lost(u64),
}

/// What a plain stream tells of it.
fn plainly(model: &Arc<Model>, options: &RingOptions, input: &[Input]) -> Vec<StreamEvent> {
    let mut stream = Stream::new(Arc::clone(model), &options.stream).unwrap();
    for piece in input {
        match piece {
            Input::Samples(samples) => stream.push(samples).unwrap(),
            Input::Lost(samples) => stream.skip(*samples).unwrap(),
        }
    }
    stream.finish();
    stream.events().to_vec()
}

fn committed(events: &[StreamEvent]) -> Vec<EmittedToken> {
    let committed = events.iter().filter_map(|event| match event {
        StreamEvent::Commit(token) => Some(*token),
        _ => None,
    });
    committed.collect()
}

/// The tokens that stay, as the stream tells them.
fn stay(tokens: &[TokenResult]) -> Vec<EmittedToken> {
    let stay = tokens.iter().filter(|token| !token.volatile);
    stay.map(emitted).collect()
}

fn emitted(token: &TokenResult) -> EmittedToken {
    EmittedToken {
        id: token.token_id,
        frame: token.timestamp / 1280,
        duration: token.duration,
        confidence: token.confidence,
    }
}

fn pop_all(consumer: &mut TokenConsumer) -> Vec<TokenResult> {
    std::iter::from_fn(|| consumer.pop()).collect()
}

/// Everything that a ring tells of audio that is pushed in packets of up to `packet` samples.
fn through(
    (mut engine, mut producer, mut consumer): Ring,
    input: &[Input],
    packet: usize,
) -> (Vec<StreamEvent>, Vec<TokenResult>) {
    let mut rng = Rng::new(packet as u64);
    let (mut events, mut tokens) = (Vec::new(), Vec::new());
    let mut step = |engine: &mut StreamingParakeetTdt| {
        engine.process_audio().unwrap();
        events.extend_from_slice(engine.events());
        tokens.extend(pop_all(&mut consumer));
    };
    for piece in input {
        match piece {
            Input::Lost(samples) => producer.lost(*samples),
            Input::Samples(samples) => {
                let mut rest = &samples[..];
                while !rest.is_empty() {
                    let count = rest.len().min(1 + rng.below(packet));
                    rest = &rest[producer.push_slice(&rest[..count])..];
                    if rng.below(3) == 0 || producer.free() == 0 {
                        step(&mut engine);
                    }
                }
            }
        }
    }
    producer.finish();
    while !engine.is_over() {
        step(&mut engine);
    }
    assert!(consumer.is_over());
    (events, tokens)
}

#[test]
fn a_ring_tells_what_a_plain_stream_tells_whatever_its_sizes() {
    let model = model();
    let input = [Input::Samples(speech())];
    let want = plainly(&model, &options(), &input);
    assert!(
        committed(&want).len() > 20,
        "{} tokens",
        committed(&want).len()
    );
    for (ring_samples, ring_tokens, packet) in [
        (160_000, 1024, 320),
        (700, 1024, 1000),
        (5000, 1, 5000),
        (1, 3, 1),
    ] {
        let mut options = options();
        options.ring_samples = Some(ring_samples);
        options.ring_tokens = ring_tokens;
        let (events, tokens) = through(ring(&model, &options), &input, packet);
        let name = format!("{ring_samples} samples, {ring_tokens} tokens");
        assert_eq!(events, want, "{name}");
        assert_eq!(stay(&tokens), committed(&want), "{name}");
    }
}

#[test]
fn the_present_tail_is_that_of_the_stream_after_every_call() {
    let model = model();
    let pcm = speech();
    let (mut engine, mut producer, mut consumer) = ring(&model, &options());
    let mut stream = Stream::new(Arc::clone(&model), &options().stream).unwrap();
    let mut tail: Vec<TokenResult> = Vec::new();
    let mut changes = 0;
    for packet in pcm.chunks(1111) {
        assert_eq!(producer.push_slice(packet), packet.len());
        engine.process_audio().unwrap();
        stream.push(packet).unwrap();
        tail.extend(
            pop_all(&mut consumer)
                .into_iter()
                .filter(|token| token.volatile),
        );
        tail.retain(|token| token.tail == consumer.tail());
        let events = stream.events();
        let last = events.iter().rposition(|event| *event == StreamEvent::Tail);
        let want: Vec<EmittedToken> = events[last.unwrap_or(events.len())..]
            .iter()
            .filter_map(|event| match event {
                StreamEvent::Volatile(token) => Some(*token),
                _ => None,
            })
            .collect();
        assert_eq!(tail.iter().map(emitted).collect::<Vec<_>>(), want);
        changes += usize::from(!want.is_empty());
    }
    assert!(changes > 10, "{changes} tails");
}

#[test]
fn texts_times_and_tails_are_those_of_the_model() {
    let model = model();
    let (_, tokens) = through(ring(&model, &options()), &[Input::Samples(speech())], 320);
    let mut tail = 0;
    for token in &tokens {
        assert_eq!(&token.text, model.token_text(token.token_id));
        assert!(token.timestamp.is_multiple_of(1280) && token.timestamp < 9_700 * 16);
        assert!(token.tail >= tail, "the number of the tail only grows");
        tail = token.tail;
    }
    assert!(tokens.iter().any(|token| token.volatile));
}

#[test]
fn a_full_token_ring_stops_the_audio_and_loses_nothing_that_stays() {
    let model = model();
    let pcm = speech();
    let mut options = options();
    options.ring_tokens = 2;
    let (mut engine, mut producer, mut consumer) = ring(&model, &options);
    assert_eq!(producer.push_slice(&pcm), pcm.len());
    for _ in 0..50 {
        engine.process_audio().unwrap();
    }
    let free = producer.free();
    engine.process_audio().unwrap();
    assert_eq!(producer.free(), free, "no audio is taken while tokens wait");
    assert!(free < producer.capacity() / 2, "most of the audio waits");
    producer.finish();
    let mut tokens = VecDeque::new();
    while !engine.is_over() {
        tokens.extend(consumer.pop());
        engine.process_audio().unwrap();
    }
    tokens.extend(pop_all(&mut consumer));
    let want = plainly(&model, &options, &[Input::Samples(pcm)]);
    assert_eq!(stay(tokens.make_contiguous()), committed(&want));
    assert!(
        engine.metrics().unheard_tokens > 0,
        "volatile tokens had no room"
    );
}

#[test]
fn finalising_hears_what_is_in_the_ring_and_only_once() {
    let model = model();
    let pcm = speech();
    for ring_tokens in [1024, 1] {
        let mut options = options();
        options.ring_tokens = ring_tokens;
        let (mut engine, mut producer, mut consumer) = ring(&model, &options);
        assert_eq!(producer.push_slice(&pcm), pcm.len());
        engine.finalize().unwrap();
        assert!(engine.state().is_over());
        let mut tokens = pop_all(&mut consumer);
        assert!(producer.is_abandoned());
        assert_eq!((producer.push_slice(&pcm), producer.push(0.0)), (0, false));
        while !engine.is_over() {
            engine.finalize().unwrap();
            tokens.extend(pop_all(&mut consumer));
        }
        for _ in 0..3 {
            assert_eq!(engine.finalize(), Ok(0));
            assert_eq!(engine.process_audio(), Ok(0));
            assert_eq!((engine.events(), pop_all(&mut consumer)), (&[][..], vec![]));
        }
        let want = plainly(&model, &options, &[Input::Samples(pcm.clone())]);
        assert_eq!(stay(&tokens), committed(&want), "ring of {ring_tokens}");
        assert!(consumer.is_over() && consumer.is_abandoned());
    }
}

#[test]
fn silence_before_the_first_sample_ends_as_an_empty_stream() {
    let (mut engine, producer, mut consumer) = ring(&model(), &options());
    engine.process_audio().unwrap();
    assert!(!engine.is_over() && !consumer.is_abandoned());
    drop(producer);
    engine.process_audio().unwrap();
    assert!(engine.is_over() && consumer.is_over());
    assert_eq!(consumer.pop(), None);
    assert_eq!(engine.metrics().ended, 1);
}

#[test]
fn without_a_consumer_tokens_are_counted_and_the_audio_still_taken() {
    let model = model();
    let pcm = speech();
    let mut options = options();
    options.ring_tokens = 1;
    let (mut engine, mut producer, consumer) = ring(&model, &options);
    assert!(engine.is_heard());
    drop(consumer);
    assert!(!engine.is_heard());
    assert_eq!(producer.push_slice(&pcm), pcm.len());
    producer.finish();
    engine.process_audio().unwrap();
    assert!(engine.is_over());
    let metrics = engine.metrics();
    assert_eq!(
        metrics.unheard_tokens,
        metrics.tokens + metrics.volatile_tokens
    );
    let want = plainly(&model, &options, &[Input::Samples(pcm)]);
    assert_eq!(metrics.tokens, committed(&want).len() as u64);
}

#[test]
fn without_an_engine_both_ends_are_abandoned_and_tokens_can_still_be_taken() {
    let pcm = speech();
    let (mut engine, mut producer, mut consumer) = ring(&model(), &options());
    assert_eq!(producer.push_slice(&pcm[..32_000]), 32_000);
    let count = engine.process_audio().unwrap();
    drop(engine);
    assert!(producer.is_abandoned() && consumer.is_abandoned());
    assert!(!consumer.is_over(), "the stream was broken off");
    assert_eq!(producer.push_slice(&pcm), 0);
    assert_eq!(producer.push_or_lose(&pcm), pcm.len());
    assert_eq!(stay(&pop_all(&mut consumer)).len(), count);
    assert!(count > 0);
}

#[test]
fn lost_and_invalid_samples_are_gaps_where_they_were() {
    let model = model();
    let pcm = speech();
    let mut broken = pcm.clone();
    broken[20_000..20_400].fill(f32::NAN);
    broken[20_100] = f32::INFINITY;
    broken[90_001] = f32::NEG_INFINITY;
    let input = [
        Input::Lost(777),
        Input::Samples(broken[..50_000].to_vec()),
        Input::Lost(3_200),
        Input::Lost(1_600),
        Input::Samples(broken[50_000..].to_vec()),
        Input::Lost(5),
    ];
    let clean = [
        Input::Lost(777),
        Input::Samples(pcm[..20_000].to_vec()),
        Input::Lost(400),
        Input::Samples(pcm[20_400..50_000].to_vec()),
        Input::Lost(4_800),
        Input::Samples(pcm[50_000..90_001].to_vec()),
        Input::Lost(1),
        Input::Samples(pcm[90_002..].to_vec()),
        Input::Lost(5),
    ];
    let want = plainly(&model, &options(), &clean);
    let gaps = want
        .iter()
        .filter(|event| matches!(event, StreamEvent::Gap { .. }));
    assert_eq!(gaps.count(), 5);
    for packet in [1, 320, 100_000] {
        let (events, _) = through(ring(&model, &options()), &input, packet);
        assert_eq!(events, want, "packets of up to {packet}");
    }
    let (mut engine, mut producer, _consumer) = ring(&model, &options());
    producer.lost(777);
    assert_eq!(producer.push_slice(&broken[..90_100]), 90_100);
    engine.finalize().unwrap();
    let metrics = engine.metrics();
    assert_eq!(
        (metrics.dropped_samples, metrics.invalid_samples),
        (777, 401)
    );
    assert_eq!(metrics.gaps, 3);
}

#[test]
fn what_does_not_fit_is_a_gap_as_long_as_what_was_lost() {
    let model = model();
    let pcm = speech();
    let mut options = options();
    options.ring_samples = Some(30_000);
    let (mut engine, mut producer, _consumer) = ring(&model, &options);
    assert_eq!(producer.push_or_lose(&pcm[..20_000]), 0);
    assert_eq!(producer.push_or_lose(&pcm[20_000..40_000]), 10_000);
    engine.process_audio().unwrap();
    assert_eq!(producer.push_or_lose(&pcm[40_000..60_000]), 0);
    producer.finish();
    engine.process_audio().unwrap();
    let gap = engine.events().iter().find_map(|event| match event {
        StreamEvent::Gap { start, samples } => Some((*start, *samples)),
        _ => None,
    });
    assert_eq!(gap, Some((30_000, 10_000)));
    assert_eq!(engine.state().received(), 60_000);
}

#[test]
fn other_rates_are_converted_and_keep_the_models_clock() {
    let model = model();
    let pcm = signals::babble(48_000, 6.0, 3);
    let mut resampled = Vec::new();
    let mut resampler = Resampler::new(48_000, RATE).unwrap();
    resampler.push(&pcm, &mut resampled);
    resampler.finish(&mut resampled);
    let want = plainly(&model, &options(), &[Input::Samples(resampled)]);
    for packet in [480, 100_000] {
        let model = Arc::clone(&model);
        let ring = StreamingParakeetTdt::with_options(model, 48_000, options()).unwrap();
        let (events, tokens) = through(ring, &[Input::Samples(pcm.clone())], packet);
        assert_eq!(events, want);
        assert_eq!(stay(&tokens), committed(&want));
    }
}

#[test]
fn what_cannot_be_streamed_is_refused() {
    let model = model();
    for rate in [0, 999, 768_001] {
        let refused = StreamingParakeetTdt::with_options(Arc::clone(&model), rate, options());
        assert_eq!(refused.err(), Some(StreamError::SampleRate { rate }));
    }
    let context = ContextConfig::from_frames(10, 4, 3).unwrap();
    assert!(StreamingParakeetTdt::new(model, context, RATE).is_ok());
}

#[test]
fn a_rate_or_ring_out_of_range_is_refused_before_memory_is_asked_for() {
    let model = model();
    let rate = u32::MAX;
    let context = ContextConfig::from_frames(10, 4, 3).unwrap();
    let refused = StreamingParakeetTdt::new(Arc::clone(&model), context, rate);
    assert_eq!(refused.err(), Some(StreamError::SampleRate { rate }));
    let hour = 3600 * RATE as usize;
    for (samples, tokens, fault) in [
        (Some(0), TOKENS, Some(("samples", 0, hour))),
        (Some(hour + 1), TOKENS, Some(("samples", hour + 1, hour))),
        (Some(usize::MAX), 1, Some(("samples", usize::MAX, hour))),
        (None, 0, Some(("tokens", 0, 1 << 20))),
        (None, usize::MAX, Some(("tokens", usize::MAX, 1 << 20))),
        (Some(hour), 1 << 20, None),
        (Some(1), 1, None),
    ] {
        let mut options = options();
        (options.ring_samples, options.ring_tokens) = (samples, tokens);
        let made = StreamingParakeetTdt::with_options(Arc::clone(&model), RATE, options);
        let want = fault.map(|(contents, asked, most)| StreamError::RingSize {
            contents,
            asked,
            most,
        });
        assert_eq!(made.err(), want, "{samples:?} samples, {tokens} tokens");
    }
}

#[test]
fn what_is_given_up_after_the_end_is_counted_and_no_gap() {
    let pcm = speech();
    let (mut engine, mut producer, _consumer) = ring(&model(), &options());
    assert_eq!(producer.push_slice(&pcm[..50_000]), 50_000);
    engine.finalize().unwrap();
    assert!(engine.is_over());
    assert_eq!(producer.push_or_lose(&pcm[..1_000]), 1_000);
    producer.lost(30);
    engine.process_audio().unwrap();
    assert_eq!(engine.metrics().dropped_samples, 1_030);
    // More than there are marks: the rest is told as the producer goes.
    (0..2_000).for_each(|_| producer.lost(1));
    drop(producer);
    engine.process_audio().unwrap();
    let metrics = engine.metrics();
    assert_eq!((metrics.dropped_samples, metrics.gaps), (3_030, 0));
    assert_eq!(engine.state().received(), 50_000);
}

#[test]
fn losses_of_any_size_are_counted_without_an_overflow() {
    let model = model();
    let pcm = speech();
    for rate in [1_000, RATE, 768_000] {
        let ring = StreamingParakeetTdt::with_options(Arc::clone(&model), rate, options());
        let (mut engine, mut producer, mut consumer) = ring.unwrap();
        for _ in 0..3 {
            assert_eq!(producer.push_slice(&pcm[..2_000]), 2_000);
            producer.lost(u64::MAX);
            producer.lost(u64::MAX);
            engine.process_audio().unwrap();
        }
        assert_eq!(producer.push_slice(&pcm[..2_000]), 2_000);
        engine.finalize().unwrap();
        assert!(engine.is_over());
        assert_eq!(engine.metrics().dropped_samples, u64::MAX, "{rate} Hz");
        let gaps = notices(&mut consumer).into_iter().filter(is_gap);
        assert!(gaps.count() > 0, "{rate} Hz");
    }
    // More than there are marks.
    let (_engine, mut producer, _consumer) = ring(&model, &options());
    (0..2_000).for_each(|_| producer.lost(u64::MAX));
}

fn notices(consumer: &mut TokenConsumer) -> Vec<StreamNotice> {
    std::iter::from_fn(|| consumer.pop_notice()).collect()
}

fn is_gap(notice: &StreamNotice) -> bool {
    matches!(notice, StreamNotice::Gap { .. })
}

/// Audio with so many gaps, and options under which every pause is an endpoint.
fn with_gaps(count: usize) -> (RingOptions, Vec<Input>) {
    let mut options = options();
    options.stream.endpoints = Some(EndpointRules {
        silence: Some(Duration::from_millis(80)),
        ..EndpointRules::default()
    });
    let pcm = signals::babble(RATE, count as f32 * 0.04 + 0.1, 22);
    let pieces = pcm.chunks(640).take(count);
    let input = pieces.flat_map(|piece| [Input::Samples(piece.to_vec()), Input::Lost(200)]);
    (options, input.collect())
}

/// Endpoints and gaps, as a stream tells them.
fn told(events: &[StreamEvent]) -> Vec<StreamNotice> {
    let told = events.iter().filter_map(|event| match *event {
        StreamEvent::Endpoint(endpoint) => Some(StreamNotice::Endpoint {
            timestamp: endpoint.frame * 1280,
            cause: endpoint.cause,
        }),
        StreamEvent::Gap { start, samples } => Some(StreamNotice::Gap {
            timestamp: start,
            samples,
        }),
        _ => None,
    });
    told.collect()
}

#[test]
fn every_endpoint_and_gap_comes_behind_the_tokens_before_it_to_who_takes_them() {
    let model = model();
    let (mut options, input) = with_gaps(2 * NOTICES);
    let events = plainly(&model, &options, &input);
    let (want, want_tokens) = (told(&events), committed(&events));
    assert!(want.iter().filter(|n| is_gap(n)).count() == 2 * NOTICES);
    assert!(want.iter().any(|n| !is_gap(n)) && want_tokens.len() > 20);
    options.ring_samples = Some(4_000);
    for ring_tokens in [1 << 14, 1] {
        options.ring_tokens = ring_tokens;
        let (mut engine, mut producer, mut consumer) = ring(&model, &options);
        assert_eq!(consumer.pop_notice(), None);
        let (mut tokens, mut taken, mut stalls) = (Vec::new(), Vec::new(), 0);
        let mut take = || {
            while let Some(notice) = consumer.pop_notice() {
                tokens.extend(pop_all(&mut consumer));
                let before = want_tokens
                    .iter()
                    .filter(|token| token.frame * 1280 < notice.timestamp());
                let there = stay(&tokens).len();
                assert!(there >= before.count(), "{notice:?} after {there} tokens");
                taken.push(notice);
            }
            tokens.extend(pop_all(&mut consumer));
        };
        for piece in &input {
            match piece {
                Input::Lost(samples) => producer.lost(*samples),
                Input::Samples(samples) => {
                    let mut rest = &samples[..];
                    while !rest.is_empty() {
                        rest = &rest[producer.push_slice(rest)..];
                        engine.process_audio().unwrap();
                        // Nothing is taken out before it holds the audio back.
                        if producer.free() == 0 {
                            stalls += 1;
                            take();
                        }
                    }
                }
            }
        }
        producer.finish();
        while !engine.is_over() {
            engine.process_audio().unwrap();
            take();
        }
        take();
        assert_eq!(taken, want, "{ring_tokens} tokens");
        assert_eq!(stay(&tokens), want_tokens, "{ring_tokens} tokens");
        assert!(stalls > 0, "{ring_tokens} tokens");
        assert_eq!(consumer.missed_notices(), 0);
        let metrics = engine.metrics();
        assert_eq!(metrics.gaps + metrics.endpoints, want.len() as u64);
        assert_eq!(metrics.ended, 1);
    }
}

#[test]
fn who_takes_no_notices_is_held_up_by_none_and_missed_ones_are_counted() {
    let model = model();
    let (options, input) = with_gaps(2 * NOTICES);
    let want = plainly(&model, &options, &input);
    let (mut engine, mut producer, mut consumer) = ring(&model, &options);
    let mut tokens = Vec::new();
    for piece in &input {
        match piece {
            Input::Lost(samples) => producer.lost(*samples),
            Input::Samples(samples) => assert_eq!(producer.push_slice(samples), samples.len()),
        }
        engine.process_audio().unwrap();
        tokens.extend(pop_all(&mut consumer));
    }
    engine.finalize().unwrap();
    assert!(engine.is_over());
    tokens.extend(pop_all(&mut consumer));
    assert_eq!(stay(&tokens), committed(&want));
    let want = told(&want);
    assert_eq!(notices(&mut consumer), want[..NOTICES]);
    assert_eq!(consumer.missed_notices(), (want.len() - NOTICES) as u64);
}

#[test]
fn times_are_measured_from_when_samples_came() {
    let pcm = speech();
    let (mut engine, mut producer, _consumer) = ring(&model(), &options());
    for (n, packet) in pcm.chunks(3_200).enumerate() {
        assert_eq!(producer.push_slice(packet), packet.len());
        engine
            .process(Duration::from_millis(200 * (n as u64 + 1)))
            .unwrap();
    }
    let metrics = engine.metrics();
    // A token waits for the end of its chunk and for the right context; each packet adds up to 200 ms.
    let lag = metrics.finalisation_lag.quantile_duration(0.5).unwrap();
    assert!((240..1000).contains(&lag.as_millis()), "{lag:?}");
    assert_eq!(metrics.first_token.count(), 1);
    assert_eq!(metrics.occupancy.max(), 1);
    assert_eq!((metrics.steps, metrics.started, metrics.ended), (29, 1, 0));
    // A third of the longest stall of 200 ms would be too little: twice as much.
    let suggested = engine.suggested_ring_samples().unwrap();
    assert!((6_400..7_300).contains(&suggested), "{suggested}");
}

#[test]
fn the_chunk_follows_a_slow_caller() {
    let context = ContextConfig::from_frames(10, 4, 3).unwrap();
    let mask = percept_nn::AttentionMask::Full;
    let target = Duration::from_secs(4);
    let adaptive = AdaptiveContext::new(target, &context, &mask, 1).unwrap();
    let mut options = options();
    options.adaptive = Some(adaptive);
    let (mut engine, mut producer, _consumer) = ring(&model(), &options);
    assert_eq!(engine.state().chunk_frames(), 4);
    for packet in signals::babble(RATE, 60.0, 5).chunks(320) {
        assert_eq!(producer.push_slice(packet), packet.len());
        engine.process_audio().unwrap();
    }
    let chunk = engine.state().chunk_frames();
    assert!(
        chunk > 20,
        "a fast machine uses the latency it may: {chunk} frames"
    );
}

mod intake_alone {
    use super::*;

    /// What comes out: samples, joined, and gaps.
    fn outcome(input: &[Input], rates: (u32, u32), seed: u64) -> Vec<Input> {
        let mut rng = Rng::new(seed);
        let shared = Arc::new(Shared::default());
        let (samples_in, samples) = rtrb::RingBuffer::new(1 + rng.below(6000));
        let (marks_in, marks) = rtrb::RingBuffer::new(1 + rng.below(3));
        let mut producer = AudioProducer::new(samples_in, marks_in, Arc::clone(&shared));
        let ends = Ends {
            samples,
            marks,
            shared,
        };
        let resampler = Resampler::new(rates.0, rates.1).unwrap();
        let mut intake = Intake::new(ends, rates, resampler);
        let mut out = Vec::new();
        for piece in input {
            match piece {
                Input::Lost(samples) => {
                    producer.lost(*samples / 2);
                    producer.lost(*samples - *samples / 2);
                }
                Input::Samples(samples) => {
                    let mut rest = &samples[..];
                    while !rest.is_empty() {
                        let count = rest.len().min(1 + rng.below(4000));
                        let taken = producer.push_slice(&rest[..count]);
                        rest = &rest[taken..];
                        if taken == 0 || rng.below(2) == 0 {
                            draw(&mut intake, rng.below(9000), &mut rng, &mut out);
                        }
                    }
                }
            }
        }
        drop(producer);
        while draw(&mut intake, 7000, &mut rng, &mut out) {}
        let clock: u64 = out.iter().map(length).sum();
        let heard: u64 = input.iter().map(length).sum();
        let exact = (heard * u64::from(rates.1)).div_ceil(rates.0.into());
        assert!(
            clock.abs_diff(exact) <= 1,
            "the clock says {clock}, not {exact}"
        );
        out
    }

    fn length(piece: &Input) -> u64 {
        match piece {
            Input::Samples(samples) => samples.len() as u64,
            Input::Lost(samples) => *samples,
        }
    }

    /// Takes what there is; whether there may be more.
    fn draw(intake: &mut Intake, budget: usize, rng: &mut Rng, out: &mut Vec<Input>) -> bool {
        let mut budget = budget;
        loop {
            match intake.next(&mut budget) {
                Piece::Samples(samples) => {
                    assert!(samples.iter().all(|v| v.is_finite()));
                    let used = 1 + rng.below(samples.len());
                    match out.last_mut() {
                        Some(Input::Samples(all)) => all.extend_from_slice(&samples[..used]),
                        _ => out.push(Input::Samples(samples[..used].to_vec())),
                    }
                    intake.consume(used);
                }
                Piece::Skip(samples) => out.push(Input::Lost(samples)),
                Piece::Nothing => return true,
                Piece::End => return false,
            }
        }
    }

    fn random_input(rng: &mut Rng) -> Vec<Input> {
        let mut input = Vec::new();
        for _ in 0..1 + rng.below(8) {
            let mut samples = rng.normals(rng.clone().below(9000));
            for _ in 0..rng.below(4) {
                let at = rng.below(samples.len() + 1);
                let end = (at + 1 + rng.below(2) * rng.below(900)).min(samples.len());
                samples[at.min(end)..end].fill(f32::NAN);
            }
            input.push(Input::Samples(samples));
            if rng.below(2) == 0 {
                input.push(Input::Lost(1 + rng.below(40_000) as u64));
            }
        }
        input
    }

    #[test]
    fn what_comes_out_does_not_depend_on_when_it_went_in() {
        let mut rng = Rng::new(17);
        for round in 0..40 {
            let input = random_input(&mut rng);
            for rates in [
                (16_000, 16_000),
                (48_000, 16_000),
                (44_100, 16_000),
                (8_000, 16_000),
            ] {
                let one = outcome(&input, rates, 2 * round);
                let other = outcome(&input, rates, 2 * round + 1);
                assert!(one == other, "round {round}, {rates:?}");
            }
        }
    }

    #[test]
    fn at_the_models_rate_every_finite_sample_comes_through_as_it_is() {
        let mut rng = Rng::new(18);
        for round in 0..40 {
            let input = random_input(&mut rng);
            let mut want: Vec<Input> = Vec::new();
            let lose = |want: &mut Vec<Input>, count: u64| match want.last_mut() {
                Some(Input::Lost(all)) => *all += count,
                _ => want.push(Input::Lost(count)),
            };
            for piece in &input {
                match piece {
                    Input::Lost(count) => lose(&mut want, *count),
                    Input::Samples(samples) => {
                        for sample in samples {
                            match (sample.is_finite(), want.last_mut()) {
                                (false, _) => lose(&mut want, 1),
                                (true, Some(Input::Samples(all))) => all.push(*sample),
                                (true, _) => want.push(Input::Samples(vec![*sample])),
                            }
                        }
                    }
                }
            }
            assert!(
                outcome(&input, (RATE, RATE), round) == want,
                "round {round}"
            );
        }
    }

    #[test]
    fn samples_that_come_while_the_ring_is_closed_are_counted() {
        let shared = Arc::new(Shared::default());
        let (mut samples_in, samples) = rtrb::RingBuffer::new(100);
        let (_marks_in, marks) = rtrb::RingBuffer::new(1);
        let ends = Ends {
            samples,
            marks,
            shared,
        };
        let resampler = Resampler::new(RATE, RATE).unwrap();
        let mut intake = Intake::new(ends, (RATE, RATE), resampler);
        samples_in.push_entire_slice(&[0.5; 10]).unwrap();
        intake.close();
        let mut budget = intake.waiting();
        samples_in.push_entire_slice(&[0.5; 7]).unwrap();
        intake.count_late();
        assert_eq!(intake.dropped, 0, "nothing is late before the end");
        assert_eq!(intake.next(&mut budget), Piece::Samples(&[0.5; 10]));
        intake.consume(10);
        assert_eq!(intake.next(&mut budget), Piece::End);
        intake.count_late();
        assert_eq!(intake.dropped, 7);
        samples_in.push_entire_slice(&[0.5; 99]).unwrap();
        intake.count_late();
        assert_eq!(intake.dropped, 106);
    }

    #[test]
    fn the_loudest_samples_stay_finite() {
        let loud = [f32::MAX, f32::MIN].repeat(5_000);
        let steps = [f32::MAX; 10_000].to_vec();
        for samples in [loud, steps] {
            outcome(&[Input::Samples(samples)], (48_000, 16_000), 1);
        }
    }

    #[test]
    fn a_bad_sample_where_rates_differ_costs_a_hundredth_of_a_second() {
        let mut samples = vec![0.5; 48_000];
        samples[24_000] = f32::NAN;
        let out = outcome(&[Input::Samples(samples)], (48_000, 16_000), 1);
        let lengths: Vec<u64> = out.iter().map(length).collect();
        assert_eq!(lengths, [8_000, 160, 7_840]);
        assert_eq!(out[1], Input::Lost(160));
    }
}
