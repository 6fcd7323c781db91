//! The language of the code: line lengths, how documentation opens, and words that public names do not use.

use mimo_vl_tests::fixtures::source::{Token, files, is, read, tokens, without_tests};

/// Largest number of columns of a line.
const COLUMNS: usize = 120;

/// Words that documentation does not open with: it opens with a noun or a verb.
const RIDDLES: &[&str] = &["What", "How", "Whether", "Where", "Of"];

/// Words that public names do not use, each with the word to use.
const BANNED: &[(&str, &str)] = &[
    ("answered", "done, completed"),
    ("asked", "requested"),
    ("begun", "prefilled, answer_prefix"),
    ("closer", "zoom_crop"),
    ("fewest", "min"),
    ("glance", "poll_interval"),
    ("held", "cached"),
    ("kept", "cached, committed"),
    ("medium", "media item"),
    ("most", "max"),
    ("packed", "quantized"),
    ("picture", "image"),
    ("pictures", "images"),
    ("place", "geometry, entry, position"),
    ("places", "geometry, entries, positions"),
    ("question", "prompt"),
    ("questions", "prompts"),
    ("rounded", "quantized"),
    ("said", "content, text"),
    ("told", "reported"),
    ("turn", "message, apply"),
    ("turns", "messages"),
    ("watch", "control"),
    ("watched", "with progress"),
    ("whole", "dense, full, reference"),
];

/// Source files of all languages, without the scripts that made the expected values in tests/data.
fn sources() -> impl Iterator<Item = String> {
    let kinds = [".rs", ".py", ".pyi", ".c", ".h", ".hpp", ".cpp"];
    let files = files().into_iter().filter(|file| !file.starts_with("tests/data/"));
    files.filter(move |file| kinds.iter().any(|kind| file.ends_with(kind)))
}

/// The words of a name in snake, camel or capital case, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split('_') {
        let mut word = String::new();
        let letters: Vec<char> = part.chars().collect();
        for (at, letter) in letters.iter().enumerate() {
            let starts =
                letter.is_uppercase() && letters.get(at.wrapping_sub(1)).is_some_and(|before| before.is_lowercase());
            if starts {
                words.push(std::mem::take(&mut word));
            }
            word.extend(letter.to_lowercase());
        }
        words.push(word);
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The public names of a Rust file with their lines: items, fields and parameters of public functions.
fn public_names(tokens: &[Token]) -> Vec<(&str, usize)> {
    const ITEMS: [&str; 8] = ["fn", "struct", "enum", "trait", "const", "static", "type", "mod"];
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|&at| is(tokens, at, "pub") && !is(tokens, at + 1, "(")) {
        let skipped = ["const", "unsafe", "async", "extern", "\"\""];
        let mut item = at + 1;
        while skipped.iter().any(|word| is(tokens, item, word)) && !is(tokens, item + 1, ":") {
            if is(tokens, item, "const") && !is(tokens, item + 1, "fn") {
                break;
            }
            item += 1;
        }
        let name = if ITEMS.iter().any(|word| is(tokens, item, word)) { item + 1 } else { item };
        let is_field = name == item && is(tokens, item + 1, ":");
        if name == item && !is_field {
            continue;
        }
        found.push((tokens[name].text.as_str(), tokens[name].line));
        if is(tokens, item, "fn") {
            let end = (name..tokens.len()).find(|&at| is(tokens, at, "{") || is(tokens, at, ";")).unwrap_or(name);
            let parameters = (name + 1..end).filter(|&at| {
                is(tokens, at + 1, ":")
                    && (is(tokens, at - 1, "(") || is(tokens, at - 1, ",") || is(tokens, at - 1, "mut"))
            });
            found.extend(parameters.map(|at| (tokens[at].text.as_str(), tokens[at].line)));
        }
    }
    found.extend(members_of_public_items(tokens));
    found
}

