//! Every generation option of the core exists in C and in Python, with the type and the default of the core's table.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use mimo_vl_core::expert::{GENERATION_OPTIONS, OptionKind, OptionSpec};
use mimo_vl_core::{Error, GenerateOptions};
use mimo_vl_tests::fixtures::source::{files, read};

const SETTERS: &str = "mimo_vl_generate_options_";

/// C setters of the grammar besides `set_grammar`.
const GRAMMAR_SETTERS: &[&str] = &["set_task"];

/// C setters that the options of every long call have, besides `set_timeout`.
const CALL_SETTERS: &[&str] = &["set_cancel", "set_progress"];

/// Python options that set the grammar.
const GRAMMAR_KEYS: &[&str] = &["schema", "regex", "lark", "choices", "response_format"];

/// Name and parameters of the C setter, without the handle and the error.
fn c_setter(option: &OptionSpec) -> (String, &'static str) {
    let name = option.name;
    match option.kind {
        OptionKind::Count | OptionKind::OptionalCount => (format!("set_{name}"), "size_t"),
        OptionKind::Number => (format!("set_{name}"), "float"),
        OptionKind::Seed => (format!("set_{name}"), "uint64_t"),
        OptionKind::Switch => (format!("set_{name}"), "bool"),
        OptionKind::Duration => (format!("set_{name}"), "double"),
        OptionKind::Texts => (format!("add_{name}"), "const char *, size_t"),
        OptionKind::TokenBiases => (format!("add_{name}"), "uint32_t, float"),
        OptionKind::Grammar => (format!("set_{name}"), "int32_t, const char *, size_t"),
    }
}

fn python_type(kind: OptionKind) -> &'static str {
    match kind {
        OptionKind::Count | OptionKind::OptionalCount | OptionKind::Seed => "int | None",
        OptionKind::Number | OptionKind::Duration => "float | None",
        OptionKind::Switch => "bool | None",
        OptionKind::Texts => "str | Sequence[str] | None",
        OptionKind::TokenBiases => "dict[int, float] | None",
        OptionKind::Grammar => unreachable!("the grammar has keys of its own"),
    }
}

/// The default as C's documentation has it; none for those that are described in words.
fn c_default(option: &OptionSpec) -> Option<&'static str> {
    match option.kind {
        OptionKind::Count | OptionKind::Number | OptionKind::Seed | OptionKind::Switch => {
            Some(option.default.trim_end_matches(".0"))
        }
        _ => None,
    }
}

/// Documentation and parameter types of each setter in the header, by the name behind [`SETTERS`].
fn setters(header: &str) -> Vec<(String, String, String)> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for (at, _) in header.match_indices(&format!("mimo_vl_status {SETTERS}")) {
        let declaration = &header[at..at + header[at..].find(';').unwrap()];
        let (name, parameters) = declaration.split_once('(').unwrap();
        let name = name.rsplit_once(SETTERS).unwrap().1;
        let parameters = words(parameters.trim_end_matches(')'));
        let types = parameters.split(", ").map(|parameter| {
            let name = parameter.rfind([' ', '*']).unwrap();
            parameter[..=name].trim()
        });
        let types: Vec<&str> = types.collect();
        assert_eq!(types[0], "struct mimo_vl_generate_options *", "{name}");
        assert_eq!(*types.last().unwrap(), "struct mimo_vl_error **", "{name}");
        let doc = header[..at].rsplit_once("/**").unwrap().1.replace("\n *", " ");
        found.push((name.to_owned(), types[1..types.len() - 1].join(", "), words(&doc)));
    }
    found
}

