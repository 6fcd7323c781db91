//! What is downloaded from a hub on the loopback interface, and what is taken from the cache.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mimo_vl_core::expert::is_repo_id;
use mimo_vl_core::{Error, GenerateOptions, HubOptions, LoadOptions, Model, Prompt, TaskControl, snapshot_download};
use mimo_vl_tests::fixtures::hub_server::{
    COMMIT, Repository, Request, Response, Server, WEIGHTS, assert_complete, assert_hub_error, blob, download, etag,
    folder, noise, options, serve, server,
};

#[test]
fn ids() {
    for id in ["XiaomiMiMo/MiMo-VL-7B-RL-2508", "a/b", "a.b/c_d"] {
        assert!(is_repo_id(id), "{id}");
    }
    for text in
        ["", "a", "a/", "/a", "a/b/c", "./a", "../a", "a/..", "a--b/c", "C:\\a/b", "~/a", "a/b.git", "a/-b", "ä/b"]
    {
        assert!(!is_repo_id(text), "{text}");
    }
    assert!(matches!(snapshot_download("x", &HubOptions::new(), TaskControl::new()), Err(Error::Option { .. })));
}

#[test]
fn files_and_layout() {
    let (server, cache) = (server(|_, _, said| said), folder());
    let cache = cache.path();
    let snapshot = download(&server, cache).unwrap();
    let root = cache.join("models--o--n");
    assert_eq!(snapshot, root.join("snapshots").join(COMMIT));
    assert_complete(&snapshot, &Repository::new());
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    for (file, bytes) in Repository::new().files {
        let etag = etag(file, &bytes);
        assert!(blob(cache, &etag).is_file());
        #[cfg(unix)]
        assert_eq!(fs::read_link(snapshot.join(file)).unwrap(), Path::new("../../blobs").join(&etag));
        assert!(cache.join(format!(".locks/models--o--n/{etag}.lock")).is_file());
    }
    assert_eq!(fs::read_dir(root.join("blobs")).unwrap().count(), 3);
    // A second call asks for the list alone.
    let before = server.requests().len();
    assert_eq!(download(&server, cache).unwrap(), snapshot);
    assert_eq!(server.requests().len(), before + 1);
}

#[test]
fn what_statuses_mean() {
    for (status, part) in [(401, "token"), (403, "gated"), (404, "does not exist"), (418, "refuses")] {
        let server = server(move |_, _, _| Response::new(status, ""));
        assert_hub_error(&download(&server, folder().path()), part);
        assert_eq!(server.requests().len(), 1, "{status} is asked once");
    }
    for (status, times, whole) in [(503, 2, true), (429, 2, true), (500, 9, false)] {
        let server = server(move |_, before, said| if before < times { Response::new(status, "") } else { said });
        match download(&server, folder().path()) {
            Ok(snapshot) => assert!(whole && snapshot.is_dir()),
            error => assert!(!whole && server.requests().len() == 6, "{error:?}"),
        }
    }
}

