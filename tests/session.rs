//! Conversations through the public interface, on a small checkpoint with random weights.

use std::time::Duration;

use mimo_vl_core::expert::{
    Features, ModelInput, PrefillInput, TaskControl, build_input, preprocess_image, preprocess_video,
};
use mimo_vl_core::{
    Answer, CancelToken, Error, ErrorCode, Event, GenerateOptions, Grammar, Image, KvCacheDtype, LoadOptions, Message,
    Model, Part, Prompt, Role, Session, StopReason, Thinking, ThinkingStyle, WeightFormat,
};
use mimo_vl_tests::fixture::{checkpoint, drawn, messages, model, picture, short, text_of, video};

/// Largest allowed distance of logits, relative to their norm.
const BAR: f64 = 2e-5;

/// Tokens and positions of a conversation that ends with an open answer, and the features of its media.
fn encoded(model: &Model, messages: &[Message]) -> (ModelInput, Vec<Features>) {
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
    let encoded = build_input(&ids, &grids, &config.tokens, config.vision.tokens_per_second).unwrap();
    let features = patches.iter().map(|patches| model.engine().encode(patches, &TaskControl::default()).unwrap());
    (encoded, features.collect())
}

/// The part of a conversation from token `start` on.
fn segment<'a>(encoded: &'a ModelInput, features: &'a [Features], start: usize) -> PrefillInput<'a> {
    let slots = encoded.placeholders.iter().filter(|slot| slot.start >= start);
    let media = slots.map(|slot| {
        let mut moved = slot.clone();
        moved.start -= start;
        (moved, &features[slot.media])
    });
    PrefillInput { ids: &encoded.ids[start..], positions: &encoded.positions[start..], media: media.collect() }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f64| x * x;
    let apart: f64 = a.iter().zip(b).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let norm: f64 = b.iter().map(|&b| square(b.into())).sum();
    (apart / norm).sqrt()
}

/// Pictures, a video before text, and several turns.
fn long_conversation() -> Vec<Message> {
    vec![
        Message::new(Role::User).image(picture(1, 100, 80)).text("and").image(picture(2, 60, 120)).text("Compare."),
        Message::new(Role::Assistant).text("The second is higher."),
        Message::new(Role::User).video(video()).text("视频里发生了什么？"),
    ]
}

#[test]
fn chunked_prefill_equals_whole_prefill() {
    let model = model();
    let (encoded, features) = encoded(model, &long_conversation());
    let whole = segment(&encoded, &features, 0);
    let vocab = model.config().text.vocab_size;
    let run = |chunk| model.engine().sequence().prefill(&whole, chunk, true, &TaskControl::default()).unwrap();
    let expected = run(encoded.ids.len());
    assert_eq!(expected.len(), encoded.ids.len() * vocab);
    for chunk in [1, 7, 64] {
        let apart = distance(&run(chunk), &expected);
        assert!(apart <= BAR, "chunks of {chunk}: {apart:e}");
    }
}

#[test]
fn a_truncated_cache_goes_on_like_a_fresh_one() {
    let model = model();
    let (encoded, features) = encoded(model, &long_conversation());
    let control = TaskControl::default();
    let expected = model.engine().sequence().extend(&segment(&encoded, &features, 0), &control).unwrap();
    let cuts = encoded.placeholders.iter().flat_map(|slot| [slot.start, slot.start + slot.len]);
    for cut in cuts {
        let mut sequence = model.engine().sequence();
        sequence.extend(&segment(&encoded, &features, 0), &control).unwrap();
        sequence.truncate(cut);
        let logits = sequence.extend(&segment(&encoded, &features, cut), &control).unwrap();
        let apart = distance(&logits, &expected);
        assert!(apart <= BAR, "cut at {cut}: {apart:e}");
    }
}

