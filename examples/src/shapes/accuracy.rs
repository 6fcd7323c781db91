//! How well a model answers questions about scenes it has not seen.

use mimo_vl_core::{GenerateOptions, Image, Model, Prompt, Result, Thinking};

use super::ask::{Kind, Question, is_right};
use super::draw::draw;
use super::random::Random;
use super::scene::{Limits, Scene};

/// Counts over a number of scenes, one question each.
#[derive(Debug, Clone, Default)]
pub struct Accuracy {
    /// Questions asked.
    pub asked: usize,
    /// Right answers.
    pub right: usize,
    /// Answers that came with thinking where it was on, or without where it was off.
    pub obeyed: usize,
    /// Questions asked and right answers of each kind.
    pub kinds: Vec<(Kind, usize, usize)>,
}

/// The picture and the question of scene `index` of `seed`.
pub fn fresh_question(seed: u64, index: u64) -> Result<(Image, Question)> {
    let mut rng = Random::new(seed, index);
    loop {
        let scene = Scene::random(&mut rng, &Limits::default());
        let picture = draw(&scene, &mut rng);
        if let Some(question) = scene.questions(&mut rng, 1).pop() {
            return Ok((picture.image()?, question));
        }
    }
}

/// Ask one question about each of `scenes` scenes of `seed`, greedily, each in a session of its own.
///
/// # Errors
/// Those of [`Session::ask`](mimo_vl_core::Session::ask).
pub fn measure(
    model: &Model,
    seed: u64,
    scenes: u64,
    thinking: Thinking,
    mut wrong: impl FnMut(u64, &Question, &str),
) -> Result<Accuracy> {
    let mut accuracy = Accuracy { kinds: Kind::ALL.iter().map(|&kind| (kind, 0, 0)).collect(), ..Accuracy::default() };
    for index in 0..scenes {
        let (image, question) = fresh_question(seed, index)?;
        let prompt = Prompt::user().image(image).text(&question.text).thinking(thinking);
        let answer = model.session().ask(&prompt, &GenerateOptions::new().max_tokens(64))?;
        let right = is_right(&answer.text, &question);
        let obeyed = answer.thinking.is_some() == (thinking != Thinking::Off);
        accuracy.asked += 1;
        accuracy.right += usize::from(right);
        accuracy.obeyed += usize::from(obeyed);
        if let Some(kind) = accuracy.kinds.iter_mut().find(|(kind, ..)| *kind == question.kind) {
            kind.1 += 1;
            kind.2 += usize::from(right);
        }
        if !right {
            wrong(index, &question, &answer.text);
        }
    }
    Ok(accuracy)
}
