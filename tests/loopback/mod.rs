//! A hub on the loopback interface that can send wrong, slow and broken responses.

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

/// The large file of the default repository.
pub(crate) const WEIGHTS: &str = "model.safetensors";

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Request of a client.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Header values by their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Request {
    /// The last part of the path.
    pub(crate) fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The first byte of the requested range; 0 without one.
    pub(crate) fn range_start(&self) -> usize {
        let range = self.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |start| start.parse().unwrap())
    }
}

/// Response of the server.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Number of bytes of the body after which the connection is closed.
    pub(crate) disconnect_after: Option<usize>,
    /// Number of bytes of the body after which nothing more is sent.
    pub(crate) stall_after: Option<usize>,
    /// Delay after each chunk of 16 KiB.
    pub(crate) chunk_delay: Duration,
}

impl Response {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let headers = vec![("Content-Length", body.len().to_string())];
        Self { status, headers, body, disconnect_after: None, stall_after: None, chunk_delay: Duration::ZERO }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }
}

type Handler = dyn Fn(&Request, usize) -> Response + Send + Sync;

/// A server with one request per connection, which runs until the process of the test ends.
pub(crate) struct Server {
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `handler` takes a request, and the number of earlier ones with the same method and path.
    pub(crate) fn new(handler: impl Fn(&Request, usize) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (requests, handler): (Arc<Mutex<Vec<Request>>>, Arc<Handler>) = (Arc::default(), Arc::new(handler));
        thread::spawn({
            let requests = Arc::clone(&requests);
            move || {
                for stream in listener.incoming().flatten() {
                    let (requests, handler) = (Arc::clone(&requests), Arc::clone(&handler));
                    thread::spawn(move || handle(&stream, &requests, &*handler));
                }
            }
        });
        Self { address, requests }
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The `GET` requests for a file.
    pub(crate) fn downloads(&self, file: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.method == "GET" && request.file() == file).collect()
    }
}

fn handle(stream: &TcpStream, log: &Mutex<Vec<Request>>, handler: &Handler) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let headers = lines.map_while(|line| line.ok().filter(|line| !line.is_empty()));
    let headers = headers.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    });
    let request = Request { method, path, headers: headers.collect() };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.iter().filter(|other| other.method == request.method && other.path == request.path).count() - 1
    };
    let response = handler(&request, before);
    // The client may be gone.
    let _ = send(stream, &request, &response);
    let _ = stream.shutdown(Shutdown::Both);
}

fn send(mut stream: &TcpStream, request: &Request, response: &Response) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", response.status);
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let end = response.disconnect_after.or(response.stall_after).unwrap_or(response.body.len());
    for chunk in response.body[..end].chunks(16 << 10) {
        stream.write_all(chunk)?;
        thread::sleep(response.chunk_delay);
    }
    if response.stall_after.is_some() {
        thread::sleep(Duration::from_secs(20));
    }
    Ok(())
}

/// A repository with the files that a checkpoint needs.
#[derive(Clone)]
pub(crate) struct Hub {
    pub(crate) files: BTreeMap<&'static str, Vec<u8>>,
    /// Files that are listed and cannot be downloaded.
    pub(crate) listed_only: Vec<&'static str>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let files = BTreeMap::from([
            ("config.json", b"{}".to_vec()),
            ("tokenizer.json", b"{\"tokens\": []}".to_vec()),
            ("model.safetensors", noise(1, 400_000)),
        ]);
        Self { files, listed_only: vec!["README.md", "vocab.json"] }
    }

    /// The response of a hub without faults.
    pub(crate) fn respond(&self, request: &Request) -> Response {
        if request.path.starts_with("/api/models/o/n/revision/") {
            let names = self.files.keys().chain(&self.listed_only);
            let siblings: Vec<_> = names.map(|name| serde_json::json!({ "rfilename": name })).collect();
            return Response::new(200, serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string());
        }
        let file = request.path.strip_prefix(&format!("/o/n/resolve/{COMMIT}/")).and_then(|file| self.files.get(file));
        let Some(bytes) = file else { return Response::new(404, "") };
        let (start, size) = (request.range_start(), bytes.len());
        let response = match start {
            0 => Response::new(200, bytes.clone()),
            start if start < size => {
                let range = format!("bytes {start}-{}/{size}", size - 1);
                Response::new(206, &bytes[start..]).header("Content-Range", range)
            }
            _ => Response::new(416, ""),
        };
        response.header("ETag", format!("\"{}\"", etag(request.file(), bytes)))
    }
}

/// The ETag of a file: the SHA-256 of weights, the git blob hash of all other files.
pub(crate) fn etag(file: &str, bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if file.ends_with(".safetensors") || file.ends_with(".gguf") {
        return hex(&Sha256::digest(bytes));
    }
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

/// Pseudo-random bytes.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A server with the default repository, whose responses go through `change`.
pub(crate) fn server(change: impl Fn(&Request, usize, Response) -> Response + Send + Sync + 'static) -> Server {
    server_of(Hub::new(), change)
}

pub(crate) fn server_of(
    hub: Hub,
    change: impl Fn(&Request, usize, Response) -> Response + Send + Sync + 'static,
) -> Server {
    Server::new(move |request, before| change(request, before, hub.respond(request)))
}

/// A server with the default repository, whose responses with the weights go through `change`.
pub(crate) fn server_of_weights(
    change: impl Fn(&Request, usize, Response) -> Response + Send + Sync + 'static,
) -> Server {
    server(move |request, before, response| {
        let is_download = request.method == "GET" && request.file() == WEIGHTS;
        if is_download { change(request, before, response) } else { response }
    })
}

pub(crate) fn options(address: &str, cache: &Path) -> HubOptions {
    HubOptions::new().endpoint(address).cache(cache).with_test_environment(BTreeMap::new(), Duration::from_millis(300))
}

pub(crate) fn download(server: &Server, cache: &Path) -> Result<PathBuf> {
    snapshot_download("o/n", &options(&server.address, cache), &CallOptions::new())
}

pub(crate) fn temporary_folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn blob(cache: &Path, name: &str) -> PathBuf {
    cache.join("models--o--n/blobs").join(name)
}

pub(crate) fn assert_complete(snapshot: &Path, hub: &Hub) {
    for (file, bytes) in &hub.files {
        assert!(fs::read(snapshot.join(file)).unwrap() == *bytes, "{file}");
    }
    assert_eq!(fs::read_dir(snapshot).unwrap().count(), hub.files.len());
}

pub(crate) fn assert_hub_error(result: &Result<PathBuf>, part: &str) {
    match result {
        Err(error @ Error::Hub { .. }) => assert!(error.to_string().contains(part), "{error}"),
        other => panic!("{other:?}"),
    }
}
