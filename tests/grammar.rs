//! Answers that keep to a grammar, with a model that would say anything.

use mimo_vl_core::gui::{Action, ActionKind, Task};
use mimo_vl_core::{Answer, Error, GenerateOptions, Grammar, Prompt, StopReason, Thinking};
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, grey_image, without_drafts};

/// A model that says whatever comes into its head.
fn chatter(seed: u64) -> GenerateOptions {
    without_drafts().temperature(30.0).seed(seed)
}

fn value(answer: &Answer) -> serde_json::Value {
    serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{error}: {:?}", answer.text))
}

#[test]
fn every_grammar_holds_whatever_the_model_says() {
    let actor = ScriptedModel::new("nonsense");
    let schema = r#"{"type": "object", "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items":
        {"type": "string"}}, "price": {"type": "number", "minimum": 0, "maximum": 1000}, "kind": {"enum": ["a", "b"]}}, "required": ["name", "tags",
        "price", "kind"], "additionalProperties": false}"#;
    for seed in 0..12 {
        // Some limits leave room for little, others for much.
        let generate = chatter(seed).max_tokens(60 + 40 * seed as usize);
        let ask = |grammar| actor.ask(&generate.clone().grammar(grammar));
        let object = ask(Grammar::JsonSchema(schema.to_owned()));
        let json = value(&object);
        assert!(json["name"].is_string() && json["tags"].is_array() && json["price"].is_number(), "{json}");
        assert!(["a", "b"].contains(&json["kind"].as_str().unwrap()) && json.as_object().unwrap().len() == 4);
        assert!(object.complete && object.stop == StopReason::EndOfText, "{object:?}");
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
        let kept = action.map(|[x, y]| [x.clamp(0.0, 280.0), y.clamp(0.0, 140.0)]);
        assert_eq!(kept, action, "it lies in the picture");
        let offered = Task::new("Pay").offer(&[ActionKind::Wait, ActionKind::LongPress]);
        let action = Action::parse(&ask(offered.grammar()).text).unwrap();
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
fn a_grammar_begins_after_the_thinking() {
    let actor = ScriptedModel::new("<think>\n\"a\" }\n</think>\n\nI would say {\"a\": 1}");
    let grammar = || Grammar::JsonSchema(r#"{"enum": ["yes", "no"]}"#.to_owned());
    let ask = |thinking, generate: GenerateOptions| {
        let prompt = Prompt::user().image(grey_image(28, 28)).text("?").thinking(thinking);
        actor.session().ask(&prompt, &generate.grammar(grammar())).unwrap()
    };
    let thought = ask(Thinking::Auto, without_drafts());
    assert_eq!(thought.thinking.as_deref(), Some("\"a\" }"));
    assert!(["\"yes\"", "\"no\""].contains(&thought.text.as_str()) && thought.complete, "{thought:?}");
    let direct = ask(Thinking::Off, without_drafts());
    assert_eq!(direct.thinking, None);
    assert!(["\"yes\"", "\"no\""].contains(&direct.text.as_str()), "{direct:?}");
    // Thinking that would take all tokens ends in time.
    actor.set_reply(&format!("<think>\n{}", "and so on ".repeat(200)));
    for max_tokens in [40, 60, 100] {
        let answer = ask(Thinking::On, without_drafts().max_tokens(max_tokens));
        assert!(["\"yes\"", "\"no\""].contains(&answer.text.as_str()) && answer.complete, "{answer:?}");
        assert!(answer.thinking.is_some());
    }
    // Thinking that ends without an answer gets one.
    actor.set_reply("<think>\nhm");
    let answer = ask(Thinking::On, without_drafts());
    assert_eq!(answer.thinking.as_deref(), Some("hm"));
    let judged = ask(Thinking::On, without_drafts().logprobs(0));
    assert_eq!(judged.ids, answer.ids);
    let ends = actor.model.tokenizer().encode("\n</think>\n\n").unwrap();
    let at = judged.ids.windows(ends.len()).position(|ids| ids == ends).unwrap();
    assert!(judged.logprobs[at].logprob < -40.0, "the model would have ended: {:?}", judged.logprobs[at]);
    assert!(["\"yes\"", "\"no\""].contains(&answer.text.as_str()), "{answer:?}");
    for seed in 0..8 {
        let answer = ask(Thinking::Auto, chatter(seed).max_tokens(80));
        assert!(["\"yes\"", "\"no\""].contains(&answer.text.as_str()), "{answer:?}");
    }
}

#[test]
fn an_end_fits_into_few_tokens() {
    let actor = ScriptedModel::new("nonsense");
    let long = "b".repeat(40);
    for seed in 0..20 {
        let grammar = Grammar::Choice(vec!["a".to_owned(), long.clone()]);
        let answer = actor.ask(&chatter(seed).max_tokens(3).grammar(grammar));
        assert_eq!((answer.text.as_str(), answer.complete), ("a", true));
    }
    // Where no way to an end is found, the answer is cut as any other.
    let endless = Grammar::Regex("(?s:.*)END".to_owned());
    let cut = actor.ask(&chatter(1).max_tokens(40).grammar(endless));
    assert!(cut.tokens <= 40);
}

#[test]
fn a_token_that_bias_forbids_and_the_grammar_needs_is_an_error_of_the_answer() {
    let actor = ScriptedModel::new("yes");
    let mut generate = without_drafts().grammar(Grammar::Choice(vec!["yes".to_owned()]));
    for id in 0..actor.model.config().text.vocab_size as u32 {
        generate = generate.logit_bias(id, f32::NEG_INFINITY);
    }
    let mut session = actor.session();
    let refused = session.ask(&Prompt::user().text("?"), &generate);
    assert!(matches!(refused, Err(Error::Answer { .. })), "{refused:?}");
    assert!(session.ask(&Prompt::user().text("?"), &without_drafts()).is_ok(), "the session is as before");
}

#[test]
fn what_has_one_form_only_is_written_in_it() {
    let actor = ScriptedModel::new("whatever");
    let schema = r#"{"type": "object", "properties": {"the_longest_name_of_all": {"const": 1}, "the_other": {"enum":
        [true]}}, "required": ["the_longest_name_of_all", "the_other"], "additionalProperties": false}"#;
    let generate = without_drafts().grammar(Grammar::JsonSchema(schema.to_owned()));
    let prompt = Prompt::user().text("?").thinking(Thinking::Off);
    let answer = actor.session().ask(&prompt, &generate).unwrap();
    assert_eq!(answer.text, r#"{"the_longest_name_of_all": 1, "the_other": true}"#);
}

#[test]
fn grammars_that_cannot_be_used_are_typed_errors() {
    let actor = ScriptedModel::new("yes");
    let mut session = actor.session();
    let mut refused = |grammar: Grammar, prompt: Prompt| match session.ask(&prompt, &without_drafts().grammar(grammar))
    {
        Err(Error::Option { option: "grammar", reason }) => reason,
        other => panic!("{other:?}"),
    };
    let asked = || Prompt::user().text("?");
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
        assert!(!refused(grammar.clone(), asked()).is_empty(), "{grammar:?}");
    }
    assert!(refused(Grammar::Boxes, asked()).contains("picture"));
    let seen = || Prompt::user().image(grey_image(28, 28)).text("?");
    assert!(refused(Grammar::Actions(vec!["click".to_owned(), "fly".to_owned()]), seen()).contains("\"fly\""));
    assert!(refused(Task::new("Pay").offer(&[]).grammar(), seen()).contains("no action"));
    assert!(refused(Task::new("Pay").grammar(), asked()).contains("picture"));
    assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0));
}
