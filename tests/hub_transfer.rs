//! Transfers from a hub on the loopback interface that break off, stall, lie, compete or are stopped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mimo_vl_core::{CancelToken, Error, TaskControl, snapshot_download};
use mimo_vl_tests::fixtures::hub_server::{
    Repository, Request, Response, WEIGHTS, assert_complete, assert_hub_error, blob, download, etag, folder, noise,
    options, server, weights_server,
};

#[test]
fn the_rest_is_fetched_after_a_cut() {
    let server = weights_server(|_, before, said| Response { close_after: (before < 2).then_some(100_000), ..said });
    let cache = folder();
    assert_complete(&download(&server, cache.path()).unwrap(), &Repository::new());
    let from: Vec<usize> = server.downloads(WEIGHTS).iter().map(Request::range_start).collect();
    assert_eq!(from, [0, 100_000, 200_000]);
}

#[test]
fn a_server_may_ignore_ranges() {
    let server = weights_server(|asked, before, said| {
        let said =
            if asked.range_start() > 0 { Response::new(200, Repository::new().files[WEIGHTS].clone()) } else { said };
        Response { close_after: (before == 0).then_some(100_000), ..said }
    });
    assert_complete(&download(&server, folder().path()).unwrap(), &Repository::new());
    assert_eq!(server.downloads(WEIGHTS).len(), 2);
}

#[test]
fn a_range_that_is_refused() {
    let server = weights_server(|asked, before, said| match before {
        0 => Response { close_after: Some(100_000), ..said },
        _ if asked.range_start() > 0 => Response::new(416, ""),
        _ => said,
    });
    assert_complete(&download(&server, folder().path()).unwrap(), &Repository::new());
    assert_eq!(server.downloads(WEIGHTS).len(), 3);
}

#[test]
fn other_bytes_than_asked_for() {
    let server = weights_server(|_, before, said| match before {
        0 => Response { close_after: Some(100_000), ..said },
        1 => said.header("Content-Range", "bytes 7-399999/400000"),
        _ => said,
    });
    assert_complete(&download(&server, folder().path()).unwrap(), &Repository::new());
    let from: Vec<usize> = server.downloads(WEIGHTS).iter().map(Request::range_start).collect();
    assert_eq!(from, [0, 100_000, 0]);
}

#[test]
fn a_stall_ends() {
    let server = weights_server(|_, before, said| Response { stall_after: (before == 0).then_some(100_000), ..said });
    let start = Instant::now();
    assert_complete(&download(&server, folder().path()).unwrap(), &Repository::new());
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(server.downloads(WEIGHTS)[1].range_start(), 100_000);
}

#[test]
fn a_cut_that_never_ends_is_an_error() {
    let (server, cache) = (weights_server(|_, _, said| Response { close_after: Some(10), ..said }), folder());
    assert!(matches!(download(&server, cache.path()), Err(Error::Hub { .. })));
    assert_eq!(server.downloads(WEIGHTS).len(), 6);
    let partial = format!("{}.incomplete", etag(WEIGHTS, &Repository::new().files[WEIGHTS]));
    assert_eq!(fs::metadata(blob(cache.path(), &partial)).unwrap().len(), 60);
    // No name is given before all is there.
    assert!(!cache.path().join("models--o--n/snapshots").exists());
}

#[test]
fn wrong_bytes_once() {
    for file in [WEIGHTS, "config.json"] {
        let server = server(move |asked, before, mut said| {
            if asked.method == "GET" && asked.file() == file && before == 0 {
                said.body[0] ^= 1;
            }
            said
        });
        assert_complete(&download(&server, folder().path()).unwrap(), &Repository::new());
        assert_eq!(server.downloads(file).len(), 2);
    }
}

#[test]
fn wrong_bytes_always() {
    let server = weights_server(|_, _, mut said| {
        said.body[399_999] ^= 1;
        said
    });
    let cache = folder();
    assert_hub_error(&download(&server, cache.path()), "checksum");
    assert_eq!(server.downloads(WEIGHTS).len(), 2);
    let left = fs::read_dir(blob(cache.path(), "")).unwrap().flatten().map(|entry| entry.file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("incomplete")));
}

#[test]
fn a_damaged_partial_is_thrown_away() {
    let (server, cache) = (weights_server(|_, _, said| said), folder());
    let partial = format!("{}.incomplete", etag(WEIGHTS, &Repository::new().files[WEIGHTS]));
    fs::create_dir_all(blob(cache.path(), "")).unwrap();
    fs::write(blob(cache.path(), &partial), noise(9, 1000)).unwrap();
    assert_complete(&download(&server, cache.path()).unwrap(), &Repository::new());
    let from: Vec<usize> = server.downloads(WEIGHTS).iter().map(Request::range_start).collect();
    assert_eq!(from, [1000, 0]);
}

#[test]
fn wrong_size() {
    let shorter = weights_server(|_, _, _| Response::new(200, noise(1, 300_000)));
    assert_hub_error(&download(&shorter, folder().path()), "300000 bytes");
    let longer = weights_server(|_, _, said| Response { headers: vec![], body: noise(1, 500_000), ..said });
    assert_hub_error(&download(&longer, folder().path()), "longer");
    let untold =
        server(|asked, _, said| if asked.method == "HEAD" { Response { headers: vec![], ..said } } else { said });
    assert_hub_error(&download(&untold, folder().path()), "ETag");
}

