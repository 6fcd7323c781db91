//! Reads source files for the tests that check the house rules: which files there are, and Rust text as tokens.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One word or sign of a Rust file. Comments are gone; a string or character literal is the token `""`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// An identifier, a number, `::`, or one character.
    pub text: String,
    /// The line it is on, counted from 1.
    pub line: usize,
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests package lies in the workspace").to_path_buf()
}

/// Every file of the repository, as paths from [`root`] with `/`, sorted: what git tracks or would track, or, outside
/// of a git checkout, everything but build outputs.
pub fn files() -> Vec<String> {
    let listed = git(&["ls-files", "--cached", "--others", "--exclude-standard"]);
    let mut files = listed.unwrap_or_else(|| {
        let mut found = Vec::new();
        walk(&root(), "", &mut found);
        found
    });
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    files
}

/// The files that git tracks, or [`files`] outside of a git checkout.
pub fn tracked() -> Vec<String> {
    git(&["ls-files", "--cached"]).unwrap_or_else(files)
}

/// The text of a file given by its path from [`root`].
pub fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn git(arguments: &[&str]) -> Option<Vec<String>> {
    let output =
        Command::new("git").arg("-C").arg(root()).args(["-c", "core.quotePath=false"]).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success())?;
    let lines: Vec<String> = String::from_utf8(output.stdout).ok()?.lines().map(str::to_owned).collect();
    (!lines.is_empty()).then_some(lines)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_file() {
            found.push(format!("{prefix}{name}"));
        } else if !matches!(name.as_str(), "target" | ".git" | ".venv" | "__pycache__") {
            walk(&path, &format!("{prefix}{name}/"), found);
        }
    }
}

/// The tokens of a Rust file.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: source.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while let Some(first) = lexer.peek(0) {
        lexer.token(first);
    }
    lexer.tokens
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            if self.peek(0) == Some('\n') {
                self.line += 1;
            }
            self.at += 1;
        }
    }

    fn push(&mut self, text: impl Into<String>, line: usize) {
        self.tokens.push(Token { text: text.into(), line });
    }

    fn token(&mut self, first: char) {
        let (line, second) = (self.line, self.peek(1));
        match first {
            '/' if second == Some('/') => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.skip(1);
                }
            }
            '/' if second == Some('*') => self.block_comment(),
            '"' => self.string(0, 0),
            '\'' => self.quote(),
            ':' if second == Some(':') => {
                self.skip(2);
                self.push("::", line);
            }
            c if c.is_alphanumeric() || c == '_' => self.word(),
            c if c.is_whitespace() => self.skip(1),
            c => {
                self.skip(1);
                self.push(c, line);
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('*')) => {
                    depth += 1;
                    self.skip(2);
                }
                ('*', Some('/')) => {
                    depth -= 1;
                    self.skip(2);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.skip(1),
            }
        }
    }

    /// A word, or a literal that starts with one (`b"…"`, `r#"…"#`), or a raw name (`r#type`).
    fn word(&mut self) {
        let line = self.line;
        let mut text = String::new();
        while let Some(c) = self.peek(0).filter(|c| c.is_alphanumeric() || *c == '_') {
            text.push(c);
            self.skip(1);
        }
        let hashes = (0..).take_while(|&ahead| self.peek(ahead) == Some('#')).count();
        match (text.as_str(), self.peek(hashes)) {
            ("r" | "br" | "cr", Some('"')) => self.string(hashes, hashes + 1),
            ("b" | "c", Some('"')) if hashes == 0 => self.string(0, 0),
            ("b", Some('\'')) if hashes == 0 => self.quote(),
            ("r", Some(c)) if hashes == 1 && (c.is_alphabetic() || c == '_') => self.skip(1),
            _ => self.push(text, line),
        }
    }

    /// A string that is at its first `#` or `"`. `raw` is 0, or, where a backslash means nothing, one more than the
    /// number of `#`.
    fn string(&mut self, hashes: usize, raw: usize) {
        let line = self.line;
        self.skip(hashes + 1);
        while let Some(c) = self.peek(0) {
            if c == '\\' && raw == 0 {
                self.skip(2);
            } else if c == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                self.skip(hashes + 1);
                break;
            } else {
                self.skip(1);
            }
        }
        self.push("\"\"", line);
    }

    /// A character literal, or a lifetime, which gives no token.
    fn quote(&mut self) {
        let line = self.line;
        match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                self.skip(3);
                while self.peek(0).is_some_and(|c| c != '\'') {
                    self.skip(1);
                }
                self.skip(1);
                self.push("\"\"", line);
            }
            (Some(_), Some('\'')) => {
                self.skip(3);
                self.push("\"\"", line);
            }
            _ => {
                self.skip(1);
                while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.skip(1);
                }
            }
        }
    }
}

/// The tokens without the items that only a test build has, and the names of the modules among these that lie in
/// files of their own.
pub fn without_tests(tokens: Vec<Token>) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut outside) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let Some(end) = test_attribute(&tokens, at) else {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        };
        let mut item = end;
        while is(&tokens, item, "#") {
            item = closing(&tokens, item + 1);
        }
        let end = item_end(&tokens, item);
        let words: Vec<&str> = tokens[item..end].iter().map(|token| token.text.as_str()).collect();
        if let [.., "mod", name, ";"] = words.as_slice() {
            outside.push((*name).to_owned());
        }
        at = end;
    }
    (kept, outside)
}

/// Whether the token at a place is this one.
pub fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

/// The place behind `#[cfg(test)]`, or a wider condition with `test` in it, if it starts here.
fn test_attribute(tokens: &[Token], at: usize) -> Option<usize> {
    if !(is(tokens, at, "#") && is(tokens, at + 1, "[") && is(tokens, at + 2, "cfg")) {
        return None;
    }
    let end = closing(tokens, at + 1);
    let has = |word: &str| tokens[at..end].iter().any(|token| token.text == word);
    (has("test") && !has("not")).then_some(end)
}

/// The place behind the bracket that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The place behind the item that starts at `start`: behind its `;`, or behind its body.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let is_use = is(tokens, start, "use");
    let mut at = start;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "{" if !is_use => return closing(tokens, at),
            "(" | "[" | "{" => at = closing(tokens, at),
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_hide_their_words() {
        let source = "a // crate::x\n/* b /* nested */ c */ d \"crate::y \\\" e\" f r#\"g \" h\"# b'i' '\\'' 'j' &'k l::m r#type";
        let expected = ["a", "d", "\"\"", "f", "\"\"", "\"\"", "\"\"", "\"\"", "&", "l", "::", "m", "type"];
        assert_eq!(words(source), expected);
        assert_eq!(tokens("a\n\"b\nc\"\nd").last().map(|token| token.line), Some(4));
    }

    #[test]
    fn test_items_are_left_out() {
        let source = "fn a() {} #[cfg(test)] #[path = \"x\"] mod b { fn c() {} } #[cfg(test)] use d::{e}; #[cfg(test)] mod f; \
                      #[cfg(not(test))] fn g() {}";
        let (kept, outside) = without_tests(tokens(source));
        let kept: Vec<&str> = kept.iter().map(|token| token.text.as_str()).filter(|text| text.len() == 1).collect();
        assert!(kept.contains(&"a") && kept.contains(&"g"), "{kept:?}");
        assert!(!["b", "c", "d", "e", "f"].iter().any(|name| kept.contains(name)), "{kept:?}");
        assert_eq!(outside, ["f"]);
    }
}