#[test]
fn not_the_answer_of_a_hub() {
    let html = server(|_, _, _| Response::new(200, "<html>"));
    assert_hub_error(&download(&html, folder().path()), "not the answer");
    let endless = server(|_, _, _| Response::new(200, vec![b' '; 33 << 20]));
    assert_hub_error(&download(&endless, folder().path()), "too long");
    let commit = server(|_, _, _| Response::new(200, r#"{"sha": "../../x", "siblings": []}"#));
    assert_hub_error(&download(&commit, folder().path()), "commit");
}

#[test]
fn offline() {
    let (server, cache) = (server(|_, _, said| said), folder());
    let offline = options(&server.address, cache.path()).offline(true);
    assert_hub_error(&snapshot_download("o/n", &offline, TaskControl::new()), "everything");
    assert_eq!(server.requests().len(), 0);
    let snapshot = download(&server, cache.path()).unwrap();
    let before = server.requests().len();
    assert_eq!(snapshot_download("o/n", &offline, TaskControl::new()).unwrap(), snapshot);
    assert_hub_error(&snapshot_download("o/n", &offline.clone().revision("other"), TaskControl::new()), "everything");
    fs::remove_file(snapshot.join(WEIGHTS)).unwrap();
    assert_hub_error(&snapshot_download("o/n", &offline, TaskControl::new()), "weights");
    assert_eq!(server.requests().len(), before);
    // The content is still there, so that only its name is to be made again.
    assert_complete(&download(&server, cache.path()).unwrap(), &Repository::new());
    assert_eq!(server.downloads(WEIGHTS).len(), 1);
}

#[test]
fn a_commit_in_the_cache_needs_no_network() {
    let (server, cache) = (server(|_, _, said| said), folder());
    let options = options(&server.address, cache.path()).revision(COMMIT);
    let snapshot = snapshot_download("o/n", &options, TaskControl::new()).unwrap();
    let before = server.requests().len();
    assert_eq!(snapshot_download("o/n", &options, TaskControl::new()).unwrap(), snapshot);
    assert_eq!(server.requests().len(), before);
    assert!(!cache.path().join("models--o--n/refs").exists());
}

#[test]
fn the_cache_stands_in_for_the_network() {
    let (server, cache) = (server(|_, _, said| said), folder());
    let nobody = options("http://127.0.0.1:1", cache.path());
    assert_hub_error(&snapshot_download("o/n", &nobody, TaskControl::new()), "127.0.0.1:1");
    let snapshot = download(&server, cache.path()).unwrap();
    assert_eq!(snapshot_download("o/n", &nobody, TaskControl::new()).unwrap(), snapshot);
    // A hub that says no is not a network that fails.
    let gone = serve(Repository::new(), |_, _, _| Response::new(404, ""));
    assert_hub_error(&download(&gone, cache.path()), "does not exist");
}

#[test]
fn the_token_stays_at_the_endpoint() {
    let other = Server::new(|asked, _| Repository::new().respond(asked));
    let elsewhere = other.address.clone();
    let server = server(move |asked, _, said| {
        if asked.file() == WEIGHTS {
            let etag = etag(WEIGHTS, &Repository::new().files[WEIGHTS]);
            let said = Response::new(302, "").header("Location", format!("{elsewhere}{}", asked.path));
            return said.header("X-Linked-Etag", format!("\"{etag}\"")).header("X-Linked-Size", "400000");
        }
        // Within the endpoint it goes along.
        match asked.path.strip_prefix("/o/n/").filter(|_| asked.file() == "config.json") {
            Some(rest) => Response::new(307, "").header("Location", format!("/moved/o/n/{rest}")),
            None if asked.path.starts_with("/moved") => {
                Repository::new().respond(&Request { path: asked.path.replace("/moved", ""), ..asked.clone() })
            }
            None => said,
        }
    });
    let cache = folder();
    let options = options(&server.address, cache.path()).token("secret");
    assert_complete(&snapshot_download("o/n", &options, TaskControl::new()).unwrap(), &Repository::new());
    let with = |asked: &Request| asked.headers.get("authorization").map(String::as_str) == Some("Bearer secret");
    assert!(server.requests().iter().all(with));
    assert!(server.requests().iter().any(|asked| asked.path.starts_with("/moved")));
    assert!(!other.requests().is_empty());
    assert!(other.requests().iter().all(|asked| asked.method == "GET" && !asked.headers.contains_key("authorization")));
    assert!(!format!("{options:?}").contains("secret"));
}

#[test]
fn a_server_that_sends_everybody_elsewhere() {
    let other =
        server(|asked, _, said| if asked.file() == "config.json?sign=x" { Response::new(403, "") } else { said });
    let elsewhere = other.address.clone();
    let sends = move |asked: &Request, _: usize, _: Response| {
        let sign = if asked.file() == "config.json" { "?sign=x" } else { "" };
        Response::new(302, "").header("Location", format!("{elsewhere}{}{sign}", asked.path))
    };
    let (server, cache) = (server(sends), folder());
    let options = options(&server.address, cache.path()).token("secret");
    // What may be a signature is not told.
    match snapshot_download("o/n", &options, TaskControl::new()) {
        Err(error @ Error::Hub { .. }) => {
            assert!(error.to_string().contains("refuses") && !error.to_string().contains("sign"))
        }
        other => panic!("{other:?}"),
    }
    assert!(other.requests().len() >= 3);
    assert!(other.requests().iter().all(|asked| !asked.headers.contains_key("authorization")));
}

#[test]
fn a_token_that_cannot_be_one() {
    let (server, cache) = (server(|_, _, said| said), folder());
    let refused = snapshot_download("o/n", &options(&server.address, cache.path()).token("a\nb"), TaskControl::new());
    assert!(matches!(refused, Err(Error::Option { option: "token", .. })));
    assert!(server.requests().is_empty());
}

#[test]
fn redirects_end() {
    let server = server(|asked, _, _| Response::new(302, "").header("Location", asked.path.clone()));
    assert_hub_error(&download(&server, folder().path()), "redirects");
}

#[test]
fn an_index_says_which_files() {
    let mut hub = Repository::new();
    let index = br#"{"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors", "c": "x-1.safetensors"}}"#;
    hub.files.remove(WEIGHTS);
    hub.files.insert("model.safetensors.index.json", index.to_vec());
    hub.files.insert("x-1.safetensors", noise(2, 1000));
    hub.files.insert("x-2.safetensors", noise(3, 2000));
    hub.listed_only.push("consolidated.safetensors");
    let (server, cache) = (serve(hub.clone(), |_, _, said| said), folder());
    let snapshot = download(&server, cache.path()).unwrap();
    assert_complete(&snapshot, &hub);
    assert!(server.requests().iter().all(|asked| asked.file() != "consolidated.safetensors"));
    assert_eq!(server.downloads("model.safetensors.index.json").len(), 1);
    fs::remove_file(snapshot.join("x-2.safetensors")).unwrap();
    let offline = options(&server.address, cache.path()).offline(true);
    assert_hub_error(&snapshot_download("o/n", &offline, TaskControl::new()), "x-2.safetensors");

    hub.files.remove("x-2.safetensors");
    assert_hub_error(&download(&serve(hub.clone(), |_, _, said| said), folder().path()), "x-2.safetensors");
    let evil = br#"{"weight_map": {"a": "../../x.safetensors"}}"#;
    hub.files.insert("model.safetensors.index.json", evil.to_vec());
    let refused = download(&serve(hub, |_, _, said| said), folder().path());
    assert!(matches!(refused, Err(Error::Checkpoint { .. })), "{refused:?}");
}

#[test]
fn evil_names() {
    let mut hub = Repository::new();
    hub.listed_only.extend(["../evil.safetensors", "/evil.safetensors", "a/../../evil.safetensors", "sub/config.json"]);
    let (server, cache) = (serve(hub.clone(), |_, _, said| said), folder());
    assert_complete(&download(&server, cache.path()).unwrap(), &hub);
    for name in ["..\\evil.safetensors", "evil\u{7}.safetensors", "c:evil.safetensors"] {
        let mut hub = Repository::new();
        hub.listed_only.push(name);
        assert_hub_error(&download(&serve(hub, |_, _, said| said), folder().path()), "not allowed");
    }
    let etag = server_with_etag("\"../../evil\"");
    assert_hub_error(&download(&etag, folder().path()), "ETag");
}

fn server_with_etag(etag: &'static str) -> Server {
    server(move |asked, _, said| if asked.method == "HEAD" { said.header("ETag", etag) } else { said })
}

#[test]
fn tags_that_are_no_checksums() {
    let server = server(|asked, _, said| match asked.method.as_str() {
        "HEAD" => said.header("ETag", format!("W/\"5f-{}\"", asked.file().len())),
        _ => said,
    });
    let cache = folder();
    assert_complete(&download(&server, cache.path()).unwrap(), &Repository::new());
    assert!(blob(cache.path(), "5f-11").is_file());
    // They can be the same for files that are not.
    assert_hub_error(&download(&server_with_etag("\"same\""), folder().path()), "same");
}

#[test]
fn a_server_without_tls() {
    let server = server(|_, _, said| said);
    let secure = server.address.replace("http:", "https:");
    let cache = folder();
    match snapshot_download("o/n", &options(&secure, cache.path()), TaskControl::new()) {
        Err(Error::Hub { reason, .. }) => assert!(!reason.contains("broke off"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn gguf() {
    let mut hub = Repository { listed_only: vec!["README.md"], ..Repository::new() };
    hub.files = BTreeMap::from([("q4.gguf", noise(4, 1000)), ("mmproj-f16.gguf", noise(5, 500))]);
    let (server, cache) = (serve(hub.clone(), |_, _, said| said), folder());
    assert_complete(&download(&server, cache.path()).unwrap(), &hub);
    let offline = options(&server.address, cache.path()).offline(true);
    assert!(snapshot_download("o/n", &offline, TaskControl::new()).is_ok());
    hub.listed_only.push("q8.gguf");
    assert_hub_error(&download(&serve(hub, |_, _, said| said), folder().path()), "q4.gguf, q8.gguf");
}

#[test]
fn revisions_are_kept_apart() {
    let (server, cache) = (server(|_, _, said| said), folder());
    let options = options(&server.address, cache.path()).revision("refs/pr/1");
    snapshot_download("o/n", &options, TaskControl::new()).unwrap();
    assert_eq!(server.requests()[0].path, "/api/models/o/n/revision/refs%2Fpr%2F1");
    assert_eq!(fs::read_to_string(cache.path().join("models--o--n/refs/refs/pr/1")).unwrap(), COMMIT);
}

/// The checkpoint of `tests/data/tiny`, served as a repository.
#[test]
fn a_model_is_loaded_by_its_id() {
    let folder_of = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny"));
    let mut hub = Repository::new();
    hub.files.clear();
    for entry in fs::read_dir(folder_of).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            hub.files.insert(name.leak(), bytes);
        }
    }
    let (server, cache) = (serve(hub, |_, _, said| said), folder());
    let options = LoadOptions::new().hub(options(&server.address, cache.path()));
    let seen = std::cell::Cell::new(0);
    let progress = |_, _| seen.set(seen.get() + 1);
    let model = Model::load_watched("o/n", &options, TaskControl::new().progress(&progress)).unwrap();
    assert!(seen.get() > 3);
    let answer = model.session().ask(&Prompt::user().text("Hello"), &GenerateOptions::new().max_tokens(4)).unwrap();
    let local = Model::load(folder_of, &LoadOptions::new()).unwrap();
    assert_eq!(
        local.session().ask(&Prompt::user().text("Hello"), &GenerateOptions::new().max_tokens(4)).unwrap().ids,
        answer.ids
    );
    let missing = Model::load("o/other", &options);
    assert!(matches!(missing, Err(Error::Hub { .. })), "{missing:?}");
}