/// The variants of public enums and the functions of public traits, with their lines.
fn members_of_public_items(tokens: &[Token]) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for at in (2..tokens.len()).filter(|&at| is(tokens, at - 2, "pub")) {
        let is_enum = is(tokens, at - 1, "enum");
        if !is_enum && !is(tokens, at - 1, "trait") {
            continue;
        }
        let mut depth = 0_usize;
        let start = (at..tokens.len()).find(|&at| is(tokens, at, "{")).unwrap_or(tokens.len());
        for at in start..tokens.len() {
            match tokens[at].text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                // After an attribute, a variant has no comma before it.
                name if depth == 1 => {
                    let is_variant = is_enum && ["{", ",", "]"].iter().any(|before| is(tokens, at - 1, before));
                    let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic());
                    if is_name && (is_variant || !is_enum && is(tokens, at - 1, "fn")) {
                        found.push((name, tokens[at].line));
                    }
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// The banned words of a name, with those to use.
fn banned(name: &str) -> Vec<&'static (&'static str, &'static str)> {
    let words = words(name);
    BANNED.iter().filter(|(word, _)| words.iter().any(|other| other == word)).collect()
}

/// The first lines of the blocks of documentation, with their numbers from 1 on.
fn openings(source: &str) -> Vec<(usize, &str)> {
    let doc = |line: &'_ str| -> bool { line.starts_with("///") || line.starts_with("//!") || line.starts_with("/**") };
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let starts = (0..lines.len()).filter(|&at| doc(lines[at]) && !(at > 0 && doc(lines[at - 1])));
    let text = |at: usize| lines.get(at).map_or("", |line| line.trim_start_matches(['/', '!', '*']).trim_start());
    // The first line of a block comment may have no text.
    starts.map(|at| if text(at).is_empty() { at + 1 } else { at }).map(|at| (at + 1, text(at))).collect()
}

fn opens_with_a_riddle(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    RIDDLES.contains(&first)
}

#[test]
fn lines_fit_the_screen() {
    let mut found = Vec::new();
    for file in sources() {
        let text = read(&file);
        let long = text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS);
        found.extend(long.map(|(index, _)| format!("{file}:{}", index + 1)));
    }
    assert!(found.is_empty(), "lines above {COLUMNS} columns:\n{}", found.join("\n"));
}

#[test]
fn documentation_opens_with_a_noun_or_a_verb() {
    let mut found = Vec::new();
    for file in sources() {
        let text = read(&file);
        let riddles = openings(&text).into_iter().filter(|(_, line)| opens_with_a_riddle(line));
        found.extend(riddles.map(|(number, line)| format!("{file}:{number}: {line}")));
        if file.ends_with(".py") {
            let docs = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim_start()));
            let docs = docs.filter_map(|(number, line)| Some((number, line.strip_prefix("\"\"\"")?)));
            found.extend(
                docs.filter(|(_, line)| opens_with_a_riddle(line))
                    .map(|(number, line)| format!("{file}:{number}: {line}")),
            );
        }
    }
    assert!(found.is_empty(), "documentation that opens with {RIDDLES:?}:\n{}", found.join("\n"));
}

#[test]
fn public_names_use_the_words_of_the_field() {
    let mut found = Vec::new();
    for file in files().into_iter().filter(|file| file.ends_with(".rs") && file.starts_with("mimo-vl-")) {
        let (tokens, _) = without_tests(tokens(&read(&file)));
        for (name, line) in public_names(&tokens) {
            found.extend(
                banned(name).iter().map(|(word, instead)| format!("{file}:{line}: {name}: not {word}, but {instead}")),
            );
        }
    }
    for (number, line) in read("mimo-vl-py/python/mimo_vl/_native.pyi").lines().enumerate() {
        let names = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        for name in names {
            found.extend(
                banned(name)
                    .iter()
                    .map(|(word, instead)| format!("_native.pyi:{}: {name}: not {word}, but {instead}", number + 1)),
            );
        }
    }
    assert!(found.is_empty(), "{} names:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_checks_of_language_catch_what_they_are_for() {
    assert_eq!(words("max_DecodeBatch"), ["max", "decode", "batch"]);
    assert_eq!(words("MOST_TOKENS"), ["most", "tokens"]);
    assert!(!banned("load_watched").is_empty() && banned("almost_done").is_empty());
    let source = "pub fn load_whole(path: &str, mut watch: u8) {} \
                  pub struct A { pub held: u8, kept: u8 } pub(crate) fn told() {}";
    let names: Vec<String> = public_names(&tokens(source)).iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, ["load_whole", "path", "watch", "A", "held"]);
    let source = "pub enum B { #[default] Whole, Held(Vec<u8>), Most { turn: u8 } } pub trait C { fn asked(&self) {} }";
    let names: Vec<String> = public_names(&tokens(source)).iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, ["B", "C", "Whole", "Held", "Most", "asked"]);
    let source = "/**\n * How it is.\n */\nint f(void);";
    assert_eq!(openings(source), [(2, "How it is.")]);
    let source = "/// Where it is.\n/// And more.\nfn f() {}\n    //! Of a file.\n/// Returns it.\nfn g() {}";
    let found: Vec<usize> =
        openings(source).into_iter().filter(|(_, line)| opens_with_a_riddle(line)).map(|(number, _)| number).collect();
    assert_eq!(found, [1, 4]);
}
