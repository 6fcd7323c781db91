//! Functions that the model may call: offered, called, answered, remembered.

use std::path::Path;

use mimo_vl_core::{Error, Message, Part, Prompt, Role, Thinking, ThinkingStyle, ToolCall};
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, grey_image, without_drafts};
use mimo_vl_tests::fixtures::tiny_model::checkpoint_with_tools;

const OFFERED: &str = r#"[{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]"#;
const CALL: &str = "I look.\n<tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": \"sky\"}}\n</tool_call>";

fn actor(folder: &Path) -> ScriptedModel {
    ScriptedModel::from_folder(folder, CALL, ThinkingStyle::Slash)
}

fn asked() -> Prompt {
    Prompt::user().text("Is it blue?").thinking(Thinking::Off).tools(OFFERED).unwrap()
}

#[test]
fn a_call_is_remembered_and_its_result_is_read() {
    let folder = checkpoint_with_tools();
    let (actor, options) = (actor(folder.path()), without_drafts());
    let mut session = actor.session();
    let called = session.ask(&asked(), &options).unwrap();
    let (said, calls) = ToolCall::split(&called.text);
    assert_eq!((said, calls.len(), calls[0].name.as_str()), ("I look.", 1, "look"));
    let messages: Vec<Message> = session.messages().cloned().collect();
    // Off is said with the question, and stays there.
    assert!(matches!(messages[0].parts.last(), Some(Part::Text(said)) if said == " /no_think"));
    assert!(
        matches!(&messages[1].parts[..], [Part::Text(said), Part::ToolCall(call)] if said == "I look." && *call == calls[0])
    );

    // What the model wrote is what the template writes: all of it is in the cache. The file has it, too.
    let file = folder.path().join("saved");
    session.save(&file).unwrap();
    let mut loaded = actor.model.load_session(&file).unwrap();
    let result = Prompt::from_messages(vec![Message::new(Role::Tool).text("blue")]);
    actor.set_reply("Yes.");
    let answer = session.ask(&result, &options).unwrap();
    assert_eq!(answer.text, "Yes.");
    assert_eq!(answer.timings.cached_tokens, called.prompt_tokens + called.tokens);
    assert_eq!(loaded.ask(&result, &options).unwrap().prompt_tokens, answer.prompt_tokens);

    // The template writes them until they are taken away.
    let plain = actor.session().ask(&Prompt::user().text("Is it blue?"), &options).unwrap().prompt_tokens;
    let offered = actor.session().ask(&asked(), &options).unwrap().prompt_tokens;
    let none = actor.session().ask(&asked().tools("[]").unwrap(), &options).unwrap().prompt_tokens;
    assert!(offered > plain + 50 && none < plain + 10, "{offered} {none} {plain}");
}

#[test]
fn what_cannot_have_tools_is_refused() {
    let folder = checkpoint_with_tools();
    let with = actor(folder.path());
    let refused =
        |actor: &ScriptedModel, prompt: Prompt, word: &str| match actor.session().ask(&prompt, &without_drafts()) {
            Err(Error::Prompt { reason }) => assert!(reason.contains(word), "{reason}"),
            other => panic!("{other:?}"),
        };
    refused(&with, asked().image(grey_image(28, 28)), "pictures");
    refused(&ScriptedModel::new("no"), asked(), "template takes none");
    let mut called = Message::new(Role::User).text("a");
    called.parts.push(Part::ToolCall(ToolCall::new("look", "{}").unwrap()));
    refused(&with, Prompt::from_messages(vec![called]), "calls");
    // A call that nobody asked for is text.
    let plain = ScriptedModel::new(CALL);
    let mut session = plain.session();
    session.ask(&asked().tools("[]").unwrap(), &without_drafts()).unwrap();
    assert!(session.ask(&Prompt::user().text("And?"), &without_drafts()).is_ok());
    // Pictures alone are written by the other template.
    assert!(with.session().ask(&Prompt::user().image(grey_image(28, 28)).text("a"), &without_drafts()).is_ok());
}
