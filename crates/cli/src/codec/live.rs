//! `percept codec decode --stream`: token ids to sound, as they come.

use std::fs::File;
use std::io::{self, Read, StdoutLock};

use percept::{Codec, CodecDecoder, CodecError, Codes, Lookahead, TokenEvent, TokenStream};

use super::args::{DecodeArgs, TokenForm};
use super::decode::{options, sample};
use super::encode::{check_exists, layout_error};
use super::error::CodecFault;
use super::layout::Order;
use super::model::{self, Opened};
use super::output::Target;
use super::wav::{PcmFormat, PcmWriter};
use super::words::{Word, Words};
use crate::error::CliError;
use crate::inputs::Source;
use crate::progress::Progress;

/// What is read at once, at most.
const BLOCK_BYTES: usize = 1 << 14;

/// Decodes ids until they end.
///
/// # Errors
///
/// What is no id, or cannot be read, after everything before it was written.
pub(crate) fn run(args: &DecodeArgs, progress: Progress) -> Result<(), CliError> {
    args.order.check(true)?;
    Target::Stdout.check_terminal("sound")?;
    let source = args
        .input
        .as_deref()
        .map_or(Source::Stdin, Source::from_argument);
    check_exists(&source)?;
    let label = source.label();
    let opened = model::open(&args.model, None, &args.work, progress)?;
    check_segments(&opened)?;
    let spec = opened.codec.spec();
    let mut codes = Codes::new(spec.books.clone());
    let books = args.books.map_or(spec.default_books, usize::from);
    limit_books(&mut codes, books)?;
    let order =
        Order::of(&args.order, codes.specs()).map_err(|source| layout_error(&label, source))?;
    // The layout of Mini-Omni brings books of its own.
    if order.layout().specs() != codes.specs() {
        codes = Codes::new(order.layout().specs().clone());
    }
    let mut ids: Box<dyn Read> = match &source {
        Source::Stdin => Box::new(io::stdin().lock()),
        Source::File(path) => Box::new(File::open(path).map_err(|source| CliError::Read {
            path: path.clone(),
            source,
        })?),
    };
    let mut work = Work {
        label: &label,
        progress,
        stream: order.layout().stream(),
        order,
        codes,
        decoder: decoder(args, &opened.codec),
        writer: writer(args, &opened.codec),
        seen: Seen::default(),
    };
    let ending = work.follow(&mut ids, args.tokens.unwrap_or(TokenForm::Text));
    if matches!(
        ending,
        Err(CliError::Stdout { .. } | CliError::Recording { .. })
    ) {
        return ending;
    }
    // What ended the ids early says more than that there were none.
    let finished = work.finish();
    ending.and(finished)
}

/// Keeps the first books of a codec.
fn limit_books(codes: &mut Codes, asked: usize) -> Result<(), CliError> {
    let available = codes.books();
    if asked > available {
        return Err(percept::Error::from(CodecError::Books { asked, available }).into());
    }
    codes.truncate_books(asked);
    Ok(())
}

/// Refuses a codec whose codes are more than ids.
pub(super) fn check_segments(opened: &Opened) -> Result<(), CodecFault> {
    match opened.codec.model().segment_frames() {
        None => Ok(()),
        Some(_) => Err(CodecFault::Segments {
            model: opened.name.clone(),
        }),
    }
}

fn decoder(args: &DecodeArgs, codec: &Codec) -> CodecDecoder {
    let mut options = options(args);
    if let Some(frames) = args.lookahead {
        options.lookahead = Lookahead::Frames(frames);
    }
    codec.decoder(&options)
}

fn writer(args: &DecodeArgs, codec: &Codec) -> PcmWriter<StdoutLock<'static>> {
    let format = PcmFormat {
        sample: sample(args.bits),
        rate: codec.spec().sample_rate,
        channels: codec.spec().channels,
    };
    PcmWriter::new(io::stdout().lock(), format, None)
}

