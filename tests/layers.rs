//! The modules of mimo-vl-core lie in layers: each may name only those that its row of the table allows, and some
//! things appear in some modules only. `docs/architecture.md` says why.

use std::collections::{BTreeMap, BTreeSet};

use mimo_vl_tests::fixtures::source::{Token, files, is, read, tokens, without_tests};

#[path = "layers/cycles.rs"]
mod cycles;
#[path = "layers/language.rs"]
mod language;

/// Each module in the order of the data, and the modules that it may name besides [`EVERYWHERE`] and itself.
const TABLE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("cancel", &[]),
    ("log", &[]),
    ("config", &[]),
    ("quant", &["config"]),
    ("kernels", &["quant"]),
    ("checkpoint", &["config", "quant", "kernels"]),
    ("media", &["config"]),
    ("prompt", &["config", "media"]),
    ("preprocess", &["config", "media"]),
    ("model", &["config", "kernels", "checkpoint", "preprocess"]),
    ("answer", &["media"]),
    ("hub", &[]),
    ("draw", &["media", "answer"]),
    ("gui", &["config", "media", "prompt", "preprocess"]),
    ("sampling", &["gui"]),
    ("score", &[]),
    (
        "session",
        &["config", "quant", "checkpoint", "hub", "media", "prompt", "preprocess", "model", "sampling", "answer"],
    ),
    ("serve", &["media", "prompt", "sampling", "answer", "session"]),
    ("train", &["config", "kernels", "checkpoint", "preprocess", "model"]),
];

/// The door for experts: it re-exports from every module and holds no code.
const DOOR: &str = "expert";

/// Modules that every later one may name.
const EVERYWHERE: &[&str] = &["error", "cancel"];

/// Modules that never touch a tensor: no path into Burn.
const NO_TENSORS: &[&str] = &[
    "error",
    "cancel",
    "config",
    "media",
    "prompt",
    "preprocess",
    "sampling",
    "answer",
    "draw",
    "gui",
    "score",
    "session",
];

/// The folder and the file that name Burn's backends, and those names.
const BACKENDS_IN: &[&str] = &["kernels/", "model/backend.rs"];
const BACKENDS: &[&str] = &[
    "burn_flex",
    "burn_ndarray",
    "burn_cuda",
    "burn_wgpu",
    "Flex",
    "FlexDevice",
    "NdArray",
    "NdArrayDevice",
    "Cuda",
    "CudaDevice",
    "Wgpu",
    "WgpuDevice",
];

/// The modules that open files.
const FILES_IN: &[&str] = &["config", "checkpoint", "media", "hub", "serve", "train"];

const SOURCES: &str = "mimo-vl-core/src/";

fn row(module: &str) -> Option<&'static [&'static str]> {
    TABLE.iter().find(|(name, _)| *name == module).map(|(_, may)| *may)
}

/// The violations of one file, a line each. `path` is its path below `src/`.
fn violations(path: &str, source: &str) -> Vec<String> {
    let module = module_of(path);
    let Some(may) = row(module) else {
        return vec![format!("{path}: module `{module}` is missing from the table in tests/layers.rs")];
    };
    let (tokens, _) = without_tests(tokens(source));
    let mut found = Vec::new();
    let mut report = |line: usize, what: String| found.push(format!("{path}:{line}: {what}"));
    for (name, line) in named_in_crate(&tokens) {
        if name == module || may.contains(&name.as_str()) {
            continue;
        }
        if EVERYWHERE.contains(&name.as_str()) && module != "error" {
            continue;
        }
        match row(&name) {
            Some(_) => report(line, format!("`{module}` may not name `{name}`")),
            None => report(line, format!("`crate::{name}` is no module: name the module that defines it")),
        }
    }
    let is_root_of_module = !path.contains('/') || path.ends_with(&format!("{module}/mod.rs"));
    for line in supers(&tokens, is_root_of_module) {
        report(line, "`super` here climbs too far: write `crate::module::…`".to_owned());
    }
    for (at, token) in tokens.iter().enumerate() {
        let (name, line) = (token.text.as_str(), token.line);
        let path_before = |text: &str| at >= 2 && is(&tokens, at - 1, "::") && is(&tokens, at - 2, text);
        let path_after = is(&tokens, at + 1, "::");
        // `Device::Cuda` is a value of this crate, not Burn's backend.
        if BACKENDS.contains(&name)
            && !BACKENDS_IN.iter().any(|place| path.starts_with(place))
            && !path_before("Device")
        {
            report(line, format!("`{name}` is a backend of Burn: only {BACKENDS_IN:?} name one"));
        }
        if NO_TENSORS.contains(&module) && (name == "burn" || name.starts_with("burn_")) && path_after {
            report(line, format!("`{module}` never touches a tensor, and this names `{name}`"));
        }
        if !FILES_IN.contains(&module)
            && (name == "File" && path_after || name == "fs" && (path_after || path_before("std")))
        {
            report(line, format!("only {FILES_IN:?} open files"));
        }
        if name == "mimo_vl_core" {
            report(line, "the crate names itself: write `crate::module::…`".to_owned());
        }
    }
    found
}

