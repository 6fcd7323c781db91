//! Keeps what a dependency exports for C out of the shared library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Dependencies are archives to the linker; this package's own functions are not.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    }
}
