#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use percept_testkit::signals;

use super::*;

/// A small random SNAC.
fn fixture() -> PathBuf {
    let folder = "../../golden/fixtures/codec/snac/24khz/model";
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn of<F: BackendFamily>(repo_id: &str) -> Backend<F> {
    let mut config = BackendConfig::default();
    config.repo_id = repo_id.to_owned();
    Backend::new(config)
}

fn snac() -> SnacBackend {
    of(fixture().to_str().unwrap())
}

/// Fails if it asks for any file.
fn nowhere<F: BackendFamily>() -> Backend<F> {
    let mut config = BackendConfig::default();
    config.repo_id = "no repository".to_owned();
    Backend::new(config)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, CodecError>, words: &[&str]) {
    let text = result.unwrap_err().to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

#[test]
fn the_defaults_are_the_published_checkpoints() {
    let config = BackendConfig::<SnacFamily>::default();
    assert_eq!(config.repo_id, "hubertsiuzdak/snac_24khz");
    assert_eq!(config.weights_filename, "pytorch_model.bin");
    assert_eq!(config.config_filename, "config.json");
    assert_eq!((config.revision, config.cache_dir), (None, None));
    let others = [
        (
            EncodecBackend::default().id().to_owned(),
            "encodec:facebook/encodec_24khz",
        ),
        (
            DacBackend::default().id().to_owned(),
            "dac:descript/dac_44khz",
        ),
        (MimiBackend::default().id().to_owned(), "mimi:kyutai/mimi"),
        (
            SnacBackend::default().id().to_owned(),
            "snac:hubertsiuzdak/snac_24khz",
        ),
    ];
    for (found, expected) in others {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_config_survives_json_and_missing_fields_are_the_defaults() {
    let mut config = BackendConfig::<SnacFamily>::default();
    config.repo_id = "someone/snac".to_owned();
    config.revision = Some("v2".to_owned());
    let json = serde_json::to_string(&config).unwrap();
    let back: BackendConfig<SnacFamily> = serde_json::from_str(&json).unwrap();
    assert_eq!(format!("{back:?}"), format!("{config:?}"));
    assert_eq!(SnacBackend::new(back).id(), "snac:someone/snac");
    let sparse: BackendConfig<DacFamily> = serde_json::from_str(r#"{"revision":"main"}"#).unwrap();
    assert_eq!(
        (&sparse.repo_id[..], sparse.revision.as_deref()),
        ("descript/dac_44khz", Some("main"))
    );
}

#[test]
fn before_loading_it_says_what_the_repository_is_known_for() {
    let known = |backend: &dyn CodecBackend| (backend.sample_rate(), backend.num_codebooks());
    assert_eq!(
        known(&of::<SnacFamily>("hubertsiuzdak/snac_24khz")),
        (24_000, 3)
    );
    assert_eq!(
        known(&of::<SnacFamily>("hubertsiuzdak/snac_44khz")),
        (44_100, 4)
    );
    assert_eq!(known(&EncodecBackend::default()), (24_000, 32));
    assert_eq!(known(&DacBackend::default()), (44_100, 9));
    assert_eq!(known(&MimiBackend::default()), (24_000, 32));
    assert_eq!(known(&nowhere::<SnacFamily>()), (0, 0));
    let backend = SnacBackend::default();
    assert_eq!(
        (backend.vq_strides(), backend.loaded_spec()),
        (vec![4, 2, 1], None)
    );
    assert!(!backend.is_loaded());
}

#[test]
fn before_loading_a_configuration_that_is_there_decides() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"sampling_rate": 32000, "vq_strides": [8, 4, 2, 1]}"#;
    fs::write(folder.path().join("config.json"), config).unwrap();
    let backend: SnacBackend = of(folder.path().to_str().unwrap());
    assert_eq!(
        (backend.sample_rate(), backend.num_codebooks()),
        (32_000, 4)
    );
    assert_eq!(backend.per_codebook_lens(16), [2, 4, 8, 16]);
    assert!(!backend.is_loaded());
}

#[test]
fn tokens_of_every_family_go_there_and_back_with_all_books() {
    let folder = |family: &str, case: &str| format!("{family}/{case}/model");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/fixtures/codec");
    let at = |name: String| fixtures.join(name).to_str().unwrap().to_owned();
    let backends: [Box<dyn CodecBackend>; 4] = [
        Box::new(snac()),
        Box::new(of::<DacFamily>(&at(folder("dac", "44khz")))),
        Box::new(of::<EncodecFamily>(&at(folder("encodec", "24khz")))),
        Box::new(of::<MimiFamily>(&at(folder("mimi", "24khz")))),
    ];
    for backend in backends {
        let pcm = signals::chirp(backend.sample_rate(), 0.2, 3);
        let tokens = backend.encode_pcm(&pcm, backend.sample_rate()).unwrap();
        let sound = backend.decode_tokens(&tokens, backend.num_codebooks());
        let sound = sound.unwrap_or_else(|error| panic!("{}: {error}", backend.id()));
        assert!(sound.len() + 16 >= pcm.len(), "{}", backend.id());
    }
    let scaled: EncodecBackend = of(&at(folder("encodec", "48khz")));
    let rate = scaled.sample_rate();
    refused(
        scaled.encode_pcm(&[0.0; 2_000], rate),
        &["segments", "Codes"],
    );
    refused(scaled.decode_tokens(&[0; 64], 1), &["segments"]);
    let old: BackendConfig<EncodecFamily> = serde_json::from_str(r#"{"hf_repo":"a/b"}"#).unwrap();
    assert_eq!(old.repo_id, "a/b");
}

#[test]
fn it_is_a_codec_behind_a_pointer() {
    let backend: Arc<dyn CodecBackend> = Arc::new(snac());
    assert_eq!(backend.provider_kind(), "codec");
    assert!(backend.id().starts_with("snac:"));
    assert_eq!(
        (backend.sample_rate(), backend.num_codebooks()),
        (24_000, 3)
    );
    assert!(!backend.is_loaded());
    backend.load().unwrap();
    assert!(backend.is_loaded());
    let shown = format!("{:?}", snac());
    assert!(
        shown.contains("snac:") && shown.contains("codec"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_loaded() {
    fn both_ways<F: BackendFamily>() {
        refused(nowhere::<F>().encode_pcm(&[], 24_000), &["empty"]);
        refused(
            nowhere::<F>().decode_tokens(&[1, 2, 3], 0),
            &["num_codebooks"],
        );
    }
    both_ways::<SnacFamily>();
    both_ways::<DacFamily>();
    both_ways::<EncodecFamily>();
    both_ways::<MimiFamily>();
    refused(nowhere::<SnacFamily>().decode_tokens(&[], 3), &["empty"]);
    let words = ["multiple", "num_codebooks 4"];
    refused(nowhere::<DacFamily>().decode_tokens(&[0; 5], 4), &words);
    refused(nowhere::<EncodecFamily>().decode_tokens(&[0; 5], 4), &words);
    refused(nowhere::<EncodecFamily>().decode_tokens(&[], 4), &words);
}

#[test]
fn what_the_model_cannot_take_is_refused_by_name() {
    let backend = snac();
    let words = "expected sample rate 24000 Hz, got 16000 Hz -- resample first";
    refused(backend.encode_pcm(&[0.0; 100], 16_000), &[words]);
    refused(backend.encode_pcm(&[0.0; 100], 0), &["got 0 Hz"]);
    refused(
        backend.encode_pcm(&[0.0, f32::NAN], 24_000),
        &["sample 1 is NaN"],
    );
    refused(
        backend.encode_pcm(&[f32::INFINITY], 24_000),
        &["sample 0 is inf"],
    );
    let words = "expected num_codebooks 3 (from loaded model), got 4";
    refused(backend.decode_tokens(&[0; 7], 4), &[words]);
    refused(
        backend.decode_tokens(&[0; 7], 2),
        &["expected num_codebooks 3"],
    );
    refused(
        backend.decode_tokens(&[0; 8], 3),
        &["7", "[4, 2, 1]", "4 latent", "multiple"],
    );
    let mut tokens = [0; 14];
    tokens[3] = 1_024; // the second of book 1, in a book of 1024
    refused(
        backend.decode_tokens(&tokens, 3),
        &["book 1, code 1", "1024"],
    );
    tokens[3] = u32::MAX;
    refused(
        backend.decode_tokens(&tokens, 3),
        &["book 1, code 1", "4294967295"],
    );
}

#[test]
fn a_second_of_sound_survives_the_way_there_and_back() {
    let backend = snac();
    let pcm: Vec<f32> = (0..24_000)
        .map(|i| 0.5 * (std::f32::consts::TAU * 440.0 * i as f32 / 24_000.0).sin())
        .collect();
    let tokens = backend.encode_pcm(&pcm, 24_000).unwrap();
    assert!(!tokens.is_empty() && tokens.len().is_multiple_of(7));
    assert_eq!(
        (backend.sample_rate(), backend.num_codebooks()),
        (24_000, 3)
    );
    assert_eq!(backend.vq_strides(), [4, 2, 1]);
    let decoded = backend.decode_tokens(&tokens, 3).unwrap();
    assert!(decoded.iter().all(|sample| sample.is_finite()));
    assert!(decoded.len().abs_diff(pcm.len()) <= 4_096);
}

#[test]
fn a_folder_without_a_checkpoint_or_with_another_codec_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    refused(of::<SnacFamily>(path).load(), &[path]);
    fs::write(folder.path().join("config.json"), "{").unwrap();
    fs::copy(
        fixture().join("pytorch_model.bin"),
        folder.path().join("pytorch_model.bin"),
    )
    .unwrap();
    refused(of::<SnacFamily>(path).load(), &[path, "config.json"]);
    let empty = r#"{"sampling_rate": 24000, "vq_strides": [], "encoder_rates": [2]}"#;
    fs::write(folder.path().join("config.json"), empty).unwrap();
    refused(of::<SnacFamily>(path).load(), &["vq_strides", "malformed"]);
    let dac = of::<DacFamily>(fixture().to_str().unwrap());
    refused(dac.load(), &["snac", "dac"]);
}

#[test]
fn files_of_other_names_are_found_by_them() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("config.json", "snac.json"),
        ("pytorch_model.bin", "snac.bin"),
    ] {
        fs::copy(fixture().join(from), folder.path().join(to)).unwrap();
    }
    let with = |config_name: &str, weights: &str| {
        let mut config = BackendConfig::<SnacFamily>::default();
        config.repo_id = folder.path().to_str().unwrap().to_owned();
        config.config_filename = config_name.to_owned();
        config.weights_filename = weights.to_owned();
        Backend::new(config)
    };
    let backend = with("snac.json", "snac.bin");
    assert_eq!(backend.vq_strides(), [4, 2, 1]);
    let (pcm, usual) = (signals::babble(24_000, 0.1, 1), snac());
    let tokens = usual.encode_pcm(&pcm, 24_000).unwrap();
    assert_eq!(backend.encode_pcm(&pcm, 24_000).unwrap(), tokens);
    refused(
        with("other.json", "snac.bin").load(),
        &["no file other.json"],
    );
    refused(
        with("snac.json", "other.bin").load(),
        &["no file other.bin"],
    );
}

#[test]
fn unloading_frees_the_memory_and_the_next_call_loads_again() {
    let backend = snac();
    let pcm = signals::babble(24_000, 0.3, 1);
    let tokens = backend.encode_pcm(&pcm, 24_000).unwrap();
    let watch = Arc::downgrade(&backend.model().unwrap());
    let running = backend.model().unwrap();
    backend.unload().unwrap();
    assert!(!backend.is_loaded() && backend.loaded_spec().is_none());
    assert!(
        watch.upgrade().is_some(),
        "a call that runs keeps the weights"
    );
    drop(running);
    assert!(watch.upgrade().is_none());
    assert_eq!(backend.encode_pcm(&pcm, 24_000).unwrap(), tokens);
    assert!(backend.is_loaded());
}

#[test]
fn threads_that_load_at_once_get_one_model() {
    let (backend, start) = (snac(), Barrier::new(6));
    let models = thread::scope(|scope| {
        let load = || {
            start.wait();
            backend.model().unwrap()
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(load)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(models.iter().all(|model| Arc::ptr_eq(model, &models[0])));
}

/// While a thread of a pool loads, it must not be given a call to run that waits for the loading.
#[test]
fn a_thread_that_loads_takes_up_no_call_that_waits_for_it() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    let slot = Arc::new(Slot::<u32>::default());
    let (halfway, is_halfway) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (done, is_done) = mpsc::channel();
    let patience = Duration::from_secs(30);

    let (first, first_done) = (Arc::clone(&slot), done.clone());
    pool.spawn(move || {
        let halves = move || {
            let (taken, is_taken) = mpsc::channel();
            // The second half goes to another thread, and the first has nothing to do but to wait for it.
            let (_, may_end) = rayon::join(
                move || is_taken.recv_timeout(Duration::from_secs(1)),
                move || {
                    taken.send(()).unwrap();
                    halfway.send(()).unwrap();
                    may_go_on.recv_timeout(patience)
                },
            );
            assert!(may_end.is_ok());
            Ok(7)
        };
        first_done
            .send(*first.get_or_load(|| apart(halves)).unwrap())
            .unwrap();
    });
    is_halfway.recv_timeout(patience).unwrap();
    pool.spawn(move || {
        let loaded = slot.get_or_load(|| Err::<u32, _>("loaded twice")).unwrap();
        done.send(*loaded).unwrap();
    });
    thread::sleep(Duration::from_millis(50)); // in which an idle thread finds it
    go_on.send(()).unwrap();
    for _ in 0..2 {
        assert_eq!(is_done.recv_timeout(patience), Ok(7));
    }
}
