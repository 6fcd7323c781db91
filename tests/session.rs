//! Sessions of the small checkpoint: prefix caching, prompt lookup, limits, forks.

use std::time::Duration;

use mimo_vl_core::expert::{
    Features, ModelInput, PrefillInput, TaskControl, build_input, preprocess_image, preprocess_video,
};
use mimo_vl_core::{
    Answer, CancelToken, Error, ErrorCode, Event, GenerateOptions, Grammar, Image, KvCacheDtype, LoadOptions, Message,
    Model, Part, Prompt, Role, Session, StopReason, Thinking, ThinkingStyle, WeightFormat,
};
use mimo_vl_tests::fixtures::tiny_model::{checkpoint, messages, model, noise_image, sampled, short, text_of, video};

/// Largest distance of logits, relative to their norm.
const TOLERANCE: f64 = 2e-5;

/// Token ids and positions of a conversation up to the start of the answer, and the features of its media.
fn build(model: &Model, messages: &[Message]) -> (ModelInput, Vec<Features>) {
    let config = model.preprocess_config();
    let parts = messages.iter().flat_map(|message| &message.parts);
    let patches: Vec<_> = parts
        .filter_map(|part| match part {
            Part::Image(image) => Some(preprocess_image(image, config).unwrap()),
            Part::Video(video) => Some(preprocess_video(video, config).unwrap()),
            _ => None,
        })
        .collect();
    let ids = model.template().encode(model.tokenizer(), messages, true).unwrap();
    let grids: Vec<_> = patches.iter().map(|patches| (patches.grid, patches.second_per_grid)).collect();
    let config = model.config();
    let input = build_input(&ids, &grids, &config.tokens, config.vision.tokens_per_second).unwrap();
    let features = patches.iter().map(|patches| model.engine().encode(patches, &TaskControl::default()).unwrap());
    (input, features.collect())
}

/// The input from token `start` on.
fn suffix<'a>(input: &'a ModelInput, features: &'a [Features], start: usize) -> PrefillInput<'a> {
    let ranges = input.placeholders.iter().filter(|range| range.start >= start);
    let media = ranges.map(|range| {
        let mut shifted = range.clone();
        shifted.start -= start;
        (shifted, &features[range.media])
    });
    PrefillInput { ids: &input.ids[start..], positions: &input.positions[start..], media: media.collect() }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f64| x * x;
    let difference: f64 = a.iter().zip(b).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let norm: f64 = b.iter().map(|&b| square(b.into())).sum();
    (difference / norm).sqrt()
}

/// Images between texts, a video before text, and two user messages.
fn long_conversation() -> Vec<Message> {
    vec![
        Message::new(Role::User)
            .image(noise_image(1, 100, 80))
            .text("and")
            .image(noise_image(2, 60, 120))
            .text("Compare."),
        Message::new(Role::Assistant).text("The second is higher."),
        Message::new(Role::User).video(video()).text("视频里发生了什么？"),
    ]
}

#[test]
fn prefill_in_chunks_gives_the_logits_of_one_pass() {
    let model = model();
    let (input, features) = build(model, &long_conversation());
    let prompt = suffix(&input, &features, 0);
    let vocab = model.config().text.vocab_size;
    let run = |chunk| model.engine().sequence().prefill(&prompt, chunk, true, &TaskControl::default()).unwrap();
    let expected = run(input.ids.len());
    assert_eq!(expected.len(), input.ids.len() * vocab);
    for chunk in [1, 7, 64] {
        let error = distance(&run(chunk), &expected);
        assert!(error <= TOLERANCE, "chunks of {chunk}: {error:e}");
    }
}