#[test]
fn three_turns_have_the_logits_of_a_cold_run() {
    let model = model();
    let mut all = long_conversation();
    all.push(Message::new(Role::Assistant).text("It moves."));
    all.push(Message::new(Role::User).text("Which of the two was it?"));
    let control = TaskControl::default();
    let mut warm = model.engine().sequence();
    let mut held: Vec<u32> = Vec::new();
    for turn in [1, 3, 5] {
        let (encoded, features) = encoded(model, &all[..turn]);
        let common = held.iter().zip(&encoded.ids).take_while(|(a, b)| a == b).count();
        assert!(common > held.len() / 2 || turn == 1, "the beginning is there");
        warm.truncate(common);
        let logits = warm.extend(&segment(&encoded, &features, common), &control).unwrap();
        let cold = model.engine().sequence().extend(&segment(&encoded, &features, 0), &control).unwrap();
        assert!(distance(&logits, &cold) <= BAR, "turn {turn}: {:e}", distance(&logits, &cold));
        held = encoded.ids;
    }
}

/// Ask `prompts` one after the other, and check every answer against a session that hears all of it at once.
fn check_turns(prompts: &[Prompt]) {
    let mut session = model().session();
    for (turn, prompt) in prompts.iter().enumerate() {
        let mut whole = messages(&session);
        whole.extend(prompt.resolve(ThinkingStyle::Slash).unwrap().0);
        let generate = drawn(turn as u64).logprobs(20);
        let warm = session.ask(prompt, &generate).unwrap();
        let cold = model().session().ask(&Prompt::from_messages(whole), &generate).unwrap();
        assert_eq!(warm.ids, cold.ids, "turn {turn}");
        assert!(distance(&likely(&warm), &likely(&cold)) <= BAR, "turn {turn}");
        assert_eq!((&warm.text, warm.prompt_tokens), (&cold.text, cold.prompt_tokens));
        assert_eq!(warm.transforms, cold.transforms);
        assert_eq!(cold.timings.cached_tokens, 0);
        assert_eq!(warm.timings.cached_tokens > 0, turn > 0, "{:?}", warm.timings);
    }
    let roles: Vec<Role> = session.messages().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant].repeat(prompts.len()));
}

/// The logprobs of the likeliest tokens in every place of an answer.
fn likely(answer: &Answer) -> Vec<f32> {
    answer.logprobs.iter().flat_map(|token| token.top.iter().map(|(_, logprob)| *logprob)).collect()
}

#[test]
fn later_turns_equal_a_cold_run_of_the_whole() {
    check_turns(&[
        Prompt::user().image(picture(1, 100, 80)).image(picture(2, 60, 120)).text("Compare both."),
        Prompt::user().text("Which is higher?").thinking(Thinking::Off),
        Prompt::user().image(picture(3, 84, 84)).text("And this?"),
    ]);
}

#[test]
fn positions_after_a_video_hold_in_later_turns() {
    check_turns(&[
        Prompt::user().video(video()).text("What happens?"),
        Prompt::user().text("And then?"),
        Prompt::user().video(video()).image(picture(2, 60, 120)).text("Compare."),
    ]);
}

#[test]
fn two_pictures_and_a_video_hold_over_three_turns() {
    check_turns(&[
        Prompt::user().image(picture(1, 100, 80)).image(picture(2, 60, 120)).text("Compare both."),
        Prompt::user().video(video()).text("What happens?"),
        Prompt::user().text("Which of the two was it?"),
    ]);
}

#[test]
fn a_later_turn_computes_only_what_is_new() {
    let mut session = model().session();
    let first = session.ask(&Prompt::user().image(picture(1, 200, 200)).text("What?"), &short()).unwrap();
    assert!(first.timings.encode > Duration::ZERO);
    let second = session.ask(&Prompt::user().text("And?"), &short()).unwrap();
    // The answer may be cut into other tokens when it is read again, so only the question is surely found.
    assert!(second.timings.cached_tokens >= first.prompt_tokens, "{:?}", second.timings);
    assert!(session.cached_tokens() >= second.prompt_tokens);
}

