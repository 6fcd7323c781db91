//! Batches: several requests that are decoded in common steps.

use std::time::Duration;

use mimo_vl_core::expert::{PrefillInput, Step, TaskControl};
use mimo_vl_core::{
    Answer, Batch, BatchOptions, CancelToken, ErrorCode, Event, GenerateOptions, LoadOptions, Model, Prompt,
    StopReason, WeightFormat,
};
use mimo_vl_tests::fixtures::tiny_model::{checkpoint, model, noise_image, short, video};

/// Options of an answer without end: EOS tokens have no probability.
fn endless() -> GenerateOptions {
    let eos = model().eos_token_ids().iter();
    eos.fold(GenerateOptions::new().temperature(1.5), |options, &id| options.logit_bias(id, f32::NEG_INFINITY))
}

/// Runs a batch to its end. Returns the text of the events and the last event of each request.
fn run(batch: &mut Batch, count: usize) -> Vec<(String, Option<Result<StopReason, ErrorCode>>)> {
    let mut outcomes = vec![(String::new(), None); count];
    for (number, event) in batch {
        let (text, end) = &mut outcomes[number];
        assert!(end.is_none(), "no event follows the end");
        match event {
            Ok(Event::Text(piece) | Event::Thinking(piece)) => *text += &piece,
            Ok(Event::End(reason)) => *end = Some(Ok(reason)),
            Ok(_) => {}
            Err(error) => *end = Some(Err(error.code())),
        }
    }
    outcomes
}

