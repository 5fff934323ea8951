//! What a scheduler promises: each of its streams tells what it would tell alone.

use std::sync::Arc;
use std::time::Duration;

use percept_asr::{
    ContextConfig, EndpointRules, Model, ModelOptions, Next, Precision, Scheduler, SchedulerError,
    SchedulerOptions, Stream, StreamError, StreamEvent, StreamId, StreamMode, StreamOptions,
};
use percept_audio::GateConfig;
use percept_testkit::golden::Case;
use percept_testkit::{Rng, signals};
use percept_weights::Checkpoint;

const RATE: usize = 16_000;
const FRAME: usize = 1280;

fn load(name: &str, precision: Precision) -> Arc<Model> {
    let path = Case::open(name).model().expect("the case has a model");
    let checkpoint = Checkpoint::open(&path).unwrap_or_else(|e| panic!("{e}"));
    let options = ModelOptions {
        precision: Some(precision),
        ..ModelOptions::default()
    };
    Arc::new(Model::load(checkpoint, options).unwrap_or_else(|e| panic!("{e}")))
}

fn windows([left, chunk, right]: [usize; 3]) -> StreamOptions {
    let context = ContextConfig::from_frames(left, chunk, right).expect("a chunk");
    let mut options = StreamOptions::default();
    options.mode = StreamMode::Windows(context);
    options
}

fn cache_aware(lookahead: usize) -> StreamOptions {
    let mut options = StreamOptions::default();
    options.mode = StreamMode::CacheAware {
        lookahead: Some(lookahead),
    };
    options
}

fn options(set: impl FnOnce(&mut SchedulerOptions)) -> SchedulerOptions {
    let mut options = SchedulerOptions::default();
    set(&mut options);
    options
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn audio(samples: usize, seed: u64) -> Vec<f32> {
    let mut pcm = signals::babble(RATE as u32, samples as f32 / RATE as f32 + 0.1, seed);
    pcm.truncate(samples);
    pcm
}

/// Something like speech, with pauses.
fn utterances(samples: usize, rng: &mut Rng) -> Vec<f32> {
    let mut pcm = audio(samples, rng.bits());
    while rng.below(3) > 0 && samples > 0 {
        let pause = rng.below(samples);
        let end = samples.min(pause + RATE + rng.below(RATE));
        pcm[pause..end].fill(0.0);
    }
    pcm
}

/// What was done with a stream.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The next samples of its audio.
    Push(usize),
    Skip(u64),
    Finish,
}

/// All that a stream tells which has the model for itself.
fn alone(
    model: &Arc<Model>,
    options: &StreamOptions,
    pcm: &[f32],
    acts: &[Act],
) -> Vec<StreamEvent> {
    let mut stream = Stream::new(Arc::clone(model), options).expect("the model can be streamed");
    let mut pcm = pcm;
    for act in acts {
        match *act {
            Act::Push(samples) => {
                let (packet, rest) = pcm.split_at(samples);
                stream.push(packet).expect("finite samples");
                pcm = rest;
            }
            Act::Skip(samples) => stream.skip(samples).expect("not finished"),
            Act::Finish => stream.finish(),
        }
    }
    stream.events().to_vec()
}

fn whole(model: &Arc<Model>, options: &StreamOptions, pcm: &[f32]) -> Vec<StreamEvent> {
    alone(model, options, pcm, &[Act::Push(pcm.len()), Act::Finish])
}

fn tokens(events: &[StreamEvent]) -> usize {
    let is_token = |event: &&StreamEvent| matches!(event, StreamEvent::Commit(_));
    events.iter().filter(is_token).count()
}

/// Takes the events of a stream.
fn take(scheduler: &mut Scheduler, id: StreamId, into: &mut Vec<StreamEvent>) {
    into.extend_from_slice(scheduler.events(id));
    scheduler.clear_events(id);
}

/// Runs as long as streams are ready, taking no events.
fn run_all(scheduler: &mut Scheduler, now: Duration) {
    while scheduler.run(now).streams > 0 {}
}

/// Pushes all of `pcm`, running where the queue is full, then finishes and returns what the stream told.
fn pump(scheduler: &mut Scheduler, id: StreamId, pcm: &[f32]) -> Vec<StreamEvent> {
    let (mut rest, mut told) = (pcm, Vec::new());
    while !rest.is_empty() {
        let taken = scheduler.push(id, rest, millis(0)).expect("finite samples");
        rest = &rest[taken..];
        run_all(scheduler, millis(0));
        take(scheduler, id, &mut told);
    }
    scheduler.finish(id, millis(0)).expect("it is here");
    while !scheduler.is_over(id) {
        run_all(scheduler, millis(0));
        take(scheduler, id, &mut told);
    }
    take(scheduler, id, &mut told);
    told
}

