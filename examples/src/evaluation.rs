//! Questions with expected answers, and how good an answer is.

use std::path::{Path, PathBuf};

use mimo_vl_core::score::{anls, choice, contains, count, exact, iou, relaxed, time_iou};
use mimo_vl_core::{Answer, Error, Image, Prompt, Region, Result, Thinking, Video, VideoOptions, time_span};
use serde::Deserialize;
use serde_json::Value;

/// A line of a file of questions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What it is called in the results; its line's number where it has none.
    #[serde(default)]
    pub id: Option<String>,
    /// A picture, relative to the file.
    #[serde(default)]
    pub image: Option<PathBuf>,
    /// Pictures, relative to the file.
    #[serde(default)]
    pub images: Vec<PathBuf>,
    /// A video, relative to the file.
    #[serde(default)]
    pub video: Option<PathBuf>,
    /// What is asked.
    pub question: String,
    /// What is expected: a text, several texts of which one will do, a number, or the edges of a box or a span of time.
    pub answer: Value,
    /// How the answer is scored.
    pub kind: Kind,
    /// Of a choice, how many there are.
    #[serde(default = "four")]
    pub choices: usize,
}

fn four() -> usize {
    4
}

/// How an answer is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The same text or number, as in MMMU, CharXiv and mathematics.
    Exact,
    /// The letter of a choice, as in MMBench and Video-MME.
    Choice,
    /// Similarity of texts, as in DocVQA and InfoVQA.
    Anls,
    /// Numbers within 5 %, as in ChartQA.
    Relaxed,
    /// A whole number, as in CountBench and PixmoCount.
    Count,
    /// Intersection over union of at least a half with a box, as in RefCOCO.
    Box,
    /// A point, or the middle of a box, inside a box, as in ScreenSpot and OSWorld-G.
    Point,
    /// Intersection over union of spans of time, as in Charades-STA.
    Time,
}

impl Kind {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Choice => "choice",
            Self::Anls => "anls",
            Self::Relaxed => "relaxed",
            Self::Count => "count",
            Self::Box => "box",
            Self::Point => "point",
            Self::Time => "time",
        }
    }
}

impl Item {
    /// The question with its pictures and video before it; `options` say which frames are taken.
    ///
    /// # Errors
    /// Those of opening them.
    pub fn prompt(&self, folder: &Path, thinking: Thinking, options: &VideoOptions) -> Result<Prompt> {
        let mut prompt = Prompt::user().thinking(thinking);
        for path in self.image.iter().chain(&self.images) {
            prompt = prompt.image(Image::open(folder.join(path))?);
        }
        if let Some(path) = &self.video {
            prompt = prompt.video(Video::open(folder.join(path), options)?);
        }
        Ok(prompt.text(self.question.as_str()))
    }

    /// How good an answer is, from 0 to 1.
    ///
    /// # Errors
    /// [`Error::Option`] when `answer` in the file is not of the kind that it should be.
    pub fn score(&self, answer: &Answer) -> Result<f64> {
        let text = answer.text.as_str();
        let right = |is: bool| f64::from(u8::from(is));
        Ok(match self.kind {
            Kind::Exact => right(self.texts()?.iter().any(|expected| exact(text, expected))),
            Kind::Relaxed => right(self.texts()?.iter().any(|expected| relaxed(text, expected))),
            Kind::Anls => anls(text, &self.texts()?.iter().map(String::as_str).collect::<Vec<_>>()),
            Kind::Choice => {
                let letter = choice(text, self.choices).map(String::from);
                right(letter.is_some_and(|letter| self.texts().is_ok_and(|expected| expected.contains(&letter))))
            }
            Kind::Count => {
                let expected = self.answer.as_i64().or_else(|| self.answer.as_str()?.parse().ok());
                right(count(text) == Some(expected.ok_or_else(|| self.wrong("a whole number"))?))
            }
            Kind::Box => {
                let found = answer.regions.iter().find_map(Region::as_box);
                let expected = self.numbers::<4>()?;
                right(found.is_some_and(|found| iou(found.pixels, expected) >= 0.5))
            }
            Kind::Point => {
                let middle = |region: &Region| match region.as_box() {
                    Some(found) => Some(found.center()),
                    None => region.points().first().map(|point| point.pixels),
                };
                let expected = self.numbers::<4>()?;
                right(answer.regions.first().and_then(middle).is_some_and(|point| contains(expected, point)))
            }
            Kind::Time => {
                let [start, end] = self.numbers::<2>()?;
                time_span(text).map_or(0.0, |span| time_iou(span, (start, end)))
            }
        })
    }

    fn texts(&self) -> Result<Vec<String>> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let texts: Option<Vec<String>> = match &self.answer {
            Value::Array(several) if !several.is_empty() => several.iter().map(text).collect(),
            one => text(one).map(|one| vec![one]),
        };
        texts.ok_or_else(|| self.wrong("a text or several"))
    }

    fn numbers<const N: usize>(&self) -> Result<[f64; N]> {
        let numbers = self.answer.as_array().map(|list| list.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
        let numbers = numbers.and_then(|numbers| <[f64; N]>::try_from(numbers).ok());
        numbers.ok_or_else(|| self.wrong(&format!("a list of {N} numbers")))
    }

    fn wrong(&self, expected: &str) -> Error {
        let reason = format!("{} is not {expected}, which the kind {} needs", self.answer, self.kind.name());
        Error::Option { option: "answer", reason }
    }
}
