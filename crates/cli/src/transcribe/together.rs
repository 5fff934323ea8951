//! Short recordings, side by side: one alone has too little to do for several threads.
//!
//! The next files are read on all threads, the short ones to their end. Those are recognised in batches, and each ends in
//! its turn. A long one waits for its turn, so that it is never held whole.

use std::fs;

use percept::Transcript;

use super::turn::{Heard, Ready, Run, Turn};
use crate::defect;
use crate::error::CliError;
use crate::inputs::Source;
use crate::resume::Seen;

/// Most files that are read before the first of them is recognised.
const READ_AHEAD_FILES: usize = 32;

/// A larger file is taken to be long.
const SMALL_BYTES: u64 = 8 << 20;

/// A longer recording is recognised alone, while it is read.
const SHORT_SECONDS: usize = 15;

/// How much audio is recognised before its results are written: what an interruption may cost.
const BATCH_SECONDS: usize = 60;

/// A recording that was read to its end, or to where it is damaged.
struct Short {
    pcm: Vec<f32>,
    /// How long it said it was.
    seconds: Option<f64>,
    damage: Option<CliError>,
    seen: Option<Seen>,
}

/// What was done to a recording before its turn.
enum Taken {
    Nothing,
    Looked,
    Read(Short),
    /// It was opened, and nothing in it is worth writing down.
    Broken {
        seconds: Option<f64>,
        error: CliError,
    },
}

/// A turn and how far its recording is, or why it failed.
type At<'t, T> = (&'t Turn<'t>, Result<T, CliError>);

