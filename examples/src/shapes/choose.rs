//! Choice of questions, so that the answers are balanced.

use super::ask::{Answer, Kind, Subject};
use super::random::Random;
use super::scene::{Colour, Scene, Shape};

/// Weight of each kind, in the order of [`Kind::ALL`].
const KIND_WEIGHTS: [u32; 9] = [15, 15, 15, 10, 26, 14, 5, 5, 12];
/// Weight of each count, among those that the scene has; few scenes have the higher ones.
const COUNT_WEIGHTS: [u32; 6] = [3, 5, 10, 18, 24, 30];

/// Draws a question with its answer; `None` when the drawn kind does not fit the scene.
pub(crate) fn choose(scene: &Scene, rng: &mut Random) -> Option<(Kind, Subject, Answer)> {
    let kind = Kind::ALL[rng.weighted(&KIND_WEIGHTS)];
    let subjects = subjects(kind);
    let (subject, answer) = match kind {
        Kind::CountShape | Kind::CountColour | Kind::CountColouredShape | Kind::CountAll => {
            let subject = subject_by_count(scene, &subjects, rng)?;
            (subject, Answer::Count(scene.count(&subject)))
        }
        Kind::ColourOfShape | Kind::ShapeOfColour => {
            let subject = any(subjects.into_iter().filter(|subject| scene.count(subject) == 1), rng)?;
            let object = scene.objects.iter().find(|object| subject.includes(object))?;
            let colour = Answer::Colour(object.colour);
            (subject, if kind == Kind::ColourOfShape { colour } else { Answer::Shape(object.shape) })
        }
        Kind::HasShape | Kind::HasColour | Kind::HasColouredShape => {
            let subject = if rng.chance(0.5) {
                any(subjects.into_iter().filter(|subject| scene.count(subject) > 0), rng)?
            } else {
                absent(scene, &subjects, rng)?
            };
            (subject, Answer::Has(scene.count(&subject) > 0))
        }
    };
    Some((kind, subject, answer))
}

/// All subjects of a kind of question.
fn subjects(kind: Kind) -> Vec<Subject> {
    let shapes = || Shape::ALL.into_iter().map(Some);
    let colours = || Colour::ALL.into_iter().map(Some);
    match kind {
        Kind::CountAll => vec![Subject::default()],
        Kind::CountShape | Kind::ColourOfShape | Kind::HasShape => {
            shapes().map(|shape| Subject { colour: None, shape }).collect()
        }
        Kind::CountColour | Kind::ShapeOfColour | Kind::HasColour => {
            colours().map(|colour| Subject { colour, shape: None }).collect()
        }
        Kind::CountColouredShape | Kind::HasColouredShape => {
            colours().flat_map(|colour| shapes().map(move |shape| Subject { colour, shape })).collect()
        }
    }
}

/// Draws a count by [`COUNT_WEIGHTS`], then a subject with that count.
fn subject_by_count(scene: &Scene, subjects: &[Subject], rng: &mut Random) -> Option<Subject> {
    let largest = COUNT_WEIGHTS.len() - 1;
    let count = |subject: &Subject| scene.count(subject).min(largest);
    let mut weights = COUNT_WEIGHTS;
    for (value, weight) in weights.iter_mut().enumerate() {
        if !subjects.iter().any(|subject| count(subject) == value) {
            *weight = 0;
        }
    }
    match rng.weighted(&weights) {
        0 => absent(scene, subjects, rng),
        value => any(subjects.iter().copied().filter(|subject| count(subject) == value), rng),
    }
}

/// Draws a subject that the scene does not show: mostly a colour and a shape that it shows on different objects.
fn absent(scene: &Scene, subjects: &[Subject], rng: &mut Random) -> Option<Subject> {
    let is_absent = |subject: &&Subject| scene.count(subject) == 0;
    let is_near = |subject: &&Subject| {
        subject.colour.is_some()
            && subject.shape.is_some()
            && scene.count(&Subject { shape: None, ..**subject }) > 0
            && scene.count(&Subject { colour: None, ..**subject }) > 0
    };
    let all = || subjects.iter().filter(is_absent);
    if rng.chance(0.6)
        && let Some(near) = any(all().filter(is_near).copied(), rng)
    {
        return Some(near);
    }
    any(all().copied(), rng)
}

fn any(subjects: impl Iterator<Item = Subject>, rng: &mut Random) -> Option<Subject> {
    let subjects: Vec<Subject> = subjects.collect();
    subjects.get(rng.below(subjects.len())).copied()
}
