use std::fs;
use std::path::Path;
use std::sync::Arc;

use percept_nn::signal::{Chain, Context};
use percept_testkit::golden::CodecCase;
use percept_testkit::{Rng, signals};
use percept_weights::Checkpoint;
use serde_json::{Value, json};

use super::config::EncodecConfig;
use crate::{
    BookSpec, CodecError, CodecModel, Codes, DecodeOptions, EncodeOptions, PcmRef, Segment,
    StreamDecoder, StreamEncoder,
};

fn case(name: &str) -> CodecCase {
    CodecCase::open("encodec", name)
}

fn open(name: &str) -> CodecModel {
    CodecModel::open(&case(name).model()).expect("a complete checkpoint")
}

/// The model of a case with other fields in its configuration; `null` takes one out.
fn open_with(name: &str, fields: Value) -> Result<CodecModel, CodecError> {
    let (folder, path) = (tempfile::tempdir().expect("a folder"), case(name).model());
    let config = fs::read(path.join("config.json")).expect("the configuration");
    let mut config: Value = serde_json::from_slice(&config).expect("JSON");
    let all = config.as_object_mut().expect("an object");
    for (field, value) in fields.as_object().expect("an object") {
        match value {
            Value::Null => all.remove(field),
            value => all.insert(field.clone(), value.clone()),
        };
    }
    copy_into(folder.path(), &path);
    fs::write(folder.path().join("config.json"), config.to_string()).expect("room");
    CodecModel::open(folder.path())
}

fn copy_into(folder: &Path, model: &Path) {
    for file in ["config.json", "model.safetensors"] {
        fs::copy(model.join(file), folder.join(file)).expect("room");
    }
}

fn encode(model: &CodecModel, pcm: &[f32]) -> Codes {
    let pcm = PcmRef {
        samples: pcm,
        sample_rate: model.spec().sample_rate,
        channels: model.spec().channels,
    };
    model.encode(pcm, &EncodeOptions::default()).expect("sound")
}

fn spec_of(fields: Value) -> crate::CodecSpec {
    let config: EncodecConfig = serde_json::from_value(fields).expect("its fields");
    config.check().expect("a published configuration");
    config.spec()
}

#[test]
fn numbers_of_the_published_models() {
    let of_24 = spec_of(json!({}));
    let of_32 = spec_of(
        json!({"sampling_rate": 32000, "target_bandwidths": [2.2], "num_filters": 64,
        "upsampling_ratios": [8, 5, 4, 4], "codebook_size": 2048, "use_causal_conv": false, "use_conv_shortcut": false}),
    );
    let of_48 = spec_of(
        json!({"sampling_rate": 48000, "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
        "audio_channels": 2, "normalize": true, "chunk_length_s": 1.0, "overlap": 0.01,
        "norm_type": "time_group_norm", "use_causal_conv": false}),
    );
    for (spec, hop, books, size, default) in [
        (&of_24, 320, 32, 1024, 2),
        (&of_32, 640, 4, 2048, 4),
        (&of_48, 320, 16, 1024, 2),
    ] {
        assert_eq!(*spec.books, *BookSpec::uniform(books, size));
        assert_eq!((spec.hop, spec.default_books), (hop, default));
    }
    let within = [1.0, 1.5, 3.0, 6.0, 12.0, 24.0, 99.0].map(|rate| of_24.books_within(rate * 1e3));
    assert_eq!(within, [1, 2, 4, 8, 16, 32, 32]);
    let within = [3.0, 6.0, 12.0, 24.0].map(|rate| of_48.books_within(rate * 1e3));
    assert_eq!(within, [2, 4, 8, 16]);
}

#[test]
fn segments_are_a_second_less_the_overlap_or_the_whole() {
    let cut = |fields: Value| {
        let config: EncodecConfig = serde_json::from_value(fields).expect("its fields");
        config
            .segmentation()
            .map(|cut| (cut.length, cut.step, cut.is_scaled))
    };
    let second = json!({"sampling_rate": 48000, "chunk_length_s": 1.0, "overlap": 0.01});
    assert_eq!(cut(second), Some((48_000, 47_520, false)));
    assert_eq!(cut(json!({})), None);
    assert_eq!(cut(json!({"overlap": 0.01})), None);
    assert_eq!(
        cut(json!({"normalize": true})),
        Some((usize::MAX, usize::MAX, true))
    );
    let normed = json!({"norm_type": "time_group_norm"});
    assert_eq!(cut(normed), Some((usize::MAX, usize::MAX, false)));
}