impl Run {
    /// Gets every recording ready, several at a time, and hands them on in order.
    ///
    /// # Errors
    ///
    /// Those of `then`, which end it.
    pub(super) fn each_ready<'t>(
        &self,
        turns: &'t [Turn<'t>],
        mut then: impl FnMut(At<'t, Ready<'t>>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let most = BATCH_SECONDS * self.recognizer.sample_rate() as usize;
        let mut rest = turns;
        while !rest.is_empty() {
            let (group, later) = rest.split_at(group_len(rest));
            rest = later;
            for batch in batches(self.read_ahead(group), most) {
                self.hear_together(batch)
                    .into_iter()
                    .try_for_each(&mut then)?;
            }
        }
        Ok(())
    }

    /// Reads the short ones of several recordings.
    fn read_ahead<'t>(&self, group: &'t [Turn<'t>]) -> Vec<At<'t, Taken>> {
        if let [turn] = group {
            return vec![(turn, Ok(Taken::Nothing))];
        }
        let mut taken: Vec<At<'_, Taken>> = group
            .iter()
            .map(|turn| (turn, Ok(Taken::Nothing)))
            .collect();
        self.recognizer.pool().scope(|scope| {
            for (turn, taken) in &mut taken {
                scope.spawn(|_| *taken = defect::contain(&turn.label, || self.read_short(turn)));
            }
        });
        taken
    }

    fn read_short(&self, turn: &Turn<'_>) -> Result<Taken, CliError> {
        let Some((mut recording, seen)) = self.open(turn)? else {
            return Ok(Taken::Looked);
        };
        let most = SHORT_SECONDS * self.recognizer.sample_rate() as usize;
        let seconds = recording.seconds();
        let mut is_long = seconds.is_some_and(|seconds| seconds > SHORT_SECONDS as f64);
        let mut pcm = Vec::new();
        let read = defect::contain(&turn.label, || {
            while !is_long && recording.read(&mut pcm)? > 0 {
                is_long = pcm.len() > most;
            }
            Ok(())
        });
        Ok(match read {
            Err(error) => Taken::Broken { seconds, error },
            Ok(()) if is_long => Taken::Nothing,
            Ok(()) => Taken::Read(Short {
                pcm,
                seconds,
                damage: recording.into_damage(),
                seen,
            }),
        })
    }

    /// Begins the recordings of a batch that were opened, and recognises those that were read.
    fn hear_together<'t>(&self, batch: Vec<At<'t, Taken>>) -> Vec<At<'t, Ready<'t>>> {
        let (mut read, mut progress) = (Vec::new(), Vec::new());
        for (turn, taken) in &batch {
            let start = |seconds| self.progress.start_beside(&turn.label, turn.place, seconds);
            match taken {
                Ok(Taken::Read(short)) => {
                    progress.push(start(short.seconds));
                    read.push((*turn, &short.pcm[..]));
                }
                Ok(Taken::Broken { seconds, .. }) => drop(start(*seconds)),
                Ok(Taken::Nothing | Taken::Looked) | Err(_) => {}
            }
        }
        let transcripts = self.transcripts(&read);
        let mut heard = transcripts.into_iter().zip(progress);
        let ready = |taken| {
            Ok(match taken? {
                Taken::Nothing => Ready::Untouched,
                Taken::Looked => Ready::UpToDate,
                Taken::Broken { error, .. } => return Err(error),
                Taken::Read(short) => {
                    let (transcript, progress) = heard.next().expect("one for each that was read");
                    Ready::Heard(Box::new(Heard {
                        transcript: transcript?,
                        damage: short.damage,
                        seen: short.seen,
                        progress,
                    }))
                }
            })
        };
        let (turns, taken): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        turns
            .into_iter()
            .zip(taken.into_iter().map(ready))
            .collect()
    }

    /// The transcripts of several recordings; where all together fail, each is tried alone. People are told what failed,
    /// unless one of them alone fails likewise.
    fn transcripts(&self, read: &[(&Turn<'_>, &[f32])]) -> Vec<Result<Transcript, CliError>> {
        let Some((first, _)) = read.first() else {
            return Vec::new();
        };
        let bar = self
            .progress
            .together(&first.label, first.place, read.len());
        let all: Vec<&[f32]> = read.iter().map(|(_, pcm)| *pcm).collect();
        let subject = match read.len() {
            1 => first.label.clone(),
            count => format!("{} and {} more", first.label, count - 1),
        };
        let (results, fault) = all_or_each(
            &subject,
            read,
            || Ok(self.recognizer.transcribe_batch(&all)?),
            |(turn, pcm)| {
                defect::contain(&turn.label, || Ok(self.recognizer.transcribe(pcm)?))
                    .map_err(|error| error.about(&turn.label))
            },
        );
        drop(bar);
        if let Some(fault) = fault {
            self.progress.notice(&one_by_one(&fault));
        }
        results
    }
}

/// How many of the next turns are read ahead; where it is one, it is not. What is no file may keep others waiting, or be used
/// up by a look.
fn group_len(turns: &[Turn<'_>]) -> usize {
    let is_small = |turn: &&Turn<'_>| match &turn.job.source {
        Source::File(path) => {
            fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= SMALL_BYTES)
        }
        Source::Stdin => false,
    };
    let next = turns.iter().take(READ_AHEAD_FILES);
    next.take_while(is_small).count().max(1)
}

