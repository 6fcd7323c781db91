//! The cache's layout: contents under their checksums, and one folder of links a commit.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::blob::Blob;
use super::file_selection;
use crate::cancel::TaskControl;
use crate::error::{Error, Result};

/// How often a lock that another holds is tried.
const LOOK: Duration = Duration::from_millis(50);

/// What the cache has of one repository.
pub(super) struct Repository {
    root: PathBuf,
    locks: PathBuf,
    /// Whether links are tried; without them contents move to where they are wanted.
    links: bool,
}

/// Whether a revision is a whole commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Repository {
    pub(super) fn new(cache: &Path, id: &str) -> Self {
        let name = format!("models--{}", id.replace('/', "--"));
        Self { root: cache.join(&name), locks: cache.join(".locks").join(name), links: true }
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// Where contents are kept.
    pub(super) fn content(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Where a fetched file can be read before it has its name.
    pub(super) fn place(&self, blob: &Blob) -> PathBuf {
        match &blob.etag {
            Some(etag) if !blob.path.is_file() => self.content(etag),
            _ => blob.path.clone(),
        }
    }

    /// The folder of a revision that is whole, or what is missing.
    pub(super) fn find(&self, revision: &str) -> Result<Result<PathBuf, String>> {
        let Some(commit) = self.commit(revision)? else { return Ok(Err("everything".to_owned())) };
        let folder = self.snapshot(&commit);
        Ok(file_selection::lacks(&folder).map_or(Ok(folder), Err))
    }

    fn commit(&self, revision: &str) -> Result<Option<String>> {
        if is_commit(revision) {
            return Ok(Some(revision.to_owned()));
        }
        let path = self.root.join("refs").join(revision);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|commit| is_commit(commit))),
            Err(error) => match error.kind() {
                // One name may go on where another ends.
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => Ok(None),
                _ => Err(Error::io(path, error)),
            },
        }
    }

    /// Remember which commit a branch or tag is.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if self.commit(revision)?.as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        make_parent(&path)?;
        // No reader sees half of it.
        replace(&path, |new| fs::write(new, commit))
    }

    /// Wait until nobody else fetches these contents. The lock ends when the file is dropped.
    pub(super) fn lock(&self, etag: &str, control: &TaskControl) -> Result<File> {
        let path = self.locks.join(format!("{etag}.lock"));
        make_parent(&path)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| Error::io(&path, error))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    control.check()?;
                    thread::sleep(LOOK);
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::warn!(path = %path.display(), "no file locks here: let no other process download the same");
                    return Ok(file);
                }
                Err(TryLockError::Error(error)) => return Err(Error::io(path, error)),
            }
        }
    }

    /// Give fetched contents their name. `shared`: another name is still to come.
    pub(super) fn link(&self, blob: &Blob, shared: bool) -> Result<()> {
        let Some(etag) = &blob.etag else { return Ok(()) };
        let (path, content) = (&blob.path, self.content(etag));
        make_parent(path)?;
        if self.links && symlinked(&Path::new("../../blobs").join(etag), path) {
            return Ok(());
        }
        let placed =
            if shared { replace(path, |new| fs::copy(&content, new).map(drop)) } else { moved(&content, path) };
        // Another process may have been faster.
        if path.is_file() { Ok(()) } else { placed }
    }
}

/// Make a link; false where there can be none.
fn symlinked(target: &Path, path: &Path) -> bool {
    // A link to contents that are gone is in the way once.
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

pub(super) fn moved(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io(to, error))
}

/// Make a file under another name, and put it into its place when it is whole.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}.new", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let new = path.with_file_name(name);
    make(&new).map_err(|error| Error::io(&new, error))?;
    moved(&new, path)
}

pub(super) fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(repository: &Repository, file: &str, etag: &str) -> Blob {
        let path = repository.snapshot("c").join(file);
        Blob { path, url: String::new(), etag: Some(etag.to_owned()), size: 1 }
    }

    #[test]
    fn without_links_contents_move() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository { links: false, ..Repository::new(folder.path(), "o/n") };
        let (a, b) = (blob(&repository, "a", "e"), blob(&repository, "b", "e"));
        make_parent(&repository.content("e")).unwrap();
        fs::write(repository.content("e"), "text").unwrap();
        repository.link(&a, true).unwrap();
        repository.link(&b, false).unwrap();
        for blob in [&a, &b] {
            assert_eq!(fs::read_to_string(&blob.path).unwrap(), "text");
            assert!(!blob.path.is_symlink());
            // The contents are gone; what they were for is there.
            repository.link(blob, false).unwrap();
        }
        assert_eq!(fs::read_dir(repository.snapshot("c")).unwrap().count(), 2);
        assert!(matches!(repository.link(&blob(&repository, "c", "none"), false), Err(Error::Io { .. })));
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_nothing_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::new(folder.path(), "o/n");
        let blob = blob(&repository, "a", "new");
        for path in [&blob.path, &repository.content("new")] {
            make_parent(path).unwrap();
        }
        symlink(Path::new("../../blobs/old"), &blob.path).unwrap();
        fs::write(repository.content("new"), "text").unwrap();
        repository.link(&blob, false).unwrap();
        assert_eq!(fs::read_link(&blob.path).unwrap(), Path::new("../../blobs/new"));
    }

    #[test]
    fn waiting_for_a_lock_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::new(folder.path(), "o/n");
        let token = crate::cancel::CancelToken::new();
        let control = TaskControl::with_cancel(&token);
        let held = repository.lock("e", &control).unwrap();
        token.cancel();
        assert!(matches!(repository.lock("e", &control), Err(Error::Cancelled)));
        drop(held);
        assert!(repository.lock("e", &control).is_ok());
        assert!(folder.path().join(".locks/models--o--n/e.lock").is_file());
    }

    #[test]
    fn a_revision_with_slashes() {
        let folder = tempfile::tempdir().unwrap();
        let (repository, commit) = (Repository::new(folder.path(), "o/n"), "0".repeat(40));
        assert_eq!(repository.commit("refs/pr/1").unwrap(), None);
        repository.set_commit("refs/pr/1", &commit).unwrap();
        assert_eq!(repository.commit("refs/pr/1").unwrap(), Some(commit.clone()));
        let text = fs::read_to_string(folder.path().join("models--o--n/refs/refs/pr/1")).unwrap();
        assert_eq!(text, commit);
        assert_eq!(repository.commit("refs/pr/1/x").unwrap(), None);
    }
}
