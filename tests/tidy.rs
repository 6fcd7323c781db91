//! House rules that no compiler checks: what lies where, how long files are, which of them hold `unsafe`, and that
//! what the documents name exists.

use std::collections::BTreeSet;
use std::path::Path;

use mimo_vl_tests::fixtures::source::{Token, files, is, read, root, tokens, tracked};

/// The entries at the top of the repository, without those whose names start with a dot.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "docs",
    "examples",
    "include",
    "mimo-vl-core",
    "mimo-vl-ffi",
    "mimo-vl-py",
    "tests",
];

/// Lines a source file may have without a reason, and with one.
const LINES: usize = 500;
const CEILING: usize = 800;

/// Files above [`LINES`], each with its reason.
const LONG: &[(&str, &str)] = &[
    ("include/mimo_vl.h", "generated, and the whole C interface by the rule of one header"),
    ("include/mimo_vl.hpp", "the whole C++ interface by the same rule"),
];

/// Every Rust file that holds the keyword `unsafe`, each with its reason.
const UNSAFE: &[(&str, &str)] = &[
    ("benches/src/roofline.rs", "the instruction whose peak is measured"),
    ("mimo-vl-core/src/checkpoint/entry.rs", "maps the weights into memory, so that they are neither read nor copied"),
    ("mimo-vl-core/src/model/backend.rs", "looks for the NVIDIA driver's library before anything calls into it"),
    ("mimo-vl-core/src/kernels/cpu/activations.rs", "compiled for instructions that the processor is known to have"),
    ("mimo-vl-core/src/kernels/cpu/attention.rs", "compiled for instructions that the processor is known to have"),
    ("mimo-vl-core/src/kernels/cpu/avx2.rs", "AVX2 and AVX-VNNI instructions"),
    ("mimo-vl-core/src/kernels/cpu/avx512.rs", "AVX-512 instructions"),
    ("mimo-vl-core/src/kernels/cpu/block.rs", "compiled for instructions that the processor is known to have"),
    ("mimo-vl-core/src/kernels/cpu/codes.rs", "compiled for instructions that the processor is known to have"),
    ("mimo-vl-core/src/kernels/cpu/dense.rs", "compiled for instructions that the processor is known to have"),
    ("mimo-vl-core/src/kernels/cpu/disjoint.rs", "one slice that threads write in parts that do not overlap"),
    ("mimo-vl-core/src/kernels/cpu/exp.rs", "compiled for instructions that the processor is known to have"),
    ("mimo-vl-core/src/kernels/cpu/isa.rs", "what the kernels ask of an instruction set"),
    ("mimo-vl-core/src/kernels/cpu/quantized.rs", "compiled for instructions that the processor is known to have"),
    ("mimo-vl-core/src/kernels/cpu/pool.rs", "lends an operation to the threads for as long as it lasts"),
    ("mimo-vl-core/src/kernels/cpu/portable.rs", "the level that every processor has"),
    ("mimo-vl-core/src/kernels/cpu/quantize.rs", "compiled for instructions that the processor is known to have"),
    ("mimo-vl-core/src/kernels/cpu/rowwise.rs", "compiled for instructions that the processor is known to have"),
    ("mimo-vl-core/src/kernels/cpu/simd_level.rs", "runs kernels at the level that was detected"),
    ("mimo-vl-core/src/kernels/cpu/stored.rs", "compiled for instructions that the processor is known to have"),
    (
        "mimo-vl-core/src/kernels/flex/buffers.rs",
        "memory of results that goes back to others when the tensor is dropped",
    ),
    ("mimo-vl-ffi/src/abi.rs", "version and device names handed to C"),
    ("mimo-vl-ffi/src/action.rs", "reads action and task handles"),
    ("mimo-vl-ffi/src/answer.rs", "reads answers through handles"),
    ("mimo-vl-ffi/src/batch.rs", "reads batch handles, and writes numbers and texts through pointers"),
    ("mimo-vl-ffi/src/boundary.rs", "the panic boundary, which writes results through pointers"),
    ("mimo-vl-ffi/src/call.rs", "reads tokens of the caller and calls its progress callbacks"),
    ("mimo-vl-ffi/src/callback.rs", "carries the caller's data to its callbacks"),
    ("mimo-vl-ffi/src/cancel.rs", "reads cancel handles"),
    ("mimo-vl-ffi/src/error.rs", "writes and frees error objects"),
    ("mimo-vl-ffi/src/image.rs", "reads pixels and paths given as pointers"),
    ("mimo-vl-ffi/src/load.rs", "reads and writes option handles"),
    ("mimo-vl-ffi/src/log.rs", "calls the caller's log"),
    ("mimo-vl-ffi/src/model.rs", "reads model handles"),
    ("mimo-vl-ffi/src/options.rs", "reads and writes option handles"),
    ("mimo-vl-ffi/src/pdf.rs", "reads pages"),
    ("mimo-vl-ffi/src/plan.rs", "reads plan handles"),
    ("mimo-vl-ffi/src/pointer.rs", "turns C pointers into references"),
    ("mimo-vl-ffi/src/prompt.rs", "reads prompt handles and texts given as pointers"),
    ("mimo-vl-ffi/src/region.rs", "reads regions and writes their coordinates"),
    ("mimo-vl-ffi/src/screen.rs", "reads screens and handles, and writes points"),
    ("mimo-vl-ffi/src/session.rs", "reads session handles"),
    ("mimo-vl-ffi/src/stream.rs", "reads stream handles"),
    ("mimo-vl-ffi/src/text.rs", "writes borrowed texts through pointers"),
    ("mimo-vl-ffi/src/unwind.rs", "reads handles and writes numbers through pointers, for functions that cannot fail"),
    ("mimo-vl-ffi/src/video.rs", "reads video handles"),
    ("mimo-vl-py/src/dlpack.rs", "reads tensors of other libraries where they lie"),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "base", "misc"];

