//! What the speech gate passes, with a detector that says what a script says.

use std::ops::Range;

use percept_audio::{GateConfig, GateSpan, SpeechGate, VoiceActivity};
use percept_testkit::{Rng, chunking};

const RATE: u32 = 16_000;

/// Says what the script says, frame by frame, and that the stream comes to it whole: samples count up from 0.
struct Scripted {
    frame_samples: usize,
    script: Vec<f32>,
    frame: usize,
}

impl VoiceActivity for Scripted {
    fn sample_rate(&self) -> u32 {
        RATE
    }

    fn frame_samples(&self) -> usize {
        self.frame_samples
    }

    fn speech(&mut self, frame: &[f32]) -> f32 {
        let first = self.frame * self.frame_samples;
        assert!(
            frame
                .iter()
                .copied()
                .eq(count_up(first..first + self.frame_samples))
        );
        self.frame += 1;
        self.script[self.frame - 1]
    }
}

fn count_up(samples: Range<usize>) -> impl Iterator<Item = f32> {
    samples.map(|i| i as f32)
}

fn gate(frame_samples: usize, script: &[f32], config: &GateConfig) -> SpeechGate {
    let detector = Scripted {
        frame_samples,
        script: script.to_vec(),
        frame: 0,
    };
    SpeechGate::new(Box::new(detector), config.clone()).expect("the config is valid")
}

/// The pieces that are heard and, after each, where its end was said, if it was.
#[derive(Debug, PartialEq)]
struct Piece {
    heard: Range<u64>,
    ended: bool,
}

/// Joins the spans to pieces, and checks that they follow each other and hold their own samples.
fn pieces(gate: &SpeechGate, spans: &mut Vec<GateSpan>, pieces: &mut Vec<Piece>) {
    for span in spans.drain(..) {
        match span {
            GateSpan::Speech { start, end } => {
                let samples = count_up(start as usize..end as usize);
                assert!(gate.pcm(start..end).iter().copied().eq(samples));
                assert!(start < end && end <= gate.decided());
                match pieces.last_mut().filter(|piece| !piece.ended) {
                    Some(piece) => {
                        assert_eq!(piece.heard.end, start);
                        piece.heard.end = end;
                    }
                    None => pieces.push(Piece {
                        heard: start..end,
                        ended: false,
                    }),
                }
            }
            GateSpan::End { at } => {
                let piece = pieces.last_mut().expect("speech comes before its end");
                assert_eq!((piece.heard.end, piece.ended), (at, false));
                piece.ended = true;
            }
        }
    }
}

/// Where speech is heard in the stream of a script, with frames of 16 ms.
fn heard(script: &[f32], config: &GateConfig) -> Vec<Range<u64>> {
    let mut gate = gate(256, script, config);
    let (mut spans, mut found) = (Vec::new(), Vec::new());
    gate.push(
        &count_up(0..script.len() * 256).collect::<Vec<_>>(),
        &mut spans,
    );
    gate.finish(&mut spans);
    pieces(&gate, &mut spans, &mut found);
    assert!(found.iter().all(|piece| piece.ended));
    found.into_iter().map(|piece| piece.heard).collect()
}

/// Numbers of frames and their probability, one after the other.
type Parts<'a> = &'a [(usize, f32)];

/// Where speech is heard: from, to.
type Heard<'a> = &'a [(u64, u64)];

fn script(parts: Parts) -> Vec<f32> {
    let part = |&(frames, p)| std::iter::repeat_n(p, frames);
    parts.iter().flat_map(part).collect()
}

/// Runs of speech, doubt and silence of up to 30 frames.
fn random_script(frames: usize, rng: &mut Rng) -> Vec<f32> {
    let mut script = Vec::new();
    while script.len() < frames {
        let level = [0.0, 0.1, 0.4, 0.6, 0.9][rng.below(5)];
        script.extend(std::iter::repeat_n(level, 1 + rng.below(30)));
    }
    script.truncate(frames);
    script
}

