//! A hub on the loopback interface, which can be told to misbehave.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mimo_vl_core::{CallOptions, Error, HubOptions, Result, snapshot_download};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The large file of a usual repository.
pub(crate) const WEIGHTS: &str = "model.safetensors";

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a client asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// With names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Asked {
    /// The last part of the path.
    pub(crate) fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The first byte that is wanted.
    pub(crate) fn from(&self) -> usize {
        let range = self.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |from| from.parse().unwrap())
    }
}

/// What a server answers.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Close the connection after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Say nothing more after so many bytes of the body.
    pub(crate) stall: Option<usize>,
    /// Time between pieces of 16 KiB.
    pub(crate) pause: Duration,
}

impl Said {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let headers = vec![("Content-Length", body.len().to_string())];
        Self { status, headers, body, cut: None, stall: None, pause: Duration::ZERO }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }
}

type Handler = dyn Fn(&Asked, usize) -> Said + Send + Sync;

/// A server that answers each request on a connection of its own, until the test's process ends.
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `handler` gets a request, and how many there were with the same method and path before.
    pub(crate) fn new(handler: impl Fn(&Asked, usize) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (asked, handler): (Arc<Mutex<Vec<Asked>>>, Arc<Handler>) = (Arc::default(), Arc::new(handler));
        thread::spawn({
            let asked = Arc::clone(&asked);
            move || {
                for stream in listener.incoming().flatten() {
                    let (asked, handler) = (Arc::clone(&asked), Arc::clone(&handler));
                    thread::spawn(move || handle(&stream, &asked, &*handler));
                }
            }
        });
        Self { address, asked }
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests for the contents of a file.
    pub(crate) fn fetched(&self, file: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.method == "GET" && asked.file() == file).collect()
    }
}

fn handle(stream: &TcpStream, log: &Mutex<Vec<Asked>>, handler: &Handler) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let headers = lines.map_while(|line| line.ok().filter(|line| !line.is_empty()));
    let headers = headers.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    });
    let asked = Asked { method, path, headers: headers.collect() };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.iter().filter(|other| other.method == asked.method && other.path == asked.path).count() - 1
    };
    let said = handler(&asked, before);
    // The client may have gone away.
    let _ = say(stream, &asked, &said);
    let _ = stream.shutdown(Shutdown::Both);
}

fn say(mut stream: &TcpStream, asked: &Asked, said: &Said) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", said.status);
    for (name, value) in &said.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    if asked.method == "HEAD" {
        return Ok(());
    }
    let end = said.cut.or(said.stall).unwrap_or(said.body.len());
    for piece in said.body[..end].chunks(16 << 10) {
        stream.write_all(piece)?;
        thread::sleep(said.pause);
    }
    if said.stall.is_some() {
        thread::sleep(Duration::from_secs(20));
    }
    Ok(())
}

/// A repository with the files that a checkpoint needs.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) files: BTreeMap<&'static str, Vec<u8>>,
    /// Names that are listed only.
    pub(crate) more: Vec<&'static str>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let files = BTreeMap::from([
            ("config.json", b"{}".to_vec()),
            ("tokenizer.json", b"{\"tokens\": []}".to_vec()),
            ("model.safetensors", noise(1, 400_000)),
        ]);
        Self { files, more: vec!["README.md", "vocab.json"] }
    }

    /// What a hub says that has nothing to hide.
    pub(crate) fn answer(&self, asked: &Asked) -> Said {
        if asked.path.starts_with("/api/models/o/n/revision/") {
            let names = self.files.keys().chain(&self.more);
            let siblings: Vec<_> = names.map(|name| serde_json::json!({ "rfilename": name })).collect();
            return Said::new(200, serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string());
        }
        let found = asked.path.strip_prefix(&format!("/o/n/resolve/{COMMIT}/")).and_then(|file| self.files.get(file));
        let Some(bytes) = found else { return Said::new(404, "") };
        let (from, size) = (asked.from(), bytes.len());
        let said = match from {
            0 => Said::new(200, bytes.clone()),
            from if from < size => {
                Said::new(206, &bytes[from..]).header("Content-Range", format!("bytes {from}-{}/{size}", size - 1))
            }
            _ => Said::new(416, ""),
        };
        said.header("ETag", format!("\"{}\"", etag(asked.file(), bytes)))
    }
}

/// The tag of a file: that of large files for weights, that of git for all others.
pub(crate) fn etag(file: &str, bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if file.ends_with(".safetensors") || file.ends_with(".gguf") {
        return hex(&Sha256::digest(bytes));
    }
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

/// Bytes without a pattern.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A server with the usual repository, and a change to what it says.
pub(crate) fn server(change: impl Fn(&Asked, usize, Said) -> Said + Send + Sync + 'static) -> Server {
    serve(Hub::new(), change)
}

pub(crate) fn serve(hub: Hub, change: impl Fn(&Asked, usize, Said) -> Said + Send + Sync + 'static) -> Server {
    Server::new(move |asked, before| change(asked, before, hub.answer(asked)))
}

/// Change what is said when the contents of the weights are fetched.
pub(crate) fn weights(change: impl Fn(&Asked, usize, Said) -> Said + Send + Sync + 'static) -> Server {
    server(move |asked, before, said| {
        let fetched = asked.method == "GET" && asked.file() == WEIGHTS;
        if fetched { change(asked, before, said) } else { said }
    })
}

pub(crate) fn options(address: &str, cache: &Path) -> HubOptions {
    HubOptions::new().endpoint(address).cache(cache).rehearse(BTreeMap::new(), Duration::from_millis(300))
}

pub(crate) fn get(server: &Server, cache: &Path) -> Result<PathBuf> {
    snapshot_download("o/n", &options(&server.address, cache), &CallOptions::new())
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn blob(cache: &Path, name: &str) -> PathBuf {
    cache.join("models--o--n/blobs").join(name)
}

pub(crate) fn assert_whole(snapshot: &Path, hub: &Hub) {
    for (file, bytes) in &hub.files {
        assert!(fs::read(snapshot.join(file)).unwrap() == *bytes, "{file}");
    }
    assert_eq!(fs::read_dir(snapshot).unwrap().count(), hub.files.len());
}

pub(crate) fn assert_hub(result: &Result<PathBuf>, part: &str) {
    match result {
        Err(error @ Error::Hub { .. }) => assert!(error.to_string().contains(part), "{error}"),
        other => panic!("{other:?}"),
    }
}