#[test]
fn a_truncated_cache_gives_the_logits_of_a_fresh_one() {
    let model = model();
    let (input, features) = build(model, &long_conversation());
    let control = TaskControl::default();
    let expected = model.engine().sequence().extend(&suffix(&input, &features, 0), &control).unwrap();
    let lengths = input.placeholders.iter().flat_map(|range| [range.start, range.start + range.len]);
    for length in lengths {
        let mut sequence = model.engine().sequence();
        sequence.extend(&suffix(&input, &features, 0), &control).unwrap();
        sequence.truncate(length);
        let logits = sequence.extend(&suffix(&input, &features, length), &control).unwrap();
        let error = distance(&logits, &expected);
        assert!(error <= TOLERANCE, "truncated to {length} tokens: {error:e}");
    }
}

#[test]
fn a_cached_prefix_gives_the_logits_of_a_cold_run() {
    let model = model();
    let mut all = long_conversation();
    all.push(Message::new(Role::Assistant).text("It moves."));
    all.push(Message::new(Role::User).text("Which of the two was it?"));
    let control = TaskControl::default();
    let mut warm = model.engine().sequence();
    let mut cached: Vec<u32> = Vec::new();
    for count in [1, 3, 5] {
        let (input, features) = build(model, &all[..count]);
        let common = cached.iter().zip(&input.ids).take_while(|(a, b)| a == b).count();
        assert!(common > cached.len() / 2 || count == 1, "{common} of {} tokens are a common prefix", cached.len());
        warm.truncate(common);
        let logits = warm.extend(&suffix(&input, &features, common), &control).unwrap();
        let cold = model.engine().sequence().extend(&suffix(&input, &features, 0), &control).unwrap();
        let error = distance(&logits, &cold);
        assert!(error <= TOLERANCE, "{count} messages: {error:e}");
        cached = input.ids;
    }
}

/// Asks `prompts` in one session, and checks every answer against a fresh session that gets the whole conversation.
fn check_against_cold_runs(prompts: &[Prompt]) {
    let mut session = model().session();
    for (index, prompt) in prompts.iter().enumerate() {
        let mut conversation = messages(&session);
        conversation.extend(prompt.resolve(ThinkingStyle::Slash).unwrap().messages);
        let options = sampled(index as u64).logprobs(20);
        let warm = session.ask(prompt, &options).unwrap();
        let cold = model().session().ask(&Prompt::from_messages(conversation), &options).unwrap();
        assert_eq!(warm.ids, cold.ids, "prompt {index}");
        assert!(distance(&top_logprobs(&warm), &top_logprobs(&cold)) <= TOLERANCE, "prompt {index}");
        assert_eq!((&warm.text, warm.prompt_tokens), (&cold.text, cold.prompt_tokens));
        assert_eq!(warm.transforms, cold.transforms);
        assert_eq!(cold.timings.cached_tokens, 0);
        assert_eq!(warm.timings.cached_tokens > 0, index > 0, "{:?}", warm.timings);
    }
    let roles: Vec<Role> = session.messages().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant].repeat(prompts.len()));
}

/// The logprobs of the most likely tokens at every position of an answer.
fn top_logprobs(answer: &Answer) -> Vec<f32> {
    answer.logprobs.iter().flat_map(|token| token.top.iter().map(|(_, logprob)| *logprob)).collect()
}

#[test]
fn prompts_after_images_give_the_answers_of_cold_runs() {
    check_against_cold_runs(&[
        Prompt::user().image(noise_image(1, 100, 80)).image(noise_image(2, 60, 120)).text("Compare both."),
        Prompt::user().text("Which is higher?").thinking(Thinking::Off),
        Prompt::user().image(noise_image(3, 84, 84)).text("And this?"),
    ]);
}

#[test]
fn prompts_after_a_video_give_the_answers_of_cold_runs() {
    check_against_cold_runs(&[
        Prompt::user().video(video()).text("What happens?"),
        Prompt::user().text("And then?"),
        Prompt::user().video(video()).image(noise_image(2, 60, 120)).text("Compare."),
    ]);
}

