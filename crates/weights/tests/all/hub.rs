//! Fetching from a hub on loopback: the cache it leaves, and what each fault leads to.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use percept_weights::hub::{FileState, Hub, HubError, HubSettings};
use percept_weights::{Checkpoint, Layout};
use tempfile::TempDir;

use crate::hub_server::{COMMIT, Reply, Repo, Request, Server, git_id, sha256};
use crate::make::{f32_tensor, safetensors};

/// Larger than any buffer on the way.
const VALUES: usize = 300_000;

fn weights() -> Vec<u8> {
    let values: Vec<f32> = (0..VALUES).map(|i| i as f32).collect();
    safetensors(&[f32_tensor("w", &[VALUES], &values)])
}

fn repo() -> Repo {
    Repo::new(&[
        ("README.md", b"about"),
        ("config.json", b"{\"model_type\":\"x\"}"),
        ("tokenizer.json", b"{}"),
        ("model.safetensors", &weights()),
        ("onnx/model.onnx", b"no"),
    ])
}

fn hub_with(server: &Server, cache: &TempDir, change: impl FnOnce(&mut HubSettings)) -> Hub {
    let mut settings = HubSettings::new(cache.path());
    settings.endpoint = server.url.clone();
    change(&mut settings);
    let hub = Hub::new(settings).unwrap();
    hub.with_retry_pause(Duration::from_millis(1))
}

fn hub(server: &Server, cache: &TempDir) -> Hub {
    hub_with(server, cache, |_| {})
}

fn fetch(hub: &Hub, id: &str) -> Result<std::path::PathBuf, HubError> {
    hub.fetch(id, &mut |_| {})
}

fn content_requests(server: &Server) -> Vec<Request> {
    let is_content = |r: &Request| r.method == "GET" && r.path.contains("model.safetensors");
    server.requests().into_iter().filter(is_content).collect()
}

#[test]
fn a_fetched_model_lies_in_the_cache_that_other_tools_read() {
    let server = Server::start(move |request| repo().answer(request));
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, &cache);
    assert_eq!(hub.cached("o/m").unwrap(), None);
    let mut reports = Vec::new();
    let directory = hub
        .fetch("o/m", &mut |p| {
            reports.push((p.file.to_string(), p.bytes, p.total))
        })
        .unwrap();

    let root = cache.path().join("models--o--m");
    assert_eq!(directory, root.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    let blob = root.join("blobs").join(sha256(&weights()));
    assert_eq!(fs::read(&blob).unwrap(), weights());
    #[cfg(unix)]
    {
        let target = fs::read_link(directory.join("model.safetensors")).unwrap();
        assert_eq!(target, Path::new("../../blobs").join(sha256(&weights())));
        let config = fs::read_link(directory.join("config.json")).unwrap();
        assert!(config.ends_with(git_id(b"{\"model_type\":\"x\"}")));
    }
    assert!(
        !directory.join("README.md").exists(),
        "only the model is fetched"
    );
    assert!(
        fs::read_dir(root.join("blobs")).unwrap().count() == 3,
        "nothing unfinished is left"
    );
    let checkpoint = Checkpoint::open(&directory).unwrap();
    assert_eq!(checkpoint.layout(), Layout::HuggingFace);
    assert_eq!(checkpoint.tensors().f32("w", &[VALUES]).unwrap()[7], 7.0);

    let (last, bytes, total) = reports.last().unwrap();
    assert_eq!((&last[..], bytes), ("model.safetensors", total));
    assert!(reports.is_sorted_by_key(|(_, bytes, _)| *bytes));
    assert_eq!(hub.cached("o/m").unwrap(), Some(directory));
}

#[test]
fn a_second_fetch_brings_nothing_again() {
    let server = Server::start(move |request| repo().answer(request));
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, &cache);
    let first = fetch(&hub, "o/m").unwrap();
    assert_eq!(fetch(&hub, "o/m").unwrap(), first);
    assert_eq!(content_requests(&server).len(), 1);
    let asked = server.requests().len();
    assert_eq!(fetch(&hub, &format!("o/m@{COMMIT}")).unwrap(), first);
    assert_eq!(
        server.requests().len(),
        asked,
        "a cached commit needs no hub"
    );
    assert_eq!(fetch(&hub, "o/m@refs/pr/1").unwrap(), first);
}

#[test]
fn a_cut_transfer_resumes_where_it_stopped() {
    let cuts = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let mut reply = repo().answer(request);
        let is_weights = request.method == "GET" && request.path.ends_with("safetensors");
        if is_weights && cuts.fetch_add(1, Ordering::SeqCst) < 2 {
            reply.cut = Some(400_000);
        }
        reply
    });
    let cache = tempfile::tempdir().unwrap();
    fetch(&hub(&server, &cache), "o/m").unwrap();
    let starts: Vec<usize> = content_requests(&server)
        .iter()
        .map(Request::start)
        .collect();
    assert_eq!(starts, [0, 400_000, 800_000]);
}

