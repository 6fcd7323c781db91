//! Transfers from a hub on the loopback interface that break off, stall, are corrupt, compete, or are cancelled.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mimo_vl_core::{CallOptions, CancelToken, Error, snapshot_download};
use mimo_vl_tests::fixtures::hub_server::{
    Hub, Request, Response, WEIGHTS, assert_complete, assert_hub_error, blob, download, etag, noise, options, server,
    server_of_weights, temporary_folder,
};

#[test]
fn a_broken_transfer_is_resumed() {
    let server = server_of_weights(|_, before, response| Response {
        disconnect_after: (before < 2).then_some(100_000),
        ..response
    });
    let cache = temporary_folder();
    assert_complete(&download(&server, cache.path()).unwrap(), &Hub::new());
    let starts: Vec<usize> = server.downloads(WEIGHTS).iter().map(Request::range_start).collect();
    assert_eq!(starts, [0, 100_000, 200_000]);
}

#[test]
fn a_server_may_ignore_ranges() {
    let server = server_of_weights(|request, before, response| {
        let response =
            if request.range_start() > 0 { Response::new(200, Hub::new().files[WEIGHTS].clone()) } else { response };
        Response { disconnect_after: (before == 0).then_some(100_000), ..response }
    });
    assert_complete(&download(&server, temporary_folder().path()).unwrap(), &Hub::new());
    assert_eq!(server.downloads(WEIGHTS).len(), 2);
}

#[test]
fn a_refused_range_restarts_the_download() {
    let server = server_of_weights(|request, before, response| match before {
        0 => Response { disconnect_after: Some(100_000), ..response },
        _ if request.range_start() > 0 => Response::new(416, ""),
        _ => response,
    });
    assert_complete(&download(&server, temporary_folder().path()).unwrap(), &Hub::new());
    assert_eq!(server.downloads(WEIGHTS).len(), 3);
}

#[test]
fn a_response_with_another_range_restarts_the_download() {
    let server = server_of_weights(|_, before, response| match before {
        0 => Response { disconnect_after: Some(100_000), ..response },
        1 => response.header("Content-Range", "bytes 7-399999/400000"),
        _ => response,
    });
    assert_complete(&download(&server, temporary_folder().path()).unwrap(), &Hub::new());
    let starts: Vec<usize> = server.downloads(WEIGHTS).iter().map(Request::range_start).collect();
    assert_eq!(starts, [0, 100_000, 0]);
}

#[test]
fn a_stalled_transfer_is_resumed() {
    let server =
        server_of_weights(|_, before, response| Response { stall_after: (before == 0).then_some(100_000), ..response });
    let start = Instant::now();
    assert_complete(&download(&server, temporary_folder().path()).unwrap(), &Hub::new());
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(server.downloads(WEIGHTS)[1].range_start(), 100_000);
}

#[test]
fn a_transfer_that_always_breaks_off_is_an_error() {
    let (server, cache) =
        (server_of_weights(|_, _, response| Response { disconnect_after: Some(10), ..response }), temporary_folder());
    assert!(matches!(download(&server, cache.path()), Err(Error::Hub { .. })));
    assert_eq!(server.downloads(WEIGHTS).len(), 6);
    let partial = format!("{}.incomplete", etag(WEIGHTS, &Hub::new().files[WEIGHTS]));
    assert_eq!(fs::metadata(blob(cache.path(), &partial)).unwrap().len(), 60);
    // No file is linked before all are complete.
    assert!(!cache.path().join("models--o--n/snapshots").exists());
}

#[test]
fn wrong_bytes_are_downloaded_once_more() {
    for file in [WEIGHTS, "config.json"] {
        let server = server(move |request, before, mut response| {
            if request.method == "GET" && request.file() == file && before == 0 {
                response.body[0] ^= 1;
            }
            response
        });
        assert_complete(&download(&server, temporary_folder().path()).unwrap(), &Hub::new());
        assert_eq!(server.downloads(file).len(), 2);
    }
}

#[test]
fn wrong_bytes_twice_are_an_error() {
    let server = server_of_weights(|_, _, mut response| {
        response.body[399_999] ^= 1;
        response
    });
    let cache = temporary_folder();
    assert_hub_error(&download(&server, cache.path()), "checksum");
    assert_eq!(server.downloads(WEIGHTS).len(), 2);
    let left = fs::read_dir(blob(cache.path(), "")).unwrap().flatten().map(|entry| entry.file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("incomplete")));
}

#[test]
fn a_corrupt_partial_file_is_discarded() {
    let (server, cache) = (server_of_weights(|_, _, response| response), temporary_folder());
    let partial = format!("{}.incomplete", etag(WEIGHTS, &Hub::new().files[WEIGHTS]));
    fs::create_dir_all(blob(cache.path(), "")).unwrap();
    fs::write(blob(cache.path(), &partial), noise(9, 1000)).unwrap();
    assert_complete(&download(&server, cache.path()).unwrap(), &Hub::new());
    let starts: Vec<usize> = server.downloads(WEIGHTS).iter().map(Request::range_start).collect();
    assert_eq!(starts, [1000, 0]);
}