#[test]
fn configurations_that_cannot_be_are_refused_by_name() {
    for (fields, expected) in [
        (
            json!({"norm_type": "layer_norm"}),
            "`norm_type` is `layer_norm`, which is not supported",
        ),
        (
            json!({"pad_mode": "circular"}),
            "`pad_mode` is `circular`, which is not supported",
        ),
        (
            json!({"trim_right_ratio": 1.5}),
            "`trim_right_ratio` is `1.5`",
        ),
        (
            json!({"use_causal_conv": false, "trim_right_ratio": 0.5}),
            "`trim_right_ratio` is `0.5`",
        ),
        (
            json!({"codebook_dim": 8}),
            "`codebook_dim` is 8, which does not fit `hidden_size`",
        ),
        (
            json!({"compress": 99}),
            "`compress` is 99, which does not fit `num_filters`",
        ),
        (json!({"num_lstm_layers": 0}), "`num_lstm_layers` is 0"),
        (json!({"audio_channels": 3}), "`audio_channels` is 3"),
        (
            json!({"upsampling_ratios": []}),
            "`upsampling_ratios` is empty",
        ),
        (
            json!({"upsampling_ratios": [0]}),
            "`upsampling_ratios` is 0",
        ),
        (
            json!({"target_bandwidths": []}),
            "`target_bandwidths` is 0, which does not fit",
        ),
        (
            json!({"target_bandwidths": [-1.0]}),
            "`target_bandwidths` is `[-1.0]`",
        ),
        (json!({"codebook_size": 1}), "`codebook_size` is 0"),
        (json!({"chunk_length_s": 1.0}), "`overlap` is missing"),
        (
            json!({"chunk_length_s": 1.0, "overlap": 1.0}),
            "`overlap` is `1`",
        ),
        (
            json!({"chunk_length_s": 0.0, "overlap": 0.0}),
            "`chunk_length_s` is `0`",
        ),
        (
            json!({"residual_kernel_size": 1000, "dilation_growth_rate": 900, "num_residual_layers": 3}),
            "`dilation_growth_rate` is 809190000",
        ),
        (json!({"num_filters": "many"}), "could not be understood"),
        (
            json!({"use_conv_shortcut": false}),
            "`use_conv_shortcut` is `false`, which the weights are not made for",
        ),
        (
            json!({"num_lstm_layers": 1}),
            "`num_lstm_layers` is `1`, which the weights are not made for",
        ),
    ] {
        let error = open_with("24khz", fields.clone())
            .expect_err("a wrong configuration")
            .to_string();
        assert!(error.contains(expected), "{fields}: {error}");
        assert!(error.contains("config.json"), "{error}");
    }
    let error = open_with("48khz", json!({"norm_type": "weight_norm"})).expect_err("with norms");
    assert!(
        error
            .to_string()
            .contains("`norm_type` is `weight_norm`, which the weights"),
        "{error}"
    );
}

/// What the original package calls a tensor of transformers.
fn original(name: &str) -> String {
    let name = name
        .replace(".layers.", ".model.")
        .replace("quantizer.model.", "quantizer.vq.layers.");
    let name = name.replace(".codebook.", "._codebook.");
    let Some((module, part)) = name.rsplit_once(".conv.") else {
        return name.replace(".norm.", ".conv.norm.");
    };
    let is_transposed = module.starts_with("decoder.") && module.split('.').count() == 3 && {
        let number: usize = module
            .rsplit('.')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a number");
        // Of the 24 kHz shape: a first convolution, the LSTM, four blocks of three modules, and the last two.
        (3..14).contains(&number)
    };
    let kind = if is_transposed { "convtr" } else { "conv" };
    format!("{module}.{kind}.{kind}.{part}")
}