#[test]
fn another_picture_of_the_same_size_is_not_taken_for_the_first() {
    let ask = |session: &mut Session, seed| {
        let prompt = Prompt::user().image(picture(seed, 100, 80)).text("What?");
        let ids = session.ask(&prompt, &drawn(3)).unwrap().ids;
        session.reset();
        ids
    };
    let mut session = model().session();
    let (first, second) = (ask(&mut session, 1), ask(&mut session, 9));
    assert_ne!(first, second);
    assert_eq!(first, ask(&mut session, 1));

    // The same within a cache: the dropped stream leaves the first picture's tokens behind, up to the rollback.
    let mut session = model().session();
    drop(session.stream(&Prompt::user().image(picture(1, 100, 80)).text("What?"), &drawn(3)).unwrap());
    let prompt = Prompt::user().image(picture(9, 100, 80)).text("What?");
    assert_eq!(session.ask(&prompt, &drawn(3)).unwrap().ids, second);
}

#[test]
fn a_system_message_replaces_the_earlier_one() {
    let mut session = model().session();
    session.ask(&Prompt::user().system("Be short.").text("Hello"), &short()).unwrap();
    session.ask(&Prompt::user().system("Be long.").text("Again"), &short()).unwrap();
    let all = messages(&session);
    let roles: Vec<Role> = all.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User, Role::Assistant]);
    assert_eq!(text_of(&all[0]), "Be long.");
}

#[test]
fn same_seed_same_answer() {
    let ask = |generate: &GenerateOptions| {
        let prompt = Prompt::user().image(picture(1, 100, 80)).text("Describe the picture.");
        model().session().ask(&prompt, generate).unwrap().ids
    };
    assert_eq!(ask(&short()), ask(&short()));
    assert_eq!(ask(&drawn(7)), ask(&drawn(7)));
    let others: Vec<_> = (0..4).map(|seed| ask(&drawn(seed))).collect();
    assert!(others.iter().any(|ids| *ids != others[0]), "four seeds drew the same tokens");
}

#[test]
fn stream_and_ask_agree() {
    let prompt = Prompt::user().text("Think step by step: how many is 6 x 7?");
    let asked = model().session().ask(&prompt, &short()).unwrap();
    let mut session = model().session();
    let mut stream = session.stream(&prompt, &short()).unwrap();
    let (mut text, mut thinking, mut ends) = (String::new(), String::new(), Vec::new());
    for event in &mut stream {
        match event.unwrap() {
            Event::Text(piece) => text.push_str(&piece),
            Event::Thinking(piece) => thinking.push_str(&piece),
            Event::End(reason) => ends.push(reason),
            other => panic!("{other:?}"),
        }
    }
    assert!(stream.next().is_none());
    let answer = stream.answer().unwrap();
    assert_eq!((&text, &answer.text), (&answer.text, &asked.text));
    assert_eq!(thinking, answer.thinking.clone().unwrap_or_default());
    assert_eq!(ends, [answer.stop]);
    assert_eq!((answer.ids.len(), answer.tokens), (answer.tokens, asked.tokens));
    assert!(!answer.ids.iter().any(|id| model().suppressed_tokens().contains(id)));
    assert_eq!(text_of(&messages(&session)[1]), answer.text);
}

#[test]
fn guesses_ahead_change_nothing_but_the_time() {
    for (weights, cache) in [
        (WeightFormat::F32, KvCacheDtype::F32),
        (WeightFormat::Int4, KvCacheDtype::F16),
        (WeightFormat::Int8, KvCacheDtype::Int8),
    ] {
        let model = Model::load(checkpoint(), &LoadOptions::new().weights(weights).kv_cache_dtype(cache)).unwrap();
        let (mut drafted, mut accepted) = (0, 0);
        for seed in 0..6 {
            let prompt =
                Prompt::user().image(picture(seed, 90, 90)).text(format!("1 2 3 4 5 6 7 8, 1 2 3 4 5 6 7 8, {seed}"));
            let penalty = if seed == 5 { 1.05 } else { 1.0 };
            let greedy = GenerateOptions::new().max_tokens(60 + seed as usize).repetition_penalty(penalty);
            for generate in [greedy.clone(), greedy.temperature(0.05).seed(seed.into())] {
                let ask = |draft| model.session().ask(&prompt, &generate.clone().num_draft_tokens(draft)).unwrap();
                let (single, guessed) = (ask(0), ask(7));
                assert_eq!((single.ids, single.stop), (guessed.ids, guessed.stop), "{weights:?} {seed} {generate:?}");
                assert_eq!((single.timings.steps, single.timings.drafted), (guessed.timings.steps, 0));
                drafted += guessed.timings.drafted;
                accepted += guessed.timings.accepted;
            }
        }
        assert!(accepted > 5 && accepted < drafted, "{accepted} of {drafted} guesses were right");
    }
}

