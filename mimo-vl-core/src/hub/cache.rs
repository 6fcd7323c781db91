//! Layout of the cache: contents under their ETags, and one folder of links per commit.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::file_selection;
use crate::cancel::TaskControl;
use crate::error::{Error, Result};

/// Interval at which a lock of another process is tried again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The cached files of one repository.
pub(super) struct CachedRepository {
    root: PathBuf,
    locks: PathBuf,
    /// Try symbolic links; without them contents move to their path in the snapshot.
    use_links: bool,
}

/// Returns true for a full commit hash.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl CachedRepository {
    pub(super) fn new(cache: &Path, id: &str) -> Self {
        let name = format!("models--{}", id.replace('/', "--"));
        Self { root: cache.join(&name), locks: cache.join(".locks").join(name), use_links: true }
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The path of the contents with this ETag.
    pub(super) fn blob_path(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Returns the snapshot of a revision if it is a complete checkpoint, else a description of the missing files.
    pub(super) fn find_snapshot(&self, revision: &str) -> Result<Result<PathBuf, String>> {
        let Some(commit) = self.resolve_commit(revision)? else { return Ok(Err("all files".to_owned())) };
        let folder = self.snapshot(&commit);
        Ok(file_selection::missing_from(&folder).map_or(Ok(folder), Err))
    }

    fn resolve_commit(&self, revision: &str) -> Result<Option<String>> {
        if is_commit(revision) {
            return Ok(Some(revision.to_owned()));
        }
        let path = self.root.join("refs").join(revision);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|commit| is_commit(commit))),
            Err(error) => match error.kind() {
                // Names of branches have slashes, so one may be a folder in the path of another.
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => Ok(None),
                _ => Err(Error::io(path, error)),
            },
        }
    }

    /// Stores the commit of a branch or tag.
    pub(super) fn write_ref(&self, revision: &str, commit: &str) -> Result<()> {
        if self.resolve_commit(revision)?.as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        create_parent(&path)?;
        write_atomically(&path, |temporary| fs::write(temporary, commit))
    }

    /// Waits until no other process downloads these contents. The lock ends when the file is dropped.
    pub(super) fn lock(&self, etag: &str, control: &TaskControl) -> Result<File> {
        let path = self.locks.join(format!("{etag}.lock"));
        create_parent(&path)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| Error::io(&path, error))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    control.check()?;
                    thread::sleep(POLL_INTERVAL);
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::warn!(
                        path = %path.display(),
                        "the file system has no locks: only one process may download a repository at a time"
                    );
                    return Ok(file);
                }
                Err(TryLockError::Error(error)) => return Err(Error::io(path, error)),
            }
        }
    }

    /// Links the contents with this ETag to `path` in a snapshot. `shared`: another path will have the same contents.
    pub(super) fn link(&self, etag: &str, path: &Path, shared: bool) -> Result<()> {
        let contents = self.blob_path(etag);
        create_parent(path)?;
        if self.use_links && try_symlink(&Path::new("../../blobs").join(etag), path) {
            return Ok(());
        }
        let result = if shared {
            write_atomically(path, |temporary| fs::copy(&contents, temporary).map(drop))
        } else {
            rename(&contents, path)
        };
        // Another process may have been faster.
        if path.is_file() { Ok(()) } else { result }
    }
}

/// Creates a symbolic link; returns false where the system refuses.
fn try_symlink(target: &Path, path: &Path) -> bool {
    // The second attempt follows the removal of a dangling link.
    for _ in 0..2 {
        match symlink(target, path) {
            Ok(()) => return true,
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return false,
            Err(_) if path.is_file() => return true,
            Err(_) => drop(fs::remove_file(path)),
        }
    }
    path.is_file()
}

#[cfg(unix)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target.to_string_lossy().replace('/', "\\"), path)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_target: &Path, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io(to, error))
}

/// Writes a file under a temporary name and renames it, so that no reader sees a part of it.
fn write_atomically(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}.new", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let temporary = path.with_file_name(name);
    write(&temporary).map_err(|error| Error::io(&temporary, error))?;
    rename(&temporary, path)
}

pub(super) fn create_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_move_into_the_snapshot_without_links() {
        let folder = tempfile::tempdir().unwrap();
        let repository = CachedRepository { use_links: false, ..CachedRepository::new(folder.path(), "o/n") };
        let path = |file: &str| repository.snapshot("c").join(file);
        create_parent(&repository.blob_path("e")).unwrap();
        fs::write(repository.blob_path("e"), "text").unwrap();
        repository.link("e", &path("a"), true).unwrap();
        repository.link("e", &path("b"), false).unwrap();
        for path in [path("a"), path("b")] {
            assert_eq!(fs::read_to_string(&path).unwrap(), "text");
            assert!(!path.is_symlink());
            // The contents have moved; the file in the snapshot is enough.
            repository.link("e", &path, false).unwrap();
        }
        assert_eq!(fs::read_dir(repository.snapshot("c")).unwrap().count(), 2);
        assert!(matches!(repository.link("none", &path("c"), false), Err(Error::Io { .. })));
    }

    #[test]
    #[cfg(unix)]
    fn a_dangling_link_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let repository = CachedRepository::new(folder.path(), "o/n");
        let path = repository.snapshot("c").join("a");
        for path in [&path, &repository.blob_path("new")] {
            create_parent(path).unwrap();
        }
        symlink(Path::new("../../blobs/old"), &path).unwrap();
        fs::write(repository.blob_path("new"), "text").unwrap();
        repository.link("new", &path, false).unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("../../blobs/new"));
    }

    #[test]
    fn waiting_for_a_lock_can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let repository = CachedRepository::new(folder.path(), "o/n");
        let token = crate::cancel::CancelToken::new();
        let control = TaskControl::with_cancel(&token);
        let lock = repository.lock("e", &control).unwrap();
        token.cancel();
        assert!(matches!(repository.lock("e", &control), Err(Error::Cancelled)));
        drop(lock);
        assert!(repository.lock("e", &TaskControl::default()).is_ok());
        assert!(folder.path().join(".locks/models--o--n/e.lock").is_file());
    }

    #[test]
    fn a_revision_may_have_slashes() {
        let folder = tempfile::tempdir().unwrap();
        let (repository, commit) = (CachedRepository::new(folder.path(), "o/n"), "0".repeat(40));
        assert_eq!(repository.resolve_commit("refs/pr/1").unwrap(), None);
        repository.write_ref("refs/pr/1", &commit).unwrap();
        assert_eq!(repository.resolve_commit("refs/pr/1").unwrap(), Some(commit.clone()));
        let text = fs::read_to_string(folder.path().join("models--o--n/refs/refs/pr/1")).unwrap();
        assert_eq!(text, commit);
        assert_eq!(repository.resolve_commit("refs/pr/1/x").unwrap(), None);
    }
}
