//! Operating a screen: what the model is asked, and what it wants done.

use std::ffi::c_char;
use std::fmt;

use mimo_vl_core::{Result, gui};

use crate::answer::Answer;
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::model::Model;
use crate::options::GenerateOptions;
use crate::prompt::Prompt;
use crate::region::{lend, write};
use crate::text::{EMPTY, Str, Text, put};
use crate::{boundary, pointer};

/// One of the twelve actions on a screen.
pub struct Action {
    pub(crate) action: gui::Action,
    json: Text,
    /// The text, application or status.
    text: Option<Text>,
    keys: Vec<Text>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum ActionKind {
    /// Press and let go at the point; the text, if there is one, is what is written there.
    Click = 0,
    /// Scroll in the direction of mimo_vl_action_direction.
    Scroll = 1,
    /// Type the text, after a click at the point if there is one.
    Input = 2,
    /// Move from the point to the end point while pressing.
    Drag = 3,
    /// Start the program that the text names.
    Open = 4,
    /// Press the keys together.
    Press = 5,
    /// The task is over; the text is how it went.
    Finished = 6,
    /// Press for long at the point.
    LongPress = 7,
    /// Move to the point.
    Hover = 8,
    /// Choose the entry that the text names.
    Select = 9,
    /// Do nothing for a while.
    Wait = 10,
    /// Go to another running program, which the text names if there is one.
    AppSwitch = 11,
}

/// The names in the order of their numbers, and what each stands for.
const NAMES: [(ActionKind, gui::ActionKind); 12] = [
    (ActionKind::Click, gui::ActionKind::Click),
    (ActionKind::Scroll, gui::ActionKind::Scroll),
    (ActionKind::Input, gui::ActionKind::Input),
    (ActionKind::Drag, gui::ActionKind::Drag),
    (ActionKind::Open, gui::ActionKind::Open),
    (ActionKind::Press, gui::ActionKind::Press),
    (ActionKind::Finished, gui::ActionKind::Finished),
    (ActionKind::LongPress, gui::ActionKind::LongPress),
    (ActionKind::Hover, gui::ActionKind::Hover),
    (ActionKind::Select, gui::ActionKind::Select),
    (ActionKind::Wait, gui::ActionKind::Wait),
    (ActionKind::AppSwitch, gui::ActionKind::AppSwitch),
];

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

/// Read the first action of an answer, with points in pixels of the last picture of the conversation. Free it with
/// mimo_vl_action_free.
///
/// Errors: MIMO_VL_STATUS_ANSWER when the answer has no action, or one that is none of the twelve or lacks something;
/// MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_action(
    answer: *const Answer,
    action_out: *mut *mut Action,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(action_out, "action_out", error_out, || {
            let answer = &pointer::borrow(answer, "answer")?.answer;
            let action = gui::Action::parse(&answer.text)?;
            Ok(Action::new(answer.transforms.last().map_or(action.clone(), |seen| action.to_original(seen))))
        })
    }
}

/// Read an action from `len` bytes of UTF-8 at `text`, such as its JSON, with points as they stand there. Free it with
/// mimo_vl_action_free.
///
/// Errors: as mimo_vl_answer_action, and MIMO_VL_STATUS_OPTION for text that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_parse(
    text: *const c_char,
    len: usize,
    action_out: *mut *mut Action,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe {
        boundary::making(action_out, "action_out", error_out, || {
            Ok(Action::new(gui::Action::parse(pointer::text(text, len, "text")?)?))
        })
    }
}

/// What is to be done; MIMO_VL_ACTION_KIND_WAIT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_kind_of(action: *const Action) -> ActionKind {
    boundary::infallible(ActionKind::Wait, || {
        // SAFETY: NULL or a living action, by the header's rules.
        let kind = unsafe { action.as_ref() }.map(|action| action.action.kind());
        NAMES.into_iter().find(|(_, known)| Some(*known) == kind).map_or(ActionKind::Wait, |(name, _)| name)
    })
}

/// If the action has a point, put its x and y into `point_out[0..1]`. False, and nothing is written, where there is none and
/// for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_point(action: *const Action, point_out: *mut f64) -> bool {
    // SAFETY: NULL or a living action, and NULL or a place for two numbers.
    boundary::infallible(false, || unsafe { write(action.as_ref().and_then(|action| action.points().0), point_out) })
}

/// If the action is a drag, put x and y of where it ends into `point_out[0..1]`; otherwise as mimo_vl_action_point.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_end_point(action: *const Action, point_out: *mut f64) -> bool {
    // SAFETY: NULL or a living action, and NULL or a place for two numbers.
    boundary::infallible(false, || unsafe { write(action.as_ref().and_then(|action| action.points().1), point_out) })
}

/// If the action has a text, put it into `*text_out`, unless that is NULL; it lives as long as the action. False, with an empty
/// text, where there is none and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_text(action: *const Action, text_out: *mut Str) -> bool {
    // SAFETY: NULL or a living action, and NULL or a place for a text.
    boundary::infallible(false, || unsafe { lend(action.as_ref().and_then(|action| action.text.as_ref()), text_out) })
}

