//! The hashes by which the hub names contents.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::Sha256;
use sha2::digest::Digest;

use super::id::is_hex;

/// The name of a content, which is its hash: SHA-256 of large files, git's object id of small ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContentId {
    Sha256(String),
    Git(String),
}

impl ContentId {
    /// Reads an `ETag`: 64 or 40 hexadecimal digits, perhaps in quotes and marked weak.
    pub(super) fn of_etag(etag: &str) -> Option<ContentId> {
        let etag = etag.trim();
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        if is_hex(etag, 64) {
            Some(ContentId::Sha256(etag.into()))
        } else if is_hex(etag, 40) {
            Some(ContentId::Git(etag.into()))
        } else {
            None
        }
    }

    pub(super) fn digits(&self) -> &str {
        match self {
            ContentId::Sha256(digits) | ContentId::Git(digits) => digits,
        }
    }

    /// The id of the same kind that a file's content has.
    pub(super) fn of_file(&self, path: &Path) -> io::Result<ContentId> {
        let file = File::open(path)?;
        Ok(match self {
            ContentId::Sha256(_) => ContentId::Sha256(digest(Sha256::new(), file)?),
            ContentId::Git(_) => {
                let mut hasher = Sha1::new();
                // git hashes an object's kind and size in front of its content.
                hasher.update(format!("blob {}\0", file.metadata()?.len()));
                ContentId::Git(digest(hasher, file)?)
            }
        })
    }
}

fn digest<H: Digest>(mut hasher: H, mut file: File) -> io::Result<String> {
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(n) => hasher.update(&block[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hex(hasher.finalize()))
}

/// A hash as people write it.
pub(crate) fn hex(hash: impl AsRef<[u8]>) -> String {
    let mut digits = String::new();
    for byte in hash.as_ref() {
        write!(digits, "{byte:02x}").expect("a String takes any text");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git_and_sha256sum() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        std::fs::write(&file, "hello\n").unwrap();
        let cases = [
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            "ce013625030ba8dba906f756967f9e9ca394464a",
        ];
        for digits in cases {
            let id = ContentId::of_etag(&format!("W/\"{digits}\"")).unwrap();
            assert_eq!(id.of_file(&file).unwrap(), id);
            assert_eq!(id.digits(), digits);
        }
        assert_eq!(ContentId::of_etag("\"abc\""), None);
        assert_eq!(ContentId::of_etag(&"../x".repeat(16)), None);
    }
}