fn random_config(rng: &mut Rng) -> GateConfig {
    GateConfig {
        min_speech_ms: rng.below(150) as u32,
        pre_roll_ms: rng.below(400) as u32,
        hang_over_ms: 1 + rng.below(500) as u32,
        grid_samples: [1, 160, 700, 1280, 5_000][rng.below(5)],
        ..GateConfig::default()
    }
}

#[test]
fn speech_is_heard_with_some_time_around_it() {
    let config = GateConfig::default();
    let table: [(&str, Parts, Heard); 14] = [
        // Speech from 25600 to 40960: 4800 samples before it and 9600 after it, out to multiples of 1280.
        (
            "one word",
            &[(100, 0.1), (60, 0.9), (200, 0.1)],
            &[(20_480, 51_200)],
        ),
        ("all silence", &[(500, 0.49)], &[]),
        ("a click", &[(100, 0.1), (5, 0.9), (200, 0.1)], &[]),
        (
            "clicks with doubt between them",
            &[(100, 0.1), (5, 0.9), (1, 0.4), (5, 0.9), (99, 0.1)],
            &[],
        ),
        (
            "just long enough",
            &[(100, 0.1), (6, 0.5), (200, 0.1)],
            &[(20_480, 37_120)],
        ),
        ("no time before", &[(10, 0.9), (200, 0.1)], &[(0, 12_800)]),
        (
            "doubt goes on",
            &[(100, 0.1), (6, 0.5), (54, 0.36), (200, 0.1)],
            &[(20_480, 51_200)],
        ),
        ("doubt begins nothing", &[(300, 0.49)], &[]),
        ("not a number", &[(300, f32::NAN)], &[]),
        // 37 frames are 9472 samples, less than the time after speech.
        (
            "a short pause",
            &[(10, 0.9), (37, 0.1), (10, 0.9), (100, 0.1)],
            &[(0, 24_320)],
        ),
        (
            "a long pause",
            &[(10, 0.9), (100, 0.1), (10, 0.9), (100, 0.1)],
            &[(0, 12_800), (23_040, 40_960)],
        ),
        // The gate closes at 12800, less than 4800 samples before the second word.
        (
            "words in a row",
            &[(10, 0.9), (51, 0.1), (10, 0.9), (100, 0.1)],
            &[(0, 12_800), (12_800, 28_160)],
        ),
        ("to the end", &[(100, 0.1), (63, 0.9)], &[(20_480, 41_728)]),
        ("into the end", &[(10, 0.9), (3, 0.1)], &[(0, 3_328)]),
    ];
    for (claim, parts, expected) in table {
        let heard = heard(&script(parts), &config);
        let heard: Vec<(u64, u64)> = heard.iter().map(|span| (span.start, span.end)).collect();
        assert_eq!(heard, expected, "{claim}");
    }
}

#[test]
fn any_packetisation_gives_the_same_spans() {
    let mut rng = Rng::new(21);
    for seed in 0..40 {
        let frame_samples = [1, 100, 256, 480, 1_537][rng.below(5)];
        let config = random_config(&mut rng);
        let samples = 20_000 + rng.below(20_000);
        let script = random_script(samples / frame_samples + 1, &mut rng);
        let pcm: Vec<f32> = count_up(0..samples).collect();
        chunking::assert_same(&pcm, seed, |chunks| {
            let mut gate = gate(frame_samples, &script, &config);
            let (mut all, mut spans, mut found) = (Vec::new(), Vec::new(), Vec::new());
            for chunk in chunks {
                gate.push(chunk, &mut spans);
                all.extend_from_slice(&spans);
                pieces(&gate, &mut spans, &mut found);
            }
            gate.finish(&mut spans);
            all.extend_from_slice(&spans);
            pieces(&gate, &mut spans, &mut found);
            gate.push(&[0.0; 9_000], &mut spans);
            gate.finish(&mut spans);
            assert_eq!((spans.len(), gate.samples()), (0, samples as u64));
            all
        });
    }
}