/// One stream from its admission to its end, as chance has it.
struct Life {
    id: StreamId,
    options: StreamOptions,
    pcm: Vec<f32>,
    at: usize,
    acts: Vec<Act>,
    told: Vec<StreamEvent>,
    /// Nothing is done with it until then.
    stalled_until: Duration,
    /// In thousandths.
    cancels: usize,
}

impl Life {
    fn begin(scheduler: &mut Scheduler, ways: &[StreamOptions], rng: &mut Rng) -> Option<Life> {
        let options = ways[rng.below(ways.len())].clone();
        let id = scheduler.admit(&options).ok()?;
        let samples = rng.below(5 * RATE);
        Some(Life {
            id,
            options,
            pcm: utterances(samples, rng),
            at: 0,
            acts: Vec::new(),
            told: Vec::new(),
            stalled_until: millis(0),
            cancels: 10 * rng.below(3),
        })
    }

    /// One random act; whether the stream has ended by it.
    fn act(&mut self, scheduler: &mut Scheduler, now: Duration, rng: &mut Rng) -> bool {
        if rng.below(3) == 0 {
            take(scheduler, self.id, &mut self.told);
        }
        if scheduler.is_over(self.id) {
            take(scheduler, self.id, &mut self.told);
            scheduler.release(self.id).expect("it is over");
            return true;
        }
        if now < self.stalled_until {
            return false;
        }
        if rng.below(1000) < self.cancels {
            take(scheduler, self.id, &mut self.told);
            scheduler.cancel(self.id).expect("it is here");
            return true;
        }
        match rng.below(40) {
            0 => self.stalled_until = now + millis(rng.below(3000) as u64),
            1 => self.skip(scheduler, rng.below(2 * RATE), now),
            2 if rng.below(4) == 0 => self.skip(scheduler, rng.below(6 * RATE), now),
            _ => self.push(scheduler, 1 + rng.below(6000), now),
        }
        false
    }

    fn skip(&mut self, scheduler: &mut Scheduler, samples: usize, now: Duration) {
        match scheduler.skip(self.id, samples as u64, now) {
            Ok(()) => self.acts.push(Act::Skip(samples as u64)),
            Err(error) => assert_eq!(error, StreamError::Finished.into()),
        }
    }

    fn push(&mut self, scheduler: &mut Scheduler, samples: usize, now: Duration) {
        let packet = &self.pcm[self.at..][..samples.min(self.pcm.len() - self.at)];
        if packet.is_empty() {
            scheduler.finish(self.id, now).expect("it is here");
            return self.acts.push(Act::Finish);
        }
        let taken = scheduler.push(self.id, packet, now).expect("finite");
        self.at += taken;
        self.acts.push(Act::Push(taken));
    }

    fn check(&self, model: &Arc<Model>, name: &str) -> usize {
        let alone = alone(model, &self.options, &self.pcm, &self.acts);
        let is_over = self.told.last() == Some(&StreamEvent::End);
        // A stream that was cancelled has told less, and nothing else.
        let expected = match is_over {
            true => &alone[..],
            false => &alone[..self.told.len()],
        };
        let differs = self.told.iter().zip(expected).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{name}, {:?}: {:?}", self.id, self.acts);
        assert_eq!(self.told.len(), expected.len(), "{name}, {:?}", self.id);
        usize::from(is_over)
    }
}

/// Lets `lives` streams come and go in one scheduler of few slots; how many came to their end.
fn live(model: &Arc<Model>, ways: &[StreamOptions], lives: usize, seed: u64, name: &str) -> usize {
    let (mut rng, mut now) = (Rng::new(seed), millis(0));
    let chosen = options(|o| {
        o.slots = 7;
        o.max_batch = 4;
        o.max_rows = 70;
        o.queue_samples = 12_000;
        o.max_events = 60;
    });
    let mut scheduler = Scheduler::new(Arc::clone(model), chosen);
    let (mut begun, mut ended, mut here) = (0, 0, Vec::<Life>::new());
    while begun < lives || !here.is_empty() {
        now += millis(rng.below(60) as u64);
        if begun < lives
            && rng.below(4) == 0
            && let Some(life) = Life::begin(&mut scheduler, ways, &mut rng)
        {
            here.push(life);
            begun += 1;
        }
        here.retain_mut(|life| {
            let is_gone = life.act(&mut scheduler, now, &mut rng);
            ended += if is_gone { life.check(model, name) } else { 0 };
            !is_gone
        });
        if scheduler.next(now) == Next::Run || rng.below(10) == 0 {
            let report = scheduler.run(now);
            assert!(report.streams <= 4, "{name}: {report:?}");
            assert!(
                report.streams <= 1 || report.rows <= 70,
                "{name}: {report:?}"
            );
        }
    }
    assert_eq!(scheduler.metrics().started, lives as u64);
    assert_eq!(scheduler.metrics().ended, lives as u64);
    assert!(scheduler.metrics().refused > 0, "{name}: never full");
    assert!(scheduler.metrics().occupancy.max() == 4, "{name}: never 4");
    ended
}

