//! Names of repositories and revisions, checked so that they can be parts of paths and addresses.

use super::HubError;

/// The revision that a name without one means.
pub(super) const MAIN: &str = "main";

/// `owner/name`, or `name` for a few old ones, with a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RepoId {
    /// `owner/name`.
    pub(super) name: String,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
}

impl RepoId {
    /// Reads `owner/name` or `owner/name@revision`; the revision is `main` where none is given.
    pub(super) fn parse(text: &str) -> Result<RepoId, HubError> {
        let (name, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let parts = name.split('/').count();
        let is_name = parts <= 2 && name.split('/').all(is_part) && !name.contains("--");
        if !is_name || !revision.split('/').all(is_part) {
            return Err(HubError::Id { id: text.into() });
        }
        Ok(RepoId {
            name: name.into(),
            revision: revision.into(),
        })
    }

    /// The name of the repository's folder in the cache.
    pub(super) fn folder(&self) -> String {
        format!("models--{}", self.name.replace('/', "--"))
    }

    /// The repository whose folder has this name.
    pub(super) fn of_folder(folder: &str) -> Option<String> {
        let name = folder.strip_prefix("models--")?.replace("--", "/");
        RepoId::parse(&name).ok().map(|id| id.name)
    }
}

/// Whether a text is a plain part of a path: letters, digits, `-`, `_` and `.`, and not a dot in front.
fn is_part(part: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !part.is_empty()
        && part.len() <= 128
        && part.chars().all(is_plain)
        && !part.starts_with(['.', '-'])
        && !part.contains("..")
}

/// Whether a text is a commit: 40 lower-case hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

/// Whether a text is `digits` lower-case hexadecimal digits.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.len() == digits && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_cache_are_refused() {
        for good in [
            "a/b",
            "nvidia/parakeet-tdt-0.6b-v3",
            "gpt2",
            "a/b@v1.0",
            "a/b@refs/pr/1",
        ] {
            let id = RepoId::parse(good).unwrap();
            assert_eq!(RepoId::of_folder(&id.folder()), Some(id.name));
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a/b/c",
            "../b",
            "a/..",
            "a/b@",
            "a/b@../c",
            "a/b@/c",
            "a b/c",
            "a/b@x y",
            "./a",
            "-a/b",
            "a--b/c",
            "a\\b",
            "https://x/y",
            "a/b?c",
            "a/b@x#y",
            "a/ü",
            "a..b/c",
        ] {
            assert_eq!(RepoId::parse(bad).unwrap_err().code(), "hub-id", "{bad}");
        }
    }
}