/// What was no code, for the account at the end.
#[derive(Debug, Default)]
struct Seen {
    ids: u64,
    codes: u64,
    special: u64,
    replaced: u64,
}

struct Work<'a> {
    label: &'a str,
    progress: Progress,
    stream: Box<dyn TokenStream>,
    order: Order,
    /// Codes that were not decoded yet.
    codes: Codes,
    decoder: CodecDecoder,
    writer: PcmWriter<StdoutLock<'static>>,
    seen: Seen,
}

impl Work<'_> {
    /// Takes ids to their end.
    fn follow(&mut self, ids: &mut dyn Read, form: TokenForm) -> Result<(), CliError> {
        let mut buffer = vec![0; BLOCK_BYTES];
        let (mut words, mut found) = (Words::new(form), Vec::new());
        loop {
            let read = match ids.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let path = self.label.into();
                    return Err(CliError::Read { path, source });
                }
                Ok(read) => read,
            };
            let taken = match read {
                0 => words.finish(&mut found),
                read => words.push(&buffer[..read], &mut found),
            };
            self.take(&found)?;
            found.clear();
            if let Err(source) = taken {
                let file = self.label.to_owned();
                return Err(CodecFault::Words { file, source }.into());
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Decodes what the words give, and writes it out at once.
    fn take(&mut self, words: &[Word]) -> Result<(), CliError> {
        for &word in words {
            self.seen.ids += 1;
            let Some(id) = self.order.id(word) else {
                self.seen.special += 1;
                continue;
            };
            let event = self.stream.push(id, &mut self.codes);
            self.note(event.map_err(|source| layout_error(self.label, source))?);
        }
        self.decode(false)
    }

    fn note(&mut self, event: TokenEvent) {
        match event {
            TokenEvent::Special(_) => self.seen.special += 1,
            TokenEvent::BadCode { .. } => self.seen.replaced += 1,
            TokenEvent::Resync { dropped, filled } => {
                self.seen.codes += 1;
                self.progress.notice(&format!(
                    "{}: id {}: in step again after {dropped} ids were dropped and {filled} codes made up",
                    self.label, self.seen.ids
                ));
            }
            TokenEvent::Token | TokenEvent::Superframe | TokenEvent::Held => self.seen.codes += 1,
            _ => {}
        }
    }

    fn decode(&mut self, is_end: bool) -> Result<(), CliError> {
        let mut pcm = Vec::new();
        let about = |error: percept::Error| CliError::from(error).about(self.label);
        if !self.codes.is_empty() {
            self.decoder.push(&self.codes, &mut pcm).map_err(about)?;
            self.codes.clear();
        }
        if is_end {
            self.decoder.finish(&mut pcm).map_err(about)?;
        }
        if pcm.is_empty() {
            return Ok(());
        }
        let written = self.writer.write(&pcm).and_then(|()| self.writer.flush());
        written.map_err(|source| CliError::Stdout { source })
    }

    /// Decodes what is left and says what was no code.
    fn finish(&mut self) -> Result<(), CliError> {
        let end = self.stream.finish(&mut self.codes);
        let end = end.map_err(|source| layout_error(self.label, source))?;
        self.decode(true)?;
        let Seen {
            ids,
            codes,
            special,
            replaced,
        } = self.seen;
        let file = self.label.to_owned();
        if codes == 0 {
            return Err(match ids {
                0 => CodecFault::NoTokens { file },
                ids => CodecFault::NoCodes { file, ids },
            }
            .into());
        }
        let account = [
            ("special ids skipped", special),
            ("codes outside their book replaced", replaced),
            ("ids dropped at the end", end.dropped),
            ("codes in a last super-frame that is not complete", end.open),
            ("samples beyond full scale clipped", self.writer.clipped()),
        ];
        let account = account.into_iter().filter(|(_, count)| *count > 0);
        let account: Vec<String> = account
            .map(|(what, count)| format!("{what}: {count}"))
            .collect();
        if !account.is_empty() {
            self.progress
                .notice(&format!("{file}: {}", account.join(", ")));
        }
        Ok(())
    }
}