#[test]
fn any_hundred_lives_of_streams_tell_what_they_tell_alone() {
    let mut with_endpoints = windows([12, 5, 3]);
    with_endpoints.endpoints = Some(EndpointRules::default());
    let mut without_tail = windows([20, 10, 0]);
    without_tail.volatile = false;
    let mut gated = with_endpoints.clone();
    gated.gate = Some(GateConfig::default());
    let mut gated_frames = cache_aware(1);
    gated_frames.gate = Some(GateConfig::default());
    let tdt = [windows([12, 5, 3]), with_endpoints, without_tail, gated];
    let rnnt = [
        cache_aware(1),
        cache_aware(0),
        windows([8, 6, 2]),
        gated_frames,
    ];
    let auto = [StreamOptions::default()];
    for precision in [Precision::F32, Precision::Int8] {
        for (case, ways) in [
            ("tdt_v3", &tdt[..]),
            ("rnnt_nemotron", &rnnt[..]),
            ("rnnt_eou", &auto[..]),
        ] {
            let name = format!("{case} {precision:?}");
            let model = load(case, precision);
            let ended = live(&model, ways, 100, 11, &name);
            assert!((30..95).contains(&ended), "{name}: {ended} ended");
        }
    }
}

#[test]
fn streams_are_refused_where_all_slots_are_taken_and_while_draining() {
    let model = load("tdt_v3", Precision::F32);
    let mut scheduler = Scheduler::new(Arc::clone(&model), options(|o| o.slots = 2));
    let way = windows([12, 5, 3]);
    let pcm = audio(3 * RATE, 1);
    let (first, second) = (
        scheduler.admit(&way).expect("a free slot"),
        scheduler.admit(&way).expect("a free slot"),
    );
    let full = SchedulerError::Full { slots: 2 };
    assert_eq!(scheduler.admit(&way), Err(full.clone()));
    assert!(full.to_string().contains("all 2 slots"), "{full}");

    assert_eq!(scheduler.release(first), Err(SchedulerError::NotOver));
    assert_eq!(pump(&mut scheduler, first, &pcm), whole(&model, &way, &pcm));
    assert_eq!(scheduler.admit(&way), Err(full), "over, but not released");
    scheduler.release(first).expect("it is over");
    let third = scheduler.admit(&way).expect("a free slot");
    assert_eq!(scheduler.ids().collect::<Vec<_>>(), [third, second]);

    scheduler.drain();
    scheduler.cancel(third).expect("it is here");
    assert_eq!(scheduler.admit(&way), Err(SchedulerError::Draining));
    assert!(!scheduler.is_drained());
    assert_eq!(
        pump(&mut scheduler, second, &pcm),
        whole(&model, &way, &pcm)
    );
    assert!(scheduler.is_drained());
    let metrics = scheduler.metrics();
    let counts = (metrics.started, metrics.ended, metrics.refused);
    assert_eq!(counts, (3, 3, 3));
    let idle = Scheduler::new(model, SchedulerOptions::default());
    assert!(!idle.is_drained(), "it takes new streams");
}

#[test]
fn what_cannot_be_streamed_takes_no_slot() {
    let model = load("tdt_v3", Precision::F32);
    let mut scheduler = Scheduler::new(model, options(|o| o.slots = 1));
    let refused = scheduler
        .admit(&cache_aware(0))
        .expect_err("full attention");
    assert_eq!(refused.code(), "not-cache-aware");
    assert_eq!(scheduler.ids().count(), 0);
    scheduler.admit(&windows([12, 5, 3])).expect("a free slot");
}

