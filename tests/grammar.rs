//! Constrained answers, with a model that emits random tokens.

use mimo_vl_core::gui::{Action, ActionKind, Task};
use mimo_vl_core::{Answer, Error, GenerateOptions, Grammar, Prompt, StopReason, Thinking};
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, grey_image, without_drafts};

/// Options for almost uniformly random tokens.
fn random_tokens(seed: u64) -> GenerateOptions {
    without_drafts().temperature(30.0).seed(seed)
}

fn value(answer: &Answer) -> serde_json::Value {
    serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {:?}", answer.text))
}

#[test]
fn every_grammar_constrains_random_answers() {
    let scripted = ScriptedModel::new("nonsense");
    let schema = r#"{"type": "object", "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items":
        {"type": "string"}}, "price": {"type": "number", "minimum": 0, "maximum": 1000}, "kind": {"enum":
        ["a", "b"]}}, "required": ["name", "tags", "price", "kind"], "additionalProperties": false}"#;
    for seed in 0..12 {
        // From tight to generous token limits.
        let options = random_tokens(seed).max_tokens(60 + 40 * seed as usize);
        let ask = |grammar| scripted.ask(&options.clone().grammar(grammar));
        let object = ask(Grammar::JsonSchema(schema.to_owned()));
        let json = value(&object);
        assert!(json["name"].is_string() && json["tags"].is_array() && json["price"].is_number(), "{json}");
        assert!(["a", "b"].contains(&json["kind"].as_str().unwrap()) && json.as_object().unwrap().len() == 4);
        let stop = if object.closed_early { StopReason::MaxTokens } else { StopReason::EndOfText };
        assert!(object.complete != object.closed_early && object.stop == stop, "{object:?}");
        let boxes = ask(Grammar::Boxes);
        let json = value(&boxes);
        for item in json.as_array().unwrap() {
            let edges: Vec<u64> = item["bbox_2d"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
            assert!(edges.len() == 4 && edges[0].max(edges[2]) <= 280 && edges[1].max(edges[3]) <= 140, "{json}");
            assert!(!item["label"].as_str().unwrap().is_empty());
        }
        assert_eq!(boxes.regions.len(), json.as_array().unwrap().len());
        let points = ask(Grammar::Points);
        for item in value(&points).as_array().unwrap() {
            let [x, y] = &item["point_2d"].as_array().unwrap()[..] else { panic!("{item}") };
            assert!(x.as_u64().unwrap() <= 280 && y.as_u64().unwrap() <= 140, "{item}");
        }
        let action = ask(Grammar::Action);
        let action = Action::parse(&action.text).unwrap_or_else(|error| panic!("{error}: {}", action.text));
        let clamped = action.map(|[x, y]| [x.clamp(0.0, 280.0), y.clamp(0.0, 140.0)]);
        assert_eq!(clamped, action, "its points are inside the image");
        let task = Task::new("Pay").action_space(&[ActionKind::Wait, ActionKind::LongPress]);
        let action = Action::parse(&ask(task.grammar()).text).unwrap();
        assert!(matches!(action, Action::Wait | Action::LongPress { .. }), "{action:?}");
        let choice = ask(Grammar::Choice(vec!["red".to_owned(), "dark \"blue\"\n".to_owned(), "绿".to_owned()]));
        assert!(["red", "dark \"blue\"\n", "绿"].contains(&choice.text.as_str()), "{:?}", choice.text);
        let plate = ask(Grammar::Regex("[A-Z]{2}-[0-9]{3,4}".to_owned())).text;
        assert!((6..=7).contains(&plate.len()) && plate.as_bytes()[2] == b'-', "{plate}");
        let lark = ask(Grammar::Lark("start: \"x\" NUMBER\nNUMBER: /[0-9]{1,3}/".to_owned())).text;
        assert!(lark.starts_with('x') && lark[1..].parse::<u32>().is_ok(), "{lark}");
    }
}

