//! `percept inspect`.

use std::fmt::Write;
use std::path::PathBuf;

use percept::audio::Normalize;
use percept::{
    Checkpoint, Codec, CodecFamily, CodecOptions, Layout, Model, Recognizer, RecognizerOptions,
};
use serde::Serialize;

use crate::args::{InspectArgs, ProgressMode, ReportFormat};
use crate::codec::CodecReport;
use crate::error::CliError;
use crate::model::{self, EMBEDDED, Located};
use crate::progress::Progress;
use crate::{models, output};

/// Says what a model is and how it would be run.
///
/// # Errors
///
/// As running it would: the weights are loaded.
pub(crate) fn run(args: &InspectArgs) -> Result<(), CliError> {
    let located = model::locate_offline(args.model.as_deref())?;
    if let Some(report) = codec(&located)? {
        return print(args.format, &report, CodecInspection::table);
    }
    let progress = Progress::new(ProgressMode::Auto);
    let recognizer = located.open_with(RecognizerOptions::default(), &args.cache, progress)?;
    print(
        args.format,
        &Report::of(&located, &recognizer)?,
        Report::table,
    )
}

fn print<R: Serialize>(
    format: ReportFormat,
    report: &R,
    table: impl Fn(&R) -> String,
) -> Result<(), CliError> {
    let text = match format {
        ReportFormat::Json => {
            serde_json::to_string_pretty(report).expect("a report of strings and numbers") + "\n"
        }
        ReportFormat::Text => table(report),
    };
    output::print(text.as_bytes())
}

/// A checkpoint that is no recogniser but a codec.
#[derive(Serialize)]
struct CodecInspection {
    kind: &'static str,
    #[serde(flatten)]
    codec: CodecReport,
    checkpoint: CheckpointReport,
}

/// The report on a codec; `None` for a checkpoint of another kind.
fn codec(located: &Located) -> Result<Option<CodecInspection>, CliError> {
    let Located::Path(path) = located else {
        return Ok(None);
    };
    let checkpoint = Checkpoint::open(path).map_err(percept::Error::from)?;
    if CodecFamily::of(&checkpoint).is_none() {
        return Ok(None);
    }
    let codec = Codec::from_checkpoint(&checkpoint, &CodecOptions::default())?;
    Ok(Some(CodecInspection {
        kind: "codec",
        codec: CodecReport::of(&path.display().to_string(), &codec)?,
        checkpoint: CheckpointReport::of(&checkpoint),
    }))
}

impl CodecInspection {
    fn table(&self) -> String {
        let mut table = self.codec.table();
        for (name, value) in self.checkpoint.rows() {
            writeln!(table, "{name:10} {value}").expect("a String takes everything");
        }
        table
    }
}

#[derive(Serialize)]
struct Report {
    model: String,
    family: String,
    parameters: usize,
    checkpoint: CheckpointReport,
    front_end: FrontEnd,
    encoder: Encoder,
    vocabulary: Vocabulary,
    decoders: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transducer: Option<Transducer>,
    /// What `--language` takes; empty for most models.
    languages: Vec<String>,
    used: Used,
}

#[derive(Serialize)]
struct CheckpointReport {
    layout: &'static str,
    dtypes: Vec<&'static str>,
    tensors: usize,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    path: PathBuf,
    bytes: u64,
}

#[derive(Serialize)]
struct FrontEnd {
    sample_rate: u32,
    mels: usize,
    fft: usize,
    window_samples: usize,
    hop_samples: usize,
    preemphasis: f32,
    normalize: &'static str,
}

#[derive(Serialize)]
struct Encoder {
    layers: usize,
    width: usize,
    heads: usize,
    feed_forward: usize,
    subsampling: usize,
    subsampling_channels: usize,
    frame_seconds: f64,
    input_scale: f32,
    attention: String,
    convolution: String,
}

#[derive(Serialize)]
struct Vocabulary {
    pieces: usize,
    blank: Option<u32>,
}

#[derive(Serialize)]
struct Transducer {
    prediction_width: usize,
    joint_width: usize,
    durations: Vec<u32>,
    max_symbols: u32,
}

/// What `transcribe` would do without options.
#[derive(Serialize)]
struct Used {
    decoder: &'static str,
    precision: &'static str,
    threads: usize,
    /// Recordings up to this length are heard in one piece.
    whole_seconds: f64,
    window: Window,
}

/// How longer recordings are cut, in seconds.
#[derive(Serialize)]
struct Window {
    left: f64,
    chunk: f64,
    right: f64,
}

impl Report {
    fn of(located: &Located, recognizer: &Recognizer) -> Result<Self, CliError> {
        let (name, checkpoint) = match located {
            Located::Embedded => (EMBEDDED.to_owned(), percept::embedded_checkpoint()),
            Located::Path(path) => (path.display().to_string(), Checkpoint::open(path)),
        };
        let checkpoint = CheckpointReport::of(&checkpoint.map_err(percept::Error::from)?);
        let model = recognizer.model();
        let config = model.config();
        let transducer = config.transducer.as_ref();
        let blank = transducer
            .map(|head| head.blank)
            .or(config.ctc.as_ref().map(|(_, head)| head.blank));
        Ok(Self {
            model: name,
            family: config.family.clone(),
            parameters: model.parameters(),
            checkpoint,
            front_end: FrontEnd::of(model),
            encoder: Encoder::of(model),
            vocabulary: Vocabulary {
                pieces: model.vocabulary().len(),
                blank,
            },
            decoders: model
                .decoders()
                .into_iter()
                .map(model::decoder_name)
                .collect(),
            transducer: transducer.map(|head| Transducer {
                prediction_width: head.pred_hidden,
                joint_width: head.joint_hidden,
                durations: head.durations.clone(),
                max_symbols: head.max_symbols,
            }),
            languages: config
                .prompt
                .iter()
                .flat_map(|prompt| prompt.languages.keys().cloned())
                .collect(),
            used: Used::of(recognizer),
        })
    }