#[test]
fn the_names_of_the_original_package_give_the_same_model() {
    let case = case("24khz");
    let clip = case.expect.clips.last().expect("a clip");
    let expected = encode(&open("24khz"), case.pcm(clip));
    let mut checkpoint = Checkpoint::open(&case.model()).expect("a checkpoint");
    checkpoint
        .rename_tensors(|name| Some(original(name)))
        .expect("names that differ");
    assert!(
        checkpoint
            .tensors()
            .contains("decoder.model.3.convtr.convtr.weight_g")
    );
    assert!(
        checkpoint
            .tensors()
            .contains("encoder.model.1.block.1.conv.conv.weight_v")
    );
    let model = CodecModel::from_checkpoint(&checkpoint).expect("the same model");
    assert_eq!(encode(&model, case.pcm(clip)), expected);
    let sound = |model: &CodecModel| {
        model
            .decode(&expected, &DecodeOptions::default())
            .expect("its codes")
    };
    assert_eq!(sound(&model), sound(&open("24khz")));
}

#[test]
fn without_a_model_type_the_weights_tell_but_not_the_rate() {
    let model = open_with("24khz", json!({"model_type": null})).expect("known by its weights");
    assert_eq!(model.spec().sample_rate, 24_000);
    let fields = json!({"model_type": null, "sampling_rate": null});
    let error = open_with("24khz", fields).expect_err("no rate").to_string();
    assert!(error.contains("`sampling_rate` is missing"), "{error}");
}

/// The first row of what comes out that a NaN in row `nan` of `rows` reaches.
fn first_reached(chain: &Chain, rows: usize, nan: usize) -> usize {
    let width = chain.inputs();
    let mut x = Rng::new(3).normals(rows * width);
    x[nan * width..(nan + 1) * width].fill(f32::NAN);
    let mut state = chain.state();
    state.input().push(&x);
    chain.finish(&mut state, &Context::default());
    let out = state.output().rows();
    let first = out
        .iter()
        .position(|v| v.is_nan())
        .expect("a NaN reaches something");
    first / chain.outputs()
}

#[test]
fn a_row_waits_for_the_last_one_that_it_looks_at_and_no_longer() {
    for (name, encode_lookahead, decode_lookahead) in [
        ("24khz", 0, 0),
        ("32khz", 2386, 2402),
        ("every_field", 0, 22),
    ] {
        let model = open(name);
        let (parts, hop) = (model.parts(), model.spec().hop as usize);
        assert_eq!(model.spec().encode_lookahead, encode_lookahead, "{name}");
        assert_eq!(model.spec().decode_lookahead, decode_lookahead, "{name}");
        let hops = hop as u64;
        let samples = [0, 1, 7 * hops, 9 * hops - 1, 13 * hops + 5];
        for (chain, rows, wanted) in [
            (&parts.encoder, 30 * hop, [0, 1, 5, 9, 16]),
            (&parts.decoder, 30, samples),
        ] {
            for row in wanted {
                let last = chain.needed(row + 1) - 1;
                let reached = first_reached(chain, rows, last as usize) as u64;
                let out = chain.produced(last);
                assert!(
                    (out..=row).contains(&reached),
                    "{name}: row {row}, {reached}, {out}"
                );
            }
        }
    }
}

#[test]
fn a_reflected_start_waits_for_seven_frames_once() {
    let model = Arc::new(open("24khz"));
    let pcm = signals::noise(320 * 12, 0.3, 1);
    let mut encoder =
        StreamEncoder::new(model.clone(), &EncodeOptions::default()).expect("its books");
    let mut codes = encoder.empty_codes();
    assert_eq!(
        encoder
            .push(&pcm[..7 * 320 - 1], &mut codes)
            .expect("finite"),
        0
    );
    assert_eq!(
        encoder
            .push(&pcm[7 * 320 - 1..7 * 320], &mut codes)
            .expect("finite"),
        7
    );
    for frame in 7..12 {
        let next = &pcm[frame * 320..(frame + 1) * 320];
        assert_eq!(encoder.push(next, &mut codes).expect("finite"), 1);
    }
    let mut decoder = StreamDecoder::new(model, &DecodeOptions::default());
    let mut out = Vec::new();
    for frame in 0..12 {
        let one = codes.slice(frame..frame + 1).expect("in range");
        decoder.push(&one, &mut out).expect("its codes");
        let expected = if frame < 6 {
            0
        } else {
            320 * (frame as usize + 1)
        };
        assert_eq!(out.len(), expected, "frame {frame}");
    }
}

