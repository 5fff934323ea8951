//! Where a result goes, settled before any work.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::error::CodecFault;
use crate::error::CliError;
use crate::inputs::Source;

/// A file, or stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    File(PathBuf),
}

impl Target {
    /// What `-o` says; without it the name of the input with another extension, and stdout for stdin.
    ///
    /// # Errors
    ///
    /// An output that is the input, and one that exists already where nobody has named it.
    pub(crate) fn choose(
        output: Option<&Path>,
        source: &Source,
        extension: &str,
    ) -> Result<Self, CliError> {
        let path = match (output, source) {
            (Some(path), _) if path == Path::new("-") => return Ok(Target::Stdout),
            (None, Source::Stdin) => return Ok(Target::Stdout),
            (Some(path), _) => path.to_owned(),
            (None, Source::File(input)) => {
                let path = input.with_extension(extension);
                match path.symlink_metadata().is_ok() {
                    true => return Err(CodecFault::Exists { path }.into()),
                    false => path,
                }
            }
        };
        if let (Source::File(input), Ok(existing)) = (source, fs::canonicalize(&path))
            && fs::canonicalize(input).is_ok_and(|input| input == existing)
            && existing.is_file()
        {
            return Err(CodecFault::OverwritesInput { path }.into());
        }
        Ok(Target::File(path))
    }

    /// Refuses a picture in the place of the input or of the result.
    ///
    /// # Errors
    ///
    /// [`CodecFault::PlotOverwrites`].
    pub(crate) fn check_plot(&self, plot: Option<&Path>, source: &Source) -> Result<(), CliError> {
        let Some(plot) = plot else { return Ok(()) };
        let input = match source {
            Source::File(path) => Some(path.as_path()),
            Source::Stdin => None,
        };
        let taken = [input, self.path()].into_iter().flatten();
        match taken.into_iter().any(|path| place(path) == place(plot)) {
            true => Err(CodecFault::PlotOverwrites {
                path: plot.to_owned(),
            }
            .into()),
            false => Ok(()),
        }
    }

    /// Refuses to write what is no text to a terminal.
    ///
    /// # Errors
    ///
    /// [`CodecFault::Terminal`].
    pub(crate) fn check_terminal(&self, what: &'static str) -> Result<(), CliError> {
        match *self == Target::Stdout && io::stdout().is_terminal() {
            true => Err(CodecFault::Terminal { what }.into()),
            false => Ok(()),
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Target::Stdout => None,
            Target::File(path) => Some(path),
        }
    }
}

/// Where a path leads, whether something is there or not.
fn place(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let inside = || Some(fs::canonicalize(folder).ok()?.join(path.file_name()?));
    let place = fs::canonicalize(path).ok().or_else(inside);
    place.unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_nobody_has_named_takes_no_ones_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("talk.wav");
        fs::write(&path, b"RIFF").unwrap();
        let source = Source::File(path.clone());
        let choose = |output: Option<&Path>, extension| Target::choose(output, &source, extension);
        let beside = folder.path().join("talk.nct");
        assert_eq!(choose(None, "nct").unwrap(), Target::File(beside.clone()));
        fs::write(&beside, b"").unwrap();
        assert!(
            choose(None, "nct")
                .unwrap_err()
                .to_string()
                .contains("exists already")
        );
        assert_eq!(choose(Some(&beside), "nct").unwrap(), Target::File(beside));
        assert_eq!(choose(Some(Path::new("-")), "nct").unwrap(), Target::Stdout);
        assert_eq!(
            Target::choose(None, &Source::Stdin, "nct").unwrap(),
            Target::Stdout
        );
        let plot = folder.path().join("talk.svg");
        let target = Target::File(folder.path().join(".").join("talk.svg"));
        assert!(target.check_plot(Some(&plot), &source).is_err());
        assert!(Target::Stdout.check_plot(Some(&path), &source).is_err());
        assert!(Target::Stdout.check_plot(Some(&plot), &source).is_ok());
        let same = folder.path().join(".").join("talk.wav");
        assert!(
            choose(Some(&same), "nct")
                .unwrap_err()
                .to_string()
                .contains("is the input")
        );
    }
}
