//! Answers that continue a text of the caller: that of the last message, or one without the chat template.

use mimo_vl_core::{Error, Grammar, Message, Part, Prompt, Role, Session};
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, without_drafts};

/// The text of the last message of a conversation.
fn last_text(session: &Session) -> String {
    let parts = &session.messages().last().unwrap().parts;
    parts.iter().filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None }).collect()
}

#[test]
fn an_answer_continues_the_final_message() {
    let scripted = ScriptedModel::new(" two <think>circles</think>.");
    let prompt = |text: &str| {
        let messages = vec![Message::new(Role::User).text("How many?"), Message::new(Role::Assistant).text(text)];
        Prompt::from_messages(messages).continue_final_message(true)
    };
    let mut session = scripted.session();
    let answer = session.ask(&prompt("I see"), &without_drafts()).unwrap();
    assert_eq!((answer.text.as_str(), answer.thinking.as_deref()), (" two <think>circles</think>.", None));
    assert_eq!(last_text(&session), "I see two <think>circles</think>.");
    // The message is cached as the model wrote it.
    scripted.set_reply("Yes.");
    let next = session.ask(&Prompt::user().text("Sure?"), &without_drafts()).unwrap();
    assert!(next.timings.cached_tokens >= answer.prompt_tokens, "{:?}", next.timings);
    // A grammar applies to what is added, and leaves no room for thinking.
    scripted.set_reply("<think>hm");
    let grammar = without_drafts().grammar(Grammar::Choice(vec![" yes".into(), " no".into()]));
    let answer = scripted.session().ask(&prompt("I say"), &grammar).unwrap();
    assert!([" yes", " no"].contains(&answer.text.as_str()), "{answer:?}");
    // Thinking is continued, too, and is no part of the text.
    scripted.set_reply(" more</think>\n\nTwo.");
    let mut session = scripted.session();
    let answer = session.ask(&prompt("<think>hm,"), &without_drafts()).unwrap();
    assert_eq!((answer.thinking.as_deref(), answer.text.as_str()), (Some("more"), "Two."));
    assert_eq!(last_text(&session), "Two.");
    for (role, text) in [(Role::Assistant, ""), (Role::User, "x")] {
        let prompt = Prompt::from_messages(vec![Message::new(role).text(text)]).continue_final_message(true);
        assert!(matches!(scripted.session().ask(&prompt, &without_drafts()), Err(Error::Prompt { .. })));
    }
}

#[test]
fn a_text_is_continued_without_the_template() {
    let scripted = ScriptedModel::new(" there was</think> a fox");
    let mut session = scripted.session();
    let prompt = Prompt::without_template("Once upon a time <think>");
    let answer = session.ask(&prompt, &without_drafts()).unwrap();
    assert_eq!((answer.text.as_str(), answer.thinking), (" there was</think> a fox", None));
    let tokens = scripted.model.tokenizer().encode_text("Once upon a time <think>").unwrap().len();
    assert_eq!(answer.prompt_tokens, tokens);
    for refused in [session.ask(&prompt, &without_drafts()).err(), session.plan(&prompt, &without_drafts()).err()] {
        assert!(matches!(refused, Some(Error::Prompt { .. })), "{refused:?}");
    }
}
