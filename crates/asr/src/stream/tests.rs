//! Streams against the reference's, and the promises that hold for every stream.

use std::sync::Arc;

use percept_audio::{GateConfig, GateSpan, SpeechGate, VoiceActivity};
use percept_testkit::golden::{Case, Said, Volatile, WindowStep, WindowedStream, cases};
use percept_testkit::{Rng, Tol, chunking, close, signals};
use percept_weights::Checkpoint;

use super::state::Progress;
use super::*;
use crate::search::EmittedToken;
use crate::{Decoder, Model, ModelOptions, Precision};

/// What the encoder must keep to, relative to the largest value.
const ENCODER: Tol = Tol {
    abs: 0.0,
    rel_to_max: 1e-4,
};

fn load_as(case: &Case, decoder: Option<Decoder>, precision: Precision) -> Arc<Model> {
    let path = case.model().or(case.nemo()).expect("a case has a model");
    let checkpoint = Checkpoint::open(&path).unwrap_or_else(|e| panic!("{e}"));
    let options = ModelOptions {
        decoder,
        precision: Some(precision),
        ..ModelOptions::default()
    };
    Arc::new(Model::load(checkpoint, options).unwrap_or_else(|e| panic!("{e}")))
}

fn load(name: &str) -> Arc<Model> {
    load_as(&Case::open(name), None, Precision::F32)
}

/// The model told the language of a prompt slot.
fn load_prompted(case: &Case, default: &Model, slot: usize) -> Arc<Model> {
    let prompt = default.config().prompt.as_ref().expect("a prompt");
    let language = prompt.languages.iter().find(|(_, s)| **s == slot);
    let path = case.model().expect("a folder");
    let options = ModelOptions {
        language: Some(language.expect("a language").0.clone()),
        ..ModelOptions::default()
    };
    let checkpoint = Checkpoint::open(&path).unwrap_or_else(|e| panic!("{e}"));
    Arc::new(Model::load(checkpoint, options).unwrap_or_else(|e| panic!("{e}")))
}

fn windows([left, chunk, right]: [usize; 3]) -> StreamOptions {
    let context = ContextConfig::from_frames(left, chunk, right).expect("a chunk");
    StreamOptions {
        mode: StreamMode::Windows(context),
        ..StreamOptions::default()
    }
}

fn cache_aware(lookahead: usize) -> StreamOptions {
    StreamOptions {
        mode: StreamMode::CacheAware {
            lookahead: Some(lookahead),
        },
        ..StreamOptions::default()
    }
}

/// All that a stream tells of audio that comes in these packets.
fn events<'a>(
    model: &Arc<Model>,
    options: &StreamOptions,
    packets: impl Iterator<Item = &'a [f32]>,
) -> Vec<StreamEvent> {
    let mut stream = Stream::new(Arc::clone(model), options).expect("the model can be streamed");
    for packet in packets {
        stream.push(packet).expect("finite samples");
    }
    stream.finish();
    stream.events().to_vec()
}

fn whole(model: &Arc<Model>, options: &StreamOptions, pcm: &[f32]) -> Vec<StreamEvent> {
    events(model, options, std::iter::once(pcm))
}

fn committed(events: &[StreamEvent]) -> Vec<EmittedToken> {
    let tokens = events.iter().filter_map(|event| match event {
        StreamEvent::Commit(token) => Some(*token),
        _ => None,
    });
    tokens.collect()
}

/// What was told at each step: its tokens and its tail.
fn steps(events: &[StreamEvent]) -> Vec<(Vec<EmittedToken>, Vec<EmittedToken>, u64)> {
    let mut steps = Vec::new();
    let (mut tokens, mut tail) = (Vec::new(), Vec::new());
    for event in events {
        match *event {
            StreamEvent::Commit(token) => tokens.push(token),
            StreamEvent::Tail => tail.clear(),
            StreamEvent::Volatile(token) => tail.push(token),
            StreamEvent::Decided { frame } => {
                steps.push((std::mem::take(&mut tokens), tail.clone(), frame));
            }
            _ => {}
        }
    }
    steps
}

