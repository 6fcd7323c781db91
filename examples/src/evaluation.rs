//! Questions with expected answers, and the score of an answer.

use std::path::{Path, PathBuf};

use mimo_vl_core::score::{anls, choice, contains, count, exact, iou, relaxed, time_iou};
use mimo_vl_core::{Answer, Error, Image, Prompt, Region, Result, Thinking, Video, VideoOptions, time_span};
use serde::Deserialize;
use serde_json::Value;

/// A question: one line of a JSONL file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Name in the results. Default: the number of its line.
    #[serde(default)]
    pub id: Option<String>,
    /// Path of an image, relative to the file.
    #[serde(default)]
    pub image: Option<PathBuf>,
    /// Paths of images, relative to the file.
    #[serde(default)]
    pub images: Vec<PathBuf>,
    /// Path of a video, relative to the file.
    #[serde(default)]
    pub video: Option<PathBuf>,
    /// Text of the question.
    pub question: String,
    /// Expected answer: a text, a list of texts of which any is right, a number, the edges of a box, or start and end
    /// of a time span.
    pub answer: Value,
    /// Metric of the score.
    pub kind: Kind,
    /// Number of choices of a multiple-choice question. Default 4.
    #[serde(default = "default_choices")]
    pub choices: usize,
}

fn default_choices() -> usize {
    4
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Exact match of a text or number, as in MMMU, CharXiv and mathematics.
    Exact,
    /// Letter of a multiple-choice question, as in MMBench and Video-MME.
    Choice,
    /// Average normalized Levenshtein similarity, as in DocVQA and InfoVQA.
    Anls,
    /// Relaxed accuracy: numbers within 5 %, as in ChartQA.
    Relaxed,
    /// Exact match of an integer, as in CountBench and PixMo-Count.
    Count,
    /// Intersection over union with a box of at least 0.5, as in RefCOCO.
    Box,
    /// Point, or centre of a box, inside a box, as in ScreenSpot and OSWorld-G.
    Point,
    /// Intersection over union of time spans, as in Charades-STA.
    Time,
}

impl Kind {
    /// Name in JSONL files and reports.
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
    /// The prompt: images, video, then the question. `options` choose the frames of the video.
    ///
    /// # Errors
    /// Those of [`Image::open`] and [`Video::open`].
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

    /// The score of an answer, 0 to 1.
    ///
    /// # Errors
    /// [`Error::Option`] when the expected answer does not have the type that the metric needs.
    pub fn score(&self, answer: &Answer) -> Result<f64> {
        let text = answer.text.as_str();
        let right = |is_right: bool| f64::from(u8::from(is_right));
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
                right(count(text) == Some(expected.ok_or_else(|| self.wrong("an integer"))?))
            }
            Kind::Box => {
                let edges = answer.regions.iter().find_map(Region::as_box);
                let expected = self.numbers::<4>()?;
                right(edges.is_some_and(|edges| iou(edges.pixels, expected) >= 0.5))
            }
            Kind::Point => {
                let center = |region: &Region| match region.as_box() {
                    Some(edges) => Some(edges.center()),
                    None => region.points().first().map(|point| point.pixels),
                };
                let expected = self.numbers::<4>()?;
                right(answer.regions.first().and_then(center).is_some_and(|point| contains(expected, point)))
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
        texts.ok_or_else(|| self.wrong("a text or a list of texts"))
    }

    fn numbers<const N: usize>(&self) -> Result<[f64; N]> {
        let numbers = self.answer.as_array().map(|list| list.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
        let numbers = numbers.and_then(|numbers| <[f64; N]>::try_from(numbers).ok());
        numbers.ok_or_else(|| self.wrong(&format!("a list of {N} numbers")))
    }

    fn wrong(&self, expected: &str) -> Error {
        let reason = format!("{} is not {expected}, which kind {} needs", self.answer, self.kind.name());
        Error::Option { option: "answer", reason }
    }
}
