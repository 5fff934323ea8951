//! Which output each recording gets, settled before any work.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::args::Format;
use crate::error::CliError;
use crate::inputs::{Input, Source};

/// One recording and the file that its transcript goes to; stdout without one.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) source: Source,
    pub(crate) output: Option<PathBuf>,
}

/// The work on results that follow each other on stdout.
///
/// # Errors
///
/// `-` given twice, and several results in a format that cannot tell them apart.
pub(crate) fn to_stdout(inputs: Vec<Input>, format: Format) -> Result<Vec<Job>, CliError> {
    refuse_second_stdin(&inputs)?;
    if inputs.len() > 1 && !format.can_be_joined() {
        return Err(CliError::NotJoined {
            format: format.extension(),
        });
    }
    Ok(inputs
        .into_iter()
        .map(|input| Job {
            source: input.source,
            output: None,
        })
        .collect())
}

/// The work on one output per input below `folder`. A recording that is given twice is done once.
///
/// # Errors
///
/// `-` given twice, a `folder` that is not one, and an output that two inputs, a folder or an input already claims.
pub(crate) fn to_folder(
    inputs: Vec<Input>,
    folder: &Path,
    format: Format,
) -> Result<Vec<Job>, CliError> {
    refuse_second_stdin(&inputs)?;
    if fs::metadata(folder).is_ok_and(|found| !found.is_dir()) {
        return Err(CliError::NotAFolder {
            path: folder.to_owned(),
        });
    }
    let originals: Vec<Option<PathBuf>> = inputs
        .iter()
        .map(|input| canonical(&input.source))
        .collect();
    let mut claimed: HashMap<PathBuf, usize> = HashMap::new();
    let mut jobs = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.iter().enumerate() {
        let output = folder.join(input.relative.with_extension(format.extension()));
        if let Some(&first) = claimed.get(&fold(&output)) {
            if originals[first].is_some() && originals[first] == originals[index] {
                continue;
            }
            let (first, second) = (inputs[first].source.label(), input.source.label());
            return Err(CliError::Collision {
                first,
                second,
                output,
            });
        }
        claimed.insert(fold(&output), index);
        jobs.push(Job {
            source: input.source.clone(),
            output: Some(output),
        });
    }
    let originals: HashSet<PathBuf> = originals.into_iter().flatten().collect();
    for output in jobs.iter().filter_map(|job| job.output.as_deref()) {
        if let Ok(existing) = fs::canonicalize(output) {
            if originals.contains(&existing) {
                return Err(CliError::OverwritesInput {
                    path: output.to_owned(),
                });
            }
            if existing.is_dir() {
                return Err(CliError::OutputIsFolder {
                    path: output.to_owned(),
                });
            }
        }
        if let Some(above) = output
            .ancestors()
            .skip(1)
            .find(|above| claimed.contains_key(&fold(above)))
        {
            return Err(CliError::OutputIsFolder {
                path: above.to_owned(),
            });
        }
    }
    Ok(jobs)
}

fn refuse_second_stdin(inputs: &[Input]) -> Result<(), CliError> {
    match inputs
        .iter()
        .filter(|input| input.source == Source::Stdin)
        .count()
    {
        0 | 1 => Ok(()),
        _ => Err(CliError::StdinTwice),
    }
}

fn canonical(source: &Source) -> Option<PathBuf> {
    match source {
        Source::File(path) => fs::canonicalize(path).ok(),
        Source::Stdin => None,
    }
}

/// What two names share if the file system takes them for one.
fn fold(path: &Path) -> PathBuf {
    if cfg!(any(windows, target_os = "macos")) {
        PathBuf::from(path.to_string_lossy().to_lowercase())
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(path: &Path, relative: &str) -> Input {
        Input {
            source: Source::File(path.to_owned()),
            relative: PathBuf::from(relative),
        }
    }

    /// A folder with the files `a/x.wav`, `b/x.wav` and `x.flac`.
    fn folder() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in ["a/x.wav", "b/x.wav", "x.flac"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        root
    }

    #[test]
    fn two_recordings_for_one_output_are_refused_by_name() {
        let root = folder();
        let out = root.path().join("out");
        for (first, second) in [("a/x.wav", "b/x.wav"), ("a/x.wav", "x.flac")] {
            let (first, second) = (root.path().join(first), root.path().join(second));
            let inputs = vec![input(&first, "x.wav"), input(&second, "x.wav")];
            let message = to_folder(inputs, &out, Format::Text)
                .unwrap_err()
                .to_string();
            for part in [first, second, out.join("x.txt")] {
                assert!(message.contains(&part.display().to_string()), "{message}");
            }
        }
        assert!(!out.exists());
    }

    #[test]
    fn a_recording_given_twice_is_done_once() {
        let root = folder();
        let path = root.path().join("a/x.wav");
        let again = root.path().join("b/../a/x.wav");
        let jobs = to_folder(
            vec![input(&path, "x.wav"), input(&again, "x.wav")],
            root.path(),
            Format::Json,
        )
        .unwrap();
        assert_eq!(jobs.len(), 1);
        assert_eq!(
            jobs[0].output.as_deref(),
            Some(root.path().join("x.json").as_path())
        );
    }

    #[test]
    fn an_output_never_takes_the_place_of_an_input_or_a_folder() {
        let root = folder();
        let voice = root.path().join("voice.txt");
        fs::write(&voice, b"RIFF").unwrap();
        let error =
            to_folder(vec![input(&voice, "voice.txt")], root.path(), Format::Text).unwrap_err();
        assert!(matches!(error, CliError::OverwritesInput { .. }), "{error}");

        let path = root.path().join("a/x.wav");
        let below = vec![
            input(&path, "y.wav"),
            input(&root.path().join("b/x.wav"), "y.txt/x.wav"),
        ];
        let error = to_folder(below, root.path(), Format::Text).unwrap_err();
        assert!(matches!(error, CliError::OutputIsFolder { .. }), "{error}");

        let error = to_folder(vec![input(&path, "x.wav")], &path, Format::Text).unwrap_err();
        assert!(matches!(error, CliError::NotAFolder { .. }), "{error}");
    }

    #[test]
    fn subtitles_of_several_recordings_do_not_go_to_stdout() {
        let two = || {
            vec![
                input(Path::new("a.wav"), "a.wav"),
                input(Path::new("b.wav"), "b.wav"),
            ]
        };
        for format in [Format::Srt, Format::Vtt, Format::Tsv] {
            assert!(to_stdout(two(), format).unwrap_err().is_usage());
        }
        for format in [Format::Text, Format::Json] {
            assert_eq!(to_stdout(two(), format).unwrap().len(), 2);
        }
    }
}
