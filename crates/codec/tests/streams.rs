//! Any cuts give the whole, bit for bit, both ways.

use std::sync::Arc;

use percept_codec::{
    BookSpec, CodecModel, Codes, DecodeOptions, EncodeOptions, Lookahead, Noise, PcmRef, Segment,
    StreamDecoder, StreamEncoder,
};
use percept_testkit::golden::CodecCase;
use percept_testkit::{Rng, chunking};

/// The families whose streams are exact.
const FAMILIES: [&str; 4] = ["snac", "dac", "encodec", "mimi"];

fn cases() -> impl Iterator<Item = (CodecCase, Arc<CodecModel>)> {
    let cases = FAMILIES.into_iter().flat_map(CodecCase::all);
    cases.map(|case| {
        let model = CodecModel::open(&case.model()).expect("a complete checkpoint");
        (case, Arc::new(model))
    })
}

/// The longest recording of a case, and some of its parts.
fn recordings(case: &CodecCase) -> Vec<&[f32]> {
    let channels = usize::from(case.expect.channels);
    let pcm = &case.seam("pcm").data;
    let moments = pcm.len() / channels;
    let lengths = [moments.min(9_000), moments / 3 + 1, 1];
    lengths.iter().map(|n| &pcm[..n * channels]).collect()
}

/// Random codes, `superframes` of them.
fn random_codes(model: &CodecModel, superframes: usize, seed: u64) -> Codes {
    let mut rng = Rng::new(seed);
    let specs = model.spec().books.clone();
    let each = Codes::new(specs.clone());
    let book = |(k, book): (usize, &BookSpec)| {
        let tokens = superframes * each.superframe_tokens(k);
        (0..tokens)
            .map(|_| rng.below(book.size as usize) as u16)
            .collect()
    };
    let books = specs.iter().enumerate().map(book).collect();
    let mut codes = Codes::from_books(specs.clone(), books).expect("whole");
    if model.segment_frames().is_some() {
        let frames = codes.frames() as u32;
        let segment = Segment { frames, scale: 0.5 };
        codes.set_segments(vec![segment]).expect("all frames");
    }
    codes
}

#[test]
fn codes_are_the_same_for_any_cuts() {
    for (case, model) in cases() {
        let options = EncodeOptions::default();
        let channels = usize::from(case.expect.channels);
        for pcm in recordings(&case) {
            let whole = PcmRef {
                samples: pcm,
                sample_rate: case.expect.sample_rate,
                channels: case.expect.channels,
            };
            let whole = model.encode(whole, &options).expect("sound");
            // Cuts count moments, so that no packet ends between channels.
            for cuts in chunking::ways(pcm.len() / channels, 3) {
                let mut stream = StreamEncoder::new(model.clone(), &options).expect("its books");
                let mut codes = stream.empty_codes();
                let (mut rest, mut superframes) = (pcm, 0);
                for length in cuts.lengths {
                    let (packet, after) = rest.split_at(length * channels);
                    superframes += stream.push(packet, &mut codes).expect("finite");
                    rest = after;
                }
                superframes += stream.finish(&mut codes).expect("the first end");
                assert_eq!(superframes as u64, codes.superframes(), "{}", case.name());
                assert!(codes == whole, "{}: {}", case.name(), cuts.name);
            }
        }
    }
}

#[test]
fn sound_is_the_same_for_any_cuts() {
    for (case, model) in cases() {
        let codes = random_codes(&model, 40, 5);
        for noise in [Noise::Off, Noise::Seeded(9)] {
            let options = DecodeOptions {
                noise,
                ..DecodeOptions::default()
            };
            let whole = model.decode(&codes, &options).expect("its codes").samples;
            for most in [1, 2, 7, 40] {
                let mut rng = Rng::new(most);
                let mut stream = StreamDecoder::new(model.clone(), &options);
                let (mut out, mut at) = (Vec::new(), 0);
                while at < codes.superframes() {
                    let next = (at + rng.below(most as usize + 1) as u64).min(codes.superframes());
                    let before = out.len();
                    let part = codes.slice(at..next).expect("in range");
                    let added = stream.push(&part, &mut out).expect("its codes");
                    assert_eq!(added, out.len() - before);
                    assert!(
                        out[..] == whole[..out.len()],
                        "{}: before {next}",
                        case.name()
                    );
                    at = next;
                }
                stream.finish(&mut out).expect("the first end");
                assert!(out == whole, "{}: cuts up to {most}", case.name());
            }
        }
    }
}

#[test]
fn codes_one_by_one_give_the_same_sound() {
    // What works in segments takes whole super-frames.
    for (case, model) in cases().filter(|(_, model)| model.segment_frames().is_none()) {
        let codes = random_codes(&model, 12, 6);
        let options = DecodeOptions::default();
        let whole = model.decode(&codes, &options).expect("its codes").samples;
        let mut stream = StreamDecoder::new(model.clone(), &options);
        let mut out = Vec::new();
        let mut rng = Rng::new(8);
        let mut at = vec![0; codes.books()];
        // Books run ahead of each other at random.
        while (0..codes.books()).any(|k| at[k] < codes.book(k).len()) {
            let k = rng.below(codes.books());
            if let Some(&token) = codes.book(k).get(at[k]) {
                let mut one = Codes::new(codes.specs().clone());
                one.push_token(k, token).expect("in range");
                stream.push(&one, &mut out).expect("its codes");
                at[k] += 1;
            }
        }
        stream.finish(&mut out).expect("the first end");
        assert!(out == whole, "{}", case.name());
    }
}