fn assert_said(tokens: &[EmittedToken], said: &Said, name: &str) {
    let of = |f: fn(&EmittedToken) -> u64| tokens.iter().map(f).collect::<Vec<_>>();
    let wide = |v: &[u32]| v.iter().map(|n| u64::from(*n)).collect::<Vec<_>>();
    assert_eq!(of(|t| t.id.into()), wide(&said.tokens), "{name}: tokens");
    assert_eq!(of(|t| t.frame), said.frames, "{name}: frames");
    assert_eq!(
        of(|t| t.duration.into()),
        wide(&said.durations),
        "{name}: durations"
    );
    let confidences: Vec<f32> = tokens.iter().map(|t| t.confidence).collect();
    let tolerance = Tol {
        abs: 2e-3,
        rel_to_max: 0.0,
    };
    close(&confidences, &said.probabilities, tolerance, name);
}

/// The tail after a step, as the reference tells it: the open run of CTC is a part of ours.
fn reference_tail(step: &WindowStep, stream: &WindowedStream) -> Vec<(u32, u64, u32)> {
    let open = (step.open_run > 0).then(|| {
        let last = step.committed - 1;
        let length = step.open_run + step.volatile_run;
        (stream.said.tokens[last], stream.said.frames[last], length)
    });
    let Volatile {
        tokens,
        frames,
        durations,
    } = &step.volatile;
    let rest = tokens.iter().zip(frames).zip(durations);
    let rest = rest.map(|((token, frame), duration)| (*token, *frame, *duration));
    open.into_iter().chain(rest).collect()
}

/// Compares every step of a stream in windows with the reference's.
fn assert_tells_what_the_reference_tells(model: &Arc<Model>, stream: &WindowedStream, case: &str) {
    let name = format!(
        "{} in {:?}, ends {}",
        case, stream.context_frames, stream.ends
    );
    let pcm = stream.said.pcm();
    let told = whole(model, &windows(stream.context_frames), &pcm);
    assert_said(&committed(&told), &stream.said, &name);
    assert_eq!(told.last(), Some(&StreamEvent::End), "{name}");
    let told = steps(&told);
    assert_eq!(told.len(), stream.steps.len(), "{name}: steps");
    let (mut said, mut decided) = (0, 0);
    for (n, (step, (tokens, tail, frame))) in stream.steps.iter().zip(&told).enumerate() {
        assert_eq!(step.first_frame, decided, "{name}");
        decided += step.frames;
        assert_eq!(*frame, decided, "{name}");
        said += tokens.len();
        let is_last = n + 1 == told.len();
        let open = usize::from(step.open_run > 0 && !is_last);
        assert_eq!(said, step.committed - open, "{name}: frame {decided}");
        let tail: Vec<_> = tail.iter().map(|t| (t.id, t.frame, t.duration)).collect();
        let expected = match is_last && step.volatile.tokens.is_empty() {
            true => Vec::new(),
            false => reference_tail(step, stream),
        };
        assert_eq!(tail, expected, "{name}: tail at frame {decided}");
    }
}

#[test]
fn windows_say_what_the_reference_says_at_every_step() {
    let mut compared = 0;
    for case in cases() {
        let Some(streams) = case.streams() else {
            continue;
        };
        let model = load_as(&case, None, Precision::F32);
        for stream in &streams.windows {
            assert_tells_what_the_reference_tells(&model, stream, case.name());
            compared += 1;
        }
        if let Some(path) = case.unified() {
            let checkpoint = Checkpoint::open(&path).unwrap_or_else(|e| panic!("{e}"));
            let model = Model::load(checkpoint, ModelOptions::default());
            let model = Arc::new(model.unwrap_or_else(|e| panic!("{e}")));
            assert!(!streams.unified_windows.is_empty());
            for stream in &streams.unified_windows {
                assert_tells_what_the_reference_tells(&model, stream, "unified");
                compared += 1;
            }
        }
    }
    assert!(compared >= 100, "only {compared} streams were compared");
}

