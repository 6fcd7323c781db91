//! libmimo_vl from C and C++: clients of every function under strict warnings and the sanitizers, `examples/c/ask.c`,
//! and the exported symbols.
#![allow(clippy::unwrap_used)]

use std::env::{consts, current_exe, var_os};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mimo_vl_core::{GenerateOptions, Image, LoadOptions, Model, Prompt, Thinking};
use mimo_vl_tests::fixtures::source::{read, root};

const STRICT: &[&str] = &["-Wall", "-Wextra", "-Werror", "-pedantic", "-g"];
const SANITIZED: &[&str] = &["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// System libraries that a program with libmimo_vl.a needs.
const STATIC_LIBRARIES: &[&str] = &["-lpthread", "-ldl", "-lm", "-lgcc_s", "-lrt", "-lutil"];

fn checkpoint() -> PathBuf {
    root().join("tests/data/tiny")
}

fn image() -> PathBuf {
    root().join("tests/data/tiny/cases/two-images-turns/a.png")
}

/// The folder of the libraries: cargo puts those that a test depends on beside the test.
fn libraries() -> PathBuf {
    let folder = current_exe().unwrap().parent().unwrap().to_path_buf();
    let library = folder.join(shared_library());
    assert!(library.is_file(), "{} is missing: cargo should have built it for this test", library.display());
    folder
}

fn shared_library() -> String {
    format!("{}mimo_vl{}", consts::DLL_PREFIX, consts::DLL_SUFFIX)
}

/// Runs a tool of the system. Panics with advice if it is missing.
fn run(tool: &str, command: &mut Command) -> Output {
    // Cargo's search path may have a library of an earlier build, which would take precedence over the linked one.
    match command.env_remove("LD_LIBRARY_PATH").output() {
        Ok(output) => output,
        Err(error) => panic!("{tool} cannot be run ({error}): install a C compiler, as gcc or clang, with its tools"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Compiles and links one source file; warnings are errors.
fn compile(language: &str, source: &Path, program: &Path, options: &[&str], link: &[OsString]) {
    let (default, variable) = if language.starts_with("c++") { ("c++", "CXX") } else { ("cc", "CC") };
    let compiler = var_os(variable).unwrap_or_else(|| default.into());
    let mut command = Command::new(&compiler);
    command.arg(format!("-std={language}")).args(STRICT).args(options).arg("-I").arg(root().join("include"));
    let output = run(&compiler.to_string_lossy(), command.arg(source).arg("-o").arg(program).args(link));
    assert!(output.status.success(), "{command:?}\n{}", text(&output.stderr));
}

fn link_shared() -> Vec<OsString> {
    let folder = libraries();
    let mut path = OsString::from("-Wl,-rpath,");
    path.push(&folder);
    vec!["-L".into(), folder.into(), "-lmimo_vl".into(), path, "-lpthread".into(), "-lm".into()]
}

fn link_static() -> Vec<OsString> {
    let library = libraries().join("libmimo_vl.a");
    assert!(library.is_file(), "{} is missing: cargo should have built it for this test", library.display());
    std::iter::once(library.into()).chain(STATIC_LIBRARIES.iter().map(OsString::from)).collect()
}

/// The answer of the core to the clients' prompt.
fn expected_answer() -> String {
    let model = Model::load(checkpoint(), &LoadOptions::new()).unwrap();
    let image = Image::open(image()).unwrap();
    let prompt = Prompt::user().image(image).text("What is in the picture?").thinking(Thinking::Off);
    model.session().ask(&prompt, &GenerateOptions::new().max_tokens(12)).unwrap().text
}

/// A checkpoint whose config has one layer more than its weights.
fn broken_checkpoint() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(checkpoint()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let layers = config["num_hidden_layers"].as_u64().unwrap() + 1;
    config["num_hidden_layers"] = layers.into();
    config["max_window_layers"] = layers.into();
    std::fs::write(&path, config.to_string()).unwrap();
    folder
}

/// Builds and runs all clients; each exits with status 0 if every function behaves as documented.
fn run_clients(options: &[&str], link: &[OsString]) {
    let folder = tempfile::tempdir().unwrap();
    let (answer, broken) = (expected_answer() + "\n", broken_checkpoint());
    let clients = [
        ("c11", "c/client.c", answer.as_str()),
        ("c11", "c/errors.c", ""),
        ("c11", "c/documents.c", ""),
        ("c11", "c/grounding.c", ""),
        ("c11", "c/sessions.c", ""),
        ("c11", "c/endurance.c", ""),
        ("c++17", "cpp/client.cpp", answer.as_str()),
    ];
    for (language, name, expected) in clients {
        let program = folder.path().join(name.replace('/', "-"));
        compile(language, &root().join("tests").join(name), &program, options, link);
        let mut command = Command::new(&program);
        command.arg(checkpoint()).arg(image()).arg(broken.path()).env("HF_HUB_OFFLINE", "1");
        if cfg!(feature = "hub") {
            command.arg("hub");
        }
        let output = run(name, &mut command);
        assert!(output.status.success(), "{name}: {}: {}", output.status, text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        assert_eq!(text(&output.stdout), expected);
    }
}

#[test]
fn clients_pass_with_the_shared_library() {
    run_clients(&["-O2"], &link_shared());
}

#[test]
fn clients_pass_under_the_sanitizers() {
    run_clients(SANITIZED, &link_shared());
}

#[test]
fn clients_pass_with_the_static_library_under_the_sanitizers() {
    run_clients(SANITIZED, &link_static());
}

#[test]
fn the_header_compiles_as_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("version.cpp");
    let body = "#include \"mimo_vl.h\"\nint main() { return mimo_vl_abi_version() == MIMO_VL_ABI_VERSION ? 0 : 1; }\n";
    std::fs::write(&source, body).unwrap();
    let program = folder.path().join("version");
    compile("c++17", &source, &program, &[], &link_shared());
    assert!(run("version", &mut Command::new(&program)).status.success());
}

#[test]
fn ask_in_c_answers_as_the_core_and_fails_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ask");
    compile("c11", &root().join("examples/c/ask.c"), &program, SANITIZED, &link_shared());
    let model = checkpoint();
    let model = model.to_str().unwrap();
    let image = image();
    let image = image.to_str().unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(root());
        command
    };

    let prompt = "What is in the picture?";
    let answered = run("ask", &mut command(&[image, prompt, "--model", model, "--no-think", "--max-tokens", "12"]));
    assert!(answered.status.success(), "{}", text(&answered.stderr));
    assert_eq!(text(&answered.stdout), expected_answer() + "\n");

    let wrong: [(&[&str], i32, &str); 6] = [
        (&["no/such.png", prompt, "--model", model], 1, "no/such.png"),
        (&["tests/c/client.c", prompt, "--model", model], 1, "tests/c/client.c"),
        (&[image, prompt, "--model", "no/such/folder"], 1, "no/such/folder"),
        (&[image, prompt, "--model", model, "--device", "abacus"], 1, "abacus"),
        (&[image, prompt, "--model", model, "--max-tokens", "-3"], 2, "--max-tokens"),
        (&[], 2, "usage"),
    ];
    for (arguments, status, word) in wrong {
        // The program exits at its first error and leaves its memory to the system.
        let output = run("ask", command(arguments).env("ASAN_OPTIONS", "detect_leaks=0"));
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {stderr}");
        assert!(stderr.contains(word) && (status == 2 || stderr.lines().count() == 1), "{arguments:?}: {stderr}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn the_library_exports_the_functions_of_the_header_only() {
    let output = run("nm", Command::new("nm").args(["-D", "--defined-only"]).arg(libraries().join(shared_library())));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let listing = text(&output.stdout);
    let symbols: Vec<&str> = listing.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let foreign: Vec<_> = symbols.iter().filter(|name| !name.starts_with("mimo_vl_")).collect();
    assert!(foreign.is_empty(), "exported, and not of the interface: {foreign:?}");
    let header = read("include/mimo_vl.h");
    for symbol in &symbols {
        assert!(header.contains(&format!("{symbol}(")), "{symbol} is exported, but not in the header");
    }
    assert!(symbols.len() > 40, "only {symbols:?} are exported");
}