#[test]
fn a_batch_gives_what_each_gives_alone() {
    for (case, model) in cases() {
        let rate = case.expect.sample_rate;
        let channels = case.expect.channels;
        let pcm: Vec<PcmRef> = recordings(&case)
            .into_iter()
            .map(|samples| PcmRef {
                samples,
                sample_rate: rate,
                channels,
            })
            .collect();
        let options = EncodeOptions::default();
        let batch = model.encode_batch(&pcm, &options).expect("sound");
        let solo: Vec<Codes> = pcm
            .iter()
            .map(|p| model.encode(*p, &options).expect("sound"))
            .collect();
        assert!(batch == solo, "{}", case.name());
        let options = DecodeOptions::default();
        let sound = model.decode_batch(&batch, &options).expect("its codes");
        for (sound, codes) in sound.iter().zip(&batch) {
            assert!(
                *sound == model.decode(codes, &options).expect("its codes"),
                "{}",
                case.name()
            );
            assert_eq!(
                sound.samples.len() as u64 / u64::from(channels),
                codes.source_samples().expect("known")
            );
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for (case, model) in cases() {
        let codes = random_codes(&model, 30, 7);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            pool.install(|| {
                model
                    .decode(&codes, &DecodeOptions::default())
                    .expect("its codes")
            })
        };
        let one = run(1);
        assert!(run(2) == one && run(3) == one, "{}", case.name());
    }
}

#[test]
fn a_copy_of_a_stream_goes_its_own_way() {
    let (_, model) = cases().next().expect("a case");
    let (a, b) = (random_codes(&model, 10, 1), random_codes(&model, 10, 2));
    let options = DecodeOptions::default();
    let mut stream = StreamDecoder::new(model.clone(), &options);
    let mut out = Vec::new();
    stream.push(&a, &mut out).expect("its codes");
    let (mut copy, mut other) = (stream.clone(), out.clone());
    for (stream, out, last) in [(&mut stream, &mut out, &a), (&mut copy, &mut other, &b)] {
        stream.push(last, out).expect("its codes");
        stream.finish(out).expect("the first end");
        let mut both = a.clone();
        both.extend(last).expect("the same books");
        assert!(model.decode(&both, &options).expect("its codes").samples == *out);
    }
}

#[test]
fn less_lookahead_is_sooner_and_nearly_the_same() {
    let case = CodecCase::open("snac", "24khz");
    let model = Arc::new(CodecModel::open(&case.model()).expect("a complete checkpoint"));
    let codes = random_codes(&model, 30, 3);
    let exact = model
        .decode(&codes, &DecodeOptions::default())
        .expect("its codes")
        .samples;
    let mut errors = Vec::new();
    for frames in [0, 2, 4, 6, 8, 10] {
        let options = DecodeOptions {
            lookahead: Lookahead::Frames(frames),
            ..DecodeOptions::default()
        };
        let mut stream = StreamDecoder::new(model.clone(), &options);
        let mut out = Vec::new();
        for k in 0..codes.superframes() {
            stream
                .push(&codes.slice(k..k + 1).expect("in range"), &mut out)
                .expect("its codes");
            let latest = 512 * ((4 * (k as usize + 1)).saturating_sub(usize::from(frames)));
            assert!(
                out.len() >= latest,
                "{frames} frames: {} of {latest}",
                out.len()
            );
        }
        stream.finish(&mut out).expect("the first end");
        assert_eq!(out.len(), exact.len());
        let error = out.iter().zip(&exact).map(|(a, b)| (a - b).abs());
        errors.push(error.fold(0.0f32, f32::max));
    }
    assert!(errors.is_sorted_by(|a, b| a >= b), "{errors:?}");
    assert!(errors[0] > 0.0 && errors[5] == 0.0, "{errors:?}");
}

#[test]
fn seeds_make_noise_and_off_makes_none() {
    let case = CodecCase::open("snac", "24khz");
    let model = CodecModel::open(&case.model()).expect("a complete checkpoint");
    let codes = random_codes(&model, 6, 3);
    let decode = |noise| {
        let options = DecodeOptions {
            noise,
            ..DecodeOptions::default()
        };
        model.decode(&codes, &options).expect("its codes").samples
    };
    assert!(decode(Noise::Seeded(1)) == decode(Noise::Seeded(1)));
    assert!(decode(Noise::Seeded(1)) != decode(Noise::Seeded(2)));
    assert!(decode(Noise::Off) != decode(Noise::Seeded(1)));
    assert!(decode(Noise::Off) == decode(Noise::Off));
}
