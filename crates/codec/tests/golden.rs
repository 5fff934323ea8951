//! Agreement with the reference packages, on random checkpoints.

use std::sync::Arc;

use percept_codec::{
    CodecFamily, CodecModel, Codes, DecodeOptions, EncodeOptions, Noise, NoiseSource, PcmRef,
    Segment,
};
use percept_testkit::golden::{Clip, CodecCase};
use percept_testkit::{Tol, close};

const FAMILIES: [&str; 4] = ["snac", "dac", "encodec", "mimi"];
/// Of a sample in `[-1, 1]`.
const TOLERANCE: Tol = Tol {
    abs: 1e-4,
    rel_to_max: 0.0,
};

/// The noise that the reference drew, block by block.
#[derive(Debug)]
struct Drawn(Vec<Vec<f32>>);

impl NoiseSource for Drawn {
    fn fill(&self, block: usize, start: u64, out: &mut [f32]) {
        out.copy_from_slice(&self.0[block][start as usize..][..out.len()]);
    }
}

fn cases() -> impl Iterator<Item = (CodecCase, CodecModel)> {
    FAMILIES.into_iter().flat_map(CodecCase::all).map(opened)
}

fn opened(case: CodecCase) -> (CodecCase, CodecModel) {
    let model = CodecModel::open(&case.model());
    let model = model.unwrap_or_else(|error| panic!("{}: {error}", case.name()));
    (case, model)
}

/// Checkpoints of the published shapes, which `golden/codec.py full` makes: too large to be kept.
fn published() -> impl Iterator<Item = (CodecCase, CodecModel)> {
    let folder = std::env::var_os("PERCEPT_CODECS");
    let folder = folder.expect("PERCEPT_CODECS names the folder of `golden/codec.py full`");
    CodecCase::below(folder.as_ref()).into_iter().map(opened)
}

/// Whether the decoder ends in a hyperbolic tangent.
fn has_ceiling(model: &CodecModel) -> bool {
    matches!(model.spec().family, CodecFamily::Snac | CodecFamily::Dac)
}

fn codes_of(model: &CodecModel, clip: &Clip) -> Codes {
    let specs = model.spec().books[..clip.codes.len()].into();
    let mut codes = Codes::from_books(specs, clip.codes.clone()).expect("codes of the model");
    codes.set_source_samples(Some(clip.samples as u64));
    codes
        .set_segments(segments_of(clip))
        .expect("segments of all frames");
    codes
}

/// The segments of a codec that has them.
fn segments_of(clip: &Clip) -> Vec<Segment> {
    let list = |name: &str| {
        clip.more
            .get(name)
            .and_then(|list| list.as_array().cloned())
    };
    let frames = list("segments").unwrap_or_default();
    let scales = list("scales").unwrap_or_default();
    let segments = frames.iter().zip(&scales).map(|(frames, scale)| Segment {
        frames: frames.as_u64().expect("a number of frames") as u32,
        scale: scale.as_f64().expect("a scale") as f32,
    });
    segments.collect()
}

#[test]
fn numbers_are_those_of_the_configuration() {
    for (case, model) in cases() {
        let (spec, expect) = (model.spec(), &case.expect);
        assert_eq!(spec.sample_rate, expect.sample_rate, "{}", case.name());
        assert_eq!(spec.channels, expect.channels, "{}", case.name());
        assert_eq!(spec.hop, expect.hop, "{}", case.name());
        let books: Vec<_> = spec
            .books
            .iter()
            .map(|book| (book.size, book.stride))
            .collect();
        let expected: Vec<_> = expect
            .books
            .iter()
            .map(|book| (book.size, book.stride))
            .collect();
        assert_eq!(books, expected, "{}", case.name());
    }
}

#[test]
fn codes_equal_the_reference() {
    for (case, model) in cases() {
        for clip in &case.expect.clips {
            let name = format!("{}, {} samples", case.name(), clip.samples);
            let pcm = PcmRef {
                samples: case.pcm(clip),
                sample_rate: case.expect.sample_rate,
                channels: case.expect.channels,
            };
            let options = EncodeOptions {
                books: Some(clip.codes.len()),
                ..EncodeOptions::default()
            };
            let codes = model.encode(pcm, &options).expect(&name);
            assert_eq!(codes.frames(), clip.frames, "{name}");
            assert_eq!(codes.source_samples(), Some(clip.samples as u64), "{name}");
            for (k, expected) in clip.codes.iter().enumerate() {
                assert_eq!(codes.book(k), expected, "{name}: book {k}");
            }
            let segments = segments_of(clip);
            assert_eq!(codes.segments().len(), segments.len(), "{name}");
            for (found, expected) in codes.segments().iter().zip(segments) {
                assert_eq!(found.frames, expected.frames, "{name}");
                let error = (found.scale - expected.scale).abs();
                assert!(
                    error < 1e-6 * expected.scale,
                    "{name}: {found:?}, {expected:?}"
                );
            }
        }
    }
}