#[test]
fn every_option_has_a_c_setter_of_its_type_with_its_range_and_default() {
    let setters = setters(&read("include/mimo_vl.h"));
    for option in GENERATION_OPTIONS {
        let (name, parameters) = c_setter(option);
        let setter = setters.iter().find(|(found, _, _)| *found == name);
        let (_, found, doc) = setter.unwrap_or_else(|| panic!("{SETTERS}{name} is missing"));
        assert_eq!(found, parameters, "parameters of {name}");
        if option.range != "any" {
            assert!(doc.contains(option.range), "{name}: the range \"{}\" is not in: {doc}", option.range);
        }
        match c_default(option) {
            Some(default) => {
                let default = format!("default {default}.");
                assert!(doc.contains(&default), "{name}: \"{default}\" is not in: {doc}");
            }
            None => assert!(doc.contains("efault"), "{name}: no default in: {doc}"),
        }
    }
    let known: BTreeSet<String> = GENERATION_OPTIONS.iter().map(|option| c_setter(option).0).collect();
    for (name, _, _) in &setters {
        assert!(
            known.contains(name) || GRAMMAR_SETTERS.contains(&&**name) || CALL_SETTERS.contains(&&**name),
            "{SETTERS}{name} sets no option of the core"
        );
    }
}

#[test]
fn the_options_of_every_long_call_have_a_token_a_time_limit_and_progress() {
    let (header, classes) = (read("include/mimo_vl.h"), read("include/mimo_vl.hpp"));
    for (options, class) in
        [("load", "LoadOptions"), ("generate", "GenerateOptions"), ("video", "VideoOptions"), ("pdf", "PdfOptions")]
    {
        for setter in ["set_timeout"].iter().chain(CALL_SETTERS) {
            let name = format!("mimo_vl_{options}_options_{setter}(");
            assert!(header.contains(&name), "{name} is missing");
        }
        // In C++ the base class has the methods.
        let base = format!("class {class}\n    : public detail::CallOptions<{class},");
        assert!(classes.contains(&base), "{class} is no CallOptions");
    }
    for method in ["cancel", "timeout", "on_progress"] {
        assert!(classes.contains(&format!("Self &{method}(")), "{method} is missing");
    }
}

#[test]
fn every_option_has_a_method_in_cpp() {
    let header = read("include/mimo_vl.hpp");
    let class = header.split_once("class GenerateOptions\n").unwrap().1.split_once("\n};").unwrap().0;
    let inherited = header.split_once("class CallOptions :").unwrap().1.split_once("\n};").unwrap().0;
    for option in GENERATION_OPTIONS {
        let own = class.contains(&format!("GenerateOptions &{}(", option.name));
        assert!(own || inherited.contains(&format!("Self &{}(", option.name)), "{} is missing", option.name);
    }
}

/// Keys and types of a `TypedDict` in the stub file.
fn typed_dict<'a>(stubs: &'a str, class: &str) -> Vec<(&'a str, &'a str)> {
    let body = stubs.split_once(&format!("class {class}(")).unwrap().1.split_once('\n').unwrap().1;
    let lines = body.lines().take_while(|line| line.starts_with("    "));
    lines.map(|line| line.trim().split_once(": ").unwrap()).collect()
}

#[test]
fn every_option_is_a_python_keyword_of_its_type() {
    let stubs = read("mimo-vl-py/python/mimo_vl/_native.pyi");
    let base = stubs.split_once("class _Options(").unwrap().1.split_once([',', ')']).unwrap().0;
    let keys = [typed_dict(&stubs, base), typed_dict(&stubs, "_Options")].concat();
    for option in GENERATION_OPTIONS.iter().filter(|option| option.kind != OptionKind::Grammar) {
        let key = keys.iter().find(|(key, _)| *key == option.name);
        let (_, found) = key.unwrap_or_else(|| panic!("_Options lacks {}", option.name));
        assert_eq!(*found, python_type(option.kind), "{}", option.name);
    }
    for (key, _) in &keys {
        let known = GENERATION_OPTIONS.iter().any(|option| option.name == *key) || GRAMMAR_KEYS.contains(key);
        assert!(known, "{key} of _Options is no option of the core");
    }
    for key in GRAMMAR_KEYS {
        assert!(keys.iter().any(|(found, _)| found == key), "_Options lacks {key}");
    }
}