#[test]
fn prompts_after_images_and_a_video_give_the_answers_of_cold_runs() {
    check_against_cold_runs(&[
        Prompt::user().image(noise_image(1, 100, 80)).image(noise_image(2, 60, 120)).text("Compare both."),
        Prompt::user().video(video()).text("What happens?"),
        Prompt::user().text("Which of the two was it?"),
    ]);
}

#[test]
fn a_second_prompt_reuses_the_cache_of_the_first() {
    let mut session = model().session();
    let first = session.ask(&Prompt::user().image(noise_image(1, 200, 200)).text("What?"), &short()).unwrap();
    assert!(first.timings.encode > Duration::ZERO);
    let second = session.ask(&Prompt::user().text("And?"), &short()).unwrap();
    // The answer's text may be tokenized differently than it was sampled, so only the first prompt is a sure hit.
    assert!(second.timings.cached_tokens >= first.prompt_tokens, "{:?}", second.timings);
    assert!(session.cached_tokens() >= second.prompt_tokens);
}

#[test]
fn images_of_the_same_size_do_not_share_cached_tokens() {
    let ask = |session: &mut Session, seed| {
        let prompt = Prompt::user().image(noise_image(seed, 100, 80)).text("What?");
        let ids = session.ask(&prompt, &sampled(3)).unwrap().ids;
        session.reset();
        ids
    };
    let mut session = model().session();
    let (first, second) = (ask(&mut session, 1), ask(&mut session, 9));
    assert_ne!(first, second);
    assert_eq!(first, ask(&mut session, 1));

    // The same within one cache: a dropped stream leaves the first image's tokens there until the next prompt.
    let mut session = model().session();
    drop(session.stream(&Prompt::user().image(noise_image(1, 100, 80)).text("What?"), &sampled(3)).unwrap());
    let prompt = Prompt::user().image(noise_image(9, 100, 80)).text("What?");
    assert_eq!(session.ask(&prompt, &sampled(3)).unwrap().ids, second);
}

#[test]
fn a_new_system_message_replaces_the_previous_one() {
    let mut session = model().session();
    session.ask(&Prompt::user().system("Be short.").text("Hello"), &short()).unwrap();
    session.ask(&Prompt::user().system("Be long.").text("Again"), &short()).unwrap();
    let all = messages(&session);
    let roles: Vec<Role> = all.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User, Role::Assistant]);
    assert_eq!(text_of(&all[0]), "Be long.");
}

#[test]
fn the_seed_fixes_the_draws() {
    let ask = |options: &GenerateOptions| {
        let prompt = Prompt::user().image(noise_image(1, 100, 80)).text("Describe the image.");
        model().session().ask(&prompt, options).unwrap().ids
    };
    assert_eq!(ask(&short()), ask(&short()));
    assert_eq!(ask(&sampled(7)), ask(&sampled(7)));
    let others: Vec<_> = (0..4).map(|seed| ask(&sampled(seed))).collect();
    assert!(others.iter().any(|ids| *ids != others[0]), "four seeds drew the same tokens");
}

#[test]
fn stream_and_ask_give_the_same_answer() {
    let prompt = Prompt::user().text("Think step by step: how many is 6 x 7?");
    let asked = model().session().ask(&prompt, &short()).unwrap();
    let mut session = model().session();
    let mut stream = session.stream(&prompt, &short()).unwrap();
    let (mut text, mut thinking, mut stop_reasons) = (String::new(), String::new(), Vec::new());
    for event in &mut stream {
        match event.unwrap() {
            Event::Text(piece) => text.push_str(&piece),
            Event::Thinking(piece) => thinking.push_str(&piece),
            Event::End(reason) => stop_reasons.push(reason),
            other => panic!("{other:?}"),
        }
    }
    assert!(stream.next().is_none());
    let answer = stream.answer().unwrap();
    assert_eq!((&text, &answer.text), (&answer.text, &asked.text));
    assert_eq!(thinking, answer.thinking.clone().unwrap_or_default());
    assert_eq!(stop_reasons, [answer.stop]);
    assert_eq!((answer.ids.len(), answer.tokens), (answer.tokens, asked.tokens));
    assert!(!answer.ids.iter().any(|id| model().suppressed_tokens().contains(id)));
    assert_eq!(text_of(&messages(&session)[1]), answer.text);
}

