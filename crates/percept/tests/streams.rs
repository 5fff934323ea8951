//! Streams of a recogniser: the model's own, on the recogniser's threads.

use std::sync::Arc;
use std::time::Duration;

use percept::{
    Error, Recognizer, RecognizerOptions, Scheduler, SchedulerError, SchedulerOptions, Stream,
    StreamError, StreamEvent, StreamMode, StreamOptions,
};
use percept_testkit::signals;

fn recognizer() -> Recognizer {
    let mut options = RecognizerOptions::default();
    options.threads = Some(2);
    Recognizer::embedded(&options).expect("it is compiled in")
}

/// What the model tells of one stream, without the facade.
fn expected(recognizer: &Recognizer, pcm: &[f32]) -> Vec<StreamEvent> {
    let model = Arc::clone(recognizer.model());
    let options = StreamOptions::default();
    let mut stream = percept_asr::Stream::new(model, &options).expect("the default");
    stream.push(pcm).expect("finite");
    stream.skip(1600).expect("not finished");
    stream.finish();
    stream.events().to_vec()
}

#[test]
fn streams_tell_what_their_model_tells() {
    let recognizer = recognizer();
    let pcm = signals::babble(recognizer.sample_rate(), 9.0, 1);
    let expected = expected(&recognizer, &pcm);

    let mut stream = recognizer
        .stream(&StreamOptions::default())
        .expect("the default");
    for packet in pcm.chunks(5000) {
        stream.push(packet).expect("finite");
    }
    stream.skip(1600).expect("not finished");
    stream.finish();
    assert_eq!(stream.events(), expected);
    assert_eq!(stream.state().received(), pcm.len() as u64 + 1600);
    assert!(stream.state().is_over() && stream.last_step().rows > 0);

    let mut scheduler = recognizer.scheduler(SchedulerOptions::default());
    let now = Duration::ZERO;
    let ids = [(); 3].map(|()| scheduler.admit(&StreamOptions::default()).expect("a slot"));
    for id in ids {
        assert_eq!(scheduler.push(id, &pcm, now), Ok(pcm.len()));
        scheduler.skip(id, 1600, now).expect("not finished");
        scheduler.finish(id, now).expect("it is here");
    }
    while scheduler.run(now).streams > 0 {}
    for id in ids {
        assert_eq!(scheduler.events(id), expected);
    }
}

#[test]
fn what_is_wrong_has_a_code_and_keeps_what_came_before() {
    let recognizer = recognizer();
    let mut options = StreamOptions::default();
    options.mode = StreamMode::CacheAware { lookahead: None };
    let refused = recognizer.stream(&options).expect_err("full attention");
    assert_eq!(refused.code(), "not-cache-aware");

    let mut stream = recognizer
        .stream(&StreamOptions::default())
        .expect("the default");
    let refused = stream.push(&[0.0, 0.5, f32::NAN]).expect_err("no number");
    let is_third = |e: &StreamError| matches!(e, StreamError::NotFinite { seconds } if *seconds * 16_000.0 == 2.0);
    assert!(
        matches!(&refused, Error::Stream(e) if is_third(e)),
        "{refused}"
    );
    assert_eq!(stream.state().received(), 2);
    stream.finish();
    let refused = stream.push(&[0.0]).expect_err("finished");
    assert_eq!(refused.code(), "finished");
    assert_eq!(Error::from(SchedulerError::Draining).code(), "draining");
}

#[test]
fn streams_and_schedulers_may_move_to_other_threads() {
    fn moves<T: Send + 'static>() {}
    moves::<Stream>();
    moves::<Scheduler>();
}
