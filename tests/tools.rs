//! Tool calls: in the prompt, in the answer, and in the conversation.

use std::path::Path;

use mimo_vl_core::{Error, Message, Part, Prompt, Role, Thinking, ThinkingStyle, ToolCall};
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, grey_image, without_drafts};
use mimo_vl_tests::fixtures::tiny_model::{checkpoint_with_tools, messages};

const TOOLS: &str = r#"[{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]"#;
const CALL: &str = "I look.\n<tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": \"sky\"}}\n</tool_call>";

fn scripted(folder: &Path) -> ScriptedModel {
    ScriptedModel::from_folder(folder, CALL, ThinkingStyle::Slash)
}

fn prompt_with_tools() -> Prompt {
    Prompt::user().text("Is it blue?").thinking(Thinking::Off).tools(TOOLS).unwrap()
}

#[test]
fn a_call_stays_in_the_conversation_and_its_result_is_answered() {
    let folder = checkpoint_with_tools();
    let (scripted, options) = (scripted(folder.path()), without_drafts());
    let mut session = scripted.session();
    let called = session.ask(&prompt_with_tools(), &options).unwrap();
    let (text, calls) = ToolCall::split(&called.text);
    assert_eq!((&*text, calls.len(), calls[0].name.as_str()), ("I look.", 1, "look"));
    let messages: Vec<Message> = session.messages().cloned().collect();
    // The switch for thinking is stored in the user's message.
    assert!(matches!(messages[0].parts.last(), Some(Part::Text(text)) if text == " /no_think"));
    let [Part::Text(text), Part::ToolCall(call)] = &messages[1].parts[..] else { panic!("{:?}", messages[1]) };
    assert_eq!((text.as_str(), call), ("I look.", &calls[0]));

    // The template writes the call as the model did, so that all of it is cached. The saved session has it, too.
    let file = folder.path().join("saved");
    session.save(&file).unwrap();
    let mut loaded = scripted.model.load_session(&file).unwrap();
    let result = Prompt::from_messages(vec![Message::new(Role::Tool).text("blue")]);
    scripted.set_reply("Yes.");
    let answer = session.ask(&result, &options).unwrap();
    assert_eq!(answer.text, "Yes.");
    assert_eq!(answer.timings.cached_tokens, called.prompt_tokens + called.tokens);
    assert_eq!(loaded.ask(&result, &options).unwrap().prompt_tokens, answer.prompt_tokens);

    // The tools stay in the prompt until an empty list replaces them.
    let plain = scripted.session().ask(&Prompt::user().text("Is it blue?"), &options).unwrap().prompt_tokens;
    let with_tools = scripted.session().ask(&prompt_with_tools(), &options).unwrap().prompt_tokens;
    let none = scripted.session().ask(&prompt_with_tools().tools("[]").unwrap(), &options).unwrap().prompt_tokens;
    assert!(with_tools > plain + 50 && none < plain + 10, "{with_tools} {none} {plain}");
}

#[test]
fn prompts_that_cannot_have_tools_are_errors() {
    let folder = checkpoint_with_tools();
    let with = scripted(folder.path());
    let assert_error =
        |scripted: &ScriptedModel, prompt: Prompt, word: &str| match scripted.session().ask(&prompt, &without_drafts())
        {
            Err(Error::Prompt { reason }) => assert!(reason.contains(word), "{reason}"),
            other => panic!("{other:?}"),
        };
    assert_error(&ScriptedModel::new("no"), prompt_with_tools(), "template does not support");
    let mut called = Message::new(Role::User).text("a");
    called.parts.push(Part::ToolCall(ToolCall::new("look", "{}").unwrap()));
    assert_error(&with, Prompt::from_messages(vec![called]), "calls");
    // Without tools in the prompt a call is text.
    let plain = ScriptedModel::new(CALL);
    let mut session = plain.session();
    session.ask(&prompt_with_tools().tools("[]").unwrap(), &without_drafts()).unwrap();
    let parts = &messages(&session).pop().unwrap().parts;
    assert!(matches!(&parts[..], [Part::Text(text)] if text == CALL), "{parts:?}");
    assert_eq!(session.ask(&Prompt::user().text("And?"), &without_drafts()).unwrap().text, CALL);
    // Prompts with images and no tools use the other template.
    let prompt = Prompt::user().image(grey_image(28, 28)).text("a");
    assert_eq!(with.session().ask(&prompt, &without_drafts()).unwrap().text, CALL);
}
