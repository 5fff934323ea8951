//! Files that appear complete or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The unfinished files of this process, for [`abandon_all`].
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file with `fill` so that a reader sees the old file or the whole new one, also across a crash.
///
/// Missing folders are made. On an error nothing is left behind but those folders. What is not an ordinary file, such as
/// a pipe or a device, is written to as it is.
///
/// # Errors
///
/// Those of the system, and whatever `fill` returns.
pub(crate) fn write<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(folder) = parent(path) {
        fs::create_dir_all(folder)?;
    }
    let target = match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let mut file = BufWriter::new(OpenOptions::new().write(true).open(path)?);
            fill(&mut file)?;
            return Ok(file.flush()?);
        }
        // Behind a symbolic link, the file is replaced and the link stays.
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_owned(),
    };
    let mut file = Unfinished::create(&target)?;
    fill(&mut file.writer)?;
    Ok(file.finish()?)
}

/// Removes the unfinished files and keeps new ones from being made until the process ends.
#[cfg_attr(
    not(unix),
    allow(
        dead_code,
        reason = "called from the signal handler, which is Unix only"
    )
)]
pub(crate) fn abandon_all() {
    let files = unfinished();
    for file in files.iter() {
        // Nobody is left to tell.
        let _ = fs::remove_file(file);
    }
    std::mem::forget(files);
}

/// A file under a temporary name beside its final one; dropping it removes it.
struct Unfinished {
    writer: BufWriter<File>,
    temporary: PathBuf,
    target: PathBuf,
}

impl Unfinished {
    fn create(target: &Path) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary =
            target.with_file_name(format!(".percept-{}-{count}.tmp", std::process::id()));
        let mut files = unfinished();
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        files.push(temporary.clone());
        drop(files);
        Ok(Self {
            writer: BufWriter::new(file),
            temporary,
            target: target.to_owned(),
        })
    }

    fn finish(mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        let files = unfinished();
        fs::rename(&self.temporary, &self.target)?;
        drop(files);
        sync_folder(&self.target)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut files = unfinished();
        files.retain(|file| *file != self.temporary);
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Makes a rename survive a power cut, where the system has a way to ask for it.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = parent(path).unwrap_or(Path::new("."));
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot sync a folder; the file itself is safe already.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// The folder of `path`, unless that is the current one.
fn parent(path: &Path) -> Option<&Path> {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_written_file_replaces_the_old_one_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/x.txt");
        write(&path, |file| file.write_all(b"one")).unwrap();
        write(&path, |file| file.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(path.parent().unwrap()), ["x.txt"]);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.txt");
        write(&path, |file| file.write_all(b"old")).unwrap();
        write(&path, |file| {
            file.write_all(b"new")
                .and(Err(io::ErrorKind::StorageFull.into()))
        })
        .unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["x.txt"]);
        fs::create_dir(folder.path().join("y.txt")).unwrap();
        write(&folder.path().join("y.txt"), |file| file.write_all(b"new")).unwrap_err();
        assert_eq!(names(folder.path()), ["x.txt", "y.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_links_stay_what_they_are() {
        use std::os::unix::fs::FileTypeExt;
        write(Path::new("/dev/null"), |file| file.write_all(b"x")).unwrap();
        assert!(
            fs::metadata("/dev/null")
                .unwrap()
                .file_type()
                .is_char_device()
        );

        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, |file| file.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }
}
