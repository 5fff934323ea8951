//! From the arguments of `transcribe` to the recordings they stand for.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// A file below a folder is taken for a recording if its name ends in one of these. A file that is named on the command
/// line is always taken.
const AUDIO_EXTENSIONS: [&str; 22] = [
    "aac", "aif", "aifc", "aiff", "alac", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mov", "mp2",
    "mp3", "mp4", "oga", "ogg", "opus", "w64", "wav", "wave", "webm",
];

/// One recording to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) source: Source,
    /// Where its output goes below the output folder, still with the extension of the recording.
    pub(crate) relative: PathBuf,
}

/// Where the bytes of a recording come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Stdin,
}

impl Source {
    /// Reads an argument: `-` is stdin.
    pub(crate) fn from_argument(argument: &Path) -> Self {
        if argument == Path::new("-") {
            Source::Stdin
        } else {
            Source::File(argument.to_owned())
        }
    }

    /// The name that people gave it.
    pub(crate) fn label(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Stdin => "-".to_owned(),
        }
    }
}

/// The recordings that the arguments stand for, in the order of the arguments and sorted within a folder; and in their
/// place, what could not be read.
pub(crate) fn expand(arguments: &[PathBuf]) -> Vec<Result<Input, CliError>> {
    let mut found = Vec::new();
    for argument in arguments {
        match Source::from_argument(argument) {
            Source::Stdin => {
                found.push(Ok(Input {
                    source: Source::Stdin,
                    relative: PathBuf::from("stdin"),
                }));
            }
            Source::File(path) => match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    let before = found.len();
                    walk(&path, Path::new(""), &mut found);
                    if found.len() == before {
                        found.push(Err(CliError::NoAudio { folder: path }));
                    }
                }
                Ok(_) => {
                    let relative = path.file_name().map_or_else(|| path.clone(), PathBuf::from);
                    found.push(Ok(Input {
                        source: Source::File(path),
                        relative,
                    }));
                }
                Err(source) => found.push(Err(CliError::Read { path, source })),
            },
        }
    }
    found
}

/// Adds the recordings below `folder`. Links to files are followed, links to folders are not, so that no recording is
/// met twice and no loop is entered.
fn walk(folder: &Path, relative: &Path, found: &mut Vec<Result<Input, CliError>>) {
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(source) => {
            found.push(Err(CliError::Read {
                path: folder.to_owned(),
                source,
            }));
            return;
        }
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let (path, relative) = (entry.path(), relative.join(&name));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&path, &relative, found),
            Ok(_) if has_audio_extension(&path) => match fs::metadata(&path) {
                Ok(target) if target.is_file() => found.push(Ok(Input {
                    source: Source::File(path),
                    relative,
                })),
                Ok(_) => {}
                Err(source) => found.push(Err(CliError::Read { path, source })),
            },
            Ok(_) => {}
            Err(source) => found.push(Err(CliError::Read { path, source })),
        }
    }
}

fn has_audio_extension(path: &Path) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| {
            AUDIO_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand_one(path: &Path) -> Vec<String> {
        expand(&[path.to_owned()])
            .into_iter()
            .map(|input| {
                input.map_or_else(
                    |error| error.to_string(),
                    |input| input.relative.display().to_string(),
                )
            })
            .collect()
    }

    #[test]
    fn a_folder_stands_for_its_sorted_audio_files_without_hidden_ones() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "b.wav",
            "a/z.MP3",
            "a/y.txt",
            "a/b/c.opus",
            ".hidden.wav",
            ".git/x.wav",
            "none/readme",
            "c.flac",
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        assert_eq!(
            expand_one(root.path()),
            ["a/b/c.opus", "a/z.MP3", "b.wav", "c.flac"]
        );
        let empty = expand_one(&root.path().join("none"));
        assert!(empty[0].contains("no audio files"), "{empty:?}");
    }

    #[cfg(unix)]
    #[test]
    fn links_to_files_count_and_links_to_folders_do_not() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/x.wav"), b"").unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink(root.path().join("a/x.wav"), root.path().join("y.wav")).unwrap();
        std::os::unix::fs::symlink(root.path().join("nowhere"), root.path().join("z.wav")).unwrap();
        let found = expand_one(root.path());
        assert_eq!(found[..2], ["a/x.wav", "y.wav"]);
        assert!(found[2].contains("z.wav: no such file"), "{found:?}");
    }

    #[test]
    fn a_named_file_is_taken_whatever_its_name() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("voice.bin");
        fs::write(&path, b"").unwrap();
        assert_eq!(expand_one(&path), ["voice.bin"]);
        assert_eq!(
            expand(&[PathBuf::from("-")])[0].as_ref().unwrap().source,
            Source::Stdin
        );
    }
}