#[test]
fn prompt_lookup_does_not_change_the_answer() {
    for (weights, cache) in [
        (WeightFormat::F32, KvCacheDtype::F32),
        (WeightFormat::Int4, KvCacheDtype::F16),
        (WeightFormat::Int8, KvCacheDtype::Int8),
    ] {
        let model = Model::load(checkpoint(), &LoadOptions::new().weights(weights).kv_cache_dtype(cache)).unwrap();
        let (mut drafted, mut accepted) = (0, 0);
        for seed in 0..6 {
            let prompt = Prompt::user()
                .image(noise_image(seed, 90, 90))
                .text(format!("1 2 3 4 5 6 7 8, 1 2 3 4 5 6 7 8, {seed}"));
            let penalty = if seed == 5 { 1.05 } else { 1.0 };
            let greedy = GenerateOptions::new().max_tokens(60 + seed as usize).repetition_penalty(penalty);
            for options in [greedy.clone(), greedy.temperature(0.05).seed(seed.into())] {
                let ask = |drafts| model.session().ask(&prompt, &options.clone().num_draft_tokens(drafts)).unwrap();
                let (plain, with_drafts) = (ask(0), ask(7));
                let expected = (plain.ids, plain.stop);
                assert_eq!((with_drafts.ids, with_drafts.stop), expected, "{weights:?} {seed} {options:?}");
                assert_eq!((plain.timings.steps, plain.timings.drafted), (with_drafts.timings.steps, 0));
                drafted += with_drafts.timings.drafted;
                accepted += with_drafts.timings.accepted;
            }
        }
        assert!(accepted > 5 && accepted < drafted, "{accepted} of {drafted} draft tokens were accepted");
    }
}

#[test]
fn images_encoded_in_one_pass_have_the_features_of_separate_passes() {
    let control = TaskControl::default();
    for weights in [WeightFormat::F32, WeightFormat::Int4] {
        let model = Model::load(checkpoint(), &LoadOptions::new().weights(weights)).unwrap();
        let config = model.preprocess_config();
        let mut patches: Vec<_> = [(90, 90), (224, 120), (60, 300), (90, 90)]
            .iter()
            .enumerate()
            .map(|(seed, &(width, height))| preprocess_image(&noise_image(seed as u32, width, height), config).unwrap())
            .collect();
        patches.push(preprocess_video(&video(), config).unwrap());
        // More patches than fit into one pass.
        patches.extend((5..8).map(|seed| preprocess_image(&noise_image(seed, 900, 900), config).unwrap()));
        let batched = model.engine().encode_all(&patches.iter().collect::<Vec<_>>(), &control).unwrap();
        assert_eq!(batched.len(), patches.len());
        for (patches, batched) in patches.iter().zip(&batched) {
            let single = model.engine().encode(patches, &control).unwrap();
            assert_eq!(single.values.len(), batched.values.len());
            assert!(distance(&single.values, &batched.values) <= TOLERANCE, "{weights:?} {:?}", patches.grid);
        }
        assert!(model.engine().encode_all(&[], &control).unwrap().is_empty());
    }
}

