//! Evaluation of a model on questions about scenes that it was not trained on.

use mimo_vl_core::{GenerateOptions, Image, Model, Prompt, Result, Thinking};

use super::ask::{Kind, Question, is_correct};
use super::draw::draw;
use super::random::Random;
use super::scene::{Limits, Scene};

/// Counts over scenes, with one question each.
#[derive(Debug, Clone, Default)]
pub struct Accuracy {
    /// Questions asked.
    pub asked: usize,
    /// Correct answers.
    pub correct: usize,
    /// Answers with thinking where it was on, and without where it was off.
    pub thinking_followed: usize,
    /// Counts of each kind of question.
    pub kinds: Vec<KindAccuracy>,
}

/// Counts of one kind of question.
#[derive(Debug, Clone, Copy)]
pub struct KindAccuracy {
    /// Kind.
    pub kind: Kind,
    /// Questions asked.
    pub asked: usize,
    /// Correct answers.
    pub correct: usize,
}

/// Draws scene `index` of `seed` and a question about it.
///
/// # Errors
/// Those of [`Image::from_rgb`].
pub fn fresh_question(seed: u64, index: u64) -> Result<(Image, Question)> {
    let mut rng = Random::new(seed, index);
    loop {
        let scene = Scene::random(&mut rng, &Limits::default());
        let image = draw(&scene, &mut rng);
        if let Some(question) = scene.questions(&mut rng, 1).pop() {
            return Ok((image.to_image()?, question));
        }
    }
}

/// Asks one question about each of `scenes` scenes of `seed`, with greedy decoding and a new session each. `on_error`
/// gets index, question and answer of every wrong answer.
///
/// # Errors
/// Those of [`Session::ask`](mimo_vl_core::Session::ask).
pub fn evaluate_questions(
    model: &Model,
    seed: u64,
    scenes: u64,
    thinking: Thinking,
    mut on_error: impl FnMut(u64, &Question, &str),
) -> Result<Accuracy> {
    let mut accuracy = Accuracy {
        kinds: Kind::ALL.map(|kind| KindAccuracy { kind, asked: 0, correct: 0 }).to_vec(),
        ..Accuracy::default()
    };
    for index in 0..scenes {
        let (image, question) = fresh_question(seed, index)?;
        let prompt = Prompt::user().image(image).text(&question.text).thinking(thinking);
        let answer = model.session().ask(&prompt, &GenerateOptions::new().max_tokens(64))?;
        let correct = is_correct(&answer.text, &question);
        let thinking_followed = answer.thinking.is_some() == (thinking != Thinking::Off);
        accuracy.asked += 1;
        accuracy.correct += usize::from(correct);
        accuracy.thinking_followed += usize::from(thinking_followed);
        if let Some(counts) = accuracy.kinds.iter_mut().find(|counts| counts.kind == question.kind) {
            counts.asked += 1;
            counts.correct += usize::from(correct);
        }
        if !correct {
            on_error(index, &question, &answer.text);
        }
    }
    Ok(accuracy)
}
