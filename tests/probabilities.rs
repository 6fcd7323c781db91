//! Logprobs and confidence, with a scripted model.

use mimo_vl_core::{Answer, Error, Prompt};
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, grey_image, without_drafts};

#[test]
fn logprobs_and_confidence_are_computed_before_the_bias() {
    let scripted = ScriptedModel::new("[1, 2, 3, 4]");
    scripted.script.lock().unwrap().margin = 6.0;
    let answer = scripted.ask(&without_drafts().logprobs(2).logit_bias(3, -1.0));
    assert_eq!(answer.logprobs.len(), answer.tokens);
    let suppressed = scripted.model.suppressed_tokens().len();
    let others = scripted.model.config().text.vocab_size - suppressed - 1;
    let expected = 6.0 - (6.0_f64.exp() + others as f64).ln();
    for (token, id) in answer.logprobs.iter().zip(&answer.ids) {
        assert_eq!((token.id, token.top.len(), token.top[0]), (*id, 2, (*id, token.logprob)));
        assert!((f64::from(token.logprob) - expected).abs() < 1e-5, "{} {expected}", token.logprob);
    }
    let confidence = f64::from(answer.regions[0].confidence.unwrap());
    assert!((confidence - expected.exp()).abs() < 1e-5);
    assert!(scripted.ask(&without_drafts()).logprobs.is_empty());
}

#[test]
fn bias_cannot_enable_media_tokens_and_rejects_unknown_ids() {
    let scripted = ScriptedModel::new("yes");
    let image = scripted.model.config().tokens.image;
    let answer = scripted.ask(&without_drafts().logit_bias(image, 1e30).max_tokens(8));
    assert_eq!(answer.text, "yes");
    let beyond = scripted.model.config().text.vocab_size as u32;
    let prompt = Prompt::user().text("?");
    let result = scripted.session().ask(&prompt, &without_drafts().logit_bias(beyond, 1.0));
    assert!(matches!(result, Err(Error::Option { option: "logit_bias", .. })), "{result:?}");
}

#[test]
fn best_of_returns_the_answer_with_the_highest_mean_logprob() {
    let scripted = ScriptedModel::new("one two three four");
    scripted.script.lock().unwrap().margin = 5.0;
    let options = without_drafts().temperature(1.0).max_tokens(6).seed(3);
    let mean = |answer: &Answer| answer.logprobs.iter().map(|t| t.logprob).sum::<f32>() / answer.tokens.max(1) as f32;
    let single: Vec<Answer> = (3..8).map(|seed| scripted.ask(&options.clone().seed(seed).logprobs(0))).collect();
    let best = single.iter().map(mean).fold(f32::NEG_INFINITY, f32::max);
    let mut session = scripted.session();
    let prompt = Prompt::user().image(grey_image(280, 140)).text("Where?");
    let answer = session.ask(&prompt, &options.clone().best_of(5).logprobs(0)).unwrap();
    assert!((mean(&answer) - best).abs() < 1e-6, "{} {best}", mean(&answer));
    let same = single.iter().find(|other| (mean(other) - best).abs() < 1e-6).unwrap();
    assert_eq!(answer.ids, same.ids);
    assert_eq!(session.messages().len(), 2);
    assert!(session.ask(&prompt, &options.best_of(2)).unwrap().logprobs.is_empty());
    assert_eq!(scripted.script.lock().unwrap().encoded, 1, "all sessions share the image's features");
}

#[test]
fn json_fields_of_an_answer_have_a_confidence() {
    let scripted = ScriptedModel::new("{\"name\": \"tea\", \"prices\": [3, 14]}");
    scripted.script.lock().unwrap().margin = 6.0;
    let answer = scripted.ask(&without_drafts().logprobs(0));
    let written: String = answer.logprobs.iter().map(|token| &answer.text[token.range.clone()]).collect();
    assert_eq!(written, answer.text);
    let each = f64::from(answer.logprobs[0].logprob.exp());
    for pointer in ["", "/name", "/prices/1"] {
        assert!((f64::from(answer.field_confidence(pointer).unwrap()) - each).abs() < 1e-5, "{pointer}");
    }
    assert_eq!((answer.field_confidence("/none"), answer.confidence(&(3..3))), (None, None));
    assert_eq!(scripted.ask(&without_drafts()).field_confidence("/name"), None, "logprobs were not requested");
    // The thinking and its closing tag are not part of the text.
    scripted.set_reply("<think>\nhm\n</think>\n\n[1]");
    let answer = scripted.ask(&without_drafts().logprobs(0));
    let first = answer.logprobs.iter().position(|token| !token.range.is_empty()).unwrap();
    assert_eq!((answer.text.as_str(), answer.logprobs[first].range.start), ("[1]", 0));
    assert!(scripted.model.tokenizer().decode(&answer.ids[..first]).ends_with("</think>\n\n"), "{answer:?}");
    // Buffered text belongs to the tokens that wrote it.
    scripted.set_reply("[\"猫 is 🐈\"]");
    let answer = scripted.ask(&without_drafts().logprobs(0).stop("\"]!"));
    assert_eq!(answer.logprobs.last().unwrap().range.end, answer.text.len());
    let cat = answer.text.find('猫').unwrap();
    let character = answer.logprobs.iter().filter(|token| token.range.contains(&cat)).count();
    let alone = scripted.model.tokenizer().encode("猫").unwrap().len();
    assert!(character >= alone, "{character} of {alone} tokens: {:?}", answer.logprobs);
    assert!(answer.text.is_char_boundary(answer.logprobs[1].range.start));
    // A token with a low probability.
    scripted.set_reply("{\"name\": \"tea\", \"prices\": [3, 14]}");
    let answer = scripted.ask(&without_drafts().logprobs(0));
    let mut unsure = answer.clone();
    let at = unsure.text.find("14").unwrap();
    let token = unsure.logprobs.iter_mut().find(|token| token.range.contains(&at)).unwrap();
    token.logprob = -9.0;
    assert!(unsure.field_confidence("/prices/1").unwrap() < unsure.field_confidence("/prices").unwrap());
    assert_eq!(unsure.field_confidence("/name"), answer.field_confidence("/name"));
}