#[test]
fn the_python_parser_knows_every_option() {
    let sources = files().into_iter().filter(|file| file.starts_with("mimo-vl-py/src/") && file.ends_with(".rs"));
    let parsers: Vec<String> =
        sources.map(|file| read(&file)).filter(|source| source.contains("\"max_tokens\" =>")).collect();
    let [parser] = &parsers[..] else { panic!("{} files parse the options", parsers.len()) };
    let defaults = ["= GenerateOptions::new()", "= GenerateOptions::default()"];
    assert!(defaults.iter().any(|start| parser.contains(start)), "the parser does not start from the core's defaults");
    let names = GENERATION_OPTIONS.iter().filter(|option| option.kind != OptionKind::Grammar);
    for name in names.map(|option| option.name).chain(GRAMMAR_KEYS.iter().copied()) {
        let arm = parser.contains(&format!("\"{name}\" =>")) || parser.contains(&format!("\"{name}\" |"));
        assert!(arm, "the parser does not know {name}");
    }
}

#[test]
fn the_table_has_each_option_once_and_its_defaults_are_valid() {
    let names: BTreeSet<&str> = GENERATION_OPTIONS.iter().map(|option| option.name).collect();
    assert_eq!(names.len(), GENERATION_OPTIONS.len());
    GenerateOptions::default().validate().unwrap();
    let text = format!("{:?}", GenerateOptions::default());
    for option in GENERATION_OPTIONS {
        let default = option.default.replace("Vec::new()", "[]");
        assert!(text.contains(&format!("{}: {default}", option.name)), "{} = {default}: {text}", option.name);
    }
}

/// Values at the ends of a range in words: those inside and those outside.
fn ends(range: &str) -> (Vec<f64>, Vec<f64>) {
    let mut clauses = range.split("; ");
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for bound in clauses.next().unwrap().split(", ") {
        let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{text:?} in {range:?}"));
        if let Some(least) = bound.strip_prefix("at least ") {
            inside.push(number(least));
            outside.push(number(least) - 1.0);
        } else if let Some(most) = bound.strip_prefix("at most ") {
            inside.push(number(most));
            outside.push(number(most) + 1.0);
        } else if let Some(excluded) = bound.strip_prefix("above ") {
            inside.push(number(excluded) + 0.5);
            outside.push(number(excluded));
        } else {
            let (first, last) = bound.split_once(" to ").unwrap_or_else(|| panic!("{bound:?} in {range:?}"));
            inside.extend([number(first), number(last)]);
            outside.extend([number(first) - 1.0, number(last) + 1.0]);
        }
    }
    inside.extend(clauses.map(|off| off.split_once(" is ").unwrap().0.parse::<f64>().unwrap()));
    (inside, outside)
}

/// The default options with one number changed.
fn with_number(name: &str, value: f64) -> GenerateOptions {
    let options = GenerateOptions::new();
    let count = value as usize;
    match name {
        "max_tokens" => options.max_tokens(count),
        "max_context" => options.max_context(count),
        "repetition_penalty" => options.repetition_penalty(value as f32),
        "frequency_penalty" => options.frequency_penalty(value as f32),
        "presence_penalty" => options.presence_penalty(value as f32),
        "temperature" => options.temperature(value as f32),
        "top_k" => options.top_k(count),
        "top_p" => options.top_p(value as f32),
        "min_p" => options.min_p(value as f32),
        "typical_p" => options.typical_p(value as f32),
        "num_draft_tokens" => options.num_draft_tokens(count),
        "loop_window" => options.loop_window(count),
        "logprobs" => options.logprobs(count),
        "best_of" => options.best_of(count),
        "thinking_budget" => options.thinking_budget(count),
        _ => panic!("{name} has no case here"),
    }
}

#[test]
fn the_ranges_of_the_table_are_those_that_validation_accepts() {
    use OptionKind::{Count, Number, OptionalCount};
    for option in GENERATION_OPTIONS.iter().filter(|option| matches!(option.kind, Count | Number | OptionalCount)) {
        let (inside, outside) = ends(option.range);
        // A count cannot be below 0.
        let possible = |value: &f64| option.kind == Number || *value >= 0.0;
        for value in inside.into_iter().filter(possible) {
            with_number(option.name, value).validate().unwrap_or_else(|error| panic!("{value}: {error}"));
        }
        for value in outside.into_iter().filter(possible) {
            match with_number(option.name, value).validate() {
                Err(Error::Option { option: named, .. }) => assert_eq!(named, option.name),
                other => panic!("{} {value}: {other:?}", option.name),
            }
        }
    }
}