#[test]
fn frames_computed_once_are_those_of_the_reference_under_every_lookahead() {
    let mut compared = 0;
    for case in cases() {
        let Some(streams) = case.streams().filter(|s| !s.cache_aware.is_empty()) else {
            continue;
        };
        let (default, seams) = (load_as(&case, None, Precision::F32), case.stream_seams());
        for stream in &streams.cache_aware {
            let model = match stream.prompt {
                Some(slot) => load_prompted(&case, &default, slot),
                None => Arc::clone(&default),
            };
            let name = format!("{} {}", case.name(), stream.seam);
            let pcm = stream.said.pcm();
            let mut state = model.stream(&cache_aware(stream.lookahead)).expect("known");
            let mut memory = StepMemory::default();
            let mut frames = Vec::new();
            let (mut rest, mut sizes) = (&pcm[..], Vec::new());
            while !state.is_over() {
                rest = match state.push(rest) {
                    Ok(taken) => &rest[taken..],
                    Err(_) => rest,
                };
                if rest.is_empty() {
                    state.finish();
                }
                if state.is_ready() {
                    let report = model.step(&mut [&mut state], &mut memory);
                    frames.extend_from_slice(memory.encoded_by_frame());
                    sizes.push(report.rows);
                }
            }
            let width = model.config().encoder.width();
            assert_eq!(frames.len() / width, stream.encoder_frames, "{name}");
            // Behind a language prompt the frames are other ones.
            if model.config().prompt.is_none() {
                close(&frames, &seams[&stream.seam].data, ENCODER, &name);
            }
            // All steps but the last make whole chunks.
            let (_, full) = sizes.split_last().expect("a step");
            assert!(full.iter().all(|n| *n == stream.lookahead + 1), "{name}");
            assert_said(&committed(state.events()), &stream.said, &name);
            compared += 1;
        }
    }
    assert!(compared >= 50, "only {compared} streams were compared");
}

/// Models of every kind, and ways to stream them.
fn kinds() -> Vec<(&'static str, Arc<Model>, StreamOptions)> {
    let mut kinds = Vec::new();
    for precision in [Precision::F32, Precision::Int8] {
        for (name, options) in [
            ("tdt_v3", windows([12, 5, 3])),
            ("rnnt", windows([8, 8, 0])),
            ("ctc", windows([0, 6, 4])),
            ("rnnt_nemotron", cache_aware(1)),
            ("rnnt_eou", StreamOptions::default()),
        ] {
            let model = load_as(&Case::open(name), None, precision);
            kinds.push((name, model, options));
        }
    }
    kinds
}

/// Something like speech with silence in it.
fn audio(seconds: f32, seed: u64) -> Vec<f32> {
    let mut pcm = signals::babble(16_000, seconds / 2.0, seed);
    pcm.extend(signals::silence(16_000));
    pcm.extend(signals::babble(16_000, seconds / 2.0 - 1.0, seed + 1));
    pcm
}

#[test]
fn any_packets_tell_the_same() {
    let pcm = audio(5.0, 3);
    for (name, model, options) in kinds() {
        let options = StreamOptions {
            endpoints: Some(EndpointRules::default()),
            ..options
        };
        assert!(
            !committed(&whole(&model, &options, &pcm)).is_empty(),
            "{name}"
        );
        chunking::assert_same(&pcm, 4, |packets| events(&model, &options, packets));
    }
}

#[test]
fn a_stream_in_one_window_says_what_the_recording_says() {
    let model = load("tdt_v3");
    for samples in [0, 1, 159, 1280, 8 * 1280 - 1, 8 * 1280] {
        let pcm = &audio(4.0, 5)[..samples];
        let told = whole(&model, &windows([12, 5, 3]), pcm);
        let said = model.transcribe(&[pcm]).expect("finite").remove(0);
        let frames: Vec<(u32, u64)> = said.tokens.iter().map(|t| (t.id, t.frame)).collect();
        let told: Vec<_> = committed(&told).iter().map(|t| (t.id, t.frame)).collect();
        assert_eq!(told, frames, "{samples} samples");
    }
}