#[test]
fn a_stop_amid_draft_tokens_does_not_change_the_next_answer() {
    let texts = ["1 2 3 4 5 6 7 8 1 2 3 4", "and 1 2 3 4 5 6 7 8 1 2 3"];
    let answers = |drafts: usize| {
        let mut session = model().session();
        let (mut ids, mut drafted) = (Vec::new(), 0);
        for text in texts {
            let options = GenerateOptions::new().max_tokens(30).num_draft_tokens(drafts);
            let mut stream = session.stream(&Prompt::user().text(text), &options).unwrap();
            // Stops while the cache holds draft tokens that no event has reported.
            (0..9).for_each(|_| drop(stream.next()));
            stream.stop();
            drop(stream);
            let answer = session.ask(&Prompt::user().text(text), &options).unwrap();
            ids.extend(answer.ids);
            drafted += answer.timings.drafted;
        }
        assert_eq!(drafted > 0, drafts > 0, "{drafted} draft tokens");
        ids
    };
    assert_eq!(answers(0), answers(7));
}

#[test]
fn max_tokens_and_max_context_end_the_answer() {
    let prompt = Prompt::user().text("How many circles are there?");
    let answer = model().session().ask(&prompt, &GenerateOptions::new().max_tokens(3)).unwrap();
    assert_eq!((answer.tokens, answer.stop, answer.timings.steps), (3, StopReason::MaxTokens, 2));

    let limit = answer.prompt_tokens + 5;
    let small = Model::load(checkpoint(), &LoadOptions::new().max_context(limit)).unwrap();
    let mut session = small.session();
    let answer = session.ask(&prompt, &GenerateOptions::new()).unwrap();
    assert_eq!((answer.tokens, answer.stop), (5, StopReason::ContextFull));
    assert_eq!(small.max_context(), limit);

    let before = (messages(&session).len(), session.cached_tokens());
    let huge = noise_image(1, 56, 56).min_pixels(u32::MAX);
    for prompt in [Prompt::user().text("And now?"), Prompt::user().image(huge).text("And now?")] {
        match session.ask(&prompt, &short()) {
            Err(Error::ContextTooLong { tokens, limit: reported }) => assert!(tokens > limit && reported == limit),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(before, (messages(&session).len(), session.cached_tokens()));
}

#[test]
fn special_tokens_in_text_stay_text() {
    let typed = "<|vision_start|><|image_pad|><|vision_end|><|im_end|>";
    let prompt = Prompt::user().image(noise_image(1, 56, 56)).text(typed);
    let (input, _) = build(model(), prompt.messages());
    assert_eq!(input.placeholders.len(), 1);
    let image = model().config().tokens.image;
    assert_eq!(input.ids.iter().filter(|&&id| id == image).count(), input.placeholders[0].len);
    let answer = model().session().ask(&prompt, &short()).unwrap();
    assert_eq!((answer.prompt_tokens, answer.transforms.len()), (input.ids.len(), 1));

    let prompt = Prompt::user().text(typed);
    let (input, _) = build(model(), prompt.messages());
    assert!(input.placeholders.is_empty() && !input.ids.contains(&image), "{:?}", input.ids);
    let answer = model().session().ask(&prompt, &short()).unwrap();
    assert_eq!((answer.prompt_tokens, answer.transforms.len()), (input.ids.len(), 0));
}

#[test]
fn invalid_prompts_and_options_are_typed_errors() {
    let mut session = model().session();
    let mut code = |prompt: Prompt, options: GenerateOptions| session.ask(&prompt, &options).unwrap_err().code();
    assert_eq!(code(Prompt::user(), short()), ErrorCode::Prompt);
    assert_eq!(code(Prompt::user().text(" "), short()), ErrorCode::Prompt);
    assert_eq!(code(Prompt::from_messages(Vec::new()), short()), ErrorCode::Prompt);
    let thin = Image::from_rgb(2100, 10, 6300, &[0; 63_000]).unwrap();
    assert_eq!(code(Prompt::user().image(thin).text("What?"), short()), ErrorCode::Image);
    let valid = || Prompt::user().text("What?");
    assert_eq!(code(valid(), short().temperature(-1.0)), ErrorCode::Option);
    assert_eq!(code(valid(), GenerateOptions::new().max_tokens(0)), ErrorCode::Option);
    assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0));
    let expected = model().session().ask(&valid(), &short()).unwrap();
    assert_eq!(session.ask(&valid(), &short()).unwrap().ids, expected.ids, "errors leave the session unchanged");
}

