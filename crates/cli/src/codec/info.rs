//! `percept codec info`: what a token file is, or a codec.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use percept::{Checkpoint, Codec, CodecOptions, CodecSpec, TokenFileKind, weights_id};
use serde::Serialize;

use super::args::InfoArgs;
use super::model::{self, Made, hex};
use super::token_file::TokenFile;
use crate::args::ReportFormat;
use crate::error::CliError;
use crate::inputs::Source;
use crate::output;
use crate::progress;

/// Reports on a token file, or on the codec where there is none.
///
/// # Errors
///
/// No token file, or no codec; a damaged file is reported, and the exit status is 1.
pub(crate) fn run(args: &InfoArgs) -> Result<ExitCode, CliError> {
    let Some(input) = &args.input else {
        let (name, folder) = model::locate_offline(&args.model, None)?;
        let codec = Codec::open(&folder, &CodecOptions::default())?;
        print(
            args.format,
            &CodecReport::of(&name, &codec)?,
            CodecReport::table,
        )?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut file = TokenFile::read(&Source::from_argument(input))?;
    let model = model_match(&file, args);
    if let Some(codec) = model.as_ref().and_then(|model| maker(&file, model, args))
        && let Err(fault) = file.settle(&codec)
    {
        file.fault = Some(fault);
    }
    let report = FileReport::of(&file, model);
    print(args.format, &report, FileReport::table)?;
    Ok(match file.fault {
        None => ExitCode::SUCCESS,
        Some(fault) => {
            progress::to_stderr(&format!("percept: {}: {fault}", file.name));
            ExitCode::FAILURE
        }
    })
}

fn print<R: Serialize>(
    format: ReportFormat,
    report: &R,
    table: impl Fn(&R) -> String,
) -> Result<(), CliError> {
    let text = match format {
        ReportFormat::Text => table(report),
        ReportFormat::Json => {
            serde_json::to_string_pretty(report).expect("a report of strings and numbers") + "\n"
        }
    };
    output::print(text.as_bytes())
}

#[derive(Serialize)]
struct BookReport {
    /// Entries.
    size: u32,
    /// Latent frames that a code covers.
    stride: u32,
    codes_per_second: f64,
}

fn books(spec: &[percept::BookSpec], frame_rate: f64) -> Vec<BookReport> {
    let report = |book: &percept::BookSpec| BookReport {
        size: book.size,
        stride: book.stride,
        codes_per_second: frame_rate / f64::from(book.stride),
    };
    spec.iter().map(report).collect()
}

fn book_rows(books: &[BookReport]) -> String {
    let mut groups: Vec<(usize, &BookReport)> = Vec::new();
    for book in books {
        match groups.last_mut() {
            Some((count, last)) if (last.size, last.stride) == (book.size, book.stride) => {
                *count += 1
            }
            _ => groups.push((1, book)),
        }
    }
    let text = |(count, book): &(usize, &BookReport)| {
        let many = if *count > 1 {
            format!("{count} x ")
        } else {
            String::new()
        };
        format!(
            "{many}{} entries at {:.2} Hz",
            book.size, book.codes_per_second
        )
    };
    let groups: Vec<String> = groups.iter().map(text).collect();
    groups.join(", ")
}

/// Codes of all books, those of books as long as the one before together.
fn sum(codes: &[usize]) -> String {
    let text = |equal: &[usize]| match equal {
        [one] => one.to_string(),
        many => format!("{} x {}", many.len(), many[0]),
    };
    let groups: Vec<String> = codes.chunk_by(|a, b| a == b).map(text).collect();
    groups.join(" + ")
}

/// Look-ahead beyond this is the whole recording.
const WHOLE: u64 = 1 << 60;

/// A codec in numbers.
#[derive(Serialize)]
pub(crate) struct CodecReport {
    model: String,
    codec: &'static str,
    sample_rate: u32,
    channels: u16,
    hop_samples: u32,
    frame_rate: f64,
    books: Vec<BookReport>,
    default_books: usize,
    bits_per_second: f64,
    /// What `encode` pads to a multiple of.
    pad_samples: u64,
    encode_lookahead_samples: u64,
    decode_lookahead_samples: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights_id: Option<String>,
}

impl CodecReport {
    pub(crate) fn of(name: &str, codec: &Codec) -> Result<Self, CliError> {
        let spec: &CodecSpec = codec.spec();
        let id = weights_id(codec.model().weights_file()).map_err(percept::Error::from)?;
        Ok(Self {
            model: name.to_owned(),
            codec: spec.family.name(),
            sample_rate: spec.sample_rate,
            channels: spec.channels,
            hop_samples: spec.hop,
            frame_rate: spec.frame_rate(),
            books: books(&spec.books, spec.frame_rate()),
            default_books: spec.default_books,
            bits_per_second: spec.bitrate(spec.default_books),
            pad_samples: u64::from(spec.hop) * u64::from(spec.align),
            encode_lookahead_samples: spec.encode_lookahead,
            decode_lookahead_samples: spec.decode_lookahead,
            weights_id: hex(id),
        })
    }

    pub(crate) fn table(&self) -> String {
        let ms = |samples: u64| 1000.0 * samples as f64 / f64::from(self.sample_rate);
        let lookahead = |samples: u64| match samples {
            WHOLE.. => "all samples".to_owned(),
            samples => format!("{samples} samples ({:.1} ms)", ms(samples)),
        };
        table(&[
            ("model", self.model.clone()),
            ("codec", self.codec.to_owned()),
            ("sound", sound(self.sample_rate, self.channels)),
            (
                "frame",
                format!("{} samples ({:.3} Hz)", self.hop_samples, self.frame_rate),
            ),
            ("books", book_rows(&self.books)),
            (
                "bit rate",
                format!(
                    "{:.3} kbit/s with {}",
                    self.bits_per_second / 1000.0,
                    counted(self.default_books, "book")
                ),
            ),
            (
                "padding",
                format!("to a multiple of {}", lookahead(self.pad_samples)),
            ),
            (
                "look-ahead",
                format!(
                    "{} to encode, {} to decode",
                    lookahead(self.encode_lookahead_samples),
                    lookahead(self.decode_lookahead_samples)
                ),
            ),
            ("weight id", self.weights_id.clone().unwrap_or_default()),
        ])
    }
}

/// A number of things in words.
pub(super) fn counted(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        many => format!("{many} {thing}s"),
    }
}

