//! Where the samples of a stream come from: mono, at the model's rate, a block at a time.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use percept::audio::{AudioReader, Resampler};

#[cfg(any(feature = "mic", test))]
use super::microphone::MicrophoneFeed;
use super::pcm::{HEAD_BYTES, PcmError, PcmFormat, PcmStream, container};
use crate::audio;
use crate::error::CliError;
use crate::inputs::Source;

/// Blocks that wait between a thread that reads and the streams; then it waits itself.
const WAITING_BLOCKS: usize = 4;
/// What is read at once, at most: bytes of a pipe, samples of a recording in memory.
const BLOCK: usize = 1 << 14;

/// The samples of one stream. What can make its reader wait is read by a thread of its own.
pub(crate) struct Feed {
    source: FeedSource,
    /// The last read found nothing yet.
    has_waited: bool,
    /// No more is wanted than what was read already.
    is_stopped: bool,
}

enum FeedSource {
    Here(Box<AudioReader>),
    Elsewhere(Receiver<Result<Vec<f32>, CliError>>),
    Repeated(Repeated),
    #[cfg(any(feature = "mic", test))]
    Microphone(Box<MicrophoneFeed>),
}

/// A recording again and again.
struct Repeated {
    pcm: Arc<[f32]>,
    at: usize,
    /// Samples to come.
    left: u64,
}

/// What a feed has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fed {
    /// Samples were appended.
    Samples {
        /// They were not there the last time.
        has_waited: bool,
    },
    /// So many samples were lost.
    #[cfg_attr(
        not(any(feature = "mic", test)),
        expect(dead_code, reason = "only what a microphone hears gets lost")
    )]
    Lost(u64),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
}

impl Feed {
    /// Opens a recording, or stdin as raw samples, to be read at `sample_rate`.
    ///
    /// # Errors
    ///
    /// As [`audio::open`].
    pub(crate) fn open(
        source: &Source,
        format: PcmFormat,
        sample_rate: u32,
    ) -> Result<Self, CliError> {
        match source {
            Source::Stdin => Ok(Self::spawn(move |out| {
                read_raw(&mut io::stdin().lock(), format, sample_rate, out)
            })),
            Source::File(path) if may_block(path) => {
                let source = source.clone();
                Ok(Self::spawn(move |out| {
                    read_file(&mut audio::open(&source, sample_rate)?, out)
                }))
            }
            Source::File(_) => {
                let reader = audio::open(source, sample_rate)?;
                Ok(Self::new(FeedSource::Here(Box::new(reader))))
            }
        }
    }

    /// Runs `read` on a thread of its own. It ends when nobody takes what it sends.
    fn spawn(
        read: impl FnOnce(&SyncSender<Result<Vec<f32>, CliError>>) -> Result<(), CliError>
        + Send
        + 'static,
    ) -> Self {
        let (sender, receiver) = sync_channel(WAITING_BLOCKS);
        thread::spawn(move || {
            if let Err(error) = read(&sender) {
                // Nobody is left to tell.
                let _ = sender.send(Err(error));
            }
        });
        Self::new(FeedSource::Elsewhere(receiver))
    }

    /// So many samples of a recording that is repeated, from one of its samples on.
    pub(crate) fn repeated(pcm: Arc<[f32]>, start: usize, samples: u64) -> Self {
        let at = start % pcm.len().max(1);
        let left = if pcm.is_empty() { 0 } else { samples };
        Self::new(FeedSource::Repeated(Repeated { pcm, at, left }))
    }

    /// What a microphone hears.
    #[cfg(any(feature = "mic", test))]
    pub(crate) fn microphone(microphone: MicrophoneFeed) -> Self {
        Self::new(FeedSource::Microphone(Box::new(microphone)))
    }

    fn new(source: FeedSource) -> Self {
        Self {
            source,
            has_waited: false,
            is_stopped: false,
        }
    }

    /// Whether samples are to be fed when they are spoken, rather than when they come.
    pub(crate) fn is_paced(&self) -> bool {
        let is_live = match self.source {
            FeedSource::Here(_) | FeedSource::Elsewhere(_) | FeedSource::Repeated(_) => false,
            #[cfg(any(feature = "mic", test))]
            FeedSource::Microphone(_) => true,
        };
        !is_live && !self.is_stopped
    }