#[test]
fn frame_by_frame_says_what_the_recording_says_bit_for_bit() {
    for name in ["rnnt_nemotron", "rnnt_eou", "rnnt_nemotron3_5"] {
        for precision in [Precision::F32, Precision::Int8] {
            let model = load_as(&Case::open(name), None, precision);
            assert!(model.is_cache_aware(), "{name}");
            let pcm = audio(21.0, 6);
            let told = committed(&whole(&model, &StreamOptions::default(), &pcm));
            let said = model.transcribe(&[&pcm]).expect("finite").remove(0);
            assert!(!told.is_empty(), "{name} says nothing");
            let said: Vec<_> = said
                .tokens
                .iter()
                .map(|t| (t.id, t.frame, t.confidence))
                .collect();
            let told: Vec<_> = told.iter().map(|t| (t.id, t.frame, t.confidence)).collect();
            assert_eq!(told, said, "{name} {precision:?}");
        }
    }
}

#[test]
fn a_batch_of_streams_tells_what_each_tells_alone() {
    let model = load("rnnt_nemotron");
    let pcms: Vec<Vec<f32>> = (0..6).map(|n| audio(3.0 + n as f32, 20 + n)).collect();
    let ways = [cache_aware(2), cache_aware(0), windows([8, 6, 2])];
    let mut states: Vec<StreamState> = (0..pcms.len())
        .map(|n| model.stream(&ways[n % 3]).expect("known"))
        .collect();
    let mut rests: Vec<&[f32]> = pcms.iter().map(Vec::as_slice).collect();
    let (mut memory, mut rng) = (StepMemory::default(), Rng::new(8));
    while states.iter().any(|state| !state.is_over()) {
        for (state, rest) in states.iter_mut().zip(&mut rests) {
            let packet = rng.below(9_000).min(rest.len());
            match state.push(&rest[..packet]) {
                Ok(taken) => *rest = &rest[taken..],
                Err(error) => assert_eq!(error, StreamError::Finished),
            }
            if rest.is_empty() {
                state.finish();
            }
        }
        model.step(&mut states.iter_mut().collect::<Vec<_>>(), &mut memory);
    }
    for (n, state) in states.iter().enumerate() {
        let alone = whole(&model, &ways[n % 3], &pcms[n]);
        assert_eq!(state.events(), alone, "stream {n}");
    }
}

#[test]
fn a_fork_goes_on_as_the_stream_does() {
    for (name, model, options) in kinds() {
        let pcm = audio(4.0, 9);
        let mut stream = Stream::new(Arc::clone(&model), &options).expect("known");
        stream.push(&pcm[..30_000]).expect("finite");
        let mut fork = stream.fork().expect("no detector");
        for stream in [&mut stream, &mut fork] {
            stream.push(&pcm[30_000..]).expect("finite");
            stream.finish();
        }
        assert_eq!(stream.events(), fork.events(), "{name}");
        assert_eq!(stream.events(), whole(&model, &options, &pcm), "{name}");
    }
}

#[test]
fn without_a_tail_the_same_is_committed() {
    for (name, model, options) in kinds() {
        let pcm = audio(4.0, 10);
        let quiet = StreamOptions {
            volatile: false,
            ..options.clone()
        };
        let told = whole(&model, &quiet, &pcm);
        assert!(!told.contains(&StreamEvent::Tail), "{name}");
        assert_eq!(
            committed(&told),
            committed(&whole(&model, &options, &pcm)),
            "{name}"
        );
    }
}

#[test]
fn more_left_context_leaves_the_first_windows_as_they_are() {
    let model = load("tdt_v3");
    let pcm = audio(6.0, 11);
    let short = steps(&whole(&model, &windows([10, 5, 3]), &pcm));
    let long = steps(&whole(&model, &windows([20, 5, 3]), &pcm));
    assert_eq!(short.len(), long.len());
    assert_eq!(short[..3], long[..3]);
    assert_ne!(short, long);
}