fn sound(rate: u32, channels: u16) -> String {
    match channels {
        1 => format!("{rate} Hz, mono"),
        2 => format!("{rate} Hz, stereo"),
        many => format!("{rate} Hz, {many} channels"),
    }
}

fn table(rows: &[(&str, String)]) -> String {
    let mut table = String::new();
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(table, "{name:10} {value}").expect("a String takes everything");
    }
    table
}

/// A token file in numbers.
#[derive(Serialize)]
struct FileReport {
    file: String,
    kind: &'static str,
    codec: String,
    sample_rate: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hop_samples: Option<u32>,
    /// Codes in each book.
    codes: Vec<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    books: Vec<BookReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    superframes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_samples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelMatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

/// Whether a codec on this machine made the file.
#[derive(Serialize)]
struct ModelMatch {
    name: String,
    /// Whether its weights are those of the file; unknown where the file does not say what they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_it: Option<bool>,
    #[serde(skip)]
    folder: PathBuf,
}

impl FileReport {
    fn of(file: &TokenFile, model: Option<ModelMatch>) -> Self {
        let header = file.header.as_ref();
        let hop = header.map(|header| u32::from(header.hop));
        let codes = file.codes();
        let samples = file.source_samples();
        let covered = hop
            .zip(codes)
            .map(|(hop, codes)| codes.frames() * u64::from(hop));
        let length = samples.or(covered).filter(|_| file.made.sample_rate > 0);
        let frame_rate = hop.map(|hop| f64::from(file.made.sample_rate) / f64::from(hop));
        let books = header
            .zip(frame_rate)
            .map(|(header, rate)| books(&header.books, rate));
        let books = books.unwrap_or_default();
        let bits = |book: &BookReport| {
            let bits = (u32::BITS - book.size.saturating_sub(1).leading_zeros()).max(1);
            f64::from(bits) * book.codes_per_second
        };
        Self {
            file: file.name.clone(),
            kind: match file.kind {
                TokenFileKind::Nct => "nct",
                TokenFileKind::Ecdc => "ecdc",
                TokenFileKind::Json => "json",
            },
            codec: file.made.codec.clone(),
            sample_rate: file.made.sample_rate,
            channels: header.map(|header| header.channels.into()),
            hop_samples: hop,
            codes: file.book_lengths(),
            superframes: codes.map(percept::Codes::superframes),
            source_samples: samples,
            seconds: length.map(|samples| samples as f64 / f64::from(file.made.sample_rate)),
            bits_per_second: (!books.is_empty()).then(|| books.iter().map(bits).sum()),
            books,
            weights_id: file.weights_id().and_then(hex),
            model,
            user: header.and_then(|header| serde_json::from_str(&header.user_json).ok()),
            damage: file.fault.as_ref().map(ToString::to_string),
        }
    }