/// The top-level module that a file belongs to: `nn` of `nn/rope.rs`, `model` of `model.rs`.
fn module_of(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Every first name behind `crate::`, with its line: one for a path, several for `crate::{a, b::c}`.
fn named_in_crate(tokens: &[Token]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|&at| is(tokens, at, "crate")) {
        if is(tokens, at + 1, "as") {
            found.push(("crate as …".to_owned(), tokens[at].line));
        }
        if !is(tokens, at + 1, "::") {
            continue;
        }
        if !is(tokens, at + 2, "{") {
            found.extend(tokens.get(at + 2).map(|token| (token.text.clone(), token.line)));
            continue;
        }
        let (mut depth, mut first) = (1, true);
        for token in &tokens[at + 3..] {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                "," if depth == 1 => {
                    first = true;
                    continue;
                }
                name if first => found.push((name.to_owned(), token.line)),
                _ => {}
            }
            first = false;
        }
    }
    found
}

/// The lines of `super::super`, and, in the file at the root of a module, of every `super` outside of inline modules.
fn supers(tokens: &[Token], is_root_of_module: bool) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut depth, mut inline) = (0_usize, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                if at >= 2 && is(tokens, at - 2, "mod") {
                    inline.push(depth);
                }
            }
            "}" => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
                depth = depth.saturating_sub(1);
            }
            // `pub(super)` gives a visibility and names nothing.
            "super" if is(tokens, at + 1, "::") => {
                let twice = is(tokens, at + 2, "super");
                if twice || (is_root_of_module && inline.is_empty()) {
                    found.push(token.line);
                }
            }
            _ => {}
        }
    }
    found
}

/// The Rust files of the library with their paths below `src/`, without `lib.rs` and without files of tests.
fn sources() -> Vec<(String, String)> {
    let files = files();
    let inside = files.iter().filter_map(|file| Some((file.strip_prefix(SOURCES)?, file.as_str())));
    let all: Vec<(String, String)> = inside
        .filter(|(path, _)| path.ends_with(".rs") && *path != "lib.rs" && module_of(path) != DOOR)
        .map(|(path, file)| (path.to_owned(), read(file)))
        .collect();
    let mut of_tests = BTreeSet::new();
    for (path, source) in &all {
        let folder = path.strip_suffix("mod.rs").map(str::to_owned);
        let folder = folder.unwrap_or_else(|| format!("{}/", path.trim_end_matches(".rs")));
        for name in without_tests(tokens(source)).1 {
            of_tests.insert(format!("{folder}{name}.rs"));
            of_tests.insert(format!("{folder}{name}/mod.rs"));
        }
    }
    all.into_iter().filter(|(path, _)| !of_tests.contains(path)).collect()
}

#[test]
fn every_module_names_only_what_its_row_allows() {
    let sources = sources();
    assert!(sources.len() >= TABLE.len(), "only {} files found below {SOURCES}", sources.len());
    let found: Vec<String> = sources.iter().flat_map(|(path, source)| violations(path, source)).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// The modules that each module names, from its files.
fn named_modules() -> BTreeMap<String, BTreeSet<String>> {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, source) in sources() {
        let (tokens, _) = without_tests(tokens(&source));
        let names = named_in_crate(&tokens).into_iter().map(|(name, _)| name);
        named.entry(module_of(&path).to_owned()).or_default().extend(names);
    }
    named
}

#[test]
fn every_permission_of_the_table_is_used() {
    let named = named_modules();
    let unused: Vec<String> = TABLE
        .iter()
        .flat_map(|(module, may)| may.iter().map(move |name| (module, name)))
        .filter(|(module, name)| !named.get(**module).is_some_and(|names| names.contains(**name)))
        .map(|(module, name)| format!("`{module}` may name `{name}`, and does not"))
        .collect();
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}

/// The parts of the network, and the modules of `model` that each may name.
const PARTS_OF_MODEL: &[(&str, &[&str])] = &[
    ("model/nn/", &["nn"]),
    ("model/vision/", &["nn", "vision"]),
    ("model/projector.rs", &["nn"]),
    ("model/language/", &["nn", "language"]),
    ("model/merge.rs", &["nn"]),
];

/// Names of modules of `model` in a file, with their lines, without those that it may name.
fn names_of_model(source: &str, may: &[&str]) -> Vec<(String, usize)> {
    const MODULES: &[&str] =
        &["backend", "backend_engine", "engine", "inputs", "language", "merge", "network", "nn", "projector", "vision"];
    let (tokens, _) = without_tests(tokens(source));
    let in_path = |at: usize| is(&tokens, at + 1, "::") || at > 0 && is(&tokens, at - 1, "::");
    // `burn::tensor::backend` is Burn's.
    let of_burn = |at: usize| at > 1 && is(&tokens, at - 2, "tensor");
    let is_name = |at: usize| MODULES.contains(&tokens[at].text.as_str()) && in_path(at) && !of_burn(at);
    let names = (0..tokens.len()).filter(|&at| is_name(at));
    let names = names.map(|at| (tokens[at].text.clone(), tokens[at].line));
    names.filter(|(name, _)| !may.contains(&name.as_str())).collect()
}