#[test]
fn pictures_in_one_pass_have_the_features_that_each_has_alone() {
    let control = TaskControl::default();
    for weights in [WeightFormat::F32, WeightFormat::Int4] {
        let model = Model::load(checkpoint(), &LoadOptions::new().weights(weights)).unwrap();
        let config = model.preprocess_config();
        let mut patches: Vec<_> = [(90, 90), (224, 120), (60, 300), (90, 90)]
            .iter()
            .enumerate()
            .map(|(seed, &(width, height))| preprocess_image(&picture(seed as u32, width, height), config).unwrap())
            .collect();
        patches.push(preprocess_video(&video(), config).unwrap());
        // More patches than one pass takes.
        patches.extend((5..8).map(|seed| preprocess_image(&picture(seed, 900, 900), config).unwrap()));
        let together = model.engine().encode_all(&patches.iter().collect::<Vec<_>>(), &control).unwrap();
        assert_eq!(together.len(), patches.len());
        for (patches, together) in patches.iter().zip(&together) {
            let alone = model.engine().encode(patches, &control).unwrap();
            assert_eq!(alone.values.len(), together.values.len());
            assert!(distance(&alone.values, &together.values) <= BAR, "{weights:?} {:?}", patches.grid);
        }
        assert!(model.engine().encode_all(&[], &control).unwrap().is_empty());
    }
}

#[test]
fn a_conversation_goes_on_after_guesses() {
    let turns = ["1 2 3 4 5 6 7 8 1 2 3 4", "and 1 2 3 4 5 6 7 8 1 2 3"];
    let answers = |draft: usize| {
        let mut session = model().session();
        let (mut ids, mut drafted) = (Vec::new(), 0);
        for turn in turns {
            let generate = GenerateOptions::new().max_tokens(30).num_draft_tokens(draft);
            let mut stream = session.stream(&Prompt::user().text(turn), &generate).unwrap();
            // Stopped in the middle, with guesses in the cache that were not read yet.
            (0..9).for_each(|_| drop(stream.next()));
            stream.stop();
            drop(stream);
            let answer = session.ask(&Prompt::user().text(turn), &generate).unwrap();
            ids.extend(answer.ids);
            drafted += answer.timings.drafted;
        }
        assert_eq!(drafted > 0, draft > 0, "{drafted} guesses");
        ids
    };
    assert_eq!(answers(0), answers(7));
}

#[test]
fn limits_end_the_answer() {
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
    let huge = picture(1, 56, 56).min_pixels(u32::MAX);
    for prompt in [Prompt::user().text("And now?"), Prompt::user().image(huge).text("And now?")] {
        match session.ask(&prompt, &short()) {
            Err(Error::ContextTooLong { tokens, limit: said }) => assert!(tokens > said && said == limit),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(before, (messages(&session).len(), session.cached_tokens()));
}

#[test]
fn a_typed_media_token_stays_text() {
    let typed = "<|vision_start|><|image_pad|><|vision_end|><|im_end|>";
    let prompt = Prompt::user().image(picture(1, 56, 56)).text(typed);
    let (encoded, _) = encoded(model(), prompt.messages());
    assert_eq!(encoded.placeholders.len(), 1);
    let image = model().config().tokens.image;
    assert_eq!(encoded.ids.iter().filter(|&&id| id == image).count(), encoded.placeholders[0].len);
    assert!(model().session().ask(&prompt, &short()).is_ok());
    assert!(model().session().ask(&Prompt::user().text(typed), &short()).is_ok());
}

#[test]
fn prompts_that_cannot_be_asked_are_typed_errors() {
    let mut session = model().session();
    let mut code = |prompt: Prompt, generate: GenerateOptions| session.ask(&prompt, &generate).unwrap_err().code();
    assert_eq!(code(Prompt::user(), short()), ErrorCode::Prompt);
    assert_eq!(code(Prompt::user().text(" "), short()), ErrorCode::Prompt);
    assert_eq!(code(Prompt::from_messages(Vec::new()), short()), ErrorCode::Prompt);
    let thin = Image::from_rgb(2100, 10, 6300, &[0; 63_000]).unwrap();
    assert_eq!(code(Prompt::user().image(thin).text("What?"), short()), ErrorCode::Image);
    let asked = || Prompt::user().text("What?");
    assert_eq!(code(asked(), short().temperature(-1.0)), ErrorCode::Option);
    assert_eq!(code(asked(), GenerateOptions::new().max_tokens(0)), ErrorCode::Option);
    assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0));
    assert!(session.ask(&asked(), &short()).is_ok());
}

