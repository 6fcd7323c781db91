//! `include/mimo_vl.h` agrees with the output of cbindgen for `mimo-vl-ffi`. `MIMO_VL_BLESS=1` rewrites it.

use std::fs;

use mimo_vl_tests::fixtures::source::root;

/// The modules with something for C, in the order in which the header has them.
const MODULES: &[&str] = &[
    "abi", "text", "error", "event", "callback", "log", "load", "options", "image", "video", "pdf", "model", "prompt",
    "region", "answer", "stream", "session", "batch", "plan", "action", "screen", "cancel",
];

fn generated() -> String {
    let ffi = root().join("mimo-vl-ffi");
    let config = cbindgen::Config::from_file(ffi.join("cbindgen.toml")).unwrap();
    let builder = MODULES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, module| {
        builder.with_src(ffi.join("src").join(format!("{module}.rs")))
    });
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn the_committed_header_is_up_to_date() {
    let path = root().join("include/mimo_vl.h");
    let generated = generated();
    if std::env::var_os("MIMO_VL_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(generated.lines().count())) + 1;
    assert!(
        committed == generated,
        "include/mimo_vl.h is out of date from line {line} on: run this test with MIMO_VL_BLESS=1"
    );
}

#[test]
fn every_function_of_the_crate_is_in_the_header() {
    let header = generated();
    let sources = fs::read_dir(root().join("mimo-vl-ffi/src")).unwrap();
    let mut count = 0;
    for path in sources.map(|entry| entry.unwrap().path()) {
        let source = fs::read_to_string(&path).unwrap();
        for exported in source.split("#[unsafe(no_mangle)]").skip(1) {
            let name = exported.split_once("extern \"C\" fn ").unwrap().1.split(['(', '<']).next().unwrap();
            assert!(header.contains(&format!("{name}(")), "{name} of {} is missing", path.display());
            count += 1;
        }
    }
    assert!(count > 40, "only {count} functions were found");
}
