//! Comparison with the reference, stage by stage: every stage gets the input that the reference had at that place,
//! and at last the whole runs from the pictures.
//!
//! A checkpoint directory with expected values has a folder `cases`, and in it one folder for each conversation:
//! `messages.json` with the pictures it names, `expected.json` and `expected.safetensors`.

mod case;
mod expected;
mod measure;
mod stages;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use mimo_vl_core::{LoadOptions, Model};

pub use case::{Case, Content, Medium};
pub use expected::{Expected, ExpectedMedium, Unreadable};
pub use measure::{relative_error, worst_error};
pub use stages::{prompt_logits, stages};

/// Largest error of features and logits, relative to the expected values.
pub const TENSOR_BAR: f64 = 2e-5;

/// What came of one stage of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within the bar.
    Passed,
    /// Not within the bar, or the stage gave an error.
    Failed,
    /// Told, but held to no bar.
    Reported,
}

/// One line of the report.
#[derive(Debug, Clone)]
pub struct Row {
    /// The case's folder.
    pub case: String,
    /// What was compared.
    pub stage: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// The error, or the first difference, with the bar.
    pub error: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::Reported => "-",
        };
        write!(f, "{:<18} {:<10} {verdict:<7} {}", self.case, self.stage, self.error)
    }
}

/// How many rows were held to a bar, and what came of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Within their bar.
    pub passed: usize,
    /// Not within it.
    pub failed: usize,
}

impl Tally {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Reported => {}
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Load the checkpoint in `directory` and compare all its cases; `report` gets every row as soon as it is known.
///
/// A case that cannot be read is a failed row.
///
/// # Errors
/// When the checkpoint cannot be loaded or there are no cases.
pub fn compare(directory: &Path, options: &LoadOptions, mut report: impl FnMut(&Row)) -> Result<Tally, Box<dyn Error>> {
    let folders = folders(&directory.join("cases"))?;
    let model = Model::load(directory, options)?;
    let mut tally = Tally::default();
    for folder in folders {
        let rows = match Case::load(&folder) {
            Ok(case) => stages(&model, &case),
            Err(unreadable) => vec![Row {
                case: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                stage: "case",
                verdict: Verdict::Failed,
                error: unreadable.to_string(),
            }],
        };
        for row in rows {
            tally.count(row.verdict);
            report(&row);
        }
    }
    Ok(tally)
}

/// The folders of all cases, in the order of their names.
fn folders(cases: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let unreadable = |error: std::io::Error| Unreadable::new(cases, error.to_string());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(cases).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    if folders.is_empty() { Err(Unreadable::new(cases, "there are no cases")) } else { Ok(folders) }
}
