//! Repositories of a Hugging Face hub, by way of the cache that all its tools share.
//!
//! [`Hub::cached`] never uses the network. [`Hub::fetch`] asks the hub for the newest commit of a revision and
//! brings what is missing of its model: interrupted transfers resume, every file is checked against the hash that the
//! hub gives for it, and only whole files appear under their names. The token goes to the hub's own host alone.
//!
//! ```no_run
//! use percept_weights::{Checkpoint, hub::Hub};
//!
//! let hub = Hub::from_env()?;
//! let id = "nvidia/parakeet-tdt-0.6b-v3";
//! let directory = match hub.cached(id)? {
//!     Some(directory) => directory,
//!     None => hub.fetch(id, &mut |progress| eprintln!("{} of {}", progress.bytes, progress.total))?,
//! };
//! let checkpoint = Checkpoint::open(&directory)?;
//! # Ok::<(), percept_weights::WeightsError>(())
//! ```

mod cache;
mod client;
mod download;
mod error;
mod hash;
mod id;
mod inventory;
mod select;
mod settings;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cache::RepoCache;
use client::{Client, FileFacts};
use download::Download;
use id::{RepoId, is_commit};

pub use error::HubError;
pub use inventory::{CachedRepo, CachedRevision, FileState, VerifiedFile};
pub use settings::HubSettings;

pub(crate) use hash::hex;
pub(crate) use id::is_hex;

use crate::huggingface::{INDEX, shard_names};

/// A hub and its cache on this machine.
pub struct Hub {
    settings: HubSettings,
    client: Client,
}

/// How far a fetch has come.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The file that is being received.
    pub file: &'a str,
    /// What is here of it, in bytes.
    pub file_bytes: u64,
    /// Its size in bytes.
    pub file_total: u64,
    /// What is here of all files, in bytes.
    pub bytes: u64,
    /// The size of all files in bytes. It grows once where an index of shards must be read first.
    pub total: u64,
}

impl Hub {
    /// The hub and the cache that the environment names; see [`HubSettings::from_env`].
    ///
    /// # Errors
    /// [`HubError::NoHome`], [`HubError::Endpoint`].
    pub fn from_env() -> Result<Hub, HubError> {
        Hub::new(HubSettings::from_env()?)
    }

    /// The hub and the cache that `settings` name.
    ///
    /// # Errors
    /// [`HubError::Endpoint`] where the endpoint is no web address.
    pub fn new(settings: HubSettings) -> Result<Hub, HubError> {
        let client = Client::new(&settings)?;
        Ok(Hub { settings, client })
    }

    /// The same hub with another pause after a first failure (0.5 s otherwise); each further failure doubles it.
    pub fn with_retry_pause(mut self, pause: Duration) -> Hub {
        self.client.first_pause = pause;
        self
    }

    /// What this hub was made from.
    pub fn settings(&self) -> &HubSettings {
        &self.settings
    }

    /// The directory of a model in the cache, if all of it is there; for [`Checkpoint::open`](crate::Checkpoint::open).
    ///
    /// `id` is `owner/name` or `owner/name@revision`. The network is not used.
    ///
    /// # Errors
    /// [`HubError::Id`] where `id` is no such name.
    pub fn cached(&self, id: &str) -> Result<Option<PathBuf>, HubError> {
        let id = RepoId::parse(id)?;
        Ok(self.repo(&id).complete_snapshot(&id.revision))
    }

    /// Brings the model of a repository into the cache and returns its directory.
    ///
    /// `id` is `owner/name` or `owner/name@revision` with a branch, a tag or a commit. Only the files that make up the
    /// model are fetched: the small JSON files with safetensors, else a `.nemo` file, else `pytorch_model.bin`.
    /// A commit that is cached, and any revision while offline, is returned without asking the hub; so is a cached
    /// revision if the hub cannot be reached. `progress` is called for every block that arrives.
    ///
    /// # Errors
    /// Every [`HubError`] says what to do. What had arrived stays, and the next call resumes it.
    pub fn fetch(
        &self,
        id: &str,
        progress: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<PathBuf, HubError> {
        let id = RepoId::parse(id)?;
        let cache = self.repo(&id);
        let cached = cache.complete_snapshot(&id.revision);
        if self.settings.offline {
            return cached.ok_or_else(|| HubError::Offline {
                id: id.name.clone(),
                cache: self.settings.cache.clone(),
            });
        }
        if let Some(snapshot) = cached.clone().filter(|_| is_commit(&id.revision)) {
            return Ok(snapshot);
        }
        let listing = match (self.client.list(&id), cached) {
            (Err(error), Some(snapshot)) if client::may_pass(&error) => return Ok(snapshot),
            (listing, _) => listing?,
        };
        let selection = select::select(&id.name, &listing.files)?;
        let commit = &listing.commit;
        let mut tally = Tally::new(progress);
        self.bring(&id, commit, &selection.files, &mut tally)?;
        if selection.has_index {
            let shards = shards(&cache.snapshot(commit).join(INDEX))?;
            self.bring(&id, commit, &shards, &mut tally)?;
        }
        // Last, so that a revision never points to a snapshot with holes.
        cache.set_commit(&id.revision, commit)?;
        Ok(cache.snapshot(commit))
    }

    fn repo(&self, id: &RepoId) -> RepoCache {
        RepoCache::new(&self.settings.cache, id)
    }

    /// Brings files of a commit into the cache and shows them in its snapshot.
    fn bring(
        &self,
        id: &RepoId,
        commit: &str,
        files: &[String],
        tally: &mut Tally<'_>,
    ) -> Result<(), HubError> {
        let facts = |file: &String| self.client.facts(id, commit, file);
        let facts: Vec<FileFacts> = files.iter().map(facts).collect::<Result<_, _>>()?;
        tally.expect(facts.iter().map(|facts| facts.bytes));
        let cache = self.repo(id);
        for (file, facts) in files.iter().zip(facts) {
            let content = facts.content.clone();
            let download = Download {
                client: &self.client,
                cache: &cache,
                id,
                commit,
                file,
                facts,
            };
            download.run(tally)?;
            cache.show(commit, file, &content)?;
        }
        Ok(())
    }
}

/// The shards that a fetched index names.
fn shards(index: &std::path::Path) -> Result<Vec<String>, HubError> {
    let text = fs::read(index).map_err(HubError::io(index, "read"))?;
    let names = shard_names(index, &text).map_err(|_| HubError::Answer {
        url: index.display().to_string(),
        what: "list of shards",
    })?;
    Ok(names.into_iter().collect())
}

/// Adds up how far all files have come.
struct Tally<'a> {
    progress: &'a mut dyn FnMut(&Progress<'_>),
    arrived: HashMap<String, u64>,
    total: u64,
}

impl<'a> Tally<'a> {
    fn new(progress: &'a mut dyn FnMut(&Progress<'_>)) -> Tally<'a> {
        Tally {
            progress,
            arrived: HashMap::new(),
            total: 0,
        }
    }

    fn expect(&mut self, sizes: impl Iterator<Item = u64>) {
        self.total = sizes.fold(self.total, u64::saturating_add);
    }

    /// Reports that `bytes` of `total` of a file are here.
    fn file_at(&mut self, file: &str, bytes: u64, total: u64) {
        self.arrived.insert(file.into(), bytes);
        (self.progress)(&Progress {
            file,
            file_bytes: bytes,
            file_total: total,
            bytes: self.arrived.values().sum(),
            total: self.total,
        });
    }
}
