//! A file of derived weights that is open.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Sha256;
use sha2::digest::Digest;

use super::format::{Blob, Table};
use super::identity::Identity;
use super::{CacheError, PackedFault};
use crate::WeightsError;
use crate::hub::hex;
use crate::view::View;

/// A mapped file of derived weights. Cloning shares it.
#[derive(Clone)]
pub struct PackedFile {
    parts: Arc<Parts>,
}

struct Parts {
    path: PathBuf,
    view: View,
    table: Table,
    table_offset: usize,
    /// Where in the table each name is.
    by_name: BTreeMap<String, usize>,
}

/// The bytes of one blob, aligned to 64. They keep the file mapped; cloning shares it.
#[derive(Clone)]
pub struct PackedBytes {
    view: View,
}

impl PackedFile {
    /// Maps the file and checks its header and table.
    pub(super) fn open(path: &Path) -> Result<PackedFile, CacheError> {
        let view = View::map(path).map_err(CacheError::io(path, "read"))?;
        read(path, view)
    }

    /// The blob of this name, or `None` where there is none, or one of another shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Option<PackedBytes> {
        let parts = &*self.parts;
        let blob = &parts.table.blobs[*parts.by_name.get(name)?];
        (blob.shape == shape).then(|| PackedBytes {
            view: parts.blob(blob),
        })
    }

    /// The names of the blobs, in the order in which they were written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.table.blobs.iter().map(|blob| &blob.name[..])
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.parts.path
    }

    /// Reads the whole file and compares every blob with its checksum.
    ///
    /// # Errors
    /// [`CacheError::Damaged`] names the first blob that is not as it was written.
    pub fn verify(&self) -> Result<(), WeightsError> {
        let parts = &*self.parts;
        let fault = |fault| CacheError::damaged(&parts.path)(fault);
        for (at, (blob, view)) in self.blobs().enumerate() {
            if hex(Sha256::digest(view.bytes())) != blob.sha256 {
                return Err(fault(PackedFault::Blob(blob.name.clone())).into());
            }
            let end = blob.offset as usize + view.len();
            let next = parts.table.blobs.get(at + 1);
            let next = next.map_or(parts.table_offset, |next| next.offset as usize);
            if parts.view.bytes()[end..next].iter().any(|byte| *byte != 0) {
                return Err(fault(PackedFault::Padding(blob.name.clone())).into());
            }
            view.release();
        }
        Ok(())
    }

    /// The blobs, in the order in which they were written.
    pub(super) fn blobs(&self) -> impl Iterator<Item = (&Blob, View)> {
        let parts = &*self.parts;
        parts
            .table
            .blobs
            .iter()
            .map(|blob| (blob, parts.blob(blob)))
    }

    pub(super) fn is_made_from(&self, identity: &Identity) -> bool {
        self.parts.table.is_made_from(identity)
    }

    /// Whether what it was made from is where it was, and as it was.
    pub(super) fn is_up_to_date(&self) -> bool {
        self.parts.table.is_up_to_date()
    }

    /// The path of the checkpoint that it was made from, and the variant.
    pub(super) fn origin(&self) -> (&str, &str) {
        (&self.parts.table.source, &self.parts.table.variant)
    }
}

impl fmt::Debug for PackedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackedFile")
            .field("path", &self.parts.path)
            .field("blobs", &self.parts.table.blobs.len())
            .finish()
    }
}

impl Parts {
    fn blob(&self, blob: &Blob) -> View {
        let start = blob.offset as usize;
        self.view
            .slice(start..start + blob.bytes as usize)
            .expect("the table was checked against the file")
    }
}

impl AsRef<[u8]> for PackedBytes {
    fn as_ref(&self) -> &[u8] {
        self.view.bytes()
    }
}

impl fmt::Debug for PackedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedBytes({} bytes)", self.view.len())
    }
}

/// Checks the header and the table of a file that is mapped, or elsewhere in memory.
pub(crate) fn read(path: &Path, view: View) -> Result<PackedFile, CacheError> {
    let (table, table_offset) = Table::of_file(view.bytes()).map_err(CacheError::damaged(path))?;
    let names = table.blobs.iter().map(|blob| blob.name.clone());
    let by_name = names.zip(0..).collect();
    Ok(PackedFile {
        parts: Arc::new(Parts {
            path: path.into(),
            view,
            table,
            table_offset,
            by_name,
        }),
    })
}
