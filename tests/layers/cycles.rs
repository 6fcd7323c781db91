//! No cycle between the files of one module: whoever opens a file can read what it uses before it.

use std::collections::{BTreeMap, BTreeSet};

use mimo_vl_tests::fixtures::source::{Token, is, read, tokens, without_tests};

/// Groups of files that use each other, each with its reason.
const ALLOWED: &[(&[&str], &str)] = &[(
    &["gui", "model", "options", "session"],
    "mimo-vl-py: the classes of the Python module take and return each other",
)];

/// A path in a Rust file, such as `super::decode::Frame`, one for each leaf of a group.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    segments: Vec<String>,
    /// The path is re-exported by `pub use`.
    exported: bool,
}

/// Every path of a file that starts with `crate`, `super` or `self`, and every path of its `use` items.
fn named(tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let in_use = is(tokens, at, "use");
        let rooted = ["crate", "super", "self"].iter().any(|root| is(tokens, at, root))
            && is(tokens, at + 1, "::")
            && !(at > 0 && is(tokens, at - 1, "::"));
        if !(in_use || rooted) {
            at += 1;
            continue;
        }
        // `pub use`, `pub(crate) use`.
        let exported = in_use && at > 0 && (is(tokens, at - 1, "pub") || is(tokens, at - 1, ")"));
        at = tree(tokens, at + usize::from(in_use), &mut Vec::new(), exported, &mut found);
    }
    found
}

/// Reads one path or group that starts at `at`; returns the place behind it.
fn tree(tokens: &[Token], mut at: usize, prefix: &mut Vec<String>, exported: bool, found: &mut Vec<Named>) -> usize {
    let depth = prefix.len();
    loop {
        if is(tokens, at, "{") {
            at += 1;
            while at < tokens.len() && !is(tokens, at, "}") {
                at = tree(tokens, at, prefix, exported, found);
                at += usize::from(is(tokens, at, ","));
            }
            prefix.truncate(depth);
            return at + 1;
        }
        let Some(token) = tokens.get(at) else { break };
        prefix.push(token.text.clone());
        at += 1;
        if !is(tokens, at, "::") {
            break;
        }
        at += 1;
    }
    found.push(Named { segments: prefix.clone(), exported });
    prefix.truncate(depth);
    if is(tokens, at, "as") { at + 2 } else { at }
}