/// If the action is to scroll, put "up", "down", "left" or "right" into `*direction_out`, unless that is NULL; it lives for
/// ever. False, with an empty text, otherwise. Down shows what is further down.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_direction(action: *const Action, direction_out: *mut Str) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or a living action, by the header's rules.
        let word = match unsafe { action.as_ref() }.map(|action| &action.action) {
            Some(gui::Action::Scroll { direction, .. }) => match direction {
                gui::Direction::Up => Some(c"up"),
                gui::Direction::Down => Some(c"down"),
                gui::Direction::Left => Some(c"left"),
                gui::Direction::Right => Some(c"right"),
            },
            _ => None,
        };
        let text = word.map(|word| Str { data: word.as_ptr(), len: word.count_bytes() });
        let is_scroll = text.is_some();
        // SAFETY: NULL or a place for a text, by the header's rules.
        unsafe { put(direction_out, text.unwrap_or(EMPTY)) };
        is_scroll
    })
}

/// How many keys are to be pressed; 0 for other actions and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_key_count(action: *const Action) -> usize {
    // SAFETY: NULL or a living action, by the header's rules.
    boundary::infallible(0, || unsafe { action.as_ref() }.map_or(0, |action| action.keys.len()))
}

/// Put the name of key `index`, counted from 0, into `*key_out`, unless that is NULL; it lives as long as the action. False, with
/// an empty text, where there is no such key and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_key(action: *const Action, index: usize, key_out: *mut Str) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or a living action, and NULL or a place for a text.
        unsafe { lend(action.as_ref().and_then(|action| action.keys.get(index)), key_out) }
    })
}

/// Put the action as JSON into `*json_out`, which lives as long as the action. Empty for NULL; nothing happens when `json_out` is
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_json(action: *const Action, json_out: *mut Str) {
    boundary::infallible((), || {
        // SAFETY: NULL or a living action, and NULL or a place for a text.
        unsafe { put(json_out, action.as_ref().map_or(EMPTY, |action| action.json.lend())) }
    });
}

/// Free the action; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_free(action: *mut Action) {
    // SAFETY: NULL or an action that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(action) });
}

/// What an agent is to reach on a screen, and what it did so far.
#[derive(Debug)]
pub struct Task(gui::Task);

/// A task of which nothing is done yet; its goal is `len` bytes of UTF-8 at `goal`. Free it with mimo_vl_task_free.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_new(
    goal: *const c_char,
    len: usize,
    task_out: *mut *mut Task,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `goal` points to `len` bytes.
    unsafe {
        boundary::making(task_out, "task_out", error_out, || {
            Ok(Task(gui::Task::new(pointer::text(goal, len, "goal")?)))
        })
    }
}

/// Change a task that C lends.
///
/// # Safety
/// As for [`pointer::borrow_mut`], and `error_out` is null or valid for a write.
unsafe fn change(
    task: *mut Task,
    error_out: *mut *mut ErrorObject,
    step: impl FnOnce(gui::Task) -> Result<gui::Task>,
) -> Status {
    // SAFETY: passed on to the caller.
    unsafe {
        boundary::fallible(error_out, || {
            let task = pointer::borrow_mut(task, "task")?;
            task.0 = step(task.0.clone())?;
            Ok(())
        })
    }
}

/// Say in `len` bytes of UTF-8 at `text` what the next step is.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_set_instruction(
    task: *mut Task,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe { change(task, error_out, |task| Ok(task.instruction(pointer::text(text, len, "text")?))) }
}

/// Offer the `count` actions at `names`, numbers of mimo_vl_action_kind. Without it: click, drag, input, press, wait, finished.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_set_action_space(
    task: *mut Task,
    names: *const i32,
    count: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `names` points to `count` numbers.
    unsafe {
        change(task, error_out, |task| {
            let kinds = pointer::list(names, count, "names")?.iter().map(|&name| {
                let known = NAMES.into_iter().find(|(known, _)| *known as i32 == name);
                known
                    .map(|(_, kind)| kind)
                    .ok_or_else(|| pointer::refuse("names", format!("{name} is none of mimo_vl_action_kind")))
            });
            Ok(task.action_space(&kinds.collect::<Result<Vec<_>>>()?))
        })
    }
}

/// Add what was done, in pixels of the screenshots, which all have one size, and in words: `len` bytes of UTF-8 at
/// `explanation`, which may be none.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
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
        change(task, error_out, |task| {
            let action = pointer::borrow(action, "action")?.action.clone();
            Ok(task.step(pointer::text(explanation, len, "explanation")?, action))
        })
    }
}

/// The prompt that asks for the next action on `screenshot`, in the words that the model was trained with. Free it with
/// mimo_vl_prompt_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE when the screenshot cannot be brought to the model's size, MIMO_VL_STATUS_OPTION for NULL
/// arguments.
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
        boundary::making(prompt_out, "prompt_out", error_out, || {
            let screenshot = pointer::borrow(screenshot, "screenshot")?.0.clone();
            let config = pointer::borrow(model, "model")?.model.preprocess_config();
            Ok(Prompt(pointer::borrow(task, "task")?.0.prompt(screenshot, config)?))
        })
    }
}

/// Let answers be one of the actions that the task offers, whatever the model would say.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_task(
    options: *mut GenerateOptions,
    task: *const Task,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            options.0.grammar = Some(pointer::borrow(task, "task")?.0.grammar());
            Ok(())
        })
    }
}

/// Free the task; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_task_free(task: *mut Task) {
    // SAFETY: NULL or a task that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(task) });
}
