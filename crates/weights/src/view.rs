//! Ranges of immutable bytes that several tensors share: a mapped file, bytes compiled in, or a heap buffer.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::cache::StampedFile;

/// A cheap-to-clone window onto bytes that never change.
#[derive(Clone)]
pub(crate) struct View {
    owner: Owner,
    range: Range<usize>,
}

#[derive(Clone)]
enum Owner {
    Map(Arc<Mmap>),
    Static(&'static [u8]),
    Heap(Arc<Vec<u8>>),
}

impl View {
    /// Maps the whole regular file at `path`.
    pub(crate) fn map(path: &Path) -> io::Result<View> {
        View::map_file(&open_regular(path)?)
    }

    /// Maps the whole regular file at `path`, and says in which state that very file is.
    pub(crate) fn map_stamped(path: &Path) -> io::Result<(View, StampedFile)> {
        let file = open_regular(path)?;
        let stamped = StampedFile::of(path, &file)?;
        Ok((View::map_file(&file)?, stamped))
    }

    /// Maps the whole of an open file.
    #[allow(unsafe_code)] // memory maps have no safe constructor
    pub(crate) fn map_file(file: &File) -> io::Result<View> {
        if file.metadata()?.len() == 0 {
            return Ok(View::of_static(&[]));
        }
        // SAFETY: the mapping is read-only and private, and lives as long as the `Arc` that every `View` of it holds.
        // What the compiler cannot see is another process that truncates or rewrites the file meanwhile; the crate
        // documents that weight files must stay as they are while open, and its own writers (hub.rs) only ever
        // rename complete files into place, which leaves an existing mapping on the old inode.
        let map = unsafe { Mmap::map(file)? };
        let range = 0..map.len();
        Ok(View {
            owner: Owner::Map(Arc::new(map)),
            range,
        })
    }

    /// Bytes compiled into the program.
    pub(crate) fn of_static(bytes: &'static [u8]) -> View {
        View {
            owner: Owner::Static(bytes),
            range: 0..bytes.len(),
        }
    }

    /// Bytes built at run time.
    pub(crate) fn of_vec(bytes: Vec<u8>) -> View {
        let range = 0..bytes.len();
        View {
            owner: Owner::Heap(Arc::new(bytes)),
            range,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let all = match &self.owner {
            Owner::Map(map) => &map[..],
            Owner::Static(bytes) => bytes,
            Owner::Heap(bytes) => bytes,
        };
        &all[self.range.clone()]
    }

    /// Gives the memory of mapped pages back; reading them again loads them from the file.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        if let Owner::Map(map) = &self.owner {
            release_pages(map, &self.range);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// The part `range` of this view, or `None` where it reaches past the end.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<View> {
        if range.start > range.end || range.end > self.range.len() {
            return None;
        }
        let start = self.range.start + range.start;
        Some(View {
            owner: self.owner.clone(),
            range: start..start + range.len(),
        })
    }
}

fn open_regular(path: &Path) -> io::Result<File> {
    // Asked before opening: opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    File::open(path)
}

#[cfg(unix)]
#[allow(unsafe_code)] // advice that may discard pages is unsafe for mappings that were written to
fn release_pages(map: &Mmap, range: &Range<usize>) {
    let advice = memmap2::UncheckedAdvice::DontNeed;
    // SAFETY: the mapping is of a file and never written (`View` only lends `&[u8]`), so a discarded page comes back
    // with the same bytes. Advice that the system refuses changes nothing.
    let _ = unsafe { map.unchecked_advise_range(advice, range.start, range.len()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_never_reaches_past_its_view() {
        let view = View::of_vec((0..10).collect());
        let middle = view.slice(2..6).unwrap();
        assert_eq!(middle.bytes(), [2, 3, 4, 5]);
        assert_eq!(middle.slice(1..3).unwrap().bytes(), [3, 4]);
        assert_eq!(middle.slice(4..4).unwrap().len(), 0);
        assert!(middle.slice(0..5).is_none());
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 3..2;
        assert!(middle.slice(reversed).is_none());
    }

    #[test]
    fn mapping_a_file_gives_its_bytes_and_an_empty_file_gives_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"abc").unwrap();
        assert_eq!(View::map(&path).unwrap().bytes(), b"abc");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(View::map(&path).unwrap().len(), 0);
        assert!(View::map(dir.path()).is_err(), "a directory is no file");
    }

    #[test]
    fn released_pages_come_back_with_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let bytes: Vec<u8> = (0..50_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let view = View::map(&path).unwrap();
        let middle = view.slice(5_000..40_001).unwrap();
        assert_eq!(middle.bytes(), &bytes[5_000..40_001]);
        middle.release();
        assert_eq!(view.bytes(), bytes);
    }
}
