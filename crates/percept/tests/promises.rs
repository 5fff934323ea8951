//! What the built-in recogniser promises, on the samples that it ships with.

use std::path::{Path, PathBuf};

use percept::audio::AudioReader;
use percept::{Precision, Recognizer, RecognizerOptions, Transcript};
use percept_testkit::{Rng, chunking, signals};

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Int8];

fn recognizer(threads: usize) -> Recognizer {
    recognizer_in(Precision::Auto, threads)
}

fn recognizer_in(precision: Precision, threads: usize) -> Recognizer {
    let mut options = RecognizerOptions::default();
    options.threads = Some(threads);
    options.precision = precision;
    Recognizer::embedded(&options).expect("the built-in model loads")
}

/// The shipped samples: audio at 16 kHz and the text beside it.
fn samples() -> Vec<(PathBuf, Vec<f32>, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny-en/samples");
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the samples are shipped") {
        let path = entry.expect("a readable folder").path();
        if matches!(
            path.extension().and_then(|e| e.to_str()),
            Some("wav" | "flac")
        ) {
            let mut reader = AudioReader::open(&path, 16_000).expect("a shipped sample");
            let mut pcm = Vec::new();
            while reader.read(&mut pcm).expect("an undamaged sample") > 0 {}
            let text = std::fs::read_to_string(path.with_extension("txt")).expect("its text");
            samples.push((path, pcm, text.trim().to_owned()));
        }
    }
    samples.sort_by(|a, b| a.0.cmp(&b.0));
    samples
}

/// The samples one after the other with pauses, long enough for several windows.
fn long_recording() -> Vec<f32> {
    let samples = samples();
    let mut pcm = Vec::new();
    for n in 0.. {
        pcm.extend_from_slice(&samples[n % samples.len()].1);
        pcm.extend(signals::noise(9_600, 1e-3, n as u64));
        if pcm.len() > 47 * 16_000 {
            break;
        }
    }
    pcm
}

fn pushed(recognizer: &Recognizer, chunks: &mut dyn Iterator<Item = &[f32]>) -> Transcript {
    let mut session = recognizer.session();
    for chunk in chunks {
        session.push(chunk).expect("finite samples");
    }
    session.finish().expect("a transcript")
}

#[test]
fn the_samples_say_what_is_written_beside_them() {
    let recognizer = recognizer(2);
    let samples = samples();
    assert!(samples.len() >= 3);
    for (path, pcm, text) in samples {
        let said = recognizer.transcribe(&pcm).expect("finite samples").text;
        assert_eq!(said, text, "{}", path.display());
    }
}

#[test]
fn any_cutting_gives_the_same_transcript_short_and_long() {
    let short = samples().remove(0).1;
    for precision in PRECISIONS {
        let recognizer = recognizer_in(precision, 2);
        for (pcm, seed) in [(&short, 1), (&long_recording(), 2)] {
            chunking::assert_same(pcm, seed, |chunks| pushed(&recognizer, chunks));
        }
    }
}

#[test]
fn threads_and_batches_do_not_change_a_transcript() {
    let mut recordings: Vec<Vec<f32>> = samples().into_iter().map(|(_, pcm, _)| pcm).collect();
    recordings.push(long_recording());
    recordings.extend([Vec::new(), vec![0.0; 200], signals::noise(50_000, 0.01, 3)]);
    let mut order: Vec<usize> = (0..recordings.len()).collect();
    let mut rng = Rng::new(4);
    for precision in PRECISIONS {
        let solo = recognizer_in(precision, 1);
        let alone: Vec<Transcript> = recordings
            .iter()
            .map(|pcm| solo.transcribe(pcm).expect("finite"))
            .collect();
        for threads in [1, 2, 3] {
            order.sort_by_key(|_| rng.bits());
            let batch: Vec<&[f32]> = order.iter().map(|&n| recordings[n].as_slice()).collect();
            let said = recognizer_in(precision, threads)
                .transcribe_batch(&batch)
                .expect("finite");
            for (&n, said) in order.iter().zip(&said) {
                assert_eq!(
                    said, &alone[n],
                    "recording {n}, {precision:?}, {threads} threads, order {order:?}"
                );
            }
        }
    }
}

#[test]
fn recognisers_that_share_a_pool_say_the_same() {
    let pool = percept::ThreadPoolBuilder::new().num_threads(2).build();
    let mut options = RecognizerOptions::default();
    options.pool = Some(std::sync::Arc::new(pool.expect("a pool")));
    let both = [0, 1].map(|_| Recognizer::embedded(&options).expect("the built-in model loads"));
    let (_, pcm, text) = samples().remove(0);
    std::thread::scope(|scope| {
        let said = both
            .each_ref()
            .map(|one| scope.spawn(|| one.transcribe(&pcm)));
        for (one, said) in both.iter().zip(said) {
            let said = said.join().expect("no panic").expect("finite samples");
            assert_eq!((one.threads(), said.text), (2, text.clone()));
        }
    });
}

#[test]
fn eight_bits_read_the_samples_as_32_do() {
    let recognizer = recognizer_in(Precision::Int8, 2);
    for (path, pcm, text) in samples() {
        let said = recognizer.transcribe(&pcm).expect("finite samples").text;
        assert_eq!(said, text, "{}", path.display());
    }
}

#[test]
fn silence_and_next_to_nothing_are_empty_transcripts() {
    let recognizer = recognizer(2);
    for samples in [0, 1, 100, 159, 160, 200, 399, 400, 1_280, 160_000] {
        let transcript = recognizer
            .transcribe(&signals::silence(samples))
            .expect("finite");
        assert_eq!(transcript.text, "", "{samples} samples of silence");
        assert_eq!(transcript.duration, samples as f64 / 16_000.0);
    }
}

#[test]
fn a_sample_that_is_no_number_is_an_error_and_what_came_before_is_kept() {
    let recognizer = recognizer(1);
    let (_, pcm, text) = samples().remove(0);
    let mut session = recognizer.session();
    session.push(&pcm).expect("finite samples");
    let error = session.push(&[0.0, f32::NAN, 0.0]).expect_err("NaN");
    assert_eq!(error.code(), "not-finite");
    assert_eq!(session.finish().expect("a transcript").text, text);
}
