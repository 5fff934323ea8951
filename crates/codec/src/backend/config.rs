//! Which checkpoint a backend is of.

use std::fmt;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use percept_weights::Checkpoint;
use percept_weights::hub::{Hub, HubError, HubSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::BackendError;
use crate::{CodecError, CodecFamily, CodecModel};

const CONFIG: &str = "config.json";
/// The largest configuration that is read before loading; real ones have a few hundred bytes.
const MOST_CONFIG_BYTES: u64 = 1 << 20;

/// What is particular to the backend of a family.
pub trait BackendFamily: Send + Sync + 'static {
    /// The family.
    const FAMILY: CodecFamily;
    /// The repository without a choice.
    const REPO: &'static str;
    /// The file of weights in it.
    const WEIGHTS: &'static str;
    /// Whether every book has as many codes as the others.
    const HAS_ONE_STRIDE: bool;
    /// Whether tokens of the first books alone are decoded.
    const TAKES_FEWER_BOOKS: bool;
}

macro_rules! family {
    ($(#[$doc:meta])* $name:ident, $family:ident, $repo:literal, $weights:literal, $one_stride:literal, $fewer:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl BackendFamily for $name {
            const FAMILY: CodecFamily = CodecFamily::$family;
            const REPO: &'static str = $repo;
            const WEIGHTS: &'static str = $weights;
            const HAS_ONE_STRIDE: bool = $one_stride;
            const TAKES_FEWER_BOOKS: bool = $fewer;
        }
    };
}

family!(
    /// [`CodecFamily::Snac`]: books of different strides, all of them needed.
    SnacFamily, Snac, "hubertsiuzdak/snac_24khz", "pytorch_model.bin", false, false
);
family!(
    /// [`CodecFamily::Dac`]: all books needed.
    DacFamily, Dac, "descript/dac_44khz", "model.safetensors", true, false
);
family!(
    /// [`CodecFamily::Encodec`]: any number of books.
    EncodecFamily, Encodec, "facebook/encodec_24khz", "model.safetensors", true, true
);
family!(
    /// [`CodecFamily::Mimi`]: any number of books.
    MimiFamily, Mimi, "kyutai/mimi", "model.safetensors", true, true
);

/// Which checkpoint a backend loads.
///
/// ```
/// use percept_codec::{BackendConfig, SnacFamily};
///
/// let mut config = BackendConfig::<SnacFamily>::default();
/// assert_eq!(config.repo_id, "hubertsiuzdak/snac_24khz");
/// config.repo_id = "hubertsiuzdak/snac_44khz".into();
/// ```
#[non_exhaustive]
#[derive(Serialize, Deserialize)]
#[serde(default, bound = "F: BackendFamily")]
pub struct BackendConfig<F: BackendFamily> {
    /// `owner/name` on the hub, or a folder on this machine; what exists comes first. `hf_repo` is understood too.
    #[serde(alias = "hf_repo")]
    pub repo_id: String,
    /// A branch, a tag or a commit; the main branch where it is `None`.
    pub revision: Option<String>,
    /// The file of weights.
    pub weights_filename: String,
    /// The configuration.
    pub config_filename: String,
    /// The cache of the hub; where `HF_HUB_CACHE` or `HF_HOME` say where it is `None`.
    pub cache_dir: Option<PathBuf>,
    #[serde(skip)]
    family: PhantomData<F>,
}

impl<F: BackendFamily> Default for BackendConfig<F> {
    fn default() -> Self {
        Self {
            repo_id: F::REPO.into(),
            revision: None,
            weights_filename: F::WEIGHTS.into(),
            config_filename: CONFIG.into(),
            cache_dir: None,
            family: PhantomData,
        }
    }
}

impl<F: BackendFamily> Clone for BackendConfig<F> {
    fn clone(&self) -> Self {
        Self {
            repo_id: self.repo_id.clone(),
            revision: self.revision.clone(),
            weights_filename: self.weights_filename.clone(),
            config_filename: self.config_filename.clone(),
            cache_dir: self.cache_dir.clone(),
            family: PhantomData,
        }
    }
}

impl<F: BackendFamily> fmt::Debug for BackendConfig<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendConfig")
            .field("repo_id", &self.repo_id)
            .field("revision", &self.revision)
            .field("weights_filename", &self.weights_filename)
            .field("config_filename", &self.config_filename)
            .field("cache_dir", &self.cache_dir)
            .finish()
    }
}

impl<F: BackendFamily> BackendConfig<F> {
    /// The model, downloaded if this machine lacks it.
    pub(super) fn open(&self) -> Result<CodecModel, CodecError> {
        let folder = self.folder()?;
        let (config, weights) = (&self.config_filename[..], &self.weights_filename[..]);
        if (config, weights) == (CONFIG, F::WEIGHTS) {
            // Other forms of the same weights will do as well.
            return CodecModel::open(&folder);
        }
        for file in [config, weights] {
            if !folder.join(file).is_file() {
                let (folder, file) = (folder.clone(), file.to_owned());
                return Err(BackendError::NoFile { folder, file }.into());
            }
        }
        CodecModel::from_checkpoint(&Checkpoint::open_files(&folder, config, weights)?)
    }

    /// The folder with the files, downloaded if the cache lacks them.
    fn folder(&self) -> Result<PathBuf, BackendError> {
        if let Some(folder) = self.local() {
            return Ok(folder);
        }
        let (hub, id) = (self.hub()?, self.hub_id());
        match hub.cached(&id)? {
            Some(folder) => Ok(folder),
            None => Ok(hub.fetch(&id, &mut |_| ())?),
        }
    }

    /// The configuration, if it is on this machine.
    pub(super) fn config_at_hand(&self) -> Option<Value> {
        let cached = || self.hub().ok()?.cached(&self.hub_id()).ok()?;
        let folder = self.local().or_else(cached)?;
        let file = folder.join(&self.config_filename);
        let is_small = fs::metadata(&file).is_ok_and(|found| found.len() <= MOST_CONFIG_BYTES);
        let text = is_small.then(|| fs::read(&file).ok())??;
        serde_json::from_slice(&text).ok()
    }

    fn local(&self) -> Option<PathBuf> {
        let path = Path::new(&self.repo_id);
        path.is_dir().then(|| path.to_owned())
    }

    fn hub(&self) -> Result<Hub, HubError> {
        let mut settings = HubSettings::from_env()?;
        if let Some(cache) = &self.cache_dir {
            settings.cache.clone_from(cache);
        }
        Hub::new(settings)
    }

    fn hub_id(&self) -> String {
        match &self.revision {
            None => self.repo_id.clone(),
            Some(revision) => format!("{}@{revision}", self.repo_id),
        }
    }
}