    /// Ends before the end, behind what was read already.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Appends the next block of samples, if there is one, and never waits for it.
    ///
    /// # Errors
    ///
    /// Damage, once, after all samples before it.
    pub(crate) fn read(&mut self, out: &mut Vec<f32>) -> Result<Fed, CliError> {
        let fed = match &mut self.source {
            FeedSource::Here(_) if self.is_stopped => Fed::End,
            FeedSource::Here(reader) => match reader.read(out)? {
                0 => Fed::End,
                _ => Fed::Samples { has_waited: false },
            },
            FeedSource::Repeated(repeated) if repeated.left > 0 && !self.is_stopped => {
                repeated.read(out);
                Fed::Samples { has_waited: false }
            }
            FeedSource::Repeated(_) => Fed::End,
            FeedSource::Elsewhere(blocks) => match blocks.try_recv() {
                Ok(block) => {
                    out.extend_from_slice(&block?);
                    Fed::Samples { has_waited: false }
                }
                Err(TryRecvError::Empty) if !self.is_stopped => Fed::Nothing,
                Err(_) => Fed::End,
            },
            #[cfg(any(feature = "mic", test))]
            FeedSource::Microphone(microphone) => microphone.read(self.is_stopped, out)?,
        };
        let has_waited = std::mem::replace(&mut self.has_waited, fed == Fed::Nothing);
        Ok(match fed {
            Fed::Samples { .. } => Fed::Samples { has_waited },
            other => other,
        })
    }
}

impl Repeated {
    fn read(&mut self, out: &mut Vec<f32>) {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let count = most.min(self.pcm.len() - self.at).min(BLOCK);
        out.extend_from_slice(&self.pcm[self.at..self.at + count]);
        self.at = (self.at + count) % self.pcm.len();
        self.left -= count as u64;
    }
}

/// Whether reading may have to wait for somebody: pipes and devices.
fn may_block(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Sends blocks until the end, or until nobody takes them.
fn read_file(
    reader: &mut AudioReader,
    out: &SyncSender<Result<Vec<f32>, CliError>>,
) -> Result<(), CliError> {
    loop {
        let mut block = Vec::new();
        let read = reader.read(&mut block);
        if !block.is_empty() && out.send(Ok(block)).is_err() {
            return Ok(());
        }
        if read? == 0 {
            return Ok(());
        }
    }
}

/// Sends what raw samples become.
fn read_raw(
    bytes: &mut dyn Read,
    format: PcmFormat,
    sample_rate: u32,
    out: &SyncSender<Result<Vec<f32>, CliError>>,
) -> Result<(), CliError> {
    let mut pcm = PcmStream::new(format);
    let mut resampler = (format.rate != sample_rate)
        .then(|| Resampler::new(format.rate, sample_rate))
        .transpose()?;
    let mut head = vec![0; HEAD_BYTES];
    let read = read_fully(bytes, &mut head)?;
    head.truncate(read);
    if let Some(container) = container(&head) {
        return Err(PcmError::Container { container, format }.into());
    }
    let mut buffer = vec![0; BLOCK];
    let mut piece = &head[..];
    let mut mono = Vec::new();
    let ending = loop {
        mono.clear();
        let taken = pcm.push(piece, &mut mono);
        if !send(&mono, resampler.as_mut(), out) || taken.is_err() {
            break taken.map_err(CliError::from);
        }
        match read_some(bytes, &mut buffer) {
            Ok(0) => break pcm.finish().map_err(CliError::from),
            Ok(read) => piece = &buffer[..read],
            Err(error) => break Err(error),
        }
    };
    if let Some(resampler) = &mut resampler {
        let mut rest = Vec::new();
        resampler.finish(&mut rest);
        let _ = out.send(Ok(rest)); // where nobody takes it, nobody needs it
    }
    ending
}

/// Sends samples at the rate of the model; whether anybody takes them.
fn send(
    mono: &[f32],
    resampler: Option<&mut Resampler>,
    out: &SyncSender<Result<Vec<f32>, CliError>>,
) -> bool {
    let block = match resampler {
        None => mono.to_vec(),
        Some(resampler) => {
            let mut block = Vec::new();
            resampler.push(mono, &mut block);
            block
        }
    };
    block.is_empty() || out.send(Ok(block)).is_ok()
}

/// Reads until the buffer is full or the pipe ends.
fn read_fully(bytes: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, CliError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_some(bytes, &mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn read_some(bytes: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, CliError> {
    loop {
        match bytes.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(CliError::Read {
                    path: "-".into(),
                    source,
                });
            }
            Ok(read) => return Ok(read),
        }
    }
}