#[test]
fn spans_hold_the_speech_and_little_else() {
    let mut rng = Rng::new(22);
    for _ in 0..200 {
        let config = random_config(&mut rng);
        let script = random_script(400, &mut rng);
        let heard = heard(&script, &config);
        let samples = |ms: u32| u64::from(ms) * u64::from(RATE) / 1000;
        let grid = config.grid_samples as u64;
        let total = script.len() as u64 * 256;
        // Frames above the threshold that last long enough are heard, from the first one on.
        let mut first = 0;
        for (frame, &p) in script.iter().enumerate() {
            let end = (frame as u64 + 1) * 256;
            if p < config.threshold {
                first = end;
            } else if end - first >= samples(config.min_speech_ms) {
                let speech = first..end;
                let hears =
                    |span: &Range<u64>| span.start <= speech.start && speech.end <= span.end;
                assert!(
                    heard.iter().any(hears),
                    "{speech:?} is not in {heard:?}, {config:?}"
                );
            }
        }
        for span in &heard {
            assert_eq!(span.start % grid, 0);
            assert!(span.end % grid == 0 || span.end == total);
            // Before the first frame of speech lies the time before speech, after the last one that after it.
            let is_speech = |frame: &usize| script[*frame] >= config.release_threshold;
            let inside = span.start as usize / 256..(span.end as usize).div_ceil(256);
            let last = inside
                .clone()
                .rev()
                .find(is_speech)
                .expect("a span holds speech") as u64;
            let first = inside
                .clone()
                .find(|&frame| script[frame] >= config.threshold);
            let first = first.expect("a span begins with speech") as u64;
            assert!(first * 256 - span.start < samples(config.pre_roll_ms) + grid + 256);
            assert!(span.end <= (last + 1) * 256 + samples(config.hang_over_ms) + grid + 256);
        }
        assert!(heard.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}

#[test]
fn silence_takes_no_memory() {
    let config = GateConfig::default();
    let mut gate = gate(256, &[0.1; 60 * 63], &config);
    let mut spans = Vec::new();
    for start in (0..60 * RATE as usize).step_by(160) {
        gate.push(
            &count_up(start..start + 160).collect::<Vec<_>>(),
            &mut spans,
        );
        // What is left between two pushes: 4800 samples before what may come, to the grid, and an unheard frame.
        assert!(gate.samples() - gate.decided() < 4_800 + 1_280 + 256);
    }
    assert!(spans.is_empty());
}

#[test]
#[should_panic(expected = "are not inside")]
fn samples_that_were_given_up_are_refused() {
    let mut gate = gate(256, &[0.1; 1_000], &GateConfig::default());
    for start in (0..32_000).step_by(16_000) {
        let pcm: Vec<f32> = count_up(start..start + 16_000).collect();
        gate.push(&pcm, &mut Vec::new());
    }
    gate.pcm(0..1_280);
}

#[test]
fn a_config_that_cannot_work_is_refused() {
    let sound = GateConfig::default();
    for (field, config) in [
        (
            "threshold",
            GateConfig {
                threshold: 0.0,
                ..sound.clone()
            },
        ),
        (
            "threshold",
            GateConfig {
                threshold: f32::NAN,
                ..sound.clone()
            },
        ),
        (
            "release_threshold",
            GateConfig {
                release_threshold: 0.6,
                ..sound.clone()
            },
        ),
        (
            "min_speech_ms",
            GateConfig {
                min_speech_ms: 60_001,
                ..sound.clone()
            },
        ),
        (
            "pre_roll_ms",
            GateConfig {
                pre_roll_ms: u32::MAX,
                ..sound.clone()
            },
        ),
        (
            "hang_over_ms",
            GateConfig {
                hang_over_ms: 0,
                ..sound.clone()
            },
        ),
        (
            "grid_samples",
            GateConfig {
                grid_samples: 0,
                ..sound
            },
        ),
    ] {
        let detector = Scripted {
            frame_samples: 256,
            script: Vec::new(),
            frame: 0,
        };
        let error = SpeechGate::new(Box::new(detector), config).expect_err(field);
        assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
        assert_eq!(error.code(), "gate.config");
    }
}
