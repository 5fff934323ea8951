//! Where the hub is, where its cache is, and who asks: the environment variables of the Hugging Face tools.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::HubError;

/// How to reach a hub. [`HubSettings::from_env`] reads what other Hugging Face tools read.
#[derive(Clone)]
#[non_exhaustive]
pub struct HubSettings {
    /// The address of the hub, without a slash at the end.
    pub endpoint: String,
    /// The folder of the cache, which holds `models--owner--name` folders.
    pub cache: PathBuf,
    /// Sent to the hub's own host and to no other.
    pub token: Option<String>,
    /// Never use the network.
    pub offline: bool,
}

/// A token must not end up in a log.
impl std::fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("has_token", &self.token.is_some())
            .field("offline", &self.offline)
            .finish()
    }
}

impl HubSettings {
    /// The public hub, a cache, no token.
    pub fn new(cache: impl Into<PathBuf>) -> HubSettings {
        HubSettings {
            endpoint: "https://huggingface.co".into(),
            cache: cache.into(),
            token: None,
            offline: false,
        }
    }

    /// What the environment says.
    ///
    /// | variable | meaning, and what holds without it |
    /// |---|---|
    /// | `HF_ENDPOINT` | the hub; `https://huggingface.co` |
    /// | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE` | the cache; `$HF_HOME/hub` |
    /// | `HF_HOME` | the folder of all Hugging Face files; `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface` |
    /// | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` | the token; the file `$HF_TOKEN_PATH`, else `$HF_HOME/token` |
    /// | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | `1`, `true`, `yes` or `on`: never use the network |
    ///
    /// # Errors
    /// [`HubError::NoHome`] where no variable and no home directory says where the cache is.
    pub fn from_env() -> Result<HubSettings, HubError> {
        HubSettings::from_lookup(|name| std::env::var_os(name), std::env::home_dir())
    }

    /// The folder of all Hugging Face files, `HF_HOME` or what holds without it.
    pub(crate) fn home_from_env() -> Result<PathBuf, HubError> {
        let user_home = std::env::home_dir();
        let folder = |name: &str| folder(std::env::var_os(name), user_home.as_deref());
        home(folder, user_home.as_deref()).ok_or(HubError::NoHome)
    }

    fn from_lookup(
        variable: impl Fn(&str) -> Option<OsString>,
        user_home: Option<PathBuf>,
    ) -> Result<HubSettings, HubError> {
        let user_home = user_home.as_deref();
        let text = |name: &str| set(variable(name))?.into_string().ok();
        let folder = |name: &str| folder(variable(name), user_home);
        let home = home(folder, user_home);
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(home.as_ref()?.join("hub")))
            .ok_or(HubError::NoHome)?;
        let mut settings = HubSettings::new(cache);
        if let Some(endpoint) = text("HF_ENDPOINT") {
            settings.endpoint = endpoint;
        }
        settings.token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| {
                let file = folder("HF_TOKEN_PATH");
                let file = file.or_else(|| Some(home.as_ref()?.join("token")))?;
                std::fs::read_to_string(file).ok()
            })
            .map(|token| token.trim().to_string())
            .filter(|token| !token.is_empty());
        settings.offline = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
            .into_iter()
            .filter_map(text)
            .any(|value| matches!(&value.to_lowercase()[..], "1" | "true" | "yes" | "on"));
        Ok(settings)
    }
}

/// An empty variable is as good as none.
fn set(value: Option<OsString>) -> Option<OsString> {
    value.filter(|value| !value.is_empty())
}

/// The folder that a variable names; `~` is the home directory.
fn folder(value: Option<OsString>, user_home: Option<&Path>) -> Option<PathBuf> {
    let path = PathBuf::from(set(value)?);
    Some(match (path.strip_prefix("~"), user_home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    })
}

/// The folder of all Hugging Face files.
fn home(folder: impl Fn(&str) -> Option<PathBuf>, user_home: Option<&Path>) -> Option<PathBuf> {
    folder("HF_HOME").or_else(|| {
        let caches = folder("XDG_CACHE_HOME");
        let caches = caches.or_else(|| Some(user_home?.join(".cache")));
        Some(caches?.join("huggingface"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        HubSettings::from_lookup(lookup, Some("/home/u".into())).unwrap()
    }

    #[test]
    fn the_cache_is_where_other_tools_look_for_it() {
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[], "/home/u/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HF_HOME", "/h")], "/h/hub"),
            (&[("HF_HOME", "")], "/home/u/.cache/huggingface/hub"),
            (&[("HF_HOME", "~/h")], "/home/u/h/hub"),
            (&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/c")], "/c"),
            (
                &[("HF_HUB_CACHE", "/d"), ("HUGGINGFACE_HUB_CACHE", "/c")],
                "/d",
            ),
        ];
        for (variables, cache) in cases {
            assert_eq!(
                settings(variables).cache,
                PathBuf::from(cache),
                "{variables:?}"
            );
        }
        let homeless = HubSettings::from_lookup(|_| None, None).unwrap_err();
        assert_eq!(homeless.code(), "hub-no-home");
    }

    #[test]
    fn the_token_comes_from_the_variable_or_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "from-file\n").unwrap();
        let home = dir.path().to_str().unwrap();
        assert_eq!(settings(&[("HF_HOME", home)]).token.unwrap(), "from-file");
        let both = settings(&[("HF_HOME", home), ("HF_TOKEN", " from-env ")]);
        assert_eq!(both.token.as_deref(), Some("from-env"));
        assert_eq!(settings(&[("HF_HOME", "/none")]).token, None);
        assert!(!format!("{both:?}").contains("from-env"));
    }

    #[test]
    fn offline_is_what_other_tools_take_for_true() {
        for (value, offline) in [
            ("1", true),
            ("TRUE", true),
            ("on", true),
            ("0", false),
            ("", false),
        ] {
            assert_eq!(
                settings(&[("HF_HUB_OFFLINE", value)]).offline,
                offline,
                "{value}"
            );
        }
        assert!(settings(&[("TRANSFORMERS_OFFLINE", "yes")]).offline);
    }
}