    fn table(&self) -> String {
        let model = self.model.as_ref().map(|model| match model.made_it {
            Some(true) => format!("{} made it", model.name),
            Some(false) => format!("{} has other weights", model.name),
            None => format!(
                "{}, if its weights are the same: the file does not say",
                model.name
            ),
        });
        let frame = self.hop_samples.zip(self.superframes);
        table(&[
            ("file", self.file.clone()),
            ("kind", self.kind.to_owned()),
            ("codec", self.codec.clone()),
            ("sound", sound(self.sample_rate, self.channels.unwrap_or(1))),
            (
                "duration",
                self.seconds
                    .map_or_else(String::new, |seconds| format!("{seconds:.3} s")),
            ),
            (
                "source",
                self.source_samples
                    .map_or_else(String::new, |samples| format!("{samples} samples")),
            ),
            (
                "frames",
                frame.map_or_else(String::new, |(hop, count)| {
                    format!("{hop} samples each, {count} super-frames")
                }),
            ),
            ("books", book_rows(&self.books)),
            ("codes", sum(&self.codes)),
            (
                "bit rate",
                self.bits_per_second
                    .map_or_else(String::new, |bits| format!("{:.3} kbit/s", bits / 1000.0)),
            ),
            ("weight id", self.weights_id.clone().unwrap_or_default()),
            ("model", model.unwrap_or_default()),
            (
                "notes",
                self.user
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
            ),
            (
                "damage",
                self.damage.clone().unwrap_or_else(|| "none".to_owned()),
            ),
        ])
    }
}

/// The codec that made the file, if it is on this machine and it takes that to see whether the file is whole. What does
/// not say which weights made it is believed to be of the model that was named.
fn maker(file: &TokenFile, model: &ModelMatch, args: &InfoArgs) -> Option<Codec> {
    let made_it = model.made_it.unwrap_or(args.model.model.is_some());
    if !file.needs_settling() || !made_it {
        return None;
    }
    let codec = Codec::open(&model.folder, &CodecOptions::default()).ok()?;
    (Made::by(codec.spec()) == file.made).then_some(codec)
}

/// The codec that would decode the file, if it is on this machine.
fn model_match(file: &TokenFile, args: &InfoArgs) -> Option<ModelMatch> {
    let (name, folder) = model::locate_offline(&args.model, Some(&file.made)).ok()?;
    let checkpoint = Checkpoint::open(&folder).ok()?;
    let found = weights_id(checkpoint.tensors().path()).ok()?;
    Some(ModelMatch {
        name,
        made_it: file.weights_id().map(|made| made == found),
        folder,
    })
}