#[test]
fn reset_empties_the_conversation_and_the_cache() {
    let prompt = Prompt::user().image(noise_image(1, 100, 80)).text("What?");
    let mut session = model().session();
    let first = session.ask(&prompt, &sampled(1)).unwrap();
    session.reset();
    assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0));
    let again = session.ask(&prompt, &sampled(1)).unwrap();
    assert_eq!((first.ids, again.timings.cached_tokens), (again.ids, 0));
}

#[test]
fn threads_share_a_model() {
    fn shareable<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn sendable<T: Send + 'static>(_: &T) {}
    shareable(model());
    sendable(&model().session());
    let ask = |seed: u32| -> Answer {
        let prompt = Prompt::user().image(noise_image(seed, 100, 80)).text("What?");
        model().session().ask(&prompt, &sampled(seed.into())).unwrap()
    };
    let expected: Vec<_> = (0..2).map(|seed| ask(seed).ids).collect();
    let concurrent: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|seed| scope.spawn(move || ask(seed).ids)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(concurrent, expected);
}

#[test]
fn forks_are_independent() {
    let mut session = model().session();
    session.ask(&Prompt::user().image(noise_image(1, 100, 80)).text("What?"), &sampled(1)).unwrap();
    let mut fork = session.fork();
    let cold = |mut conversation: Vec<Message>, text: &str, seed| {
        conversation.extend(Prompt::user().text(text).messages().to_vec());
        model().session().ask(&Prompt::from_messages(conversation), &sampled(seed)).unwrap().ids
    };
    let shared = messages(&session);
    // Both write after the same prefix.
    let first = session.ask(&Prompt::user().text("And here?"), &sampled(2)).unwrap();
    let second = fork.ask(&Prompt::user().text("Or there?"), &sampled(3)).unwrap();
    assert_eq!(first.ids, cold(shared.clone(), "And here?", 2));
    assert_eq!(second.ids, cold(shared, "Or there?", 3));
    assert!(first.timings.cached_tokens > 0 && second.timings.cached_tokens > 0);
    assert_eq!((session.messages().len(), fork.messages().len()), (4, 4));
    let token = CancelToken::new();
    token.cancel();
    let cancelled = fork.ask(&Prompt::user().text("Still?"), &short().cancel(&token));
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
    let expected = cold(messages(&session), "Still?", 4);
    let third = session.ask(&Prompt::user().text("Still?"), &sampled(4)).unwrap();
    assert_eq!((third.ids, fork.messages().len()), (expected, 4), "a cancelled fork leaves the session alone");
}

#[test]
fn prompt_lookup_does_not_change_an_answer_within_a_grammar() {
    let schema = r#"{"type": "object", "required": ["colours", "notes"], "properties": {
        "colours": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "minItems": 3, "maxItems": 5},
        "notes": {"type": "string", "maxLength": 12}}}"#;
    let options = GenerateOptions::new().max_tokens(120).grammar(Grammar::JsonSchema(schema.to_owned()));
    let prompt = Prompt::user().image(noise_image(1, 100, 80)).text("Which colours?").thinking(Thinking::Off);
    let ask = |drafts| model().session().ask(&prompt, &options.clone().num_draft_tokens(drafts)).unwrap();
    let (plain, with_drafts) = (ask(0), ask(7));
    assert_eq!(plain.ids, with_drafts.ids);
    assert_eq!((plain.complete, plain.closed_early), (with_drafts.complete, with_drafts.closed_early));
    assert!(with_drafts.timings.accepted > 0, "{:?}", with_drafts.timings);
    let value: serde_json::Value = serde_json::from_str(&plain.text).unwrap();
    assert!((3..=5).contains(&value["colours"].as_array().unwrap().len()), "{value}");
}