#[test]
fn sound_equals_the_reference_without_noise_and_with_its_noise() {
    for (case, model) in cases() {
        compare_sound(&case, &model);
    }
}

#[test]
#[ignore = "needs PERCEPT_CODECS, gigabytes that golden/README.md says how to make"]
fn published_shapes_equal_the_reference() {
    for (case, model) in published() {
        for clip in &case.expect.clips {
            let (wrong, all) = different_codes(&case, &model, clip);
            println!(
                "{}, {} samples: {wrong} of {all} codes differ",
                case.name(),
                clip.samples
            );
            // `golden/codec.py compare` says of each whether it was undecided.
            assert!(wrong * 1_000 <= all, "{}: {wrong} of {all}", case.name());
        }
        compare_sound(&case, &model);
    }
}

/// How many codes of how many differ from the reference's.
fn different_codes(case: &CodecCase, model: &CodecModel, clip: &Clip) -> (usize, usize) {
    let pcm = PcmRef {
        samples: case.pcm(clip),
        sample_rate: case.expect.sample_rate,
        channels: case.expect.channels,
    };
    let options = EncodeOptions {
        books: Some(clip.codes.len()),
        ..EncodeOptions::default()
    };
    let codes = model.encode(pcm, &options).expect("sound");
    let books = clip.codes.iter().enumerate();
    let wrong = books.map(|(k, book)| {
        book.iter()
            .zip(codes.book(k))
            .filter(|(a, b)| a != b)
            .count()
    });
    (wrong.sum(), codes.tokens())
}

fn compare_sound(case: &CodecCase, model: &CodecModel) {
    for clip in &case.expect.clips {
        let codes = codes_of(model, clip);
        let drawn = clip.noise.iter().map(|seam| case.seam(seam).data.clone());
        let drawn = Noise::External(Arc::new(Drawn(drawn.collect())));
        for (seam, noise) in [(&clip.decoded, Noise::Off), (&clip.noisy, drawn)] {
            let Some(seam) = seam else { continue };
            let name = format!("{}, {seam}", case.name());
            let options = DecodeOptions {
                noise,
                trim: false,
                ..DecodeOptions::default()
            };
            let pcm = model.decode(&codes, &options).expect(&name);
            if has_ceiling(model) {
                assert!(pcm.samples.iter().all(|v| v.abs() <= 1.0), "{name}");
            }
            close(&pcm.samples, &case.seam(seam).data, TOLERANCE, &name);
            let trimmed = model.decode(
                &codes,
                &DecodeOptions {
                    trim: true,
                    ..options
                },
            );
            // As long as what was encoded, also where less was decoded.
            let mut expected = pcm.samples;
            expected.resize(clip.samples * usize::from(pcm.channels), 0.0);
            assert_eq!(trimmed.expect(&name).samples, expected, "{name}");
        }
    }
}

#[test]
fn the_first_books_alone_decode_as_in_the_reference() {
    let mut compared = 0;
    for (case, model) in cases() {
        for clip in &case.expect.clips {
            let Some(prefixes) = clip.more.get("prefixes").and_then(|list| list.as_array()) else {
                continue;
            };
            for prefix in prefixes {
                let (Some(books), Some(seam)) =
                    (prefix["books"].as_u64(), prefix["decoded"].as_str())
                else {
                    panic!("{}: {prefix}", case.name());
                };
                let mut codes = codes_of(&model, clip);
                codes.truncate_books(books as usize);
                let options = DecodeOptions {
                    noise: Noise::Off,
                    trim: false,
                    ..DecodeOptions::default()
                };
                let name = format!("{}, {seam}", case.name());
                let pcm = model.decode(&codes, &options).expect(&name);
                close(&pcm.samples, &case.seam(seam).data, TOLERANCE, &name);
                compared += 1;
            }
        }
    }
    assert!(compared > 0, "no prefix was compared");
}