#[test]
fn an_id_of_a_stream_that_is_gone_reaches_nobody() {
    let model = load("tdt_v3", Precision::F32);
    let mut scheduler = Scheduler::new(Arc::clone(&model), options(|o| o.slots = 1));
    let way = windows([12, 5, 3]);
    let pcm = audio(3 * RATE, 2);
    let old = scheduler.admit(&way).expect("a free slot");
    scheduler.push(old, &pcm, millis(0)).expect("finite");
    scheduler.cancel(old).expect("it is here");
    let new = scheduler.admit(&way).expect("a free slot");
    assert_ne!(old, new);
    scheduler.push(new, &pcm, millis(0)).expect("finite");
    let gone = Err(SchedulerError::Gone);
    assert_eq!(
        scheduler.push(old, &pcm, millis(0)),
        Err(SchedulerError::Gone)
    );
    assert_eq!(scheduler.skip(old, 1, millis(0)), gone);
    assert_eq!(scheduler.finish(old, millis(0)), gone);
    assert_eq!(scheduler.set_chunk_frames(old, 9), gone);
    assert_eq!(scheduler.cancel(old), gone);
    assert_eq!(scheduler.release(old), gone);
    run_all(&mut scheduler, millis(0));
    scheduler.clear_events(old);
    assert!(scheduler.events(old).is_empty() && scheduler.is_over(old));
    assert_eq!((scheduler.room(old), scheduler.queued(old)), (0, 0));
    assert!(!scheduler.events(new).is_empty() && !scheduler.is_over(new));
    assert_eq!(pump(&mut scheduler, new, &[]), whole(&model, &way, &pcm));
}

#[test]
fn a_full_queue_says_so_and_nothing_is_dropped() {
    let model = load("tdt_v3", Precision::F32);
    let way = windows([12, 5, 3]);
    let queue = 10_000;
    let chosen = options(|o| o.queue_samples = queue);
    let mut scheduler = Scheduler::new(Arc::clone(&model), chosen);
    let id = scheduler.admit(&way).expect("a free slot");
    let pcm = audio(6 * RATE, 3);
    let (mut at, mut refused) = (0, 0);
    while at < pcm.len() {
        let packet = &pcm[at..pcm.len().min(at + 700)];
        let room = scheduler.room(id);
        let taken = scheduler.push(id, packet, millis(0)).expect("finite");
        assert_eq!(taken, packet.len().min(room));
        at += taken;
        assert!(scheduler.queued(id) <= queue);
        if taken == 0 {
            refused += 1;
            let before = scheduler.state(id).map_or(0, |state| state.received());
            assert_eq!(at as u64, before + queue as u64);
            assert_eq!(scheduler.run(millis(0)).streams, 1);
            assert!(scheduler.room(id) > 0);
        }
    }
    assert!(refused > 5, "the queue was full {refused} times");
    assert_eq!(pump(&mut scheduler, id, &[]), whole(&model, &way, &pcm));
}

#[test]
fn without_a_queue_a_stream_takes_what_its_next_step_needs() {
    let model = load("tdt_v3", Precision::F32);
    let way = windows([12, 5, 3]);
    let mut scheduler = Scheduler::new(Arc::clone(&model), options(|o| o.queue_samples = 0));
    let id = scheduler.admit(&way).expect("a free slot");
    let pcm = audio(4 * RATE, 4);
    let taken = scheduler.push(id, &pcm, millis(0)).expect("finite");
    assert_eq!(taken, 8 * FRAME + 1);
    assert_eq!(scheduler.push(id, &pcm[taken..], millis(0)), Ok(0));
    assert_eq!(
        pump(&mut scheduler, id, &pcm[taken..]),
        whole(&model, &way, &pcm)
    );
}