#[test]
fn what_an_earlier_process_received_is_kept() {
    let broken = Server::start(move |request| {
        let mut reply = repo().answer(request);
        if request.method == "GET" && request.path.ends_with("safetensors") {
            reply.cut = Some(if request.start() == 0 { 500_000 } else { 0 });
        }
        reply
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&hub(&broken, &cache), "o/m").unwrap_err();
    assert!(matches!(error.code(), "hub-network" | "hub-cut"), "{error}");
    let whole = Server::start(move |request| repo().answer(request));
    let after = hub(&whole, &cache);
    assert_eq!(after.cached("o/m").unwrap(), None, "half a model is none");
    fetch(&after, "o/m").unwrap();
    assert_eq!(content_requests(&whole)[0].start(), 500_000);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let server = Server::start(move |request| {
        let mut plain = request.clone();
        let is_resumed = plain.headers.remove("range").is_some();
        let mut reply = repo().answer(&plain);
        if request.method == "GET" && request.path.ends_with("safetensors") && !is_resumed {
            reply.cut = Some(400_000);
        }
        reply
    });
    let cache = tempfile::tempdir().unwrap();
    let directory = fetch(&hub(&server, &cache), "o/m").unwrap();
    assert_eq!(
        fs::read(directory.join("model.safetensors")).unwrap(),
        weights()
    );
}

#[test]
fn damaged_contents_are_refused_and_removed() {
    for (damaged, etag) in [
        ("model.safetensors", sha256(&weights())),
        ("config.json", git_id(b"{\"model_type\":\"x\"}")),
    ] {
        let server = Server::start(move |request| {
            let mut reply = repo().answer(request);
            if request.path.ends_with(damaged)
                && let Some(last) = reply.body.last_mut()
            {
                *last ^= 1;
            }
            reply
        });
        let cache = tempfile::tempdir().unwrap();
        let hub = hub(&server, &cache);
        let error = fetch(&hub, "o/m").unwrap_err();
        assert_eq!(error.code(), "hub-hash");
        assert!(
            error.to_string().contains(damaged) && error.to_string().contains(&etag),
            "{error}"
        );
        assert_eq!(hub.cached("o/m").unwrap(), None);
        let blobs = cache.path().join("models--o--m/blobs");
        let left: Vec<_> = fs::read_dir(blobs).unwrap().flatten().collect();
        assert!(
            left.iter()
                .all(|file| !file.path().to_string_lossy().contains(&etag))
        );
    }
}

#[test]
fn refusals_say_what_to_do() {
    let refuse = |status: u16, code: &'static str| {
        Server::start(move |_| Reply::status(status).with("x-error-code", code))
    };
    let cases = [
        (
            404,
            "RepoNotFound",
            "hub-no-repository",
            "no such repository",
        ),
        (401, "RepoNotFound", "hub-no-repository", "set HF_TOKEN"),
        (
            404,
            "RevisionNotFound",
            "hub-no-revision",
            "no revision `main`",
        ),
        (404, "", "hub-no-repository", "no such repository"),
        (401, "", "hub-refused", "set HF_TOKEN"),
        (403, "", "hub-refused", "set HF_TOKEN"),
        (403, "GatedRepo", "hub-gated", "accept its terms"),
        (401, "GatedRepo", "hub-gated", "set HF_TOKEN"),
        (400, "", "hub-status", "400"),
    ];
    for (status, header, code, part) in cases {
        let server = refuse(status, header);
        let cache = tempfile::tempdir().unwrap();
        let error = fetch(&hub(&server, &cache), "o/m").unwrap_err();
        assert_eq!(error.code(), code, "{status} {header}");
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(
            server.requests().len(),
            1,
            "{status} will not pass by trying again"
        );
    }
}

#[test]
fn errors_that_may_pass_are_tried_again() {
    let failures = Arc::new(AtomicUsize::new(0));
    let server = Server::start(
        move |request| match failures.fetch_add(1, Ordering::SeqCst) {
            n if n % 3 == 0 => Reply::status(503),
            n if n % 3 == 1 => Reply::status(429),
            _ => repo().answer(request),
        },
    );
    let cache = tempfile::tempdir().unwrap();
    fetch(&hub(&server, &cache), "o/m").unwrap();

    let down = Server::start(|_| Reply::status(502));
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&hub(&down, &cache), "o/m").unwrap_err();
    assert_eq!(error.code(), "hub-status");
    assert_eq!(down.requests().len(), 5);
}

#[test]
fn a_file_that_is_listed_but_absent_is_named() {
    let server = Server::start(move |request| match &request.path {
        path if path.ends_with("tokenizer.json") => Reply::status(404),
        _ => repo().answer(request),
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&hub(&server, &cache), "o/m").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("o/m has no file tokenizer.json"),
        "{error}"
    );
}

