//! Comparison with the reference, stage by stage. Each stage gets the reference's own input, so that errors do not add
//! up; the last stages run from the images to the answer.
//!
//! A checkpoint directory with expected values has a folder `cases` with one folder per conversation: `messages.json`,
//! the image files that it names, `expected.json` and `expected.safetensors`.

mod case;
mod expected;
mod measure;
mod stages;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use mimo_vl_core::{LoadOptions, Model};

pub use case::{Case, Content, MediaItem};
pub use expected::{CaseError, Expected, ExpectedMediaItem};
pub use measure::{relative_error, worst_error};
pub use stages::{compare_stages, prompt_logits};

/// Largest relative error of features and logits that passes.
pub const TENSOR_TOLERANCE: f64 = 2e-5;

/// The result of one stage of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within the tolerance.
    Passed,
    /// Outside of the tolerance, or the stage returned an error.
    Failed,
    /// Printed for information; no tolerance applies.
    Reported,
}

/// One line of the report.
#[derive(Debug, Clone)]
pub struct Row {
    /// Name of the case's folder.
    pub case: String,
    /// Name of the stage.
    pub stage: &'static str,
    /// The result.
    pub verdict: Verdict,
    /// The relative error with its tolerance, or the first difference.
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

/// Number of rows that passed and failed. Rows that are only reported do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Rows within their tolerance.
    pub passed: usize,
    /// Rows outside of it.
    pub failed: usize,
}

impl Summary {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Reported => {}
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Loads the checkpoint in `directory` and compares all its cases. `report` gets each row as soon as it is known.
///
/// A case that cannot be read is a failed row.
///
/// # Errors
/// The checkpoint cannot be loaded, or it has no cases.
pub fn compare(
    directory: &Path,
    options: &LoadOptions,
    mut report: impl FnMut(&Row),
) -> Result<Summary, Box<dyn Error>> {
    let folders = folders(&directory.join("cases"))?;
    let model = Model::load(directory, options)?;
    let mut summary = Summary::default();
    for folder in folders {
        let rows = match Case::load(&folder) {
            Ok(case) => compare_stages(&model, &case),
            Err(error) => vec![Row {
                case: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                stage: "case",
                verdict: Verdict::Failed,
                error: error.to_string(),
            }],
        };
        for row in rows {
            summary.count(row.verdict);
            report(&row);
        }
    }
    Ok(summary)
}

/// The folders of all cases, sorted by name.
fn folders(cases: &Path) -> Result<Vec<PathBuf>, CaseError> {
    let failed = |error: std::io::Error| CaseError::new(cases, error.to_string());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(cases).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    if folders.is_empty() { Err(CaseError::new(cases, "there are no cases")) } else { Ok(folders) }
}