#[test]
fn a_stream_whose_events_nobody_takes_holds_its_audio_in_bounded_memory() {
    let model = load("tdt_v3", Precision::F32);
    let way = windows([12, 5, 3]);
    let (limit, queue) = (20, 20_000);
    let chosen = options(|o| (o.max_events, o.queue_samples) = (limit, queue));
    let mut scheduler = Scheduler::new(Arc::clone(&model), chosen);
    let unread = scheduler.admit(&way).expect("a free slot");
    let read = scheduler.admit(&way).expect("a free slot");
    let pcm = audio(20 * RATE, 5);
    let (mut at, mut told) = (0, Vec::new());
    for packet in pcm.chunks(1600) {
        at += scheduler
            .push(unread, &pcm[at..], millis(0))
            .expect("finite");
        assert_eq!(scheduler.push(read, packet, millis(0)), Ok(packet.len()));
        run_all(&mut scheduler, millis(0));
        take(&mut scheduler, read, &mut told);
        // A step of 5 + 3 frames tells little more than a token for each.
        let events = scheduler.events(unread).len();
        assert!(events < limit + 60, "{events} events");
    }
    assert_eq!(scheduler.push(unread, &pcm[at..], millis(0)), Ok(0));
    assert_eq!(scheduler.next(millis(9)), Next::Idle);
    assert!(at < pcm.len() / 2, "{at} samples were taken");
    told.extend(pump(&mut scheduler, read, &[]));
    assert_eq!(told, whole(&model, &way, &pcm));

    told.clear();
    while !scheduler.is_over(unread) {
        take(&mut scheduler, unread, &mut told);
        let rest = &pcm[at..];
        match rest.is_empty() {
            true => scheduler.finish(unread, millis(0)).expect("it is here"),
            false => at += scheduler.push(unread, rest, millis(0)).expect("finite"),
        }
        scheduler.run(millis(0));
    }
    take(&mut scheduler, unread, &mut told);
    assert_eq!(told, whole(&model, &way, &pcm));
}

/// Frames decided, by stream.
fn decided(scheduler: &Scheduler, ids: &[StreamId]) -> Vec<u64> {
    let decided = |id: &StreamId| scheduler.state(*id).map_or(0, |state| state.decided());
    ids.iter().map(decided).collect()
}

#[test]
fn the_earliest_deadline_goes_first() {
    let model = load("rnnt_nemotron", Precision::F32);
    // The deadline is the time at which the next chunk is due: 1.6 s after this one, 160 ms after this one.
    let (slow, quick) = (windows([8, 20, 2]), cache_aware(1));
    let mut scheduler = Scheduler::new(model, options(|o| o.max_batch = 1));
    let ids: Vec<StreamId> = [&slow, &slow, &quick, &quick]
        .map(|way| scheduler.admit(way).expect("a free slot"))
        .to_vec();
    let pcm = audio(22 * FRAME + 1, 6);
    for (stream, came) in [(0, 300), (1, 200), (2, 1700), (3, 1900)] {
        // Up to the sample that makes one step due.
        let room = scheduler.state(ids[stream]).map_or(0, |state| state.room());
        let taken = scheduler.push(ids[stream], &pcm[..room], millis(came));
        assert_eq!(taken, Ok(room));
    }
    // Due with the last sample: 300 + 1600, 200 + 1600, 1700 + 160 and 1900 + 160 ms.
    let now = millis(2000);
    for first in [1, 2, 0, 3] {
        let before = decided(&scheduler, &ids);
        assert_eq!(scheduler.run(now).streams, 1);
        let after = decided(&scheduler, &ids);
        let moved: Vec<usize> = (0..4).filter(|&n| after[n] != before[n]).collect();
        assert_eq!(moved, [first]);
    }
    assert_eq!(scheduler.run(now).streams, 0);
}

#[test]
fn a_step_waits_for_others_but_not_for_long() {
    let model = load("rnnt_nemotron", Precision::F32);
    let way = windows([8, 6, 2]);
    let due = 8 * FRAME + 1;
    let pcm = audio(due, 7);
    let chosen = options(|o| (o.max_batch, o.max_wait) = (3, millis(20)));
    let mut scheduler = Scheduler::new(Arc::clone(&model), chosen);
    let mut ids = Vec::new();
    let mut admit = |scheduler: &mut Scheduler| {
        ids.push(scheduler.admit(&way).expect("a free slot"));
        ids[ids.len() - 1]
    };
    assert_eq!(scheduler.next(millis(0)), Next::Idle);
    let first = admit(&mut scheduler);
    assert_eq!(scheduler.next(millis(0)), Next::Idle);
    scheduler
        .push(first, &pcm[..due - 1], millis(50))
        .expect("finite");
    assert_eq!(scheduler.next(millis(60)), Next::Idle);
    scheduler
        .push(first, &pcm[due - 1..], millis(100))
        .expect("finite");
    assert_eq!(scheduler.next(millis(100)), Next::Run, "it is all there is");

    let second = admit(&mut scheduler);
    let until = Next::WaitUntil(millis(120));
    assert_eq!(scheduler.next(millis(100)), until);
    assert_eq!(scheduler.next(millis(119)), until);
    assert_eq!(scheduler.next(millis(120)), Next::Run);

    let third = admit(&mut scheduler);
    scheduler.push(second, &pcm, millis(110)).expect("finite");
    assert_eq!(
        scheduler.next(millis(111)),
        until,
        "since the first is ready"
    );
    let fourth = admit(&mut scheduler);
    scheduler.push(third, &pcm, millis(112)).expect("finite");
    assert_eq!(scheduler.next(millis(112)), Next::Run, "three fill a step");
    assert_eq!(scheduler.run(millis(112)).streams, 3);
    assert_eq!(scheduler.next(millis(112)), Next::Idle);

    scheduler.finish(fourth, millis(200)).expect("it is here");
    assert_eq!(scheduler.next(millis(200)), Next::WaitUntil(millis(220)));
    for id in [first, second, third] {
        scheduler.cancel(id).expect("it is here");
    }
    assert_eq!(
        scheduler.next(millis(200)),
        Next::Run,
        "nobody else is left"
    );
    assert_eq!(scheduler.run(millis(200)).streams, 1);
    assert_eq!(scheduler.events(fourth).last(), Some(&StreamEvent::End));
}

