//! Every package of the lock file has a licence that `.deny.toml` allows, and none is banned. This is the part of
//! `cargo deny check licenses bans sources` that needs no tool to be installed.

use std::process::Command;

use mimo_vl_tests::fixtures::source::{read, root};
use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// All strings in double quotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The policy in `.deny.toml`: one array per key, one entry per line.
struct Policy {
    licences: Vec<String>,
    /// Pairs of a package and a licence that is allowed for this package only.
    exceptions: Vec<(String, String)>,
    banned: Vec<String>,
}

impl Policy {
    fn parse(text: &str) -> Self {
        let mut policy = Self { licences: Vec::new(), exceptions: Vec::new(), banned: Vec::new() };
        let (mut section, mut key) = (String::new(), String::new());
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some(name) =
                line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).filter(|name| !name.is_empty())
            {
                section = name.to_owned();
            } else if let Some((name, _)) = line.split_once(" = [").filter(|(name, _)| !name.contains('{')) {
                key = name.to_owned();
            } else if let (Some(first), strings) = (quoted(line).first(), quoted(line)) {
                match (section.as_str(), key.as_str()) {
                    ("licenses", "allow") => policy.licences.push(first.clone()),
                    ("licenses", "exceptions") => policy.exceptions.push((first.clone(), strings[1].clone())),
                    ("bans", "deny") => policy.banned.push(first.clone()),
                    _ => {}
                }
            }
        }
        policy
    }

    /// True if the policy allows a package with this licence expression.
    fn accepts(&self, package: &str, expression: &str) -> Result<bool, String> {
        let allowed = |licence: &str| {
            let exception = |(name, of): &(String, String)| name == package && of == licence;
            self.licences.iter().any(|name| name == licence) || self.exceptions.iter().any(exception)
        };
        satisfied(expression, &allowed)
    }
}

/// True if an SPDX expression can be met with licences that are `allowed`. The deprecated form `MIT/Apache-2.0` means
/// OR.
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let value = either(&words, &mut at, allowed)?;
    if at == words.len() { Ok(value) } else { Err(format!("`{expression}`: unexpected {:?}", words[at])) }
}

fn either(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut value = both(words, at, allowed)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        value |= both(words, at, allowed)?;
    }
    Ok(value)
}

fn both(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut value = one(words, at, allowed)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        value &= one(words, at, allowed)?;
    }
    Ok(value)
}

fn one(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let word = *words.get(*at).ok_or("the expression ends too early")?;
    *at += 1;
    if word == "(" {
        let value = either(words, at, allowed)?;
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return if closed { Ok(value) } else { Err("a parenthesis is not closed".to_owned()) };
    }
    if matches!(word, ")" | "AND" | "OR" | "WITH") {
        return Err(format!("{word} in place of a licence"));
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).ok_or("WITH names no exception")?;
        *at += 2;
        return Ok(allowed(&format!("{word} WITH {exception}")));
    }
    Ok(allowed(word))
}

/// All packages of the lock file. Cargo needs the manifests of all platforms for this, and a build downloads those of
/// its own platform only; hence the second attempt with the network.
fn packages() -> Vec<Value> {
    let metadata = |offline: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["metadata", "--locked", "--format-version", "1"]).args(offline).current_dir(root());
        command.output().expect("cargo runs")
    };
    let mut output = metadata(&["--offline"]);
    if !output.status.success() {
        output = metadata(&[]);
    }
    assert!(output.status.success(), "run `cargo fetch --locked` first: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    metadata["packages"].as_array().expect("metadata lists packages").clone()
}

#[test]
fn every_package_has_an_allowed_licence_and_source() {
    let policy = Policy::parse(&read(".deny.toml"));
    assert!(!policy.licences.is_empty() && !policy.banned.is_empty(), ".deny.toml has no policy");
    let packages = packages();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let mut found = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().expect("a package has a name");
        let source = package["source"].as_str();
        match package["license"].as_str() {
            None => found.push(format!("{name}: no licence expression")),
            Some(expression) => match policy.accepts(name, expression) {
                Ok(true) => {}
                Ok(false) => found.push(format!("{name}: {expression} is not allowed")),
                Err(reason) => found.push(format!("{name}: {reason}")),
            },
        }
        if policy.banned.iter().any(|banned| banned == name) {
            found.push(format!("{name} is banned"));
        }
        if source.is_some_and(|source| source != CRATES_IO) {
            found.push(format!("{name} comes from {}", source.unwrap_or_default()));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn licence_expressions_are_parsed() {
    let allowed = |licence: &str| matches!(licence, "MIT" | "Apache-2.0" | "Apache-2.0 WITH LLVM-exception" | "ISC");
    let accepted = [
        "MIT",
        "GPL-3.0 OR MIT",
        "GPL-3.0/MIT",
        "(GPL-3.0 OR MIT) AND ISC",
        "GPL-3.0 OR (MIT AND ISC)",
        "Apache-2.0 WITH LLVM-exception",
    ];
    for expression in accepted {
        assert_eq!(satisfied(expression, &allowed), Ok(true), "{expression}");
    }
    for expression in ["AGPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR MIT AND AGPL-3.0", "MIT WITH LLVM-exception"] {
        assert_eq!(satisfied(expression, &allowed), Ok(false), "{expression}");
    }
    for expression in ["", "MIT OR", "(MIT", "MIT MIT", "OR MIT"] {
        assert!(satisfied(expression, &allowed).is_err(), "{expression}");
    }
}

#[test]
fn the_policy_is_parsed() {
    let text = "[licenses]\n# a comment\nallow = [\n    \"MIT\",\n]\n\
                exceptions = [\n    { crate = \"a\", allow = [\"MPL-2.0\"] },\n]\n\
                [bans]\nmultiple-versions = \"warn\"\ndeny = [\n    { crate = \"b\", reason = \"AGPL\" },\n]\n";
    let policy = Policy::parse(text);
    assert_eq!(policy.licences, ["MIT"]);
    assert_eq!(policy.banned, ["b"]);
    assert_eq!(policy.accepts("a", "MPL-2.0"), Ok(true));
    assert_eq!(policy.accepts("c", "MPL-2.0"), Ok(false));
}