#[test]
fn frames_are_in_order_and_decided_to_the_end() {
    for (name, model, options) in kinds() {
        for samples in [16_000, 33_333, 64_000] {
            let pcm = &audio(5.0, 12)[..samples];
            let (_, items) = model.encode(&[pcm]);
            let (mut last, mut decided) = (0, 0);
            for event in whole(&model, &options, pcm) {
                match event {
                    StreamEvent::Commit(token) => {
                        assert!(token.frame >= last, "{name}");
                        last = token.frame;
                    }
                    StreamEvent::Decided { frame } => {
                        assert!(frame >= decided && last <= frame, "{name}");
                        decided = frame;
                    }
                    _ => {}
                }
            }
            assert_eq!(decided, items.total() as u64, "{name}: {samples} samples");
        }
    }
}

#[test]
fn silence_is_finite_and_a_finished_stream_takes_nothing() {
    for (name, model, options) in kinds() {
        let mut stream = Stream::new(Arc::clone(&model), &options).expect("known");
        stream.push(&signals::silence(40_000)).expect("finite");
        let tokens = committed(stream.events());
        assert!(tokens.iter().all(|t| t.confidence.is_finite()), "{name}");
        stream.finish();
        let told = stream.events().to_vec();
        stream.finish();
        assert_eq!(stream.events(), told, "{name}");
        assert_eq!(stream.push(&[0.0]), Err(StreamError::Finished), "{name}");
        assert_eq!(stream.skip(5), Err(StreamError::Finished), "{name}");
        assert_eq!(stream.events(), told, "{name}");
    }
}

#[test]
fn a_sample_that_is_no_number_is_refused_and_nothing_else_is_lost() {
    for (name, model, options) in kinds() {
        let mut pcm = audio(4.0, 13);
        let expected = whole(&model, &options, &pcm);
        let good = std::mem::replace(&mut pcm[20_003], f32::NAN);
        let mut stream = Stream::new(Arc::clone(&model), &options).expect("known");
        let refused = stream.push(&pcm);
        let seconds = 20_003.0 / 16_000.0;
        assert_eq!(refused, Err(StreamError::NotFinite { seconds }), "{name}");
        assert_eq!(stream.state().received(), 20_003, "{name}");
        stream.push(&[good]).expect("finite");
        stream.push(&pcm[20_004..]).expect("finite");
        stream.finish();
        assert_eq!(stream.events(), expected, "{name}");
    }
}

#[test]
fn a_short_gap_is_silence_and_a_long_one_a_new_beginning() {
    for (name, model, options) in kinds() {
        let pcm = audio(6.0, 14);
        let (before, after) = pcm.split_at(30_011);
        let lossy = |gap: u64, parts: u64| {
            let mut stream = Stream::new(Arc::clone(&model), &options).expect("known");
            stream.push(before).expect("finite");
            for part in 0..parts {
                let lost = gap * (part + 1) / parts - gap * part / parts;
                stream.skip(lost).expect("going on");
            }
            stream.push(after).expect("finite");
            stream.finish();
            stream.events().to_vec()
        };
        let gap_of = |events: &[StreamEvent]| {
            let gaps = events.iter().filter_map(|event| match event {
                StreamEvent::Gap { start, samples } => Some((*start, *samples)),
                _ => None,
            });
            gaps.collect::<Vec<_>>()
        };
        let short = lossy(4_000, 1);
        let filled = [before, &[0.0; 4_000], after].concat();
        assert_eq!(
            committed(&short),
            committed(&whole(&model, &options, &filled)),
            "{name}"
        );
        assert_eq!(gap_of(&short), [(30_011, 4_000)], "{name}");
        let long = lossy(3_200_000, 1);
        assert_eq!(gap_of(&long), [(30_011, 3_200_000)], "{name}");
        for parts in [2, 7, 90] {
            let in_parts = lossy(3_200_000, parts);
            assert_eq!(
                committed(&in_parts),
                committed(&long),
                "{name}: {parts} parts"
            );
        }
        let silence = [0.0; 32_000];
        let first = committed(&whole(&model, &options, &[before, &silence].concat()));
        let said = committed(&long);
        assert_eq!(said[..first.len()], first, "{name}");
        let position = 30_011 + 3_200_000;
        let silence = vec![0.0; position % 1280];
        let second = committed(&whole(&model, &options, &[&silence, after].concat()));
        let shifted: Vec<EmittedToken> = second
            .iter()
            .map(|t| EmittedToken {
                frame: t.frame + position as u64 / 1280,
                ..*t
            })
            .collect();
        assert_eq!(said[first.len()..], shifted, "{name}");
    }
}