#[test]
fn an_answer_that_a_limit_closed_early_says_so() {
    let boxes: Vec<String> =
        (1..6).map(|n| format!("{{\"bbox_2d\": [{n}, 10, 20, 30], \"label\": \"shape {n}\"}}")).collect();
    let scripted = ScriptedModel::new(&format!("[{}]", boxes.join(", ")));
    let whole = scripted.ask(&without_drafts().grammar(Grammar::Boxes));
    assert_eq!(
        (whole.regions.len(), whole.complete, whole.closed_early, whole.stop),
        (5, true, false, StopReason::EndOfText)
    );
    // The whole answer fits exactly; with one token less it does not.
    for (max_tokens, closed) in
        [(whole.tokens + 1, false), (whole.tokens - 1, true), (whole.tokens / 2, true), (8, true)]
    {
        let answer = scripted.ask(&without_drafts().max_tokens(max_tokens).grammar(Grammar::Boxes));
        assert_eq!(answer.text != whole.text, closed, "{max_tokens}: {}", answer.text);
        assert!(value(&answer).is_array());
        let stop = if closed { StopReason::MaxTokens } else { StopReason::EndOfText };
        assert_eq!((answer.complete, answer.closed_early, answer.stop), (!closed, closed, stop), "{}", answer.text);
    }
    // Where the grammar cannot be closed in time, the answer is only cut off.
    let answer = scripted.ask(&without_drafts().max_tokens(1).grammar(Grammar::Boxes));
    assert_eq!(
        (answer.complete, answer.closed_early, answer.stop),
        (false, false, StopReason::MaxTokens),
        "{answer:?}"
    );
    for (reply, grammar) in [
        ("\"a text without an end and more of it and more\"", Grammar::JsonSchema(r#"{"type": "string"}"#.into())),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Grammar::Regex("a+".into())),
        ("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", Grammar::Lark("start: \"b\"+".into())),
    ] {
        scripted.set_reply(reply);
        let answer = scripted.ask(&without_drafts().max_tokens(6).grammar(grammar));
        assert_eq!(
            (answer.complete, answer.closed_early, answer.stop),
            (false, true, StopReason::MaxTokens),
            "{answer:?}"
        );
    }
}

#[test]
fn numbers_without_bounds_end() {
    let scripted = ScriptedModel::new("");
    for (schema, reply) in [
        ("integer", "1".repeat(1000)),
        ("integer", format!("-{}", "7".repeat(1000))),
        ("number", format!("0.{}", "3".repeat(1000))),
        ("number", format!("1e{}", "0".repeat(1000))),
    ] {
        scripted.set_reply(&reply);
        let grammar = Grammar::JsonSchema(format!(
            r#"{{"type": "object", "properties": {{"n": {{"type": "{schema}"}}}},
            "required": ["n"], "additionalProperties": false}}"#
        ));
        let answer = scripted.ask(&without_drafts().max_tokens(500).grammar(grammar));
        assert!(value(&answer)["n"].is_number() && answer.text.len() < 60, "{}", answer.text);
    }
    // Strings and other grammars have any number of them.
    for (grammar, reply) in [
        (Grammar::JsonSchema(r#"{"type": "string"}"#.into()), format!("\"{}\"", "5".repeat(40))),
        (Grammar::Regex("[0-9]{40}".into()), "9".repeat(40)),
    ] {
        scripted.set_reply(&reply);
        assert_eq!(scripted.ask(&without_drafts().max_tokens(500).grammar(grammar)).text, reply);
    }
}

#[test]
fn annotations_of_the_standard_are_accepted() {
    let scripted = ScriptedModel::new("[\"red\"]");
    let schema = r#"{"type": "array", "uniqueItems": false, "items": {"type": "string", "format": "color"}}"#;
    assert_eq!(scripted.ask(&without_drafts().grammar(Grammar::JsonSchema(schema.into()))).text, "[\"red\"]");
}

#[test]
fn a_grammar_applies_after_the_thinking() {
    let scripted = ScriptedModel::new("<think>\n\"a\" }\n</think>\n\nI would say {\"a\": 1}");
    let grammar = || Grammar::JsonSchema(r#"{"enum": ["yes", "no"]}"#.to_owned());
    let ask = |thinking, options: GenerateOptions| {
        let prompt = Prompt::user().image(grey_image(28, 28)).text("?").thinking(thinking);
        scripted.session().ask(&prompt, &options.grammar(grammar())).unwrap()
    };
    let thought = ask(Thinking::Auto, without_drafts());
    assert_eq!(thought.thinking.as_deref(), Some("\"a\" }"));
    assert!(["\"yes\"", "\"no\""].contains(&thought.text.as_str()) && thought.complete, "{thought:?}");
    let direct = ask(Thinking::Off, without_drafts());
    assert_eq!(direct.thinking, None);
    assert!(["\"yes\"", "\"no\""].contains(&direct.text.as_str()), "{direct:?}");
    // Thinking is closed in time for an answer within the token limit.
    scripted.set_reply(&format!("<think>\n{}", "and so on ".repeat(200)));
    for max_tokens in [40, 60, 100] {
        let answer = ask(Thinking::On, without_drafts().max_tokens(max_tokens));
        assert!(["\"yes\"", "\"no\""].contains(&answer.text.as_str()) && answer.complete, "{answer:?}");
        assert!(answer.thinking.is_some());
    }
    // An answer follows even if the model would end after its thinking.
    scripted.set_reply("<think>\nhm");
    let answer = ask(Thinking::On, without_drafts());
    assert_eq!(answer.thinking.as_deref(), Some("hm"));
    let with_logprobs = ask(Thinking::On, without_drafts().logprobs(0));
    assert_eq!(with_logprobs.ids, answer.ids);
    let ends = scripted.model.tokenizer().encode("\n</think>\n\n").unwrap();
    let at = with_logprobs.ids.windows(ends.len()).position(|ids| ids == ends).unwrap();
    assert!(
        with_logprobs.logprobs[at].logprob < -40.0,
        "the model would have ended here: {:?}",
        with_logprobs.logprobs[at]
    );
    assert!(["\"yes\"", "\"no\""].contains(&answer.text.as_str()), "{answer:?}");
    for seed in 0..8 {
        let answer = ask(Thinking::Auto, random_tokens(seed).max_tokens(80));
        assert!(["\"yes\"", "\"no\""].contains(&answer.text.as_str()), "{answer:?}");
    }
}

#[test]
fn a_constrained_answer_is_complete_within_few_tokens() {
    let scripted = ScriptedModel::new("nonsense");
    let long = "b".repeat(40);
    for seed in 0..20 {
        let grammar = Grammar::Choice(vec!["a".to_owned(), long.clone()]);
        let answer = scripted.ask(&random_tokens(seed).max_tokens(3).grammar(grammar));
        assert_eq!((answer.text.as_str(), answer.complete), ("a", !answer.closed_early));
    }
    // Without a short completion the answer is truncated like any other.
    let endless = Grammar::Regex("(?s:.*)END".to_owned());
    let truncated = scripted.ask(&random_tokens(1).max_tokens(40).grammar(endless));
    assert_eq!((truncated.tokens, truncated.stop, truncated.complete), (40, StopReason::MaxTokens, false));
}

#[test]
fn a_bias_that_bans_the_tokens_of_the_grammar_is_an_answer_error() {
    let scripted = ScriptedModel::new("yes");
    let mut options = without_drafts().grammar(Grammar::Choice(vec!["yes".to_owned()]));
    for id in 0..scripted.model.config().text.vocab_size as u32 {
        options = options.logit_bias(id, f32::NEG_INFINITY);
    }
    let mut session = scripted.session();
    let result = session.ask(&Prompt::user().text("?"), &options);
    assert!(matches!(result, Err(Error::Answer { .. })), "{result:?}");
    let answer = session.ask(&Prompt::user().text("?"), &without_drafts()).unwrap();
    assert_eq!(answer.text, "yes", "the session is still usable");
}

#[test]
fn a_grammar_with_one_text_gives_that_text() {
    let scripted = ScriptedModel::new("whatever");
    let schema = r#"{"type": "object", "properties": {"the_longest_name_of_all": {"const": 1}, "the_other": {"enum":
        [true]}}, "required": ["the_longest_name_of_all", "the_other"], "additionalProperties": false}"#;
    let options = without_drafts().grammar(Grammar::JsonSchema(schema.to_owned()));
    let prompt = Prompt::user().text("?").thinking(Thinking::Off);
    let answer = scripted.session().ask(&prompt, &options).unwrap();
    assert_eq!(answer.text, r#"{"the_longest_name_of_all": 1, "the_other": true}"#);
}

#[test]
fn invalid_grammars_are_option_errors() {
    let scripted = ScriptedModel::new("yes");
    let mut session = scripted.session();
    let mut reason = |grammar: Grammar, prompt: Prompt| match session.ask(&prompt, &without_drafts().grammar(grammar)) {
        Err(Error::Option { option: "grammar", reason }) => reason,
        other => panic!("{other:?}"),
    };
    let without_image = || Prompt::user().text("?");
    for grammar in [
        Grammar::JsonSchema("{".to_owned()),
        Grammar::JsonSchema("3".to_owned()),
        Grammar::JsonSchema("{\"type\": \"nothing\"}".to_owned()),
        Grammar::JsonSchema("{\"type\": \"integer\", \"minimum\": 5, \"maximum\": 3}".to_owned()),
        Grammar::JsonSchema("{\"enum\": []}".to_owned()),
        Grammar::Regex("(".to_owned()),
        Grammar::Lark("start: missing".to_owned()),
        Grammar::Lark(String::new()),
        Grammar::Choice(Vec::new()),
        Grammar::Choice(vec![String::new()]),
    ] {
        assert!(!reason(grammar.clone(), without_image()).is_empty(), "{grammar:?}");
    }
    assert!(reason(Grammar::Boxes, without_image()).contains("image"));
    let with_image = || Prompt::user().image(grey_image(28, 28)).text("?");
    assert!(reason(Grammar::Actions(Vec::new()), with_image()).contains("action space is empty"));
    assert!(reason(Task::new("Pay").action_space(&[]).grammar(), with_image()).contains("action space is empty"));
    assert!(reason(Task::new("Pay").grammar(), without_image()).contains("image"));
    assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0));
}
