//! GUI actions, and the tasks that they belong to.

use std::ffi::c_char;
use std::fmt;

use mimo_vl_core::{Result, gui};

use crate::answer::Answer;
use crate::boundary::{change, create};
use crate::c_enum::{CEnum, c_enum};
use crate::call::try_set;
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::model::Model;
use crate::options::GenerateOptions;
use crate::pointer;
use crate::prompt::Prompt;
use crate::text::{EMPTY, Str, Text, put, read_text};
use crate::unwind::{free, read, read_array};

/// GUI action on a screen.
pub struct Action {
    pub(crate) action: gui::Action,
    json: Text,
    /// The text, application or status.
    text: Option<Text>,
    keys: Vec<Text>,
}

/// Kind of a GUI action. More may be added.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum ActionKind {
    /// Click at the point, and type the text, if there is one.
    Click = 0,
    /// Scroll in the direction of mimo_vl_action_direction.
    Scroll = 1,
    /// Type the text, after a click at the point, if there is one.
    Input = 2,
    /// Drag from the point to the end point.
    Drag = 3,
    /// Start the application that the text names.
    Open = 4,
    /// Press the keys together.
    Press = 5,
    /// The task is finished; the text is its status.
    Finished = 6,
    /// Press at the point for a long time.
    LongPress = 7,
    /// Move the pointer to the point.
    Hover = 8,
    /// Select the entry that the text names.
    Select = 9,
    /// Wait.
    Wait = 10,
    /// Switch to another running application, which the text names, if there is one.
    AppSwitch = 11,
}

c_enum!("mimo_vl_action_kind", ActionKind {
    Click, Scroll, Input, Drag, Open, Press, Finished, LongPress, Hover, Select, AppSwitch,
} into and from gui::ActionKind, else Wait);

impl Action {
    pub(crate) fn new(action: gui::Action) -> Self {
        use gui::Action::{AppSwitch, Click, Finished, Input, Open, Press, Select};
        let text = match &action {
            Click { text, .. } => text.as_deref(),
            Input { text, .. } | Select { text } => Some(text.as_str()),
            Open { app } => Some(app.as_str()),
            AppSwitch { app } => app.as_deref(),
            Finished { status } => Some(status.as_str()),
            _ => None,
        };
        let keys = match &action {
            Press { keys } => keys.iter().map(|key| Text::new(key.as_str())).collect(),
            _ => Vec::new(),
        };
        Self { json: Text::new(action.to_json()), text: text.map(Text::new), keys, action }
    }

    /// Point and end point.
    fn points(&self) -> (Option<[f64; 2]>, Option<[f64; 2]>) {
        use gui::Action::{Click, Drag, Hover, Input, LongPress};
        match self.action {
            Click { point, .. } | LongPress { point } | Hover { point } => (Some(point), None),
            Input { point, .. } => (point, None),
            Drag { start, end } => (Some(start), Some(end)),
            _ => (None, None),
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)
    }
}

/// Parses the first action of an answer, with points in pixels of the last image of the conversation. Free it with
/// mimo_vl_action_free.
///
/// Errors: MIMO_VL_STATUS_ANSWER if the answer has no action, or one that is unknown or incomplete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_action(
    answer: *const Answer,
    action_out: *mut *mut Action,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(action_out, "action_out", error_out, || {
            let answer = &pointer::borrow(answer, "answer")?.answer;
            let action = gui::Action::parse(&answer.text)?;
            Ok(Action::new(answer.transforms.last().map_or(action.clone(), |seen| action.to_original(seen))))
        })
    }
}

/// Parses an action, `len` bytes of UTF-8 at `text`, such as its JSON, with points as written there. Free it with
/// mimo_vl_action_free.
///
/// Errors: those of mimo_vl_answer_action.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_parse(
    text: *const c_char,
    len: usize,
    action_out: *mut *mut Action,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe {
        create(action_out, "action_out", error_out, || {
            Ok(Action::new(gui::Action::parse(pointer::text(text, len, "text")?)?))
        })
    }
}

/// Returns the kind; MIMO_VL_ACTION_KIND_WAIT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_kind_of(action: *const Action) -> ActionKind {
    // SAFETY: NULL or a living action, as the header requires.
    unsafe { read(action, ActionKind::Wait, |action| action.action.kind().into()) }
}

/// Writes x and y of the point to `point_out[0..1]`. Returns false, and writes nothing, if the action has no point.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_point(action: *const Action, point_out: *mut f64) -> bool {
    // SAFETY: NULL or a living action, and NULL or a place for two numbers, as the header requires.
    unsafe { read_array(action, point_out, |action| action.points().0) }
}

/// Writes x and y of the end of a drag to `point_out[0..1]`. Returns false, and writes nothing, for another action.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_end_point(action: *const Action, point_out: *mut f64) -> bool {
    // SAFETY: NULL or a living action, and NULL or a place for two numbers, as the header requires.
    unsafe { read_array(action, point_out, |action| action.points().1) }
}

/// Writes the text to `*text_out`. Returns false, and writes an empty text, if the action has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_text(action: *const Action, text_out: *mut Str) -> bool {
    // SAFETY: NULL or a living action, and NULL or a place for a text, as the header requires.
    unsafe { read_text(action, text_out, |action| action.text.as_ref()) }
}