#[test]
fn the_token_goes_to_the_hub_and_to_no_other_host() {
    let store = Server::start(move |request| repo().answer(request));
    let mut large = repo();
    large.large_at = Some(store.url.clone());
    let server = Server::start(move |request| large.answer(request));
    let cache = tempfile::tempdir().unwrap();
    let hub = hub_with(&server, &cache, |settings| {
        settings.token = Some("hf_secret".into())
    });
    let directory = fetch(&hub, "o/m").unwrap();
    assert_eq!(
        fs::read(directory.join("model.safetensors")).unwrap(),
        weights()
    );

    let token = |request: &Request| request.headers.get("authorization").cloned();
    for request in server.requests() {
        assert_eq!(
            token(&request).as_deref(),
            Some("Bearer hf_secret"),
            "{}",
            request.path
        );
    }
    let stored = store.requests();
    assert!(!stored.is_empty());
    for request in stored {
        assert_eq!(token(&request), None, "{}", request.path);
    }
}

#[test]
fn a_renamed_repository_is_followed_with_the_token() {
    let server = Server::start(move |request| match request.path.replace("/old/", "/o/") {
        path if path == request.path => repo().answer(request),
        path => Reply::status(307).with("location", path),
    });
    let cache = tempfile::tempdir().unwrap();
    let hub = hub_with(&server, &cache, |settings| {
        settings.token = Some("t".into())
    });
    fetch(&hub, "old/m").unwrap();
    let all_signed = |r: &Request| r.headers.contains_key("authorization");
    assert!(server.requests().iter().all(all_signed));
    assert!(cache.path().join("models--old--m").is_dir());
}

#[test]
fn redirects_that_never_end_are_an_error() {
    let server = Server::start(|request| Reply::status(302).with("location", request.path.clone()));
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&hub(&server, &cache), "o/m").unwrap_err();
    assert_eq!(error.code(), "hub-answer");
}

#[test]
fn answers_that_are_no_hub_are_named() {
    let page = |body: &'static str| Server::start(move |_| Reply::status(200).body(body));
    for body in ["<html>", "{}", "{\"sha\":\"../../x\",\"siblings\":[]}"] {
        let server = page(body);
        let cache = tempfile::tempdir().unwrap();
        let error = fetch(&hub(&server, &cache), "o/m").unwrap_err();
        assert!(
            error.to_string().contains("is HF_ENDPOINT a hub?"),
            "{error}"
        );
    }
    let hostile = Server::start(|request| {
        let reply = repo().answer(request);
        let headers = reply.headers.into_iter();
        let headers = headers.map(|(n, _)| (n, "\"../../../../evil\"".to_string()));
        let headers = headers.collect();
        Reply { headers, ..reply }
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&hub(&hostile, &cache), "o/m").unwrap_err();
    assert!(error.to_string().contains("hash (ETag)"), "{error}");
}

#[test]
fn offline_uses_the_cache_and_nothing_else() {
    let server = Server::start(move |request| repo().answer(request));
    let cache = tempfile::tempdir().unwrap();
    let offline = hub_with(&server, &cache, |settings| settings.offline = true);
    let error = fetch(&offline, "o/m").unwrap_err();
    assert_eq!(error.code(), "hub-offline");
    assert!(error.to_string().contains("HF_HUB_OFFLINE"));
    assert!(server.requests().is_empty());

    let directory = fetch(&hub(&server, &cache), "o/m").unwrap();
    let asked = server.requests().len();
    assert_eq!(fetch(&offline, "o/m").unwrap(), directory);
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn a_hub_that_cannot_be_reached_leaves_what_is_cached() {
    let server = Server::start(move |request| repo().answer(request));
    let cache = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let cut_off = hub_with(&server, &cache, |settings| settings.endpoint = address);
    let error = fetch(&cut_off, "o/m").unwrap_err();
    assert_eq!(error.code(), "hub-network");
    assert!(error.to_string().contains("check the network"), "{error}");
    let directory = fetch(&hub(&server, &cache), "o/m").unwrap();
    assert_eq!(fetch(&cut_off, "o/m").unwrap(), directory);
}

#[test]
fn two_fetches_at_once_bring_each_file_once() {
    let server = Server::start(move |request| {
        std::thread::sleep(Duration::from_millis(20));
        repo().answer(request)
    });
    let cache = tempfile::tempdir().unwrap();
    let hubs = [hub(&server, &cache), hub(&server, &cache)];
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for hub in &hubs {
            scope.spawn(|| {
                let directory = fetch(hub, "o/m").unwrap();
                results.lock().unwrap().push(directory);
            });
        }
    });
    let results = results.into_inner().unwrap();
    assert_eq!(results[0], results[1]);
    assert_eq!(content_requests(&server).len(), 1);
    Checkpoint::open(&results[0]).unwrap();
}

