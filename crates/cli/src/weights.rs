//! `percept models cache`, and the part of `percept models verify` that is about it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use percept::cache::{CacheState, CachedWeights};
use percept::{Checkpoint, WeightCache, WeightsError};
use serde::Serialize;

use crate::args::{CacheCommand, ReportFormat};
use crate::error::CliError;
use crate::models::bytes;
use crate::{output, progress};

/// The form that weights are kept in, without its version: all versions share one place.
const FAMILY: &str = "int8";

/// Lists or removes the weights that are kept for the next start.
pub(crate) fn run(command: &CacheCommand) -> Result<(), CliError> {
    let cache = WeightCache::from_env().map_err(percept::Error::from)?;
    match command {
        CacheCommand::List { format } => {
            let list = cache.list().map_err(percept::Error::from)?;
            let list: Vec<Listed> = list.into_iter().map(Listed::of).collect();
            let report = match format {
                ReportFormat::Json => {
                    serde_json::to_string_pretty(&list).expect("a list of strings and numbers")
                        + "\n"
                }
                ReportFormat::Text => table(&list),
            };
            output::print(report.as_bytes())
        }
        CacheCommand::Clear => {
            let cleared = cache.clear().map_err(percept::Error::from)?;
            let files = match cleared.files {
                1 => "1 file".to_owned(),
                files => format!("{files} files"),
            };
            let (size, folder) = (bytes(cleared.bytes), cache.folder().display());
            output::print(format!("{folder}: removed {files} ({size})\n").as_bytes())
        }
    }
}

/// Reads all of the weights that are kept and compares them with their checksums; whether all are intact.
pub(crate) fn verify() -> Result<bool, CliError> {
    // Without a home directory nothing was kept.
    let Ok(cache) = WeightCache::from_env() else {
        return Ok(true);
    };
    compare(cache.list().map_err(percept::Error::from)?)
}

/// The same for those that are kept for the model in a folder or a `.nemo` file.
pub(crate) fn verify_of(model: &Path) -> Result<bool, CliError> {
    // What does not open has nothing in the cache that could be used.
    let (Ok(cache), Ok(checkpoint)) = (WeightCache::from_env(), Checkpoint::open(model)) else {
        return Ok(true);
    };
    let cached = cache
        .entry(checkpoint.path(), checkpoint.weight_files(), FAMILY)
        .and_then(|entry| entry.cached())
        .map_err(percept::Error::from)?;
    compare(cached)
}

fn compare(list: impl IntoIterator<Item = CachedWeights>) -> Result<bool, CliError> {
    let mut is_intact = true;
    for weights in list {
        let result = weights.verify();
        let fact = match &result {
            Ok(()) if weights.state == CacheState::Stale => "intact, but stale",
            Ok(()) => "intact",
            Err(WeightsError::Cache(percept::cache::CacheError::Damaged { .. })) => "damaged",
            Err(_) => "unreadable",
        };
        let (path, size) = (weights.path.display(), bytes(weights.bytes));
        let what = weights.origin.as_ref().map_or_else(String::new, |origin| {
            format!(", {} of {}", origin.variant, origin.source)
        });
        output::print(format!("{path} ({size}{what}): {fact}\n").as_bytes())?;
        if let Err(error) = result {
            is_intact = false;
            progress::to_stderr(&format!("percept: {error}"));
        }
    }
    Ok(is_intact)
}

/// A file of the cache.
#[derive(Serialize)]
struct Listed {
    path: PathBuf,
    /// The model that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    bytes: u64,
    /// Whether its table is; `percept models verify` reads the rest too.
    intact: bool,
    /// `ready`, `stale` where the model has changed or is gone, `damaged` or `unreadable`.
    state: &'static str,
}

impl Listed {
    fn of(weights: CachedWeights) -> Self {
        let intact = weights.is_intact();
        let state = match weights.state {
            CacheState::Ready => "ready",
            CacheState::Stale => "stale",
            CacheState::Damaged => "damaged",
            _ => "unreadable",
        };
        let (source, variant) = weights
            .origin
            .map(|origin| (origin.source, origin.variant))
            .unzip();
        Self {
            path: weights.path,
            source,
            variant,
            bytes: weights.bytes,
            intact,
            state,
        }
    }
}

fn table(list: &[Listed]) -> String {
    let mut table = format!("{:8}  {:>9}  {:10}  MADE FROM\n", "FORM", "SIZE", "STATE");
    for file in list {
        writeln!(
            table,
            "{:8}  {:>9}  {:10}  {}",
            file.variant.as_deref().unwrap_or("?"),
            bytes(file.bytes),
            file.state,
            file.source.as_deref().unwrap_or("?"),
        )
        .expect("a String takes everything");
    }
    table
}