#[test]
fn what_a_model_cannot_do_is_refused() {
    let full = load("tdt_v3");
    assert!(!full.is_cache_aware() && full.lookaheads().is_empty());
    let error = full.stream(&cache_aware(1)).expect_err("full attention");
    assert_eq!(error.code(), "not-cache-aware");
    let nemotron = load("rnnt_nemotron");
    assert_eq!(nemotron.lookaheads()[0], 2);
    let error = nemotron
        .stream(&cache_aware(3))
        .expect_err("6 is no multiple of 4");
    assert!(
        matches!(&error, StreamError::Lookahead { asked: 3, .. }),
        "{error}"
    );
    let mut stream = nemotron.stream(&cache_aware(1)).expect("known");
    assert_eq!(
        stream.set_chunk_frames(4),
        Err(StreamError::FixedChunk { frames: 2 })
    );
}

#[test]
fn the_chunk_may_change_while_a_stream_runs() {
    let model = load("tdt_v3");
    let pcm = audio(8.0, 15);
    let mut stream = Stream::new(Arc::clone(&model), &windows([12, 5, 3])).expect("known");
    for (n, packet) in pcm.chunks(9_999).enumerate() {
        stream.set_chunk_frames(1 + n % 7).expect("a window");
        stream.push(packet).expect("finite");
    }
    stream.finish();
    let (_, items) = model.encode(&[&pcm]);
    assert_eq!(stream.state().decided(), items.total() as u64);
    assert!(!committed(stream.events()).is_empty());
}

/// Hears speech where the first sample of a frame is not zero.
struct Scripted;

impl VoiceActivity for Scripted {
    fn sample_rate(&self) -> u32 {
        16_000
    }

    fn frame_samples(&self) -> usize {
        256
    }

    fn speech(&mut self, frame: &[f32]) -> f32 {
        if frame.iter().any(|v| *v != 0.0) {
            1.0
        } else {
            0.0
        }
    }
}

/// Where a gate with [`Scripted`] is open, in encoder frames.
fn stretches(pcm: &[f32]) -> Vec<(usize, usize)> {
    let gate = SpeechGate::new(Box::new(Scripted), GateConfig::default());
    let (mut gate, mut spans) = (gate.expect("a config"), Vec::new());
    gate.push(pcm, &mut spans);
    gate.finish(&mut spans);
    let (mut found, mut open) = (Vec::new(), None);
    for span in spans {
        match span {
            GateSpan::Speech { start, .. } => open = open.or(Some(start)),
            GateSpan::End { at } => {
                let start = open.take().expect("it was open");
                found.push((start as usize / 1280, at as usize / 1280));
            }
        }
    }
    found
}

