#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use percept_testkit::signals;

use super::job::tests::block_on;
use super::*;
use crate::{Backend, BackendConfig, Noise, Progress, SnacBackend, SnacFamily};

fn model() -> Arc<CodecModel> {
    let fixture = "../../golden/fixtures/codec/snac/24khz/model";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
    Arc::new(CodecModel::open(&folder).unwrap())
}

fn pcm(seconds: f32) -> Pcm {
    Pcm {
        samples: signals::babble(24_000, seconds, 5),
        sample_rate: 24_000,
        channels: 1,
    }
}

fn pool_of_one() -> Arc<ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    Arc::new(pool.unwrap())
}

/// Items that are not there at the first look.
struct Slow<T> {
    items: VecDeque<T>,
    has_looked: bool,
}

impl<T> Slow<T> {
    fn new(items: impl IntoIterator<Item = T>) -> Self {
        Self {
            items: items.into_iter().collect(),
            has_looked: false,
        }
    }
}

impl<T: Unpin> Stream for Slow<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.has_looked = !self.has_looked;
        if self.has_looked {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.items.pop_front())
    }
}

fn collect<S: Stream + Unpin>(mut stream: S) -> Vec<S::Item> {
    let mut items = Vec::new();
    while let Some(item) = block_on(std::future::poll_fn(|context| {
        Pin::new(&mut stream).poll_next(context)
    })) {
        items.push(item);
    }
    items
}

#[test]
fn a_future_gives_what_the_blocking_call_gives() {
    let (model, pcm) = (model(), pcm(0.7));
    let codec = AsyncCodec::new(Arc::clone(&model));
    let codes = block_on(codec.encode(pcm.clone(), EncodeOptions::default())).unwrap();
    assert_eq!(
        codes,
        model
            .encode((&pcm).into(), &EncodeOptions::default())
            .unwrap()
    );
    let options = DecodeOptions::default();
    let decoded = block_on(codec.decode(codes.clone(), options.clone())).unwrap();
    assert_eq!(decoded, model.decode(&codes, &options).unwrap());
    let wrong = Pcm {
        sample_rate: 16_000,
        ..pcm
    };
    let error = block_on(codec.encode(wrong, EncodeOptions::default())).unwrap_err();
    assert_eq!(error.code(), "rate-mismatch");
}

#[test]
fn polling_returns_while_every_thread_of_the_pool_is_busy() {
    let pool = pool_of_one();
    let (release, may_go) = mpsc::channel::<()>();
    pool.spawn(move || may_go.recv().unwrap());
    let codec = AsyncCodec::new(model()).on_pool(pool);
    let mut task = codec.encode(pcm(0.2), EncodeOptions::default());
    let mut context = Context::from_waker(Waker::noop());
    // The only thread waits for this one: a poll that waited for the result would not return.
    for _ in 0..3 {
        assert!(Pin::new(&mut task).poll(&mut context).is_pending());
    }
    release.send(()).unwrap();
    assert!(block_on(task).is_ok());
}

/// Options whose progress says on `begun` that work is under way and waits for `go_on`, and how often it was told.
fn watched() -> (
    EncodeOptions,
    mpsc::Receiver<()>,
    mpsc::Sender<()>,
    Arc<AtomicUsize>,
) {
    let ((said, begun), (go_on, waits)) = (mpsc::channel(), mpsc::channel::<()>());
    let told = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&told);
    let (said, waits) = (std::sync::Mutex::new(said), std::sync::Mutex::new(waits));
    let mut options = EncodeOptions::default();
    options.control.progress = Some(Arc::new(move |_: Progress| {
        if counter.fetch_add(1, Ordering::Relaxed) == 0 {
            said.lock().unwrap().send(()).unwrap();
            waits.lock().unwrap().recv().unwrap();
        }
    }));
    (options, begun, go_on, told)
}