/// The files of one folder and its subfolders: for each the files that it names.
///
/// `files` are paths below `src/` without their ending, such as `session/decode_loop`; the file of a folder is the
/// folder itself (`session` for `session/mod.rs`). A name that a folder re-exports leads to the file that defines it.
fn edges(files: &BTreeMap<String, Vec<Token>>) -> BTreeMap<String, BTreeSet<String>> {
    let exports: BTreeMap<(String, String), String> = files
        .iter()
        .flat_map(|(file, tokens)| {
            let paths = named(tokens).into_iter().filter(|path| path.exported && path.segments.len() > 1);
            paths.filter_map(move |path| {
                let name = path.segments.last()?.clone();
                let segments: Vec<&str> =
                    path.segments.iter().map(String::as_str).filter(|segment| *segment != "self").collect();
                Some(((file.clone(), name), join(file, segments[0])))
            })
        })
        .collect();
    let resolve = |folder: &str, segments: &[String]| -> Option<String> {
        let mut at = folder.to_owned();
        let mut hops = 0;
        for segment in segments {
            let below = join(&at, segment);
            if files.contains_key(&below) {
                at = below;
                continue;
            }
            // A re-exported name leads to its file, which may export it in turn.
            while let Some(next) = exports.get(&(at.clone(), segment.clone())).filter(|_| hops < 10) {
                if !files.contains_key(next) {
                    break;
                }
                at = next.clone();
                hops += 1;
            }
            break;
        }
        files.contains_key(&at).then_some(at)
    };
    files
        .iter()
        .map(|(file, tokens)| {
            let parent = file.rsplit_once('/').map_or("", |(parent, _)| parent);
            let targets = named(tokens).into_iter().filter(|path| !path.exported).filter_map(|path| {
                let (first, rest) = path.segments.split_first()?;
                let target = match first.as_str() {
                    "crate" => resolve("", rest),
                    "super" => resolve(parent, rest),
                    "self" => resolve(file, rest),
                    // A child of this file.
                    _ => resolve(file, &path.segments).filter(|target| target != file),
                };
                target.filter(|target| target != file && !target.is_empty())
            });
            (file.clone(), targets.collect())
        })
        .collect()
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The groups of nodes that reach each other, each sorted.
fn cycles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(node) = next.pop() {
            for target in edges.get(&node).into_iter().flatten() {
                if seen.insert(target.clone()) {
                    next.push(target.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = edges.keys().map(|node| (node, reach(node))).collect();
    let mut groups = BTreeSet::new();
    for (node, seen) in &reached {
        if seen.contains(*node) {
            let group = edges
                .keys()
                .filter(|other| *other == *node || seen.contains(*other) && reached[*other].contains(*node));
            groups.insert(group.cloned().collect::<Vec<_>>());
        }
    }
    groups.into_iter().collect()
}

/// The files below `src` by their path without the ending, without those of tests.
fn sources(src: &str) -> BTreeMap<String, Vec<Token>> {
    let found = mimo_vl_tests::fixtures::source::files();
    let inside = found.iter().filter_map(|file| Some((file.strip_prefix(src)?, file)));
    let mut files: BTreeMap<String, Vec<Token>> = BTreeMap::new();
    let mut tests = BTreeSet::new();
    for (path, file) in inside.filter(|(path, _)| path.ends_with(".rs") && *path != "lib.rs" && *path != "expert.rs") {
        let name = path.trim_end_matches(".rs").trim_end_matches("/mod").to_owned();
        let (tokens, outside) = without_tests(tokens(&read(file)));
        tests.extend(outside.iter().map(|test| join(&name, test)));
        files.insert(name, tokens);
    }
    files.retain(|name, _| !tests.contains(name));
    files
}

#[test]
fn the_files_of_a_module_do_not_use_each_other_in_a_cycle() {
    for src in ["mimo-vl-core/src/", "mimo-vl-ffi/src/", "mimo-vl-py/src/"] {
        let files = sources(src);
        assert!(files.len() > 15, "only {} files below {src}", files.len());
        let allowed = |group: &[String]| ALLOWED.iter().any(|(files, _)| files == &group);
        let found: Vec<_> = cycles(&edges(&files)).into_iter().filter(|group| !allowed(group)).collect();
        assert!(found.is_empty(), "{src}: files that use each other: {found:#?}");
    }
    assert!(ALLOWED.iter().all(|(_, reason)| !reason.is_empty()));
}

#[test]
fn cycles_are_found_through_every_kind_of_path() {
    let tree = |files: &[(&str, &str)]| -> BTreeMap<String, Vec<Token>> {
        files.iter().map(|(name, source)| ((*name).to_owned(), tokens(source))).collect()
    };
    let found = |files: &[(&str, &str)]| cycles(&edges(&tree(files)));
    let both = [vec!["a/x".to_owned(), "a/y".to_owned()]];
    assert_eq!(found(&[("a/x", "use super::y::Y;"), ("a/y", "use super::x::X;")]), both);
    assert_eq!(
        found(&[("a/x", "use super::{y::{self, Y}, z};"), ("a/y", "fn f() { crate::a::x::g() }"), ("a", "")]),
        both
    );
    let exported = ("a", "mod x; mod y; pub use x::X; pub(crate) use self::y::Y;");
    assert_eq!(found(&[exported, ("a/x", "use crate::a::Y;"), ("a/y", "use super::X;")]), both);
    let parent = [vec!["a".to_owned(), "a/x".to_owned()]];
    assert_eq!(found(&[("a", "use x::X; fn f() {}"), ("a/x", "use super::f;")]), parent);
    assert!(found(&[exported, ("a/x", "use crate::a::Y;"), ("a/y", "use std::fmt;")]).is_empty());
    assert!(found(&[("a/x", "use super::y::Y;"), ("a/y", "// use super::x::X;")]).is_empty());
}