#[test]
fn counts_of_rows_are_those_that_come_out() {
    for name in ["24khz", "32khz", "every_field"] {
        let model = open(name);
        let parts = model.parts();
        let hop = parts.spec.hop as usize;
        for (chain, rows, step) in [(&parts.decoder, 40, 1), (&parts.encoder, 40 * hop, 97)] {
            for total in [1, step, rows / 3, rows - 1, rows] {
                let mut state = chain.state();
                let mut sent = 0;
                while sent < total {
                    let more = step.min(total - sent);
                    state.input().extend(more).fill(0.25);
                    sent += more;
                    chain.advance(&mut state, &Context::default());
                    let expected = chain.produced(sent as u64);
                    assert_eq!(state.output().received(), expected, "{name} after {sent}");
                }
                chain.finish(&mut state, &Context::default());
                assert_eq!(
                    state.output().received(),
                    chain.total(sent as u64),
                    "{name} of {sent}"
                );
            }
        }
    }
}

#[test]
fn each_segment_is_coded_as_if_it_were_alone() {
    let model = open("48khz");
    let pcm = signals::noise(2 * 2390, 0.4, 2);
    // 788 samples from one to the next, 800 each: the last but one is cut short too, which the reference cannot stack.
    for (samples, frames) in [
        (2390, vec![100, 100, 100, 4]),
        (788 * 2 + 790, vec![100, 100, 99, 1]),
        (1, vec![1]),
    ] {
        let codes = encode(&model, &pcm[..2 * samples]);
        let found: Vec<u32> = codes
            .segments()
            .iter()
            .map(|segment| segment.frames)
            .collect();
        assert_eq!(found, frames, "{samples} samples");
        let mut first = 0;
        for (n, segment) in codes.segments().iter().enumerate() {
            let end = (n * 788 + 800).min(samples);
            let alone = encode(&model, &pcm[2 * n * 788..2 * end]);
            let range = first..first + u64::from(segment.frames);
            first = range.end;
            let mut within = codes.slice(range).expect("in range");
            within.set_source_samples(Some((end - n * 788) as u64));
            // Alone, a full segment is followed by what overlaps with the next.
            let alone = alone.slice(0..u64::from(segment.frames)).expect("in range");
            within.set_source_samples(None);
            assert_eq!(within, alone, "segment {n} of {samples} samples");
        }
        let sound = model
            .decode(&codes, &DecodeOptions::default())
            .expect("its codes");
        assert_eq!(sound.samples.len(), 2 * samples);
    }
}

#[test]
fn segments_of_one_loudness_stay_apart_and_cut_ones_come_together() {
    let model = Arc::new(open("48khz"));
    let mut rng = Rng::new(6);
    let books = (0..4).map(|_| (0..200).map(|_| rng.below(64) as u16).collect());
    let mut codes = Codes::from_books(model.spec().books.clone(), books.collect()).expect("whole");
    let lengths = [100, 99, 1];
    let segments = lengths.map(|frames| Segment { frames, scale: 0.5 });
    codes.set_segments(segments.to_vec()).expect("all frames");
    let whole = model
        .decode(&codes, &DecodeOptions::default())
        .expect("its codes")
        .samples;
    assert_eq!(whole.len(), 2 * (2 * 788 + 8));
    let mut other = codes.clone();
    let segments = [100, 100].map(|frames| Segment { frames, scale: 0.5 });
    other.set_segments(segments.to_vec()).expect("all frames");
    let other = model
        .decode(&other, &DecodeOptions::default())
        .expect("its codes")
        .samples;
    assert!(other != whole);
    for cuts in [
        vec![100, 199],
        vec![30, 60, 100],
        vec![1, 99, 198],
        vec![100, 150, 199],
        vec![],
    ] {
        let mut stream = StreamDecoder::new(model.clone(), &DecodeOptions::default());
        let (mut out, mut first) = (Vec::new(), 0);
        for cut in cuts.iter().copied().chain([200]) {
            let part = codes.slice(first..cut).expect("in range");
            stream.push(&part, &mut out).expect("its codes");
            first = cut;
            // A segment is decoded once it is full, or the next begins; the overlap waits for the next.
            let full = if cut >= 100 { 788 * 2 } else { 0 };
            assert!(
                out.len() >= full && out[..full] == whole[..full],
                "at {cut}"
            );
        }
        stream.finish(&mut out).expect("the first end");
        // 99 frames and 1 of the same loudness, cut between them, are one segment for all that can be told.
        let is_joined = cuts.contains(&199);
        assert!(
            out == if is_joined { &other } else { &whole }[..],
            "{cuts:?}"
        );
    }
}

