//! Several questions at once.

use std::time::Duration;

use mimo_vl_core::expert::{PrefillInput, Step, TaskControl};
use mimo_vl_core::{
    Answer, Batch, BatchOptions, CancelToken, ErrorCode, Event, GenerateOptions, LoadOptions, Model, Prompt,
    StopReason, WeightFormat,
};
use mimo_vl_tests::fixture::{checkpoint, model, picture, short, video};

/// Answers that never end by themselves.
fn endless() -> GenerateOptions {
    let ends = model().eos_token_ids().iter();
    ends.fold(GenerateOptions::new().temperature(1.5), |generate, &id| generate.logit_bias(id, f32::NEG_INFINITY))
}

/// Everything that a batch says, by question: the events' text, and how it ended.
fn run(batch: &mut Batch, count: usize) -> Vec<(String, Option<Result<StopReason, ErrorCode>>)> {
    let mut said = vec![(String::new(), None); count];
    for (number, event) in batch {
        let (text, end) = &mut said[number];
        assert!(end.is_none(), "nothing follows the end");
        match event {
            Ok(Event::Text(piece) | Event::Thinking(piece)) => *text += &piece,
            Ok(Event::End(reason)) => *end = Some(Ok(reason)),
            Ok(_) => {}
            Err(error) => *end = Some(Err(error.code())),
        }
    }
    said
}

#[test]
fn a_batch_answers_as_sessions_alone_do() {
    let prompts: Vec<(Prompt, GenerateOptions)> = (0..11_u32)
        .map(|index| {
            let prompt = match index % 3 {
                0 => Prompt::user().image(picture(index, 60 + 20 * index, 80)).text("What?"),
                1 => Prompt::user().text("Say something. ".repeat(index as usize)),
                _ => Prompt::user().video(video()).text("And then?"),
            };
            (
                prompt,
                GenerateOptions::new()
                    .max_tokens(3 + 2 * index as usize)
                    .temperature(1.5)
                    .seed(index.into())
                    .logprobs(20),
            )
        })
        .collect();
    let alone: Vec<Answer> = prompts.iter().map(|(p, g)| model().session().ask(p, g).unwrap()).collect();
    for most in [1, 3, 10] {
        let mut batch = model().batch(&BatchOptions::new().max_concurrent(most));
        for (prompt, generate) in &prompts {
            batch.add(prompt, generate);
        }
        let said = run(&mut batch, prompts.len());
        for (number, alone) in alone.iter().enumerate() {
            let answer = batch.answer(number).unwrap();
            assert_eq!(answer.ids, alone.ids, "question {number}, {most} at once");
            let tops = answer.logprobs.iter().zip(&alone.logprobs).flat_map(|(a, b)| a.top.iter().zip(&b.top));
            let (apart, norm) = tops.fold((0.0, 0.0), |(apart, norm), ((_, a), (_, b))| {
                (apart + f64::from(a - b).powi(2), norm + f64::from(*b).powi(2))
            });
            assert!(apart.sqrt() <= 2e-5 * norm.sqrt(), "question {number}, {most} at once: {apart:e} of {norm:e}");
            assert_eq!(said[number].1, Some(Ok(alone.stop)));
            assert_eq!(answer.timings.steps, alone.timings.steps);
        }
        assert!(batch.is_empty() && batch.answer(0).is_none());
    }
}

#[test]
fn a_step_together_has_the_logits_of_steps_alone() {
    let control = TaskControl::default();
    for weights in [WeightFormat::F32, WeightFormat::Int8, WeightFormat::Int4] {
        let model = Model::load(checkpoint(), &LoadOptions::new().weights(weights)).unwrap();
        let text = |index: u32| model.tokenizer().encode(&"a few words ".repeat(1 + index as usize)).unwrap();
        let begun = |index| {
            let (ids, mut sequence) = (text(index), model.engine().sequence());
            let positions: Vec<[u32; 3]> = (0..ids.len() as u32).map(|position| [position; 3]).collect();
            let segment = PrefillInput { ids: &ids, positions: &positions, media: Vec::new() };
            sequence.extend(&segment, &control).unwrap();
            (ids[0], ids.len() as u32, sequence)
        };
        let mut sequences: Vec<_> = (0..11).map(begun).collect();
        let steps = sequences.iter_mut();
        let steps =
            steps.map(|(id, position, sequence)| Step { sequence: &mut **sequence, id: *id, position: *position });
        let together = model.engine().decode_batch(&mut steps.collect::<Vec<_>>(), &control).unwrap();
        for (index, row) in together.iter().enumerate() {
            let (id, position, mut sequence) = begun(index as u32);
            let alone = sequence.step(id, position, &control).unwrap();
            let square = |x: f32| f64::from(x).powi(2);
            let apart: f64 = row.iter().zip(&alone).map(|(a, b)| square(a - b)).sum();
            let norm: f64 = alone.iter().map(|&b| square(b)).sum();
            assert!((apart / norm).sqrt() <= 2e-5, "{weights:?} {index}: {:e}", (apart / norm).sqrt());
        }
    }
}