#[test]
fn a_wrong_or_missing_size_is_an_error() {
    let shorter = server_of_weights(|_, _, _| Response::new(200, noise(1, 300_000)));
    assert_hub_error(&download(&shorter, temporary_folder().path()), "300000 bytes");
    let longer = server_of_weights(|_, _, response| Response { headers: vec![], body: noise(1, 500_000), ..response });
    assert_hub_error(&download(&longer, temporary_folder().path()), "longer");
    let without_headers =
        server(
            |request, _, response| {
                if request.method == "HEAD" { Response { headers: vec![], ..response } } else { response }
            },
        );
    assert_hub_error(&download(&without_headers, temporary_folder().path()), "ETag");
}

#[test]
fn threads_download_each_file_once() {
    let (server, cache) = (
        server_of_weights(|_, _, response| Response { chunk_delay: Duration::from_millis(10), ..response }),
        temporary_folder(),
    );
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| download(&server, cache.path()).unwrap())).collect();
        for thread in threads {
            assert_complete(&thread.join().unwrap(), &Hub::new());
        }
    });
    for file in Hub::new().files.keys() {
        assert_eq!(server.downloads(file).len(), 1, "{file}");
    }
}

/// Runs in the child processes of the next test; on its own it does nothing.
#[test]
fn child_process_downloads() {
    if let Some((address, cache)) = env::var("HUB_TEST_ADDRESS").ok().zip(env::var("HUB_TEST_CACHE").ok()) {
        snapshot_download("o/n", &options(&address, Path::new(&cache)), &CallOptions::new()).unwrap();
    }
}

#[test]
fn processes_download_each_file_once() {
    let (server, cache) = (
        server_of_weights(|_, _, response| Response { chunk_delay: Duration::from_millis(20), ..response }),
        temporary_folder(),
    );
    let start = |_| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "child_process_downloads"]);
        command.env("HUB_TEST_ADDRESS", &server.address).env("HUB_TEST_CACHE", cache.path()).spawn().unwrap()
    };
    for mut child in (0..3).map(start).collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    for file in Hub::new().files.keys() {
        assert_eq!(server.downloads(file).len(), 1, "{file}");
    }
    assert_complete(&download(&server, cache.path()).unwrap(), &Hub::new());
}

#[test]
fn a_cancelled_download_is_resumed() {
    let (server, cache) = (
        server_of_weights(|_, _, response| Response { chunk_delay: Duration::from_millis(5), ..response }),
        temporary_folder(),
    );
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let call = CallOptions::new().cancel(&cancel).on_progress(move |progress| {
        if progress.done > progress.total / 2 {
            token.cancel();
        }
    });
    let stopped = snapshot_download("o/n", &options(&server.address, cache.path()), &call);
    assert!(matches!(stopped, Err(Error::Cancelled)));
    let partial = format!("{}.incomplete", etag(WEIGHTS, &Hub::new().files[WEIGHTS]));
    let length = fs::metadata(blob(cache.path(), &partial)).unwrap().len();
    assert!((200_000..400_000).contains(&length));
    assert_complete(&download(&server, cache.path()).unwrap(), &Hub::new());
    assert_eq!(server.downloads(WEIGHTS)[1].range_start(), length as usize);
}

#[test]
fn waiting_for_a_stalled_server_can_be_cancelled() {
    let (server, cache, cancel) = (
        server_of_weights(|_, _, response| Response { stall_after: Some(0), ..response }),
        temporary_folder(),
        CancelToken::new(),
    );
    let options =
        options(&server.address, cache.path()).with_test_environment(BTreeMap::new(), Duration::from_secs(30));
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            cancel.cancel();
        });
        let stopped = snapshot_download("o/n", &options, &CallOptions::new().cancel(&cancel));
        assert!(matches!(stopped, Err(Error::Cancelled)));
    });
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn truncated_contents_are_downloaded_again() {
    let (server, cache) = (server(|_, _, response| response), temporary_folder());
    let snapshot = download(&server, cache.path()).unwrap();
    fs::write(blob(cache.path(), &etag(WEIGHTS, &Hub::new().files[WEIGHTS])), "").unwrap();
    fs::remove_dir_all(snapshot).unwrap();
    assert_complete(&download(&server, cache.path()).unwrap(), &Hub::new());
    assert_eq!(server.downloads(WEIGHTS).len(), 2);
}

#[test]
fn a_complete_partial_file_needs_no_request() {
    let (server, cache) = (server(|_, _, response| response), temporary_folder());
    let bytes = &Hub::new().files[WEIGHTS];
    fs::create_dir_all(blob(cache.path(), "")).unwrap();
    fs::write(blob(cache.path(), &format!("{}.incomplete", etag(WEIGHTS, bytes))), bytes).unwrap();
    assert_complete(&download(&server, cache.path()).unwrap(), &Hub::new());
    assert!(server.downloads(WEIGHTS).is_empty());
}

#[test]
fn progress_reaches_the_total() {
    let (server, cache) = (
        server_of_weights(|_, before, response| Response {
            disconnect_after: (before == 0).then_some(200_000),
            ..response
        }),
        temporary_folder(),
    );
    let total = Hub::new().files.values().map(|bytes| bytes.len() as u64).sum();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let call =
        CallOptions::new().on_progress(move |progress| sink.lock().unwrap().push((progress.done, progress.total)));
    let options = options(&server.address, cache.path());
    snapshot_download("o/n", &options, &call).unwrap();
    let first = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(first.last(), Some(&(total, total)));
    assert!(first.len() > 6 && first.is_sorted());
    // Cached files count as done.
    snapshot_download("o/n", &options, &call).unwrap();
    assert_eq!(seen.lock().unwrap().last(), Some(&(total, total)));
}