/// Cuts a group into batches of at most so many samples. What was not read may take long, so that what comes before it is
/// written first.
fn batches(group: Vec<At<'_, Taken>>, most: usize) -> Vec<Vec<At<'_, Taken>>> {
    let mut batches: Vec<Vec<At<'_, Taken>>> = Vec::new();
    let mut room = 0;
    for (turn, taken) in group {
        let samples = match &taken {
            Ok(Taken::Read(short)) => short.pcm.len(),
            Ok(Taken::Nothing) => most,
            Ok(Taken::Looked | Taken::Broken { .. }) | Err(_) => 0,
        };
        match batches.last_mut() {
            Some(batch) if samples <= room => batch.push((turn, taken)),
            _ => {
                batches.push(vec![(turn, taken)]);
                room = most;
            }
        }
        room = room.saturating_sub(samples);
    }
    batches
}

/// The results of `all`, or where that fails or panics, those of `each` one, and why `all` failed if no result says it.
fn all_or_each<I, T>(
    subject: &str,
    items: &[I],
    all: impl FnOnce() -> Result<Vec<T>, CliError>,
    each: impl FnMut(&I) -> Result<T, CliError>,
) -> (Vec<Result<T, CliError>>, Option<CliError>) {
    let fault = match defect::contain(subject, all) {
        Ok(results) => return (results.into_iter().map(Ok).collect(), None),
        Err(fault) => fault.about(subject),
    };
    let results: Vec<_> = items.iter().map(each).collect();
    let is_defect = |error: &CliError| matches!(error, CliError::Defect { .. });
    let mut errors = results.iter().filter_map(|result| result.as_ref().err());
    let is_told = errors.any(|error| is_defect(error) == is_defect(&fault));
    (results, (!is_told).then_some(fault))
}

/// What is said of recordings that failed together, and not alone.
fn one_by_one(fault: &CliError) -> String {
    format!(
        "warning: {}; each was recognised alone instead",
        fault.line()
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use percept::{Recognizer, RecognizerOptions};

    use super::*;
    use crate::args::{Format, ProgressMode};
    use crate::plan::Job;
    use crate::progress::Progress;
    use crate::resume::Settings;

    fn run() -> Run {
        Run {
            recognizer: Recognizer::embedded(&RecognizerOptions::default()).unwrap(),
            settings: Settings {
                percept: String::new(),
                model: String::new(),
                precision: String::new(),
                decoder: String::new(),
                confidence: String::new(),
                language: None,
                format: String::new(),
            },
            format: Format::Text,
            resume: false,
            is_one_of_several: true,
            progress: Progress::new(ProgressMode::None),
        }
    }

    /// Silence at 16 kHz in a file whose header announces so many bytes of it.
    fn silence(folder: &Path, name: &str, samples: u32, bytes_announced: u32) -> Job {
        let mut bytes =
            b"RIFF....WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data"
                .to_vec();
        bytes[4..8].copy_from_slice(&bytes_announced.saturating_add(36).to_le_bytes());
        bytes.extend(bytes_announced.to_le_bytes());
        bytes.resize(bytes.len() + 2 * samples as usize, 0);
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        Job {
            source: Source::File(path),
            output: None,
        }
    }

    #[test]
    fn what_is_long_is_never_held_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (second, most) = (16_000, SHORT_SECONDS as u32 * 16_000);
        let jobs = [
            silence(folder.path(), "short.wav", second, 2 * second),
            silence(folder.path(), "edge.wav", most, 2 * most),
            silence(folder.path(), "long.wav", most + 1, 2 * most + 2),
            // Nothing says how long it is.
            silence(folder.path(), "pipe.wav", 2 * most, u32::MAX),
        ];
        let (run, turns) = (run(), Turn::of_each(&jobs));
        let samples = |(_, taken): At<'_, Taken>| match taken.unwrap() {
            Taken::Read(short) => Some(short.pcm.len() as u32),
            Taken::Nothing => None,
            Taken::Looked => panic!("nothing is up to date"),
            Taken::Broken { error, .. } => panic!("{error}"),
        };
        let held: Vec<Option<u32>> = run.read_ahead(&turns).into_iter().map(samples).collect();
        assert_eq!(held, [Some(second), Some(most), None, None]);
        let alone = run.read_ahead(&turns[..1]).into_iter().map(samples);
        assert_eq!(
            alone.collect::<Vec<_>>(),
            [None],
            "one file is recognised while it is read"
        );
    }

    #[test]
    fn small_files_are_read_ahead_up_to_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut jobs: Vec<Job> = (0..40)
            .map(|n| silence(folder.path(), &format!("{n}.wav"), 10, 20))
            .collect();
        assert_eq!(group_len(&Turn::of_each(&jobs)), READ_AHEAD_FILES);
        jobs[4].source = Source::Stdin;
        assert_eq!(group_len(&Turn::of_each(&jobs)), 4);
        assert_eq!(group_len(&Turn::of_each(&jobs[4..])), 1);
        jobs[3].source = Source::File(folder.path().to_owned());
        assert_eq!(group_len(&Turn::of_each(&jobs)), 3);
        let large = fs::File::create(folder.path().join("1.wav")).unwrap();
        large.set_len(SMALL_BYTES + 1).unwrap();
        assert_eq!(group_len(&Turn::of_each(&jobs)), 1);
    }

    #[test]
    fn a_batch_ends_where_it_is_full_and_before_what_may_take_long() {
        let jobs: Vec<Job> = (0..9)
            .map(|_| Job {
                source: Source::Stdin,
                output: None,
            })
            .collect();
        let turns = Turn::of_each(&jobs);
        let read = |samples| {
            Ok(Taken::Read(Short {
                pcm: vec![0.0; samples],
                seconds: None,
                damage: None,
                seen: None,
            }))
        };
        let taken = [
            Ok(Taken::Looked),
            read(4),
            read(6),
            read(1),
            Err(CliError::StdinTwice),
            Ok(Taken::Nothing),
            read(2),
            Ok(Taken::Looked),
            read(20),
        ];
        let cut = batches(turns.iter().zip(taken).collect(), 10);
        let places: Vec<Vec<usize>> = cut
            .iter()
            .map(|batch| batch.iter().map(|(turn, _)| turn.place.index).collect())
            .collect();
        assert_eq!(places, [&[1, 2, 3][..], &[4, 5], &[6], &[7, 8], &[9]]);
    }

    #[test]
    fn where_all_fail_together_each_is_tried_alone() {
        let each = |n: &u32| match n {
            2 => Err(CliError::StdinTwice),
            n => Ok(n * 10),
        };
        let is_ten_times = |results: Vec<Result<u32, CliError>>| {
            let values: Vec<Option<u32>> = results.into_iter().map(Result::ok).collect();
            assert_eq!(values, [Some(10), None, Some(30)]);
        };
        let results = |all: fn() -> Result<Vec<u32>, CliError>| {
            all_or_each("1 and 2 more", &[1, 2, 3], all, each).0
        };
        is_ten_times(results(|| Err(CliError::StdinTwice)));
        is_ten_times(results(|| panic!("on purpose")));
        let not_alone = |_: &u32| panic!("not alone");
        let all = all_or_each("1", &[1, 2, 3], || Ok(vec![7, 8, 9]), not_alone).0;
        assert_eq!(
            all.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
            [7, 8, 9]
        );
    }

    #[test]
    fn what_fails_together_is_told_unless_one_fails_likewise_alone() {
        type Each = fn(&u32) -> Result<u32, CliError>;
        let succeeds: Each = |n| Ok(*n);
        let fails: Each = |_| Err(CliError::StdinTwice);
        let panics: Each = |_| defect::contain("1", || panic!("alone"));
        let told = |all: fn() -> Result<Vec<u32>, CliError>, each: Each| {
            let (_, fault) = all_or_each("1 and 2 more", &[1, 2, 3], all, each);
            fault.map(|fault| one_by_one(&fault))
        };
        for each in [succeeds, fails] {
            let line = told(|| panic!("on purpose"), each).unwrap();
            assert!(
                line.starts_with("warning: 1 and 2 more: internal error: on purpose"),
                "{line}"
            );
            assert!(
                line.ends_with("; each was recognised alone instead"),
                "{line}"
            );
        }
        assert_eq!(told(|| panic!("on purpose"), panics), None);
        let line = told(|| Err(CliError::StdinTwice), succeeds).unwrap();
        assert!(line.starts_with("warning: -: given twice"), "{line}");
        assert_eq!(told(|| Err(CliError::StdinTwice), fails), None);
        assert_eq!(told(|| Ok(vec![7, 8, 9]), panics), None);
    }
}