#[test]
fn one_question_is_stopped_while_it_is_taken_in() {
    let mut batch = model().batch(&BatchOptions::new().max_concurrent(2));
    let (first, last) = (CancelToken::new(), CancelToken::new());
    let token = first.clone();
    let options = endless().cancel(&first).on_progress(move |_| token.cancel());
    let stopped = batch.add(&Prompt::user().image(picture(1, 90, 90)).text("What?"), &options);
    let other = batch.add(&Prompt::user().text("What?"), &endless().max_tokens(5));
    let waiting = batch.add(&Prompt::user().text("What?"), &endless().cancel(&last));
    last.cancel();
    let said = run(&mut batch, 3);
    assert_eq!(said[stopped].1, Some(Err(ErrorCode::Cancelled)));
    assert_eq!(said[waiting], (String::new(), Some(Err(ErrorCode::Cancelled))));
    assert_eq!(said[other].1, Some(Ok(StopReason::MaxTokens)));
}

#[test]
fn questions_come_and_go_while_others_are_answered() {
    let asked = |tokens| (Prompt::user().text("What?"), endless().max_tokens(tokens));
    let mut batch = model().batch(&BatchOptions::new().max_concurrent(2));
    for tokens in [40, 2, 5] {
        let (prompt, generate) = asked(tokens);
        batch.add(&prompt, &generate);
    }
    let mut order = Vec::new();
    let mut late = None;
    while let Some((number, event)) = batch.next() {
        assert!(batch.running() <= 2);
        if let Event::End(_) = event.unwrap() {
            order.push(number);
            if number == 1 && late.is_none() {
                late = Some(batch.add(&asked(1).0, &asked(1).1));
            }
        }
    }
    assert_eq!((order, late), (vec![1, 2, 3, 0], Some(3)), "short answers end while the long one is written");
}

#[test]
fn a_bad_question_harms_no_other() {
    let mut batch = model().batch(&BatchOptions::new().max_concurrent(4));
    let good = || Prompt::user().text("What?");
    batch.add(&good(), &short());
    batch.add(&Prompt::user(), &short());
    batch.add(&good(), &short().temperature(-1.0));
    let removed = batch.add(&good(), &short());
    batch.add(&good(), &short().timeout(Duration::ZERO));
    batch.remove(removed);
    let said = run(&mut batch, 5);
    let ends: Vec<_> = said.into_iter().map(|(_, end)| end).collect();
    assert!(matches!(ends[0], Some(Ok(_))));
    let codes = [ErrorCode::Prompt, ErrorCode::Option, ErrorCode::Timeout].map(|code| Some(Err(code)));
    assert_eq!([ends[1], ends[2], ends[4]], codes);
    assert_eq!(ends[3], None);
}

#[test]
fn a_batch_is_cancelled_as_a_whole() {
    let token = CancelToken::new();
    let mut batch = model().batch(&BatchOptions::new().max_concurrent(2).cancel(&token));
    for _ in 0..4 {
        batch.add(&Prompt::user().text("What?"), &endless());
    }
    batch.next().unwrap().1.unwrap();
    token.cancel();
    let ends: Vec<_> = batch.by_ref().filter_map(|(_, event)| event.err()).map(|error| error.code()).collect();
    assert_eq!(ends, [ErrorCode::Cancelled; 4]);
    assert!(batch.is_empty());
}

#[test]
fn conversations_go_on_in_a_batch() {
    let mut session = model().session();
    session.ask(&Prompt::user().image(picture(1, 100, 80)).text("What?"), &short()).unwrap();
    let question = Prompt::user().text("And then?");
    let expected = session.fork().ask(&question, &short().temperature(1.5)).unwrap();
    let mut batch = model().batch(&BatchOptions::new().max_concurrent(3));
    batch.add(&question, &short().timeout(Duration::from_millis(1)).max_tokens(1000));
    batch.add_to(session, &question, &short().temperature(1.5));
    batch.add(&Prompt::user().text("What?"), &endless().stop("e").max_tokens(1000));
    let other = Model::load(checkpoint(), &LoadOptions::new().weights(WeightFormat::Int8)).unwrap();
    batch.add_to(other.session(), &question, &short());
    let said = run(&mut batch, 4);
    let answer = batch.answer(1).unwrap();
    assert_eq!(answer.ids, expected.ids);
    assert!(answer.timings.cached_tokens > 0);
    assert!(matches!(said[0].1, Some(Ok(StopReason::Timeout) | Err(ErrorCode::Timeout))), "{:?}", said[0].1);
    assert_eq!((said[2].1, said[2].0.contains('e')), (Some(Ok(StopReason::StopSequence)), false));
    assert_eq!(said[3].1, Some(Err(ErrorCode::Option)), "a session of another model");
}