/// Writes the direction of a scroll to `*direction_out`: "up", "down", "left" or "right", valid for the life of the
/// process. "down" shows what is further down. Returns false, and writes an empty text, for another action.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_direction(action: *const Action, direction_out: *mut Str) -> bool {
    let direction = |action: &Action| match &action.action {
        gui::Action::Scroll { direction, .. } => Some(match direction {
            gui::Direction::Up => c"up",
            gui::Direction::Down => c"down",
            gui::Direction::Left => c"left",
            gui::Direction::Right => c"right",
        }),
        _ => None,
    };
    // SAFETY: NULL or a living action, and NULL or a place for a text, as the header requires.
    unsafe {
        let word = read(action, None, direction);
        put(direction_out, word.map_or(EMPTY, |word| Str { data: word.as_ptr(), len: word.count_bytes() }));
        word.is_some()
    }
}

/// Returns the number of keys to press; 0 for another action.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_key_count(action: *const Action) -> usize {
    // SAFETY: NULL or a living action, as the header requires.
    unsafe { read(action, 0, |action| action.keys.len()) }
}

/// Writes the name of key `index`, counted from 0, to `*key_out`. Returns false, and writes an empty text, if there is
/// no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_key(action: *const Action, index: usize, key_out: *mut Str) -> bool {
    // SAFETY: NULL or a living action, and NULL or a place for a text, as the header requires.
    unsafe { read_text(action, key_out, |action| action.keys.get(index)) }
}

/// Writes the action as JSON to `*json_out`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_json(action: *const Action, json_out: *mut Str) {
    // SAFETY: NULL or a living action, and NULL or a place for a text, as the header requires.
    unsafe { read_text(action, json_out, |action| Some(&action.json)) };
}

/// Frees the action.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_free(action: *mut Action) {
    // SAFETY: NULL or an action that the caller owns, as the header requires.
    unsafe { free(action) };
}

/// Task of a GUI agent: its goal, and the steps taken so far.
#[derive(Debug)]
pub struct Task(gui::Task);

/// Makes a task without steps; its goal is `len` bytes of UTF-8 at `goal`. Free it with mimo_vl_task_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_new(
    goal: *const c_char,
    len: usize,
    task_out: *mut *mut Task,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `goal` points to `len` bytes.
    unsafe { create(task_out, "task_out", error_out, || Ok(Task(gui::Task::new(pointer::text(goal, len, "goal")?)))) }
}

/// Sets the instruction for the next step, `len` bytes of UTF-8 at `text`; default none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_set_instruction(
    task: *mut Task,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe {
        change(task, "task", error_out, |task| {
            task.0 = task.0.clone().instruction(pointer::text(text, len, "text")?);
            Ok(())
        })
    }
}

/// Sets the action space: the `count` numbers of mimo_vl_action_kind at `kinds`. Default: click, drag, input, press,
/// wait and finished.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_set_action_space(
    task: *mut Task,
    kinds: *const i32,
    count: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `kinds` points to `count` numbers.
    unsafe {
        change(task, "task", error_out, |task| {
            let kinds = pointer::list(kinds, count, "kinds")?.iter();
            let kinds = kinds.map(|&kind| ActionKind::from_number(kind, "kinds").map(Into::into));
            task.0 = task.0.clone().action_space(&kinds.collect::<Result<Vec<_>>>()?);
            Ok(())
        })
    }
}

/// Adds a step: its action, in pixels of the screenshots, which all have one size, and its explanation, `len` bytes of
/// UTF-8 at `explanation`, which may be empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_add_step(
    task: *mut Task,
    explanation: *const c_char,
    len: usize,
    action: *const Action,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `explanation` points to `len` bytes.
    unsafe {
        change(task, "task", error_out, |task| {
            let action = pointer::borrow(action, "action")?.action.clone();
            task.0 = task.0.clone().step(pointer::text(explanation, len, "explanation")?, action);
            Ok(())
        })
    }
}

/// Makes the prompt that requests the next action on `screenshot`, in the format of the model's training. Free it with
/// mimo_vl_prompt_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE if the screenshot cannot be resized to what the model accepts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_prompt(
    task: *const Task,
    screenshot: *const Image,
    model: *const Model,
    prompt_out: *mut *mut Prompt,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(prompt_out, "prompt_out", error_out, || {
            let screenshot = pointer::borrow(screenshot, "screenshot")?.0.clone();
            let config = pointer::borrow(model, "model")?.model.preprocess_config();
            Ok(Prompt(pointer::borrow(task, "task")?.0.prompt(screenshot, config)?))
        })
    }
}

/// Sets the grammar of the answer to one action of the task's action space.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_task(
    options: *mut GenerateOptions,
    task: *const Task,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.grammar = Some(pointer::borrow(task, "task")?.0.grammar());
            Ok(())
        })
    }
}

/// Frees the task.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_free(task: *mut Task) {
    // SAFETY: NULL or a task that the caller owns, as the header requires.
    unsafe { free(task) };
}