#[test]
fn dropping_a_future_ends_its_work() {
    let pool = pool_of_one();
    let codec = AsyncCodec::new(model()).on_pool(Arc::clone(&pool));
    let (options, begun, go_on, told) = watched();
    let task = codec.encode(pcm(20.0), options);
    begun.recv().unwrap();
    drop(task);
    go_on.send(()).unwrap();
    pool.install(|| ()); // after the work, which has the only thread
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

#[test]
fn one_flag_cancels_all_its_tasks_and_dropping_one_of_them_no_other() {
    let pool = pool_of_one();
    let codec = AsyncCodec::new(model()).on_pool(pool);
    let (options, begun, go_on, _) = watched();
    let flag = options.control.cancel.clone();
    let first = codec.encode(pcm(20.0), options);
    let mut shared = EncodeOptions::default();
    shared.control.cancel = flag.clone();
    drop(codec.encode(pcm(1.0), shared.clone()));
    let second = codec.encode(pcm(0.2), shared.clone());
    begun.recv().unwrap();
    assert!(!flag.is_cancelled());
    flag.cancel();
    go_on.send(()).unwrap();
    for task in [first, second, codec.encode(pcm(0.2), shared)] {
        assert!(matches!(block_on(task), Err(CodecError::Cancelled)));
    }
}

#[test]
fn pieces_are_together_the_whole() {
    let (model, pcm) = (model(), pcm(3.1));
    let codec = AsyncCodec::new(Arc::clone(&model));
    let codes = model
        .encode((&pcm).into(), &EncodeOptions::default())
        .unwrap();
    let options = DecodeOptions::default();
    let whole = model.decode(&codes, &options).unwrap().samples;
    let pieces = collect(codec.decode_in_pieces(codes.clone(), &options).unwrap());
    assert!(pieces.len() > 1);
    let pieces: Result<Vec<_>, _> = pieces.into_iter().collect();
    assert!(pieces.unwrap().concat() == whole);
    let empty = Codes::new(Arc::clone(codes.specs()));
    assert_eq!(
        codec
            .decode_in_pieces(empty, &options)
            .err()
            .unwrap()
            .code(),
        "empty-codes"
    );
}

#[test]
fn streams_both_ways_give_what_the_whole_gives() {
    let (model, pcm) = (model(), pcm(1.3));
    let codec = AsyncCodec::new(Arc::clone(&model));
    let whole = model
        .encode((&pcm).into(), &EncodeOptions::default())
        .unwrap();
    let packets = Slow::new(pcm.samples.chunks(1_777).map(<[f32]>::to_vec));
    let stream = codec
        .encode_stream(packets, &EncodeOptions::default())
        .unwrap();
    let encoded: Result<Vec<Codes>, _> = collect(stream).into_iter().collect();
    let encoded = encoded.unwrap();
    let mut joined = Codes::new(Arc::clone(whole.specs()));
    encoded
        .iter()
        .for_each(|codes| joined.extend(codes).unwrap());
    joined.set_source_samples(encoded.last().unwrap().source_samples());
    assert_eq!(joined, whole);

    let options = DecodeOptions {
        noise: Noise::Off,
        trim: false,
        ..DecodeOptions::default()
    };
    let decoded = collect(codec.decode_stream(Slow::new(encoded), &options));
    let decoded: Result<Vec<_>, _> = decoded.into_iter().collect();
    assert!(decoded.unwrap().concat() == model.decode(&whole, &options).unwrap().samples);
}

#[test]
fn an_error_or_a_cancel_ends_a_stream() {
    let codec = AsyncCodec::new(model());
    let packets = || Slow::new([vec![0.0; 9_000], vec![f32::NAN], vec![0.0; 9_000]]);
    let stream = codec
        .encode_stream(packets(), &EncodeOptions::default())
        .unwrap();
    let items = collect(stream);
    assert!(items[..items.len() - 1].iter().all(Result::is_ok));
    assert!(matches!(
        items.last(),
        Some(Err(CodecError::NotFinite { .. }))
    ));

    let options = EncodeOptions::default();
    let stream = codec.encode_stream(packets(), &options).unwrap();
    options.control.cancel.cancel();
    assert!(matches!(collect(stream)[..], [Err(CodecError::Cancelled)]));
}

fn backend() -> Arc<dyn CodecBackend> {
    let fixture = "../../golden/fixtures/codec/snac/24khz/model";
    let mut config = BackendConfig::<SnacFamily>::default();
    config.repo_id = format!("{}/{fixture}", env!("CARGO_MANIFEST_DIR"));
    let backend: Arc<dyn CodecBackend> = Arc::new(Backend::new(config));
    backend.load().unwrap();
    backend
}

/// Twenty seconds both ways, as tasks of a backend under a control.
type Call = fn(Arc<dyn CodecBackend>, Control) -> Pin<Box<dyn Future<Output = CallResult>>>;
type CallResult = Result<usize, CodecError>;

const CALLS: [Call; 2] = [
    |backend, control| {
        let task = encode_pcm(backend, pcm(20.0).samples, 24_000, control);
        Box::pin(async { Ok(task.await?.len()) })
    },
    |backend, control| {
        let task = decode_tokens(backend, vec![0; 7 * 240], 3, control);
        Box::pin(async { Ok(task.await?.len()) })
    },
];

#[test]
fn a_backends_calls_are_futures_that_give_what_the_calls_give() {
    let backend = backend();
    let [encoded, decoded] = CALLS.map(|call| {
        let control = Control::default();
        block_on(call(Arc::clone(&backend), control)).unwrap()
    });
    let tokens = backend.encode_pcm(&pcm(20.0).samples, 24_000).unwrap();
    assert_eq!((encoded, decoded), (tokens.len(), 240 * 2_048));
    let one = encode_pcm(Arc::clone(&backend), vec![0.1], 24_000, Control::default());
    assert_eq!(
        block_on(one).unwrap(),
        backend.encode_pcm(&[0.1], 24_000).unwrap()
    );
}

#[test]
fn a_backends_work_ends_within_a_piece_of_its_cancelling() {
    let backend = backend();
    for call in CALLS {
        let (options, begun, go_on, told) = watched();
        let flag = options.control.cancel.clone();
        let task = call(Arc::clone(&backend), options.control);
        begun.recv().unwrap();
        flag.cancel();
        go_on.send(()).unwrap();
        assert!(matches!(block_on(task), Err(CodecError::Cancelled)));
        assert_eq!(told.load(Ordering::Relaxed), 1);

        let (options, begun, go_on, told) = watched();
        let task = call(Arc::clone(&backend), options.control);
        begun.recv().unwrap();
        drop(task);
        go_on.send(()).unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        while Arc::strong_count(&backend) > 1 {
            assert!(Instant::now() < patience, "the work holds the backend");
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_backends_call_that_was_cancelled_before_it_began_loads_nothing() {
    let backend: Arc<dyn CodecBackend> = Arc::new(SnacBackend::default());
    for call in CALLS {
        let control = Control::default();
        control.cancel.cancel();
        let result = block_on(call(Arc::clone(&backend), control));
        assert!(matches!(result, Err(CodecError::Cancelled)));
    }
    let control = Control::default();
    control.cancel.cancel();
    let result = backend.encode_pcm_with(&[0.0], 24_000, &control);
    assert!(matches!(result, Err(CodecError::Cancelled)));
}
