//! `percept stream`: text while the audio arrives.
//!
//! A [`feed::Feed`] holds the samples of a stream, a [`lane::Lane`] feeds them to the scheduler, [`drive::Driver`] moves all
//! lanes on by a [`clock::Clock`], [`steps::StepReader`] turns what they tell into steps, and [`output::Output`] writes those.

pub(crate) mod args;
pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod drive;
pub(crate) mod feed;
pub(crate) mod lane;
pub(crate) mod listen;
mod live;
#[cfg(any(feature = "mic", test))]
mod microphone;
mod output;
pub(crate) mod pcm;
pub(crate) mod plot;
mod report;
mod run;
mod screen;
mod session;
mod steps;
mod wrap;
mod write;

#[cfg(unix)]
pub(crate) use output::leave_terminal;
pub(crate) use pcm::PcmError;
pub(crate) use run::run;

/// `percept stream --help`, below the options.
pub(crate) const HELP: &str = "\
Inputs:
  A FILE is read by its content, at any sample rate and with any number of
  channels. `-` is raw samples on stdin, 16 kHz mono s16le unless --pcm, --rate
  and --channels say otherwise. Several inputs are several streams, recognised
  side by side.

Context:
  Most models hear a window at each step: --left seconds again, --chunk seconds
  that are decided, --right seconds in advance. Text is final chunk + right
  after it was said, at the latest. Cache-aware models hear each frame once and
  --lookahead frames in advance.

Output on stdout:
  text  what is certain, as it comes, a line for each utterance with
        --endpoint; captions in place on a terminal, what may still change
        dimmed. Of several streams, lines `FILE: text`
  json  one event a line, times in seconds; nothing in it depends on the speed
        of the machine:
    {\"type\":\"commit\",\"text\",\"start\",\"end\",\"tokens\"}  added for good; the text
        of all commits together is the transcript
    {\"type\":\"volatile\",\"text\"}  in place of the whole text after the last
        commit; may still change
    {\"type\":\"endpoint\",\"time\",\"cause\"}  an utterance has ended
    {\"type\":\"gap\",\"start\",\"end\"}  audio was lost
    {\"type\":\"end\",\"text\"}  the whole transcript
        With several inputs each has \"stream\", the FILE as given.

Times:
  --stats and --plot say how late text was final: measured with --realtime,
  otherwise as it would have been had the audio come at its own speed.

Failures:
  A bad input gets one line on stderr, the others are still done, and the exit
  status is 1. What was heard before is written down.

Examples:
  percept stream talk.wav
  percept stream --realtime --stats --plot latency.svg talk.mp3
  percept stream --preset quick --format json a.wav b.wav
  arecord -q -f S16_LE -r 16000 | percept stream -
  ffmpeg -i URL -f f32le -ac 2 -ar 48000 - |
    percept stream --pcm f32le --rate 48000 --channels 2 --endpoint -";