#[test]
fn a_batch_gives_the_answers_of_separate_sessions() {
    let requests: Vec<(Prompt, GenerateOptions)> = (0..11_u32)
        .map(|index| {
            let prompt = match index % 3 {
                0 => Prompt::user().image(noise_image(index, 60 + 20 * index, 80)).text("What?"),
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
    let answers: Vec<Answer> = requests.iter().map(|(p, o)| model().session().ask(p, o).unwrap()).collect();
    for size in [1, 3, 10] {
        let mut batch = model().batch(&BatchOptions::new().max_concurrent(size));
        for (prompt, options) in &requests {
            batch.add(prompt, options);
        }
        let outcomes = run(&mut batch, requests.len());
        for (number, expected) in answers.iter().enumerate() {
            let answer = batch.answer(number).unwrap();
            assert_eq!(answer.ids, expected.ids, "request {number}, batch size {size}");
            let tops = answer.logprobs.iter().zip(&expected.logprobs).flat_map(|(a, b)| a.top.iter().zip(&b.top));
            let (error, norm) = tops.fold((0.0, 0.0), |(error, norm), ((_, a), (_, b))| {
                (error + f64::from(a - b).powi(2), norm + f64::from(*b).powi(2))
            });
            assert!(error.sqrt() <= 2e-5 * norm.sqrt(), "request {number}, batch size {size}: {error:e} of {norm:e}");
            assert_eq!(outcomes[number].1, Some(Ok(expected.stop)));
            assert_eq!(answer.timings.steps, expected.timings.steps);
        }
        assert!(batch.is_empty() && batch.answer(0).is_none());
    }
}

#[test]
fn a_batched_step_gives_the_logits_of_single_steps() {
    let control = TaskControl::default();
    for weights in [WeightFormat::F32, WeightFormat::Int8, WeightFormat::Int4] {
        let model = Model::load(checkpoint(), &LoadOptions::new().weights(weights)).unwrap();
        let text = |index: u32| model.tokenizer().encode(&"a few words ".repeat(1 + index as usize)).unwrap();
        let prefilled = |index| {
            let (ids, mut sequence) = (text(index), model.engine().sequence());
            let positions: Vec<[u32; 3]> = (0..ids.len() as u32).map(|position| [position; 3]).collect();
            let input = PrefillInput { ids: &ids, positions: &positions, media: Vec::new() };
            sequence.extend(&input, &control).unwrap();
            (ids[0], ids.len() as u32, sequence)
        };
        let mut sequences: Vec<_> = (0..11).map(prefilled).collect();
        let steps = sequences.iter_mut();
        let steps =
            steps.map(|(id, position, sequence)| Step { sequence: &mut **sequence, id: *id, position: *position });
        let batched = model.engine().decode_batch(&mut steps.collect::<Vec<_>>(), &control).unwrap();
        for (index, row) in batched.iter().enumerate() {
            let (id, position, mut sequence) = prefilled(index as u32);
            let single = sequence.step(id, position, &control).unwrap();
            let square = |x: f32| f64::from(x).powi(2);
            let difference: f64 = row.iter().zip(&single).map(|(a, b)| square(a - b)).sum();
            let error = (difference / single.iter().map(|&b| square(b)).sum::<f64>()).sqrt();
            assert!(error <= 2e-5, "{weights:?} {index}: {error:e}");
        }
    }
}

#[test]
fn a_request_is_cancelled_during_its_prefill() {
    let mut batch = model().batch(&BatchOptions::new().max_concurrent(2));
    let (first, last) = (CancelToken::new(), CancelToken::new());
    let token = first.clone();
    let options = endless().cancel(&first).on_progress(move |_| token.cancel());
    let cancelled = batch.add(&Prompt::user().image(noise_image(1, 90, 90)).text("What?"), &options);
    let other = batch.add(&Prompt::user().text("What?"), &endless().max_tokens(5));
    let waiting = batch.add(&Prompt::user().text("What?"), &endless().cancel(&last));
    last.cancel();
    let outcomes = run(&mut batch, 3);
    assert_eq!(outcomes[cancelled].1, Some(Err(ErrorCode::Cancelled)));
    assert_eq!(outcomes[waiting], (String::new(), Some(Err(ErrorCode::Cancelled))));
    assert_eq!(outcomes[other].1, Some(Ok(StopReason::MaxTokens)));
}

#[test]
fn requests_join_and_leave_a_running_batch() {
    let request = |tokens| (Prompt::user().text("What?"), endless().max_tokens(tokens));
    let mut batch = model().batch(&BatchOptions::new().max_concurrent(2));
    for tokens in [40, 2, 5] {
        let (prompt, options) = request(tokens);
        batch.add(&prompt, &options);
    }
    let mut order = Vec::new();
    let mut late = None;
    while let Some((number, event)) = batch.next() {
        assert!(batch.running() <= 2);
        if let Event::End(_) = event.unwrap() {
            order.push(number);
            if number == 1 && late.is_none() {
                late = Some(batch.add(&request(1).0, &request(1).1));
            }
        }
    }
    assert_eq!((order, late), (vec![1, 2, 3, 0], Some(3)), "short answers end while the long one is decoded");
}

#[test]
fn an_invalid_request_does_not_affect_the_others() {
    let mut batch = model().batch(&BatchOptions::new().max_concurrent(4));
    let valid = || Prompt::user().text("What?");
    batch.add(&valid(), &short());
    batch.add(&Prompt::user(), &short());
    batch.add(&valid(), &short().temperature(-1.0));
    let removed = batch.add(&valid(), &short());
    batch.add(&valid(), &short().timeout(Duration::ZERO));
    batch.remove(removed);
    let outcomes = run(&mut batch, 5);
    let ends: Vec<_> = outcomes.into_iter().map(|(_, end)| end).collect();
    let expected = model().session().ask(&valid(), &short()).unwrap();
    assert_eq!(ends[0], Some(Ok(expected.stop)));
    assert_eq!(batch.answer(0).unwrap().ids, expected.ids);
    let codes = [ErrorCode::Prompt, ErrorCode::Option, ErrorCode::Timeout].map(|code| Some(Err(code)));
    assert_eq!([ends[1], ends[2], ends[4]], codes);
    assert_eq!(ends[3], None);
}

#[test]
fn cancel_ends_every_request_of_a_batch() {
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
fn a_session_continues_its_conversation_in_a_batch() {
    let mut session = model().session();
    session.ask(&Prompt::user().image(noise_image(1, 100, 80)).text("What?"), &short()).unwrap();
    let prompt = Prompt::user().text("And then?");
    let expected = session.fork().ask(&prompt, &short().temperature(1.5)).unwrap();
    let mut batch = model().batch(&BatchOptions::new().max_concurrent(3));
    batch.add(&prompt, &short().timeout(Duration::from_millis(1)).max_tokens(1000));
    batch.add_to(session, &prompt, &short().temperature(1.5));
    batch.add(&Prompt::user().text("What?"), &endless().stop("e").max_tokens(1000));
    let other = Model::load(checkpoint(), &LoadOptions::new().weights(WeightFormat::Int8)).unwrap();
    batch.add_to(other.session(), &prompt, &short());
    let outcomes = run(&mut batch, 4);
    let answer = batch.answer(1).unwrap();
    assert_eq!(answer.ids, expected.ids);
    assert!(answer.timings.cached_tokens > 0);
    let timed_out = outcomes[0].1;
    assert!(matches!(timed_out, Some(Ok(StopReason::Timeout) | Err(ErrorCode::Timeout))), "{timed_out:?}");
    assert_eq!((outcomes[2].1, outcomes[2].0.contains('e')), (Some(Ok(StopReason::StopSequence)), false));
    assert_eq!(outcomes[3].1, Some(Err(ErrorCode::Option)), "a session of another model");
}