#[test]
fn codes_that_are_not_in_segments_of_this_codec_are_refused() {
    let model = open("48khz");
    let books = vec![vec![3; 101]; 4];
    let mut codes = Codes::from_books(model.spec().books.clone(), books).expect("whole");
    let error = model
        .decode(&codes, &DecodeOptions::default())
        .expect_err("no segments");
    assert_eq!(error.code(), "no-segments");
    let long = vec![Segment {
        frames: 101,
        scale: 1.0,
    }];
    codes.set_segments(long).expect("all frames");
    let error = model
        .decode(&codes, &DecodeOptions::default())
        .expect_err("too long");
    assert_eq!(error.code(), "segment-length");
    let plain = open("24khz");
    let mut codes = Codes::from_books(plain.spec().books.clone(), vec![vec![3]; 6]).expect("whole");
    codes
        .set_segments(vec![Segment {
            frames: 1,
            scale: 2.0,
        }])
        .expect("all frames");
    let error = plain
        .decode(&codes, &DecodeOptions::default())
        .expect_err("segments");
    assert_eq!(error.code(), "segment-length");
}

#[test]
fn what_needs_the_whole_recording_makes_one_segment_of_it() {
    let whole =
        open_with("48khz", json!({"chunk_length_s": null, "overlap": null})).expect("a model");
    assert!(whole.spec().encode_lookahead > 1 << 60);
    let pcm = signals::noise(2 * 2000, 0.4, 3);
    let codes = encode(&whole, &pcm);
    assert_eq!(codes.segments().len(), 1);
    assert_eq!(codes.frames(), 250);
    // A recording that fits into one segment is the same to both.
    let codes = encode(&whole, &pcm[..2 * 780]);
    let cut = open("48khz");
    assert_eq!(codes, encode(&cut, &pcm[..2 * 780]));
    let options = DecodeOptions::default();
    let sound = whole.decode(&codes, &options).expect("its codes");
    assert_eq!(sound, cut.decode(&codes, &options).expect("its codes"));
    let empty = StreamEncoder::new(Arc::new(whole), &EncodeOptions::default());
    let mut empty = empty.expect("its books");
    let mut codes = empty.empty_codes();
    assert_eq!(empty.finish(&mut codes).expect("the first end"), 0);
}

#[test]
fn silence_has_a_scale_and_an_empty_stream_has_no_codes() {
    let model = open("48khz");
    let codes = encode(&model, &[0.0; 2 * 1600]);
    assert!(codes.scales().all(|scale| scale == 1e-8));
    let sound = model
        .decode(&codes, &DecodeOptions::default())
        .expect("its codes");
    assert!(sound.samples.iter().all(|v| v.abs() < 1e-6));
    for name in ["24khz", "32khz", "48khz"] {
        let model = Arc::new(open(name));
        let mut encoder =
            StreamEncoder::new(model.clone(), &EncodeOptions::default()).expect("its books");
        let mut codes = encoder.empty_codes();
        assert_eq!(
            encoder.finish(&mut codes).expect("the first end"),
            0,
            "{name}"
        );
        let mut out = Vec::new();
        let mut decoder = StreamDecoder::new(model, &DecodeOptions::default());
        assert_eq!(
            decoder.finish(&mut out).expect("the first end"),
            0,
            "{name}"
        );
    }
}