    fn table(&self) -> String {
        let Self {
            front_end,
            encoder,
            used,
            ..
        } = self;
        let mut rows = vec![
            ("model", self.model.clone()),
            ("family", self.family.clone()),
            (
                "parameters",
                format!("{:.2} M", self.parameters as f64 / 1e6),
            ),
        ];
        rows.extend(self.checkpoint.rows());
        rows.push(("front end", front_end.to_string()));
        rows.push(("encoder", encoder.to_string()));
        rows.push((
            "attention",
            format!("{}, convolution {}", encoder.attention, encoder.convolution),
        ));
        let blank = self
            .vocabulary
            .blank
            .map_or_else(String::new, |blank| format!(", blank {blank}"));
        rows.push((
            "vocabulary",
            format!("{} pieces{blank}", self.vocabulary.pieces),
        ));
        rows.push(("decoders", self.decoders.join(", ")));
        if let Some(head) = &self.transducer {
            rows.push(("transducer", head.to_string()));
        }
        if !self.languages.is_empty() {
            rows.push(("languages", self.languages.join(", ")));
        }
        rows.push((
            "used",
            format!(
                "decoder {}, precision {}, {} threads",
                used.decoder, used.precision, used.threads
            ),
        ));
        let Window { left, chunk, right } = used.window;
        rows.push((
            "long audio",
            format!(
                "beyond {:.1} s in windows: {left:.1} s before, {chunk:.1} s decoded, {right:.1} s after",
                used.whole_seconds
            ),
        ));
        let mut table = String::new();
        for (name, value) in rows {
            writeln!(table, "{name:11} {value}").expect("a String takes everything");
        }
        table
    }
}

impl CheckpointReport {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let tensors = format!("{} tensors, {}", self.tensors, self.dtypes.join(" and "));
        let file = |file: &FileReport| {
            let size = models::bytes(file.bytes);
            ("file", format!("{} ({size})", file.path.display()))
        };
        let mut rows = vec![("layout", self.layout.to_owned()), ("weights", tensors)];
        rows.extend(self.files.iter().map(file));
        rows
    }

    fn of(checkpoint: &Checkpoint) -> Self {
        let tensors = checkpoint.tensors();
        let mut dtypes: Vec<&str> = tensors
            .names()
            .filter_map(|name| tensors.dtype(name))
            .map(|dtype| dtype.name())
            .collect();
        dtypes.sort_unstable();
        dtypes.dedup();
        // The files of the built-in model lie inside the command, not on disk.
        let files = checkpoint.files().into_iter().filter_map(|path| {
            let bytes = path.metadata().ok()?.len();
            Some(FileReport { path, bytes })
        });
        Self {
            layout: match checkpoint.layout() {
                Layout::HuggingFace => "hugging-face",
                Layout::Nemo => "nemo",
                _ => "other",
            },
            dtypes,
            tensors: tensors.len(),
            files: files.collect(),
        }
    }
}

impl FrontEnd {
    fn of(model: &Model) -> Self {
        let mel = &model.config().mel;
        Self {
            sample_rate: mel.sample_rate,
            mels: mel.n_mels,
            fft: mel.n_fft,
            window_samples: mel.win_samples,
            hop_samples: mel.hop_samples,
            preemphasis: mel.preemphasis,
            normalize: match mel.normalize {
                Normalize::PerFeature => "per_feature",
                Normalize::AllFeatures => "all_features",
                _ => "none",
            },
        }
    }
}

impl std::fmt::Display for FrontEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} mels at {} Hz, window {}, hop {}, fft {} samples, normalised {}",
            self.mels,
            self.sample_rate,
            self.window_samples,
            self.hop_samples,
            self.fft,
            self.normalize.replace('_', " ")
        )
    }
}

impl Encoder {
    fn of(model: &Model) -> Self {
        let config = model.config();
        let encoder = &config.encoder;
        Self {
            layers: encoder.layers,
            width: encoder.width(),
            heads: encoder.heads,
            feed_forward: encoder.inner,
            subsampling: encoder.subsampling.factor,
            subsampling_channels: encoder.subsampling.channels,
            frame_seconds: config.seconds_per_frame(),
            input_scale: encoder.input_scale,
            attention: encoder.mask.to_string(),
            convolution: encoder.padding.to_string(),
        }
    }
}

impl std::fmt::Display for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} layers of width {}, {} heads, feed-forward {}, subsampling {} with {} channels ({} s a frame)",
            self.layers,
            self.width,
            self.heads,
            self.feed_forward,
            self.subsampling,
            self.subsampling_channels,
            self.frame_seconds
        )
    }
}

impl std::fmt::Display for Transducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "prediction width {}, joint width {}",
            self.prediction_width, self.joint_width
        )?;
        if !self.durations.is_empty() {
            write!(f, ", durations {:?}", self.durations)?;
        }
        write!(f, ", at most {} symbols a frame", self.max_symbols)
    }
}

impl Used {
    fn of(recognizer: &Recognizer) -> Self {
        let model = recognizer.model();
        let windows = model.windows();
        let seconds = |frames: usize| frames as f64 * model.config().seconds_per_frame();
        Self {
            decoder: model::decoder_name(model.decoder()),
            precision: model::precision_name(recognizer.precision()),
            threads: recognizer.threads(),
            whole_seconds: seconds(windows.whole_frames),
            window: Window {
                left: seconds(windows.left),
                chunk: seconds(windows.chunk),
                right: seconds(windows.right),
            },
        }
    }
}