#[test]
fn a_gate_rests_in_silence_keeps_the_clock_and_begins_anew_with_speech() {
    for (name, model, options) in kinds() {
        // Speech from 3 s to 5 s and from 9 s to 12 s.
        let mut pcm = signals::silence(14 * 16_000);
        for (start, end) in [(3, 5), (9, 12)] {
            let speech = signals::babble(16_000, (end - start) as f32, 30 + start);
            pcm[start as usize * 16_000..end as usize * 16_000].copy_from_slice(&speech);
        }
        let options = StreamOptions {
            endpoints: Some(EndpointRules::default()),
            ..options
        };
        let gated = |packets: &mut dyn Iterator<Item = &[f32]>| {
            let mut state = model
                .stream_gated_by(Box::new(Scripted), &options)
                .expect("the same rate");
            let (mut memory, mut rows) = (StepMemory::default(), 0);
            let mut run = |state: &mut StreamState| {
                while state.is_ready() {
                    rows += model.step(&mut [state], &mut memory).rows;
                }
            };
            for mut packet in packets {
                while !packet.is_empty() {
                    packet = &packet[state.push(packet).expect("finite")..];
                    run(&mut state);
                }
            }
            state.finish();
            run(&mut state);
            assert!(state.is_over(), "{name}");
            (state.events().to_vec(), rows)
        };
        let (told, rows) = gated(&mut std::iter::once(&pcm[..]));
        // Each stretch by itself, where it lies: pre-roll and hang-over are there, on the grid of the frames.
        let mut expected = Vec::new();
        let stretches = stretches(&pcm);
        assert_eq!(stretches.len(), 2);
        for (start, end) in stretches {
            let stretch = &pcm[start * 1280..end * 1280];
            let said = committed(&whole(&model, &options, stretch));
            expected.extend(said.iter().map(|token| EmittedToken {
                frame: token.frame + start as u64,
                ..*token
            }));
        }
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(committed(&told), expected, "{name}");
        let alone: usize = {
            let mut stream = Stream::new(Arc::clone(&model), &options).expect("known");
            stream.push(&pcm).expect("finite");
            stream.finish();
            stream.state().decided() as usize
        };
        assert!(rows < 8 * alone, "{name}: {rows} rows");
        let frames = |event: &StreamEvent| match event {
            StreamEvent::Decided { frame } => Some(*frame),
            _ => None,
        };
        let decided: Vec<u64> = told.iter().filter_map(frames).collect();
        assert!(decided.is_sorted(), "{name}: {decided:?}");
        assert_eq!(decided.last(), Some(&175), "{name}");
        assert!(
            told.iter()
                .any(|event| matches!(event, StreamEvent::Endpoint(_))),
            "{name}"
        );
        chunking::assert_same(&pcm, 31, |packets| gated(packets).0);
    }
}

#[test]
fn hours_that_a_gate_has_lost_cost_nothing_and_keep_the_clock() {
    let model = load("tdt_v3");
    let options = windows([12, 5, 3]);
    let speech = signals::babble(16_000, 2.0, 40);
    let told = |lost: u64, parts: u64| {
        let detector = Box::new(Scripted);
        let mut state = model.stream_gated_by(detector, &options).expect("16 kHz");
        let mut memory = StepMemory::default();
        let mut heard = |state: &mut StreamState, mut pcm: &[f32]| {
            while !pcm.is_empty() {
                pcm = &pcm[state.push(pcm).expect("finite")..];
                while state.is_ready() {
                    model.step(&mut [state], &mut memory);
                }
            }
        };
        heard(&mut state, &speech);
        for part in 0..parts {
            let now = lost * (part + 1) / parts - lost * part / parts;
            state.skip(now).expect("going on");
        }
        heard(&mut state, &speech);
        state.finish();
        while state.is_ready() {
            model.step(&mut [&mut state], &mut memory);
        }
        assert!(state.is_over());
        (committed(state.events()), state.received())
    };
    // Ten hours are whole frames, as are ten seconds.
    let (short, _) = told(10 * 16_000, 1);
    let (long, received) = told(36_000 * 16_000, 1);
    assert_eq!(received, 2 * 32_000 + 36_000 * 16_000);
    assert_eq!(told(36_000 * 16_000, 37).0, long);
    let shifted: Vec<EmittedToken> = short
        .iter()
        .map(|token| EmittedToken {
            frame: token.frame + if token.frame > 60 { 35_990 * 25 / 2 } else { 0 },
            ..*token
        })
        .collect();
    assert_eq!(long, shifted);
    let mut state = model.stream(&options).expect("known");
    state.skip(u64::MAX).expect("going on");
    state.skip(u64::MAX).expect("going on");
    assert_eq!(state.received(), u64::MAX);
}