#[test]
fn shards_are_fetched_by_their_index() {
    let index = br#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#;
    let files = Repo::new(&[
        ("config.json", b"{}"),
        ("model.safetensors.index.json", index),
        (
            "model-1.safetensors",
            &safetensors(&[f32_tensor("a", &[1], &[1.0])]),
        ),
        (
            "model-2.safetensors",
            &safetensors(&[f32_tensor("b", &[1], &[2.0])]),
        ),
        ("model-3.safetensors", b"not named"),
    ]);
    let server = Server::start(move |request| files.answer(request));
    let cache = tempfile::tempdir().unwrap();
    let directory = fetch(&hub(&server, &cache), "o/m").unwrap();
    assert!(!directory.join("model-3.safetensors").exists());
    let checkpoint = Checkpoint::open(&directory).unwrap();
    assert_eq!(checkpoint.tensors().f32("b", &[1]).unwrap(), [2.0]);

    let escaping = Repo::new(&[
        ("config.json", b"{}"),
        (
            "model.safetensors.index.json",
            br#"{"weight_map":{"a":"../x"}}"#,
        ),
    ]);
    let server = Server::start(move |request| escaping.answer(request));
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&hub(&server, &cache), "o/m").unwrap_err();
    assert!(error.to_string().contains("list of shards"), "{error}");
}

#[test]
fn the_cache_is_listed_and_verified() {
    let server = Server::start(move |request| repo().answer(request));
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, &cache);
    assert!(hub.list().unwrap().is_empty());
    assert_eq!(hub.verify("o/m").unwrap_err().code(), "hub-not-cached");
    let directory = fetch(&hub, "o/m").unwrap();

    let repos = hub.list().unwrap();
    assert_eq!(repos.len(), 1);
    assert_eq!(repos[0].id, "o/m");
    assert_eq!(repos[0].bytes, (weights().len() + 20) as u64);
    let revision = &repos[0].revisions[0];
    assert_eq!(
        (&revision.commit[..], &revision.refs[..]),
        (COMMIT, &["main".to_string()][..])
    );
    assert!(revision.is_complete);

    let states = |hub: &Hub| -> Vec<(String, FileState)> {
        let files = hub.verify("o/m").unwrap().into_iter();
        files.map(|file| (file.name, file.state)).collect()
    };
    assert!(
        states(&hub)
            .iter()
            .all(|(_, state)| *state == FileState::Intact)
    );
    let blob = fs::canonicalize(directory.join("tokenizer.json")).unwrap();
    fs::write(blob, "{ }").unwrap();
    fs::remove_file(fs::canonicalize(directory.join("config.json")).unwrap()).unwrap();
    let after = states(&hub);
    assert_eq!(after[0], ("config.json".into(), FileState::Missing));
    assert_eq!(after[1], ("model.safetensors".into(), FileState::Intact));
    assert_eq!(after[2], ("tokenizer.json".into(), FileState::Damaged));
}

#[test]
fn what_a_broken_off_download_lacks_is_missing() {
    let server = Server::start(move |request| repo().answer(request));
    let cache = tempfile::tempdir().unwrap();
    let hub = hub(&server, &cache);
    let directory = fetch(&hub, "o/m").unwrap();
    fs::remove_file(directory.join("model.safetensors")).unwrap();
    fs::remove_file(cache.path().join("models--o--m/refs/main")).unwrap();
    for id in ["o/m".to_string(), format!("o/m@{COMMIT}")] {
        let states: Vec<_> = hub
            .verify(&id)
            .unwrap()
            .into_iter()
            .map(|file| (file.name, file.state))
            .collect();
        let lacks = ("model.safetensors".to_string(), FileState::Missing);
        assert!(states.contains(&lacks), "{id}: {states:?}");
    }
}

#[test]
fn an_endpoint_or_a_name_that_is_none_is_refused() {
    let mut settings = HubSettings::new("/tmp");
    settings.endpoint = "huggingface.co".into();
    assert_eq!(Hub::new(settings).err().unwrap().code(), "hub-endpoint");
    let hub = Hub::new(HubSettings::new("/tmp")).unwrap();
    assert_eq!(hub.cached("../x").unwrap_err().code(), "hub-id");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let server = Server::start(move |request| repo().answer(request));
    let cache = tempfile::tempdir().unwrap();
    // A file where the cache should be: no permission would stop an administrator.
    fs::write(cache.path().join("models--o--m"), "").unwrap();
    let error = fetch(&hub(&server, &cache), "o/m").unwrap_err();
    assert_eq!(error.code(), "hub-io");
    assert!(error.to_string().contains("models--o--m"), "{error}");
}
