//! Downloads from a hub on the loopback interface, and the use of the cache.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use mimo_vl_core::expert::is_repo_id;
use mimo_vl_core::{
    CallOptions, Error, GenerateOptions, HubOptions, LoadOptions, Model, Prompt, Stage, snapshot_download,
};
use mimo_vl_tests::fixtures::hub_server::{
    COMMIT, Hub, Request, Response, Server, WEIGHTS, assert_complete, assert_hub_error, blob, download, etag, noise,
    options, server, server_of, temporary_folder,
};

#[test]
fn repository_ids_are_recognized() {
    for id in ["XiaomiMiMo/MiMo-VL-7B-RL-2508", "a/b", "a.b/c_d"] {
        assert!(is_repo_id(id), "{id}");
    }
    for text in
        ["", "a", "a/", "/a", "a/b/c", "./a", "../a", "a/..", "a--b/c", "C:\\a/b", "~/a", "a/b.git", "a/-b", "ä/b"]
    {
        assert!(!is_repo_id(text), "{text}");
    }
    assert!(matches!(snapshot_download("x", &HubOptions::new(), &CallOptions::new()), Err(Error::Option { .. })));
}

#[test]
fn the_cache_has_the_layout_of_huggingface_hub() {
    let (server, cache) = (server(|_, _, response| response), temporary_folder());
    let cache = cache.path();
    let snapshot = download(&server, cache).unwrap();
    let root = cache.join("models--o--n");
    assert_eq!(snapshot, root.join("snapshots").join(COMMIT));
    assert_complete(&snapshot, &Hub::new());
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    for (file, bytes) in Hub::new().files {
        let etag = etag(file, &bytes);
        assert!(blob(cache, &etag).is_file());
        #[cfg(unix)]
        assert_eq!(fs::read_link(snapshot.join(file)).unwrap(), Path::new("../../blobs").join(&etag));
        assert!(cache.join(format!(".locks/models--o--n/{etag}.lock")).is_file());
    }
    assert_eq!(fs::read_dir(root.join("blobs")).unwrap().count(), 3);
    // A second call requests only the list of files.
    let before = server.requests().len();
    assert_eq!(download(&server, cache).unwrap(), snapshot);
    assert_eq!(server.requests().len(), before + 1);
}

#[test]
fn statuses_are_final_or_retried() {
    for (status, part) in [(401, "token"), (403, "gated"), (404, "does not exist"), (418, "refuses")] {
        let server = server(move |_, _, _| Response::new(status, ""));
        assert_hub_error(&download(&server, temporary_folder().path()), part);
        assert_eq!(server.requests().len(), 1, "{status} is not retried");
    }
    for (status, times, succeeds) in [(503, 2, true), (429, 2, true), (500, 9, false)] {
        let server =
            server(move |_, before, response| if before < times { Response::new(status, "") } else { response });
        match download(&server, temporary_folder().path()) {
            Ok(snapshot) => assert!(succeeds && snapshot.is_dir()),
            error => assert!(!succeeds && server.requests().len() == 6, "{error:?}"),
        }
    }
}