/// Macros that mark unfinished work.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

const LANGUAGES: &[&str] = &["rs", "py", "pyi", "c", "h", "cpp", "hpp"];

fn extension(file: &str) -> &str {
    Path::new(file).extension().and_then(|extension| extension.to_str()).unwrap_or("")
}

fn rust_files() -> Vec<(String, Vec<Token>)> {
    let files = files().into_iter().filter(|file| extension(file) == "rs");
    files.map(|file| (file.clone(), tokens(&read(&file)))).collect()
}

fn has_unsafe(tokens: &[Token]) -> bool {
    tokens.iter().any(|token| token.text == "unsafe")
}

/// The lines of `unsafe` blocks and impls that no `SAFETY:` comment precedes.
fn unexplained_unsafe(source: &str) -> Vec<usize> {
    let lines: Vec<&str> = source.lines().collect();
    let tokens = tokens(source);
    let opens = (0..tokens.len())
        .filter(|&at| is(&tokens, at, "unsafe") && (is(&tokens, at + 1, "{") || is(&tokens, at + 1, "impl")));
    let mut found = Vec::new();
    for line in opens.map(|at| tokens[at].line) {
        // The comment stands above the statement, which may start some lines above its block.
        let near = &lines[line.saturating_sub(6)..line];
        let above = lines[..line - 1].iter().rev().skip_while(|line| !line.trim_start().starts_with("//"));
        let comment = above.take_while(|line| line.trim_start().starts_with("//"));
        let is_near = near.iter().any(|line| line.trim_start().starts_with("//"));
        if !(near.iter().any(|line| line.contains("SAFETY:"))
            || is_near && comment.into_iter().any(|line| line.contains("SAFETY:")))
        {
            found.push(line);
        }
    }
    found
}

#[test]
fn top_level_is_the_fixed_list() {
    let entries: BTreeSet<String> =
        tracked().iter().filter_map(|file| file.split('/').next()).map(str::to_owned).collect();
    let visible: Vec<&String> = entries.iter().filter(|entry| !entry.starts_with('.')).collect();
    for entry in &visible {
        assert!(
            TOP.contains(&entry.as_str()),
            "{entry} lies at the top of the repository, which has a fixed list: {TOP:?}"
        );
    }
    for entry in TOP {
        assert!(root().join(entry).exists(), "{entry} is missing at the top of the repository");
    }
}