#[test]
fn forgetting_at_endpoints_loses_nothing_and_hears_nothing_twice() {
    let pcm: Vec<f32> = (0..6)
        .flat_map(|n| {
            let mut pcm = signals::babble(16_000, 2.0, 50 + n);
            pcm.extend(signals::silence(16_000));
            pcm
        })
        .collect();
    let rules = EndpointRules {
        silence: Some(std::time::Duration::from_millis(320)),
        max_utterance: Some(std::time::Duration::from_secs(1)),
        ..EndpointRules::default()
    };
    for (name, model, options) in kinds() {
        let told = |resets: bool| {
            let options = StreamOptions {
                endpoints: Some(rules),
                reset_at_endpoints: resets,
                ..options.clone()
            };
            let events = whole(&model, &options, &pcm);
            let is_end = |event: &&StreamEvent| matches!(event, StreamEvent::Endpoint(_));
            assert!(events.iter().filter(is_end).count() > 3, "{name}");
            committed(&events)
        };
        let (kept, reset) = (told(false), told(true));
        if model.decoder() == Decoder::Ctc {
            assert_eq!(reset, kept, "{name}");
        }
        // No token begins before the one before it ends.
        let in_order =
            |pair: &[EmittedToken]| pair[0].frame + u64::from(pair[0].duration) <= pair[1].frame;
        if model.decoder() == Decoder::Tdt {
            assert!(reset.windows(2).all(in_order), "{name}: {reset:?}");
        }
        assert!(!reset.is_empty(), "{name}");
    }
}

#[test]
fn a_panic_ends_the_stream_that_it_is_of_and_no_other() {
    let pcm = signals::babble(16_000, 6.0, 9);
    for (name, model, options) in kinds() {
        let options = StreamOptions {
            volatile: false,
            ..options
        };
        let alone = whole(&model, &options, &pcm);
        for progress in [
            Progress::Changing,
            Progress::Planned,
            Progress::Encoded,
            Progress::Searching,
            Progress::Decided,
        ] {
            let mut scheduler = Scheduler::new(Arc::clone(&model), SchedulerOptions::default());
            let ids = [(); 3].map(|()| scheduler.admit(&options).expect("a free slot"));
            let mut told = [(); 3].map(|()| Vec::new());
            for (n, packet) in pcm.chunks(4000).enumerate() {
                for (id, told) in ids.iter().zip(&mut told) {
                    match scheduler.push(*id, packet, std::time::Duration::ZERO) {
                        Ok(taken) => assert_eq!(taken, packet.len()),
                        Err(refused) => assert_eq!((*id, refused.code()), (ids[1], "finished")),
                    }
                    told.extend_from_slice(scheduler.events(*id));
                    scheduler.clear_events(*id);
                }
                if n == 12 {
                    scheduler.state_mut(ids[1]).panics_at = Some(progress);
                }
                while scheduler.run(std::time::Duration::ZERO).streams > 0 {}
            }
            for (id, told) in ids.iter().zip(&mut told) {
                scheduler
                    .finish(*id, std::time::Duration::ZERO)
                    .expect("it is here");
                while scheduler.run(std::time::Duration::ZERO).streams > 0 {}
                told.extend_from_slice(scheduler.events(*id));
                assert!(scheduler.is_over(*id), "{name}, {progress:?}");
            }
            assert_eq!(told[0], alone, "{name}, {progress:?}");
            assert_eq!(told[2], alone, "{name}, {progress:?}");
            assert_eq!(scheduler.metrics().ended, 3);
            if !matches!(progress, Progress::Changing | Progress::Searching) {
                // Going on from there does not come that way again.
                assert_eq!(told[1], alone, "{name}, {progress:?}");
                continue;
            }
            let (last, before) = told[1].split_last().expect("it has failed");
            assert_eq!(*last, StreamEvent::Failed, "{name}, {progress:?}");
            let tokens = committed(before);
            assert_eq!(tokens, committed(&alone)[..tokens.len()], "{name}");
        }
    }
}