#[test]
fn responses_that_are_not_of_a_hub_are_refused() {
    let html = server(|_, _, _| Response::new(200, "<html>"));
    assert_hub_error(&download(&html, temporary_folder().path()), "not the response");
    let endless = server(|_, _, _| Response::new(200, vec![b' '; 33 << 20]));
    assert_hub_error(&download(&endless, temporary_folder().path()), "too long");
    let commit = server(|_, _, _| Response::new(200, r#"{"sha": "../../x", "siblings": []}"#));
    assert_hub_error(&download(&commit, temporary_folder().path()), "commit");
}

#[test]
fn offline_only_the_cache_is_used() {
    let (server, cache) = (server(|_, _, response| response), temporary_folder());
    let offline = options(&server.address, cache.path()).offline(true);
    assert_hub_error(&snapshot_download("o/n", &offline, &CallOptions::new()), "all files");
    assert_eq!(server.requests().len(), 0);
    let snapshot = download(&server, cache.path()).unwrap();
    let before = server.requests().len();
    assert_eq!(snapshot_download("o/n", &offline, &CallOptions::new()).unwrap(), snapshot);
    assert_hub_error(&snapshot_download("o/n", &offline.clone().revision("other"), &CallOptions::new()), "all files");
    fs::remove_file(snapshot.join(WEIGHTS)).unwrap();
    assert_hub_error(&snapshot_download("o/n", &offline, &CallOptions::new()), "weights");
    assert_eq!(server.requests().len(), before);
    // The contents are still in the cache, so that only the link is missing.
    assert_complete(&download(&server, cache.path()).unwrap(), &Hub::new());
    assert_eq!(server.downloads(WEIGHTS).len(), 1);
}

#[test]
fn a_commit_in_the_cache_needs_no_network() {
    let (server, cache) = (server(|_, _, response| response), temporary_folder());
    let options = options(&server.address, cache.path()).revision(COMMIT);
    let snapshot = snapshot_download("o/n", &options, &CallOptions::new()).unwrap();
    let before = server.requests().len();
    assert_eq!(snapshot_download("o/n", &options, &CallOptions::new()).unwrap(), snapshot);
    assert_eq!(server.requests().len(), before);
    assert!(!cache.path().join("models--o--n/refs").exists());
}

#[test]
fn the_cache_is_used_when_the_hub_cannot_be_reached() {
    let (server, cache) = (server(|_, _, response| response), temporary_folder());
    let unreachable = options("http://127.0.0.1:1", cache.path());
    assert_hub_error(&snapshot_download("o/n", &unreachable, &CallOptions::new()), "127.0.0.1:1");
    let snapshot = download(&server, cache.path()).unwrap();
    assert_eq!(snapshot_download("o/n", &unreachable, &CallOptions::new()).unwrap(), snapshot);
    // A hub that refuses is not a network that fails.
    let gone = server_of(Hub::new(), |_, _, _| Response::new(404, ""));
    assert_hub_error(&download(&gone, cache.path()), "does not exist");
}

#[test]
fn the_token_stays_at_the_endpoint() {
    let other = Server::new(|request, _| Hub::new().respond(request));
    let elsewhere = other.address.clone();
    let server = server(move |request, _, response| {
        if request.file() == WEIGHTS {
            let etag = etag(WEIGHTS, &Hub::new().files[WEIGHTS]);
            let response = Response::new(302, "").header("Location", format!("{elsewhere}{}", request.path));
            return response.header("X-Linked-Etag", format!("\"{etag}\"")).header("X-Linked-Size", "400000");
        }
        // A redirect within the endpoint keeps the token.
        match request.path.strip_prefix("/o/n/").filter(|_| request.file() == "config.json") {
            Some(rest) => Response::new(307, "").header("Location", format!("/moved/o/n/{rest}")),
            None if request.path.starts_with("/moved") => {
                Hub::new().respond(&Request { path: request.path.replace("/moved", ""), ..request.clone() })
            }
            None => response,
        }
    });
    let cache = temporary_folder();
    let options = options(&server.address, cache.path()).token("secret");
    assert_complete(&snapshot_download("o/n", &options, &CallOptions::new()).unwrap(), &Hub::new());
    let with = |request: &Request| request.headers.get("authorization").map(String::as_str) == Some("Bearer secret");
    assert!(server.requests().iter().all(with));
    assert!(server.requests().iter().any(|request| request.path.starts_with("/moved")));
    assert!(!other.requests().is_empty());
    assert!(
        other
            .requests()
            .iter()
            .all(|request| request.method == "GET" && !request.headers.contains_key("authorization"))
    );
    assert!(!format!("{options:?}").contains("secret"));
}

#[test]
fn a_redirect_to_another_server_loses_the_token() {
    let other = server(
        |request, _, response| if request.file() == "config.json?sign=x" { Response::new(403, "") } else { response },
    );
    let elsewhere = other.address.clone();
    let redirect = move |request: &Request, _: usize, _: Response| {
        let sign = if request.file() == "config.json" { "?sign=x" } else { "" };
        Response::new(302, "").header("Location", format!("{elsewhere}{}{sign}", request.path))
    };
    let (server, cache) = (server(redirect), temporary_folder());
    let options = options(&server.address, cache.path()).token("secret");
    // A query may be a signature, which the error must not contain.
    match snapshot_download("o/n", &options, &CallOptions::new()) {
        Err(error @ Error::Hub { .. }) => {
            assert!(error.to_string().contains("refuses") && !error.to_string().contains("sign"))
        }
        other => panic!("{other:?}"),
    }
    assert!(other.requests().len() >= 3);
    assert!(other.requests().iter().all(|request| !request.headers.contains_key("authorization")));
}

#[test]
fn a_token_that_is_no_header_value_is_refused() {
    let (server, cache) = (server(|_, _, response| response), temporary_folder());
    let refused = snapshot_download("o/n", &options(&server.address, cache.path()).token("a\nb"), &CallOptions::new());
    assert!(matches!(refused, Err(Error::Option { option: "token", .. })));
    assert!(server.requests().is_empty());
}

#[test]
fn the_number_of_redirects_is_limited() {
    let server = server(|request, _, _| Response::new(302, "").header("Location", request.path.clone()));
    assert_hub_error(&download(&server, temporary_folder().path()), "redirects");
}

#[test]
fn the_files_of_the_index_are_downloaded() {
    let mut hub = Hub::new();
    let index = br#"{"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors", "c": "x-1.safetensors"}}"#;
    hub.files.remove(WEIGHTS);
    hub.files.insert("model.safetensors.index.json", index.to_vec());
    hub.files.insert("x-1.safetensors", noise(2, 1000));
    hub.files.insert("x-2.safetensors", noise(3, 2000));
    hub.listed_only.push("consolidated.safetensors");
    let (server, cache) = (server_of(hub.clone(), |_, _, response| response), temporary_folder());
    let snapshot = download(&server, cache.path()).unwrap();
    assert_complete(&snapshot, &hub);
    assert!(server.requests().iter().all(|request| request.file() != "consolidated.safetensors"));
    assert_eq!(server.downloads("model.safetensors.index.json").len(), 1);
    fs::remove_file(snapshot.join("x-2.safetensors")).unwrap();
    let offline = options(&server.address, cache.path()).offline(true);
    assert_hub_error(&snapshot_download("o/n", &offline, &CallOptions::new()), "x-2.safetensors");

    hub.files.remove("x-2.safetensors");
    assert_hub_error(
        &download(&server_of(hub.clone(), |_, _, response| response), temporary_folder().path()),
        "x-2.safetensors",
    );
    let malicious = br#"{"weight_map": {"a": "../../x.safetensors"}}"#;
    hub.files.insert("model.safetensors.index.json", malicious.to_vec());
    let refused = download(&server_of(hub, |_, _, response| response), temporary_folder().path());
    assert!(matches!(refused, Err(Error::Checkpoint { .. })), "{refused:?}");
}

#[test]
fn file_names_that_are_paths_are_not_used() {
    let mut hub = Hub::new();
    hub.listed_only.extend(["../evil.safetensors", "/evil.safetensors", "a/../../evil.safetensors", "sub/config.json"]);
    let (server, cache) = (server_of(hub.clone(), |_, _, response| response), temporary_folder());
    assert_complete(&download(&server, cache.path()).unwrap(), &hub);
    for name in ["..\\evil.safetensors", "evil\u{7}.safetensors", "c:evil.safetensors"] {
        let mut hub = Hub::new();
        hub.listed_only.push(name);
        assert_hub_error(
            &download(&server_of(hub, |_, _, response| response), temporary_folder().path()),
            "not allowed",
        );
    }
    let etag = server_with_etag("\"../../evil\"");
    assert_hub_error(&download(&etag, temporary_folder().path()), "ETag");
}

fn server_with_etag(etag: &'static str) -> Server {
    server(move |request, _, response| if request.method == "HEAD" { response.header("ETag", etag) } else { response })
}

#[test]
fn etags_may_be_no_checksums() {
    let server = server(|request, _, response| match request.method.as_str() {
        "HEAD" => response.header("ETag", format!("W/\"5f-{}\"", request.file().len())),
        _ => response,
    });
    let cache = temporary_folder();
    assert_complete(&download(&server, cache.path()).unwrap(), &Hub::new());
    assert!(blob(cache.path(), "5f-11").is_file());
    // Different files may then have the same ETag.
    assert_hub_error(&download(&server_with_etag("\"same\""), temporary_folder().path()), "same");
}

#[test]
fn a_server_without_tls_is_an_error_at_once() {
    let server = server(|_, _, response| response);
    let secure = server.address.replace("http:", "https:");
    let cache = temporary_folder();
    match snapshot_download("o/n", &options(&secure, cache.path()), &CallOptions::new()) {
        Err(Error::Hub { reason, .. }) => assert!(!reason.contains("broke off"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_gguf_file_and_its_vision_tower_are_downloaded() {
    let mut hub = Hub { listed_only: vec!["README.md"], ..Hub::new() };
    hub.files = BTreeMap::from([("q4.gguf", noise(4, 1000)), ("mmproj-f16.gguf", noise(5, 500))]);
    let (server, cache) = (server_of(hub.clone(), |_, _, response| response), temporary_folder());
    assert_complete(&download(&server, cache.path()).unwrap(), &hub);
    let offline = options(&server.address, cache.path()).offline(true);
    assert!(snapshot_download("o/n", &offline, &CallOptions::new()).is_ok());
    hub.listed_only.push("q8.gguf");
    assert_hub_error(
        &download(&server_of(hub, |_, _, response| response), temporary_folder().path()),
        "q4.gguf, q8.gguf",
    );
}

#[test]
fn the_revision_is_part_of_the_url_and_of_the_ref() {
    let (server, cache) = (server(|_, _, response| response), temporary_folder());
    let options = options(&server.address, cache.path()).revision("refs/pr/1");
    snapshot_download("o/n", &options, &CallOptions::new()).unwrap();
    assert_eq!(server.requests()[0].path, "/api/models/o/n/revision/refs%2Fpr%2F1");
    assert_eq!(fs::read_to_string(cache.path().join("models--o--n/refs/refs/pr/1")).unwrap(), COMMIT);
}

/// Serves the checkpoint of `tests/data/tiny` as a repository.
#[test]
fn a_model_loads_by_its_repository_id() {
    let checkpoint = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny"));
    let mut hub = Hub::new();
    hub.files.clear();
    for entry in fs::read_dir(checkpoint).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            hub.files.insert(name.leak(), bytes);
        }
    }
    let (server, cache) = (server_of(hub, |_, _, response| response), temporary_folder());
    let options = LoadOptions::new().hub(options(&server.address, cache.path()));
    let stages = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&stages);
    let reporting = options.clone().on_progress(move |progress| sink.lock().unwrap().push(progress.stage));
    let model = Model::load("o/n", &reporting).unwrap();
    let stages = std::mem::take(&mut *stages.lock().unwrap());
    assert!(stages.contains(&Stage::Download) && stages.last() == Some(&Stage::Load), "{stages:?}");
    let answer = model.session().ask(&Prompt::user().text("Hello"), &GenerateOptions::new().max_tokens(4)).unwrap();
    let local = Model::load(checkpoint, &LoadOptions::new()).unwrap();
    assert_eq!(
        local.session().ask(&Prompt::user().text("Hello"), &GenerateOptions::new().max_tokens(4)).unwrap().ids,
        answer.ids
    );
    let missing = Model::load("o/other", &options);
    assert!(matches!(missing, Err(Error::Hub { .. })), "{missing:?}");
}