#[test]
fn source_files_are_short() {
    let mut found = Vec::new();
    for file in files().iter().filter(|file| LANGUAGES.contains(&extension(file))) {
        let lines = read(file).lines().count();
        let excused = LONG.iter().any(|(name, _)| name == file);
        if lines > CEILING && !excused {
            found.push(format!("{file}: {lines} lines; {CEILING} is the ceiling"));
        } else if lines > LINES && !excused {
            found.push(format!("{file}: {lines} lines; above {LINES} it needs a reason in LONG in tests/tidy.rs"));
        } else if lines <= LINES && excused {
            found.push(format!("{file}: {lines} lines; take it off LONG in tests/tidy.rs"));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    for (file, reason) in LONG {
        assert!(root().join(file).is_file() && !reason.is_empty(), "LONG names {file}, which does not exist");
    }
}

#[test]
fn names_say_what_is_inside() {
    for file in files() {
        for part in file.split('/') {
            let stem = part.split('.').next().unwrap_or(part);
            assert!(!EMPTY_NAMES.contains(&stem), "{file}: `{stem}` says nothing about what is inside");
        }
    }
    for (file, tokens) in rust_files() {
        for at in 1..tokens.len() {
            let name = tokens[at].text.as_str();
            let is_module = is(&tokens, at - 1, "mod") && (is(&tokens, at + 1, "{") || is(&tokens, at + 1, ";"));
            assert!(!(is_module && EMPTY_NAMES.contains(&name)), "{file}:{}: module `{name}`", tokens[at].line);
        }
    }
}

#[test]
fn unsafe_is_only_where_it_is_listed() {
    let found: BTreeSet<String> =
        rust_files().into_iter().filter(|(_, tokens)| has_unsafe(tokens)).map(|(file, _)| file).collect();
    let listed: BTreeSet<String> = UNSAFE.iter().map(|(file, _)| (*file).to_owned()).collect();
    let new: Vec<&String> = found.difference(&listed).collect();
    let gone: Vec<&String> = listed.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "UNSAFE in tests/tidy.rs lacks {new:#?}, and has without cause {gone:#?}"
    );
    assert!(UNSAFE.iter().all(|(_, reason)| !reason.is_empty()), "every file on UNSAFE needs a reason");
}

#[test]
fn every_unsafe_block_is_explained() {
    let files = files().into_iter().filter(|file| extension(file) == "rs");
    let found: Vec<String> = files
        .flat_map(|file| unexplained_unsafe(&read(&file)).into_iter().map(move |line| format!("{file}:{line}")))
        .collect();
    assert!(found.is_empty(), "`unsafe` without a SAFETY comment:\n{}", found.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    for (file, tokens) in rust_files() {
        for (at, token) in tokens.iter().enumerate() {
            let unfinished = UNFINISHED.contains(&token.text.as_str()) && is(&tokens, at + 1, "!");
            assert!(!unfinished, "{file}:{}: {}!", token.line, token.text);
        }
    }
}

#[test]
fn the_checks_catch_what_they_are_for() {
    assert!(has_unsafe(&tokens("fn f() { unsafe { g() } }")));
    assert!(has_unsafe(&tokens("#[unsafe(no_mangle)] extern \"C\" fn f() {}")));
    assert!(!has_unsafe(&tokens("#![deny(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";")));
    assert_eq!(unexplained_unsafe("fn f() {\n    unsafe { g() }\n}"), [2]);
    assert_eq!(unexplained_unsafe("// A remark.\nunsafe impl Send for A {}"), [2]);
    assert!(unexplained_unsafe("// SAFETY: g asks for nothing.\nlet x = unsafe { g() };").is_empty());
    let long = format!("// SAFETY: one,\n{}// last.\nlet x =\n    unsafe {{ g() }};", "// more,\n".repeat(8));
    assert!(unexplained_unsafe(&long).is_empty());
}

/// README.md and what lies in docs.
fn documents() -> Vec<(String, String)> {
    let files = files().into_iter().filter(|file| extension(file) == "md");
    let files = files.filter(|file| file == "README.md" || file.starts_with("docs/"));
    files.map(|file| (file.clone(), read(&file))).collect()
}

/// Every program or test that a document tells to run, as (`--bin`, name).
fn named_targets(text: &str) -> Vec<(String, String)> {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || "`\"'(),;|".contains(c)).collect();
    let flags = words.windows(2).filter(|pair| matches!(pair[0], "--bin" | "--test" | "--bench" | "--example"));
    // A name in capitals stands for any name.
    let named = flags.filter(|pair| pair[1].contains(|c: char| c.is_ascii_lowercase()));
    named.map(|pair| (pair[0].to_owned(), pair[1].trim_end_matches('.').to_owned())).collect()
}

/// The programs and tests of the workspace, as (`--bin`, name).
fn workspace_targets() -> BTreeSet<(String, String)> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().unwrap());
    targets
        .map(|target| {
            (format!("--{}", target["kind"][0].as_str().unwrap()), target["name"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn documents_name_programs_that_exist() {
    let targets = workspace_targets();
    let documents = documents();
    for (file, text) in &documents {
        for named in named_targets(text) {
            assert!(targets.contains(&named), "{file} names `{} {}`, which does not exist", named.0, named.1);
        }
    }
    let readme = documents.iter().find(|(file, _)| file == "README.md").map(|(_, text)| named_targets(text));
    assert!(readme.is_some_and(|named| !named.is_empty()), "README.md names no program");
}

#[test]
fn documents_link_to_files_that_exist() {
    for (file, text) in documents() {
        let folder = root().join(&file).parent().unwrap().to_path_buf();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
            let outside = target.is_empty() || target.contains("://");
            assert!(outside || folder.join(target).exists(), "{file} links to {target}, which does not exist");
        }
    }
}

#[test]
fn readme_commands_name_files_that_exist() {
    for word in read("README.md").split_whitespace() {
        let word = word.trim_matches(|c: char| "`\"'(),;:|.".contains(c));
        let is_path = ["examples/", "tests/", "include/", "docs/", "benches/"].iter().any(|top| word.starts_with(top));
        assert!(!is_path || root().join(word).exists(), "README.md names {word}, which does not exist");
    }
}

#[test]
fn ci_runs_what_the_readme_says() {
    assert!(read("README.md").contains("\ntests/run\n"), "README.md tells to run tests/run on a line of its own");
    assert!(read(".ci/run").lines().any(|line| line.trim() == "exec tests/run"), ".ci/run runs tests/run");
}
