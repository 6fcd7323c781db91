//! `mimo_vl.Task`.

use mimo_vl_core::gui::{self, Action, ActionKind};
use mimo_vl_core::{Error, Grammar};
use pyo3::prelude::*;

use crate::error::{OrRaise, exception};
use crate::image::as_image;
use crate::model::Model;
use crate::prompt::Prompt;

/// What an agent is to reach on a screen, and what it did so far. A task does not change: step() gives the next one.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Task {
    task: gui::Task,
}

impl Task {
    /// The form of an answer that is one of the actions offered.
    pub(crate) fn grammar(&self) -> Grammar {
        self.task.grammar()
    }
}

#[pymethods]
impl Task {
    /// `instruction` says what the next step is. `offer` names the actions that may be taken; without it: click, drag, input,
    /// press, wait and finished.
    #[new]
    #[pyo3(signature = (goal, *, instruction=None, offer=None))]
    fn new(py: Python<'_>, goal: String, instruction: Option<String>, offer: Option<Vec<String>>) -> PyResult<Self> {
        let mut task = gui::Task::new(goal);
        if let Some(instruction) = instruction {
            task = task.instruction(instruction);
        }
        if let Some(names) = offer {
            let kind = |name: &String| {
                ActionKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
                    let all = ActionKind::ALL.map(ActionKind::name).join(", ");
                    exception(py, &Error::Option { option: "offer", reason: format!("{name:?} is none of {all}") })
                })
            };
            task = task.action_space(&names.iter().map(kind).collect::<PyResult<Vec<_>>>()?);
        }
        Ok(Self { task })
    }

    /// The task after one more step: `action` is a mimo_vl.Action, in pixels of the screenshots, which are all of one size;
    /// `explanation` says it in words and may be empty.
    fn step(&self, py: Python<'_>, explanation: String, action: &Bound<'_, PyAny>) -> PyResult<Self> {
        let values = action.call_method0("_values")?;
        let json: String = py.import("json")?.call_method1("dumps", (values,))?.extract()?;
        let action = Action::parse(&json).or_raise(py)?;
        Ok(Self { task: self.task.clone().step(explanation, action) })
    }

    /// The prompt that asks for the next action, to be given to ask() or stream() in the place of parts. With `form=task`
    /// the answer is one of the actions offered.
    fn prompt(&self, model: &Model, screenshot: &Bound<'_, PyAny>) -> PyResult<Prompt> {
        let prompt = self.task.prompt(as_image(screenshot)?, model.core().preprocess_config());
        Ok(Prompt::of(prompt.or_raise(screenshot.py())?))
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl.{:?}>", self.task)
    }
}