#[test]
fn rows_of_a_step_are_limited_but_for_a_single_stream() {
    let model = load("rnnt_nemotron", Precision::F32);
    let (large, small) = (windows([8, 6, 2]), cache_aware(1));
    for (max_rows, together) in [(1, vec![1; 4]), (19, vec![3, 1]), (20, vec![4])] {
        let mut scheduler = Scheduler::new(Arc::clone(&model), options(|o| o.max_rows = max_rows));
        for way in [&large, &small, &large, &small] {
            let id = scheduler.admit(way).expect("a free slot");
            let room = scheduler.state(id).map_or(0, |state| state.room());
            let pcm = audio(room, 8);
            scheduler.push(id, &pcm, millis(0)).expect("finite");
        }
        // The first windows have 8 frames, small steps have 2 and the earlier deadlines.
        let mut seen = Vec::new();
        loop {
            let report = scheduler.run(millis(0));
            if report.streams == 0 {
                break;
            }
            seen.push(report.streams);
        }
        assert_eq!(seen, together, "at most {max_rows} rows");
    }
}

#[test]
fn what_is_no_number_is_told_to_its_caller_and_touches_nobody() {
    let model = load("tdt_v3", Precision::F32);
    let way = windows([12, 5, 3]);
    let mut scheduler = Scheduler::new(Arc::clone(&model), options(|o| o.queue_samples = RATE));
    let ids: Vec<StreamId> = (0..3)
        .map(|_| scheduler.admit(&way).expect("a free slot"))
        .collect();
    let pcms: Vec<Vec<f32>> = (0..3).map(|n| audio(3 * RATE, 20 + n)).collect();
    // At the very first sample, where the stream takes it, and where it waits.
    for (bad, samples) in [
        (0, f32::NAN),
        (4000, f32::INFINITY),
        (20_000, f32::NEG_INFINITY),
    ] {
        let at = scheduler.state(ids[1]).map_or(0, |state| state.received()) as usize;
        let at = at + scheduler.queued(ids[1]);
        let mut damaged = pcms[1][at..=bad].to_vec();
        damaged[bad - at] = samples;
        let seconds = bad as f64 / RATE as f64;
        let refused = scheduler.push(ids[1], &damaged, millis(0));
        assert_eq!(refused, Err(StreamError::NotFinite { seconds }.into()));
    }
    assert_eq!(scheduler.metrics().invalid_samples, 3);
    assert!(scheduler.queued(ids[1]) > 0);
    let told = ids.iter().zip(&pcms).map(|(id, pcm)| {
        let rest = if *id == ids[1] { &pcm[20_000..] } else { pcm };
        pump(&mut scheduler, *id, rest)
    });
    for (told, pcm) in told.collect::<Vec<_>>().iter().zip(&pcms) {
        assert_eq!(*told, whole(&model, &way, pcm));
    }
}

#[test]
fn a_gated_stream_tells_silence_without_a_step_and_that_is_counted() {
    let model = load("tdt_v3", Precision::F32);
    let mut way = windows([12, 5, 3]);
    way.gate = Some(GateConfig::default());
    way.endpoints = Some(EndpointRules::default());
    let chosen = options(|o| (o.max_events, o.queue_samples) = (4, 3 * RATE));
    let mut scheduler = Scheduler::new(Arc::clone(&model), chosen);
    let id = scheduler.admit(&way).expect("a free slot");
    let mut pcm = signals::silence(4 * RATE);
    pcm.extend(audio(2 * RATE, 14));
    pcm.extend(signals::silence(4 * RATE));
    let told = pump(&mut scheduler, id, &pcm);
    assert_eq!(told, whole(&model, &way, &pcm));
    assert!(told.len() > 8, "{told:?}");
    let metrics = scheduler.metrics();
    let endpoints = told
        .iter()
        .filter(|e| matches!(e, StreamEvent::Endpoint(_)));
    assert_eq!(metrics.endpoints, endpoints.count() as u64);
    assert_eq!(metrics.audio, millis(10_000));
    assert_eq!((metrics.ended, metrics.tokens), (1, tokens(&told) as u64));
    assert!(metrics.steps < 15, "{} steps of 25", metrics.steps);
}

