//! `percept models`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use percept::hub::{CachedRepo, FileState, Hub, HubError, VerifiedFile};
use percept::{Checkpoint, Codec, CodecFamily, CodecOptions, Recognizer, RecognizerOptions};
use serde::Serialize;

use crate::args::{ModelsCommand, ReportFormat};
use crate::error::CliError;
use crate::model::{self, EMBEDDED, Located};
use crate::output;
use crate::progress::{self, Progress};
use crate::weights;

/// Lists, downloads or checks models.
pub(crate) fn run(command: &ModelsCommand) -> Result<ExitCode, CliError> {
    match command {
        ModelsCommand::List { format } => list(*format).map(|()| ExitCode::SUCCESS),
        ModelsCommand::Pull { progress, id } => pull(id, Progress::new(*progress)),
        ModelsCommand::Verify { model } => verify(model.as_deref()),
        ModelsCommand::Cache(command) => weights::run(command).map(|()| ExitCode::SUCCESS),
    }
}

/// Downloads what the cache lacks of a model, and returns its folder.
pub(crate) fn fetch(hub: &Hub, id: &str, progress: Progress) -> Result<PathBuf, CliError> {
    let mut download = progress.download(id);
    Ok(hub.fetch(id, &mut |now| download.advance(now.bytes, now.total))?)
}

fn pull(id: &str, progress: Progress) -> Result<ExitCode, CliError> {
    let is_id = model::hub_id(Path::new(id)).is_some();
    let hub = match is_id {
        true => Hub::from_env(),
        false => Err(HubError::Id { id: id.to_owned() }),
    };
    match hub
        .map_err(CliError::from)
        .and_then(|hub| fetch(&hub, id, progress))
    {
        Ok(folder) => {
            output::print(format!("{}\n", folder.display()).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            progress.error(None, &error);
            Ok(error.exit_code())
        }
    }
}

/// A model that `--model` can name without a download.
#[derive(Serialize)]
struct Listed {
    id: String,
    built_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    refs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    complete: bool,
}

impl Listed {
    fn built_in() -> Self {
        Self {
            id: EMBEDDED.to_owned(),
            built_in: true,
            commit: None,
            refs: Vec::new(),
            path: None,
            bytes: percept::embedded_checkpoint()
                .ok()
                .map(|checkpoint| checkpoint.tensors().total_bytes() as u64),
            complete: true,
        }
    }

    fn of_repo(repo: &CachedRepo) -> impl Iterator<Item = Self> + '_ {
        repo.revisions.iter().map(|revision| Self {
            id: repo.id.clone(),
            built_in: false,
            commit: Some(revision.commit.clone()),
            refs: revision.refs.clone(),
            path: Some(revision.path.clone()),
            bytes: Some(repo.bytes),
            complete: revision.is_complete,
        })
    }
}

fn list(format: ReportFormat) -> Result<(), CliError> {
    let mut models = vec![Listed::built_in()];
    for repo in Hub::from_env()?.list()? {
        models.extend(Listed::of_repo(&repo));
    }
    let report = match format {
        ReportFormat::Json => {
            serde_json::to_string_pretty(&models).expect("a list of strings and numbers") + "\n"
        }
        ReportFormat::Text => table(&models),
    };
    output::print(report.as_bytes())
}

fn table(models: &[Listed]) -> String {
    let width = models
        .iter()
        .map(|model| model.id.len())
        .max()
        .unwrap_or(0)
        .max(5);
    let mut table = format!(
        "{:width$}  {:16}  {:>9}  STATE\n",
        "MODEL", "REVISION", "SIZE"
    );
    for model in models {
        let revision = match (&model.commit, model.refs.first()) {
            (Some(commit), Some(name)) => format!("{name} ({})", &commit[..commit.len().min(7)]),
            (Some(commit), None) => commit[..commit.len().min(7)].to_owned(),
            (None, _) => "built in".to_owned(),
        };
        let size = model.bytes.map_or_else(String::new, bytes);
        let state = if model.complete {
            "ready"
        } else {
            "incomplete"
        };
        writeln!(
            table,
            "{:width$}  {revision:16}  {size:>9}  {state}",
            model.id
        )
        .expect("a String takes everything");
    }
    table
}

/// A number of bytes for people, in powers of 1000.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// Checks models and the weights that were made from them.
fn verify(model: Option<&Path>) -> Result<ExitCode, CliError> {
    let mut is_intact = true;
    let Some(path) = model else {
        verify_located(&Located::Embedded)?;
        let hub = Hub::from_env()?;
        for repo in hub.list()? {
            for revision in &repo.revisions {
                is_intact &= verify_cached(&hub, &format!("{}@{}", repo.id, revision.commit))?;
            }
        }
        is_intact &= weights::verify()?;
        return Ok(exit_code(is_intact));
    };
    match (model::on_disk(path)?, model::hub_id(path)) {
        (Some(located), _) => {
            verify_located(&located)?;
            is_intact &= weights::verify_of(path)?;
        }
        (None, Some(id)) => {
            let hub = Hub::from_env()?;
            is_intact &= verify_cached(&hub, id)?;
            if let Some(folder) = hub.cached(id)? {
                is_intact &= weights::verify_of(&folder)?;
            }
        }
        (None, None) => {
            return Err(CliError::NoModel {
                model: path.to_owned(),
            });
        }
    }
    Ok(exit_code(is_intact))
}

fn exit_code(is_intact: bool) -> ExitCode {
    match is_intact {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// A model without checksums is sound if everything in it can be loaded.
fn verify_located(located: &Located) -> Result<(), CliError> {
    let options = RecognizerOptions::default();
    let name = match located {
        Located::Embedded => {
            Recognizer::embedded(&options)?;
            EMBEDDED.to_owned()
        }
        Located::Path(path) => {
            let checkpoint = Checkpoint::open(path).map_err(percept::Error::from)?;
            match CodecFamily::of(&checkpoint) {
                Some(_) => drop(Codec::from_checkpoint(
                    &checkpoint,
                    &CodecOptions::default(),
                )?),
                None => drop(Recognizer::from_checkpoint(checkpoint, &options)?),
            }
            path.display().to_string()
        }
    };
    output::print(format!("{name}: loads (there are no checksums to compare)\n").as_bytes())
}

/// Compares the files of a downloaded model with their checksums; whether all are intact.
fn verify_cached(hub: &Hub, id: &str) -> Result<bool, CliError> {
    let mut is_intact = true;
    for VerifiedFile {
        name,
        bytes: size,
        state,
        ..
    } in hub.verify(id)?
    {
        let fact = match state {
            FileState::Intact => "intact",
            FileState::Damaged => "damaged",
            FileState::Missing => "missing",
            _ => "unknown: stored without a checksum",
        };
        output::print(format!("{id}: {name} ({}): {fact}\n", bytes(size)).as_bytes())?;
        if matches!(state, FileState::Damaged | FileState::Missing) {
            is_intact = false;
            let remedy = match state {
                FileState::Missing => format!("run: percept models pull {id}"),
                _ => format!(
                    "remove the model's folder and run: percept models cache clear; percept models pull {id}"
                ),
            };
            progress::to_stderr(&format!("percept: {id}: {name} is {fact}; {remedy}"));
        }
    }
    Ok(is_intact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (count, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (8_713_420, "8.7 MB"),
            (2_508_288_736, "2.51 GB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }
}