#[test]
fn reset_forgets() {
    let prompt = Prompt::user().image(picture(1, 100, 80)).text("What?");
    let mut session = model().session();
    let first = session.ask(&prompt, &drawn(1)).unwrap();
    session.reset();
    assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0));
    let again = session.ask(&prompt, &drawn(1)).unwrap();
    assert_eq!((first.ids, again.timings.cached_tokens), (again.ids, 0));
}

#[test]
fn a_model_serves_several_threads() {
    fn shareable<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn sendable<T: Send + 'static>(_: &T) {}
    shareable(model());
    sendable(&model().session());
    let ask = |seed: u32| -> Answer {
        let prompt = Prompt::user().image(picture(seed, 100, 80)).text("What?");
        model().session().ask(&prompt, &drawn(seed.into())).unwrap()
    };
    let expected: Vec<_> = (0..2).map(|seed| ask(seed).ids).collect();
    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|seed| scope.spawn(move || ask(seed).ids)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(together, expected);
}

#[test]
fn forks_go_their_own_ways() {
    let mut session = model().session();
    session.ask(&Prompt::user().image(picture(1, 100, 80)).text("What?"), &drawn(1)).unwrap();
    let mut fork = session.fork();
    let said = messages(&session);
    let asked = |text: &str, seed| (Prompt::user().text(text), drawn(seed));
    let cold = |text: &str, seed| {
        let mut whole = said.clone();
        whole.extend(Prompt::user().text(text).messages().to_vec());
        model().session().ask(&Prompt::from_messages(whole), &drawn(seed)).unwrap().ids
    };
    // In turn, so that each writes where the other has written.
    let (a, b) = (asked("And here?", 2), asked("Or there?", 3));
    let first = session.ask(&a.0, &a.1).unwrap();
    let second = fork.ask(&b.0, &b.1).unwrap();
    assert_eq!((&first.ids, &second.ids), (&cold("And here?", 2), &cold("Or there?", 3)));
    assert!(first.timings.cached_tokens > 0 && second.timings.cached_tokens > 0);
    assert_eq!((session.messages().len(), fork.messages().len()), (4, 4));
    let token = CancelToken::new();
    token.cancel();
    let cancelled = fork.ask(&Prompt::user().text("Still?"), &short().cancel(&token));
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
    assert_eq!(fork.messages().len(), 4);
}

#[test]
fn guesses_change_nothing_within_a_grammar() {
    let schema = r#"{"type": "object", "properties": {"colours": {"type": "array", "items": {"enum": ["red", "green", "blue"]},
        "minItems": 3, "maxItems": 5}, "notes": {"type": "string", "maxLength": 12}}, "required": ["colours", "notes"]}"#;
    let generate = GenerateOptions::new().max_tokens(120).grammar(Grammar::JsonSchema(schema.to_owned()));
    let prompt = Prompt::user().image(picture(1, 100, 80)).text("Which colours?").thinking(Thinking::Off);
    let ask = |draft| model().session().ask(&prompt, &generate.clone().num_draft_tokens(draft)).unwrap();
    let (alone, guessed) = (ask(0), ask(7));
    assert_eq!(alone.ids, guessed.ids);
    assert!(alone.complete && guessed.timings.accepted > 0, "{:?}", guessed.timings);
    let value: serde_json::Value = serde_json::from_str(&alone.text).unwrap();
    assert!((3..=5).contains(&value["colours"].as_array().unwrap().len()), "{value}");
}