#[test]
fn threads_fetch_each_file_once() {
    let (server, cache) =
        (weights_server(|_, _, said| Response { chunk_delay: Duration::from_millis(10), ..said }), folder());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| download(&server, cache.path()).unwrap())).collect();
        for thread in threads {
            assert_complete(&thread.join().unwrap(), &Repository::new());
        }
    });
    for file in Repository::new().files.keys() {
        assert_eq!(server.downloads(file).len(), 1, "{file}");
    }
}

/// Not a test of its own: what the processes of the next test do.
#[test]
fn as_a_process() {
    if let Some((address, cache)) = env::var("HUB_TEST_ADDRESS").ok().zip(env::var("HUB_TEST_CACHE").ok()) {
        snapshot_download("o/n", &options(&address, Path::new(&cache)), TaskControl::new()).unwrap();
    }
}

#[test]
fn processes_fetch_each_file_once() {
    let (server, cache) =
        (weights_server(|_, _, said| Response { chunk_delay: Duration::from_millis(20), ..said }), folder());
    let start = |_| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "as_a_process"]);
        command.env("HUB_TEST_ADDRESS", &server.address).env("HUB_TEST_CACHE", cache.path()).spawn().unwrap()
    };
    for mut child in (0..3).map(start).collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    for file in Repository::new().files.keys() {
        assert_eq!(server.downloads(file).len(), 1, "{file}");
    }
    assert_complete(&download(&server, cache.path()).unwrap(), &Repository::new());
}

#[test]
fn what_was_there_when_it_was_cancelled_is_used() {
    let (server, cache) =
        (weights_server(|_, _, said| Response { chunk_delay: Duration::from_millis(5), ..said }), folder());
    let cancel = CancelToken::new();
    let progress = |done: u64, of: u64| {
        if done > of / 2 {
            cancel.cancel();
        }
    };
    let watch = TaskControl::new().cancel(&cancel).progress(&progress);
    let stopped = snapshot_download("o/n", &options(&server.address, cache.path()), watch);
    assert!(matches!(stopped, Err(Error::Cancelled)));
    let partial = format!("{}.incomplete", etag(WEIGHTS, &Repository::new().files[WEIGHTS]));
    let length = fs::metadata(blob(cache.path(), &partial)).unwrap().len();
    assert!((200_000..400_000).contains(&length));
    assert_complete(&download(&server, cache.path()).unwrap(), &Repository::new());
    assert_eq!(server.downloads(WEIGHTS)[1].range_start(), length as usize);
}

#[test]
fn a_wait_can_be_cancelled() {
    let (server, cache, cancel) =
        (weights_server(|_, _, said| Response { stall_after: Some(0), ..said }), folder(), CancelToken::new());
    let options = options(&server.address, cache.path()).rehearse(BTreeMap::new(), Duration::from_secs(30));
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            cancel.cancel();
        });
        let stopped = snapshot_download("o/n", &options, TaskControl::new().cancel(&cancel));
        assert!(matches!(stopped, Err(Error::Cancelled)));
    });
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn contents_that_lost_their_end_are_fetched_anew() {
    let (server, cache) = (server(|_, _, said| said), folder());
    let snapshot = download(&server, cache.path()).unwrap();
    fs::write(blob(cache.path(), &etag(WEIGHTS, &Repository::new().files[WEIGHTS])), "").unwrap();
    fs::remove_dir_all(snapshot).unwrap();
    assert_complete(&download(&server, cache.path()).unwrap(), &Repository::new());
    assert_eq!(server.downloads(WEIGHTS).len(), 2);
}

#[test]
fn a_partial_that_is_whole_needs_no_request() {
    let (server, cache) = (server(|_, _, said| said), folder());
    let bytes = &Repository::new().files[WEIGHTS];
    fs::create_dir_all(blob(cache.path(), "")).unwrap();
    fs::write(blob(cache.path(), &format!("{}.incomplete", etag(WEIGHTS, bytes))), bytes).unwrap();
    assert_complete(&download(&server, cache.path()).unwrap(), &Repository::new());
    assert!(server.downloads(WEIGHTS).is_empty());
}

#[test]
fn progress_reaches_the_total() {
    let (server, cache) = (
        weights_server(|_, before, said| Response { close_after: (before == 0).then_some(200_000), ..said }),
        folder(),
    );
    let total = Repository::new().files.values().map(|bytes| bytes.len() as u64).sum();
    let (seen, last) = (RefCell::new(Vec::new()), Cell::new((0, 0)));
    let progress = |done, of| {
        seen.borrow_mut().push(done);
        last.set((done, of));
    };
    let options = options(&server.address, cache.path());
    snapshot_download("o/n", &options, TaskControl::new().progress(&progress)).unwrap();
    assert_eq!(last.get(), (total, total));
    assert!(seen.borrow().len() > 6 && seen.borrow().is_sorted());
    // What is there counts as done.
    snapshot_download("o/n", &options, TaskControl::new().progress(&progress)).unwrap();
    assert_eq!(last.get(), (total, total));
}