#[test]
fn samples_out_of_all_bounds_spoil_their_own_stream_only() {
    for precision in [Precision::F32, Precision::Int8] {
        for (case, way) in [
            ("tdt_v3", windows([12, 5, 3])),
            ("rnnt_nemotron", cache_aware(1)),
        ] {
            let model = load(case, precision);
            let mut scheduler = Scheduler::new(Arc::clone(&model), SchedulerOptions::default());
            let ids: Vec<StreamId> = (0..3)
                .map(|_| scheduler.admit(&way).expect("a free slot"))
                .collect();
            let mut pcms: Vec<Vec<f32>> = (0..3).map(|n| audio(3 * RATE, 30 + n)).collect();
            for sample in pcms[1].iter_mut().skip(9000).step_by(7) {
                *sample = f32::MAX;
            }
            for start in (0..3 * RATE).step_by(4000) {
                for (id, pcm) in ids.iter().zip(&pcms) {
                    let taken = scheduler.push(*id, &pcm[start..start + 4000], millis(0));
                    assert_eq!(taken, Ok(4000));
                }
                run_all(&mut scheduler, millis(0));
            }
            ids.iter()
                .for_each(|id| scheduler.finish(*id, millis(0)).expect("it is here"));
            run_all(&mut scheduler, millis(0));
            for n in [0, 2] {
                let alone = whole(&model, &way, &pcms[n]);
                assert!(tokens(&alone) > 0, "{case} says nothing");
                assert_eq!(scheduler.events(ids[n]), alone, "{case} {precision:?}");
            }
            assert_eq!(scheduler.events(ids[1]).last(), Some(&StreamEvent::End));
        }
    }
}

#[test]
fn lost_samples_leave_a_gap_where_they_were() {
    let model = load("tdt_v3", Precision::F32);
    let way = windows([12, 5, 3]);
    let pcm = audio(4 * RATE, 9);
    // While the stream has room, while audio waits, twice in one place, and for long.
    let acts = [
        Act::Push(3000),
        Act::Skip(700),
        Act::Push(20_000),
        Act::Skip(40),
        Act::Skip(60),
        Act::Push(5000),
        Act::Skip(90_000),
        Act::Push(30_000),
        Act::Skip(5),
        Act::Finish,
    ];
    let mut scheduler = Scheduler::new(Arc::clone(&model), SchedulerOptions::default());
    let id = scheduler.admit(&way).expect("a free slot");
    let mut at = 0;
    for act in acts {
        match act {
            Act::Push(samples) => {
                let taken = scheduler.push(id, &pcm[at..at + samples], millis(0));
                assert_eq!(taken, Ok(samples));
                at += samples;
            }
            Act::Skip(samples) => scheduler.skip(id, samples, millis(0)).expect("open"),
            Act::Finish => scheduler.finish(id, millis(0)).expect("it is here"),
        }
    }
    run_all(&mut scheduler, millis(0));
    let gaps: Vec<(u64, u64)> = scheduler
        .events(id)
        .iter()
        .filter_map(|event| match *event {
            StreamEvent::Gap { start, samples } => Some((start, samples)),
            _ => None,
        })
        .collect();
    assert_eq!(
        gaps,
        [(3000, 700), (23_700, 100), (28_800, 90_000), (148_800, 5)]
    );
    let metrics = scheduler.metrics();
    assert_eq!((metrics.gaps, metrics.dropped_samples), (4, 90_805));
    assert_eq!(scheduler.events(id), alone(&model, &way, &pcm, &acts));
}

