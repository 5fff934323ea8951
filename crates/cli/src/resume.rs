//! What `--resume` knows: a record beside each output of what it was made from.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::atomic;

/// Everything but the recording that an output depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The version of the command.
    pub(crate) percept: String,
    /// Which weights, as [`crate::model::Located::identity`] tells them apart.
    pub(crate) model: String,
    /// The arithmetic in use, whether it was asked for or not.
    pub(crate) precision: String,
    /// The head that decodes, whether it was asked for or not.
    pub(crate) decoder: String,
    pub(crate) confidence: String,
    pub(crate) language: Option<String>,
    pub(crate) format: String,
}

/// The contents of a file in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    bytes: u64,
    sha256: String,
}

impl Fingerprint {
    fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut block = vec![0; 1 << 16];
        let mut bytes = 0;
        loop {
            match file.read(&mut block) {
                Ok(0) => break,
                Ok(count) => {
                    hash.update(&block[..count]);
                    bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            bytes,
            sha256: hex(hash),
        })
    }

    /// Whether the file at `path` has these contents.
    fn matches(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| found.len() == self.bytes)
            && Self::of(path).is_ok_and(|found| found == *self)
    }
}

/// A finished hash as people write it.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A recording as it was before it was read.
pub(crate) struct Seen {
    fingerprint: Fingerprint,
    modified: Option<SystemTime>,
}

impl Seen {
    /// Looks at an ordinary file; nothing can be remembered of others, as reading them may use them up.
    pub(crate) fn look(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            fingerprint: Fingerprint::of(path).ok()?,
            modified: metadata.modified().ok(),
        })
    }

    fn has_changed(&self, path: &Path) -> bool {
        fs::metadata(path).map_or(true, |now| {
            now.len() != self.fingerprint.bytes || now.modified().ok() != self.modified
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    settings: Settings,
    /// The name of the recording, where the output holds it.
    file: Option<String>,
    input: Fingerprint,
    output: Fingerprint,
}

/// One output and what it is made from.
pub(crate) struct Product<'a> {
    pub(crate) input: &'a Path,
    pub(crate) output: &'a Path,
    /// The name of the recording, where the output holds it.
    pub(crate) file: Option<&'a str>,
    pub(crate) settings: &'a Settings,
}

impl Product<'_> {
    /// Whether the output was made from `seen` with the same settings and is still as it was written.
    pub(crate) fn is_current(&self, seen: &Seen) -> bool {
        let Some(record) = fs::read(record_path(self.output))
            .ok()
            .and_then(|json| parse(&json))
        else {
            return false;
        };
        record.settings == *self.settings
            && record.file.as_deref() == self.file
            && record.input == seen.fingerprint
            && record.output.matches(self.output)
    }

    /// Remembers that the output was made from `seen`, unless the recording changed meanwhile.
    pub(crate) fn remember(&self, seen: &Seen) -> io::Result<()> {
        if seen.has_changed(self.input) {
            return forget(self.output);
        }
        let record = Record {
            settings: self.settings.clone(),
            file: self.file.map(str::to_owned),
            input: seen.fingerprint.clone(),
            output: Fingerprint::of(self.output)?,
        };
        let json = serde_json::to_vec(&record).expect("a record holds strings and numbers only");
        atomic::write(&record_path(self.output), |file| file.write_all(&json))
    }
}

/// Removes the record of an output, so that it is made again.
pub(crate) fn forget(output: &Path) -> io::Result<()> {
    match fs::remove_file(record_path(output)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The record beside an output: `DIR/.NAME.txt.percept`.
pub(crate) fn record_path(output: &Path) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.percept"))
}

/// A record in an older or foreign form is no record.
fn parse(json: &[u8]) -> Option<Record> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            percept: "1".to_owned(),
            model: "m".to_owned(),
            precision: "f32".to_owned(),
            decoder: "tdt".to_owned(),
            confidence: "probability".to_owned(),
            language: None,
            format: "txt".to_owned(),
        }
    }

    #[test]
    fn an_output_is_current_until_anything_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("x.wav"), folder.path().join("x.txt"));
        let same = settings();
        fs::write(&input, b"sound").unwrap();
        fs::write(&output, b"text").unwrap();
        let product = Product {
            input: &input,
            output: &output,
            file: None,
            settings: &same,
        };
        let is_current = |product: &Product| product.is_current(&Seen::look(&input).unwrap());

        assert!(!is_current(&product), "no record yet");
        product.remember(&Seen::look(&input).unwrap()).unwrap();
        assert!(is_current(&product));

        for change in [
            Settings {
                percept: "2".to_owned(),
                ..settings()
            },
            Settings {
                model: "n".to_owned(),
                ..settings()
            },
            Settings {
                precision: "int8".to_owned(),
                ..settings()
            },
            Settings {
                decoder: "ctc".to_owned(),
                ..settings()
            },
            Settings {
                confidence: "entropy".to_owned(),
                ..settings()
            },
            Settings {
                language: Some("de".to_owned()),
                ..settings()
            },
            Settings {
                format: "json".to_owned(),
                ..settings()
            },
        ] {
            assert!(
                !is_current(&Product {
                    settings: &change,
                    ..product
                }),
                "{change:?}"
            );
        }
        assert!(!is_current(&Product {
            file: Some("x.wav"),
            ..product
        }));

        fs::write(&output, b"edit").unwrap();
        assert!(!is_current(&product), "the output was edited");
        fs::write(&output, b"text").unwrap();
        assert!(is_current(&product));
        fs::write(&input, b"other").unwrap();
        assert!(!is_current(&product), "the input changed but not its size");
        fs::write(&input, b"sound").unwrap();
        assert!(is_current(&product));
        fs::write(record_path(&output), b"{}").unwrap();
        assert!(!is_current(&product), "the record is damaged");
    }

    #[test]
    fn a_recording_that_changes_while_it_is_read_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("x.wav"), folder.path().join("x.txt"));
        let same = settings();
        fs::write(&input, b"sound").unwrap();
        fs::write(&output, b"text").unwrap();
        let product = Product {
            input: &input,
            output: &output,
            file: None,
            settings: &same,
        };
        let seen = Seen::look(&input).unwrap();
        fs::write(&input, b"sound and more").unwrap();
        product.remember(&seen).unwrap();
        assert!(!record_path(&output).exists());
    }
}