#[test]
fn the_parts_of_the_network_do_not_know_each_other() {
    for (part, may) in PARTS_OF_MODEL {
        let files: Vec<_> = sources().into_iter().filter(|(path, _)| path.starts_with(part)).collect();
        assert!(!files.is_empty(), "{part} is gone");
        for (path, source) in files {
            let names = names_of_model(&source, may);
            assert!(names.is_empty(), "{path} names {names:?}");
        }
    }
    let source = "use crate::model::nn::Linear;\nuse super::super::language::Decoder;";
    assert_eq!(names_of_model(source, &["nn"]), [("language".to_owned(), 2)]);
}

#[test]
fn table_and_tree_hold_the_same_modules() {
    let in_tree: BTreeSet<String> = sources().iter().map(|(path, _)| module_of(path).to_owned()).collect();
    let in_table: BTreeSet<String> = TABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(in_tree, in_table, "left: modules below {SOURCES}; right: the table in tests/layers.rs");
    let lib = tokens(&read("mimo-vl-core/src/lib.rs"));
    let declared = (1..lib.len()).filter(|&at| is(&lib, at - 1, "mod") && is(&lib, at + 1, ";"));
    let declared: BTreeSet<String> = declared.map(|at| lib[at].text.clone()).filter(|name| name != DOOR).collect();
    assert_eq!(declared, in_table, "left: modules that lib.rs declares; right: the table");
}

#[test]
fn the_table_goes_in_the_order_of_the_data() {
    for (place, (module, may)) in TABLE.iter().enumerate() {
        for name in *may {
            assert!(
                TABLE[..place].iter().any(|(above, _)| above == name),
                "`{module}` names `{name}`, which is not above it"
            );
        }
    }
}

#[test]
fn each_kind_of_violation_is_caught() {
    let cases: &[(&str, &str, &str)] = &[
        ("model/vision/block.rs", "use crate::prompt::Message;", "may not name `prompt`"),
        ("model/vision/block.rs", "fn f() { crate::session::ask() }", "may not name `session`"),
        ("kernels/linear.rs", "use crate::{error::Result, model::{self, x}, quant::Bits};", "may not name `model`"),
        ("kernels/linear.rs", "use crate::{kernels::{a, b}, Error};", "`crate::Error` is no module"),
        ("kernels/linear.rs", "use crate::Error;", "`crate::Error` is no module"),
        ("kernels/linear.rs", "use crate::*;", "`crate::*` is no module"),
        ("kernels/linear.rs", "use super::super::error;", "climbs too far"),
        ("draw.rs", "use super::answer::f;", "climbs too far"),
        ("media/mod.rs", "use super::config::f;", "climbs too far"),
        ("checkpoint/files.rs", "use burn_flex::Flex;", "`burn_flex` is a backend"),
        ("session/mod.rs", "fn f() -> Model<Cuda> { }", "`Cuda` is a backend"),
        ("model/network.rs", "fn f() -> Model<NdArray> { }", "`NdArray` is a backend"),
        ("prompt/mod.rs", "use burn::tensor::Tensor;", "never touches a tensor"),
        ("prompt/mod.rs", "let x = std::fs::read(path);", "open files"),
        ("draw.rs", "let x = File::open(path);", "open files"),
        ("error.rs", "use crate::cancel::CancelToken;", "may not name `cancel`"),
        ("draw.rs", "use mimo_vl_core::error;", "the crate names itself"),
        ("draw.rs", "use crate::expert::Kernels;", "`crate::expert` is no module"),
        ("helper.rs", "", "missing from the table"),
    ];
    for (path, source, expected) in cases {
        let found = violations(path, source);
        assert!(found.iter().any(|line| line.contains(expected)), "{path}: {source}: {found:?}");
    }
}

#[test]
fn what_the_rules_allow_is_not_reported() {
    let cases: &[(&str, &str)] = &[
        (
            "model/vision/block.rs",
            "use crate::{error::Result, kernels::{Kernels, Mask}, cancel::CancelToken};\nuse super::windows;",
        ),
        ("media/mod.rs", "// crate::session\n/* crate::model */ fn f() { g(\"crate::session\", 'c'); }"),
        ("media/mod.rs", "pub(super) fn f() {} pub(crate) fn g() {} mod inner { use super::f; }"),
        ("media/mod.rs", "#[cfg(test)] mod tests { use crate::session::Session; use super::*; }"),
        ("session/mod.rs", "fn f() { match d { Device::Cuda(n) => crate::session::x(n) } }"),
        ("kernels/backends.rs", "impl Kernels for burn_flex::Flex {}"),
        ("checkpoint/files.rs", "let file = std::fs::File::open(path)?;"),
    ];
    for (path, source) in cases {
        let found = violations(path, source);
        assert!(found.is_empty(), "{path}: {source}: {found:?}");
    }
}