#[test]
fn a_finished_stream_takes_nothing_and_finishing_twice_changes_nothing() {
    let model = load("tdt_v3", Precision::F32);
    let way = windows([12, 5, 3]);
    let mut scheduler = Scheduler::new(Arc::clone(&model), SchedulerOptions::default());
    let id = scheduler.admit(&way).expect("a free slot");
    let pcm = audio(2 * RATE, 10);
    // Some of it waits in the queue, so that the stream itself is not finished yet.
    scheduler.push(id, &pcm, millis(0)).expect("finite");
    scheduler.finish(id, millis(0)).expect("it is here");
    let finished = SchedulerError::Stream(StreamError::Finished);
    assert_eq!(scheduler.push(id, &pcm, millis(0)), Err(finished.clone()));
    assert_eq!(scheduler.skip(id, 5, millis(0)), Err(finished));
    assert_eq!(scheduler.room(id), 0);
    scheduler.finish(id, millis(5)).expect("it is here");
    run_all(&mut scheduler, millis(0));
    scheduler.finish(id, millis(9)).expect("it is here");
    run_all(&mut scheduler, millis(0));
    assert_eq!(scheduler.events(id), whole(&model, &way, &pcm));
}

#[test]
fn a_chunk_that_changes_is_that_of_the_stream() {
    let model = load("tdt_v3", Precision::F32);
    let way = windows([12, 5, 3]);
    let mut scheduler = Scheduler::new(Arc::clone(&model), SchedulerOptions::default());
    let id = scheduler.admit(&way).expect("a free slot");
    let pcm = audio(4 * RATE, 12);
    let mut stream = Stream::new(Arc::clone(&model), &way).expect("known");
    for (packet, frames) in pcm.chunks(RATE).zip([2, 7, 5, 1]) {
        scheduler.push(id, packet, millis(0)).expect("finite");
        run_all(&mut scheduler, millis(0));
        stream.push(packet).expect("finite");
        stream.set_chunk_frames(frames).expect("windows");
        let changed = scheduler.set_chunk_frames(id, frames);
        assert_eq!(changed, Ok(()));
    }
    stream.finish();
    scheduler.finish(id, millis(0)).expect("it is here");
    run_all(&mut scheduler, millis(0));
    assert_eq!(scheduler.events(id), stream.events());
}

#[test]
fn times_count_from_when_the_audio_came() {
    let model = load("tdt_v3", Precision::F32);
    let way = windows([12, 5, 3]);
    let mut scheduler = Scheduler::new(Arc::clone(&model), SchedulerOptions::default());
    let id = scheduler.admit(&way).expect("a free slot");
    let pcm = audio(13 * FRAME + 1, 13);
    let (first, second) = (8 * FRAME + 1, 5 * FRAME);
    scheduler
        .push(id, &pcm[..100], millis(1000))
        .expect("finite");
    let came = scheduler.push(id, &pcm[100..first], millis(2000));
    assert_eq!(came, Ok(first - 100));
    let came = scheduler.push(id, &pcm[first..], millis(2500));
    assert_eq!(came, Ok(second));
    let ran = scheduler.run(millis(3000));
    let told = tokens(scheduler.events(id));
    assert!(told > 0, "the first step says nothing");
    let computed = ran.encode + ran.decode;
    let micros = |d: Duration| d.as_nanos().div_ceil(1000) as u64;
    let metrics = scheduler.metrics().clone();
    assert_eq!(metrics.queue_wait.max(), 1_000_000);
    assert_eq!(metrics.first_token.max(), micros(millis(2000) + computed));
    assert_eq!(metrics.finalisation_lag.count(), told as u64);
    assert_eq!(
        metrics.finalisation_lag.max(),
        micros(millis(1000) + computed)
    );
    assert_eq!(metrics.audio, millis(5 * 80));

    // The second step was due when its last sample came, while the first had yet to run.
    let ran = scheduler.run(millis(3500));
    let computed = ran.encode + ran.decode;
    let metrics = scheduler.metrics();
    assert_eq!(
        (metrics.queue_wait.count(), metrics.queue_wait.sum()),
        (2, 2_000_000)
    );
    assert_eq!(metrics.first_token.count(), 1);
    assert_eq!((metrics.steps, metrics.audio), (2, millis(10 * 80)));
    assert_eq!(metrics.tokens, tokens(scheduler.events(id)) as u64);
    assert_eq!(metrics.rows, 8 + 13);
    // Frames 5 to 7 were heard with the right context of the first step.
    let ends_early = |event: &StreamEvent| match event {
        StreamEvent::Commit(token) => (5..7).contains(&token.frame) && token.duration <= 1,
        _ => false,
    };
    assert!(scheduler.events(id).iter().any(ends_early));
    let lag = micros(millis(1500) + computed);
    assert_eq!(metrics.finalisation_lag.max(), lag);
}
