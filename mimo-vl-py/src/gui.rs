//! `mimo_vl.Task` and `mimo_vl.Screen`.

use mimo_vl_core::gui::{self, Action, ActionKind, Direction};
use mimo_vl_core::{Error, Grammar};
use pyo3::prelude::*;

use crate::error::{OrRaise, exception};
use crate::image::as_image;
use crate::model::Model;
use crate::number::unsigned;
use crate::prompt::Prompt;

/// The goal of a GUI agent, and its steps so far. A task is immutable: step() returns the next one.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Task {
    task: gui::Task,
}

impl Task {
    /// The form of an answer that is one of the task's actions.
    pub(crate) fn grammar(&self) -> Grammar {
        self.task.grammar()
    }
}

#[pymethods]
impl Task {
    /// `instruction` describes the next step. `action_space` names the actions that the model may take; default: click,
    /// drag, input, press, wait and finished.
    #[new]
    #[pyo3(signature = (goal, *, instruction=None, action_space=None))]
    fn new(
        py: Python<'_>,
        goal: String,
        instruction: Option<String>,
        action_space: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let mut task = gui::Task::new(goal);
        if let Some(instruction) = instruction {
            task = task.instruction(instruction);
        }
        if let Some(names) = action_space {
            let kind = |name: &String| {
                ActionKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
                    let all = ActionKind::ALL.map(ActionKind::name).join(", ");
                    let reason = format!("{name:?} is none of {all}");
                    exception(py, &Error::Option { option: "action_space", reason })
                })
            };
            task = task.action_space(&names.iter().map(kind).collect::<PyResult<Vec<_>>>()?);
        }
        Ok(Self { task })
    }

    /// Returns the task after one more step. `action` is a mimo_vl.Action in pixels of the screenshots, which are all
    /// of one size; `explanation` describes it and may be empty.
    fn step(&self, py: Python<'_>, explanation: String, action: &Bound<'_, PyAny>) -> PyResult<Self> {
        let values = action.call_method0("_to_dict")?;
        let json: String = py.import("json")?.call_method1("dumps", (values,))?.extract()?;
        let action = Action::parse(&json).or_raise(py)?;
        Ok(Self { task: self.task.clone().step(explanation, action) })
    }

    /// Returns the prompt that asks for the next action; ask() and stream() take it in place of parts. With
    /// `response_format=task` the answer is one of the task's actions.
    fn prompt(&self, model: &Model, screenshot: &Bound<'_, PyAny>) -> PyResult<Prompt> {
        let prompt = self.task.prompt(as_image(screenshot)?, model.core().preprocess_config());
        Ok(Prompt::of(prompt.or_raise(screenshot.py())?))
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl.{:?}>", self.task)
    }
}

/// The position of a monitor, and of its screenshot, on the desktop.
///
/// Operating systems position windows and pointers in desktop units, each of which covers `scale` pixels of a monitor.
#[pyclass(frozen, eq, module = "mimo_vl")]
#[derive(PartialEq)]
pub(crate) struct Screen {
    screen: gui::Screen,
}

#[pymethods]
impl Screen {
    /// `left` and `top` are in desktop units, `width` and `height` in pixels of the screenshot. `scale` is the number
    /// of pixels per desktop unit: 1, or 1.25, 1.5 or 2 on dense monitors.
    #[new]
    #[pyo3(signature = (left, top, width, height, scale=1.0))]
    fn new(py: Python<'_>, left: f64, top: f64, width: i64, height: i64, scale: f64) -> PyResult<Self> {
        let side = |pixels| Ok::<u32, PyErr>(unsigned(py, "screen", Some(pixels))?.unwrap_or(0));
        let screen = gui::Screen::new([left, top], [side(width)?, side(height)?], scale).or_raise(py)?;
        Ok(Self { screen })
    }

    /// Left edge in desktop units.
    #[getter]
    fn left(&self) -> f64 {
        self.screen.left
    }

    /// Top edge in desktop units.
    #[getter]
    fn top(&self) -> f64 {
        self.screen.top
    }

    /// Width of the screenshot in pixels.
    #[getter]
    fn width(&self) -> u32 {
        self.screen.width
    }

    /// Height of the screenshot in pixels.
    #[getter]
    fn height(&self) -> u32 {
        self.screen.height
    }

    /// Pixels per desktop unit.
    #[getter]
    fn scale(&self) -> f64 {
        self.screen.scale
    }

    /// Converts a point of the screenshot, in pixels, to desktop units.
    fn to_desktop(&self, point: [f64; 2]) -> (f64, f64) {
        self.screen.to_desktop(point).into()
    }

    /// Converts a point of the desktop to pixels of the screenshot.
    fn to_pixels(&self, point: [f64; 2]) -> (f64, f64) {
        self.screen.to_pixels(point).into()
    }

    /// Returns True if a point of the desktop lies on this monitor.
    fn contains(&self, point: [f64; 2]) -> bool {
        self.screen.contains(point)
    }

    /// Returns the index of the monitor that a point of the desktop lies on; None where there is none.
    #[staticmethod]
    fn at(screens: Vec<PyRef<'_, Self>>, point: [f64; 2]) -> Option<usize> {
        let screens: Vec<gui::Screen> = screens.iter().map(|screen| screen.screen).collect();
        gui::screen_at(&screens, point)
    }

    fn __repr__(&self) -> String {
        let gui::Screen { left, top, width, height, scale, .. } = self.screen;
        format!("Screen(left={left}, top={top}, width={width}, height={height}, scale={scale})")
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.__getnewargs__().into_pyobject(py)?.hash()
    }

    fn __getnewargs__(&self) -> (f64, f64, u32, u32, f64) {
        let gui::Screen { left, top, width, height, scale, .. } = self.screen;
        (left, top, width, height, scale)
    }
}

/// Returns the start and the end of the drag that scrolls in `direction` on a screen of `width` by `height` pixels;
/// None for a direction that is unknown.
#[pyfunction]
pub(crate) fn scroll_as_drag(direction: &str, width: f64, height: f64) -> Option<((f64, f64), (f64, f64))> {
    let direction: Direction = direction.parse().ok()?;
    match (Action::Scroll { direction, distance: None }).scroll_as_drag(width, height) {
        Action::Drag { start, end } => Some((start.into(), end.into())),
        _ => None,
    }
}
