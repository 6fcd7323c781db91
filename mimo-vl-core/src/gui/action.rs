//! Actions, and their JSON form.

use serde_json::{Map, Value, json};

use super::action_kind::{ActionKind, Field};
use super::direction::Direction;
use crate::error::{Error, Result};
use crate::media::Transform;
use crate::prompt::to_python_json;

/// An action on a screen. Points are pixels from the top left corner.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Press and release.
    Click {
        /// Position.
        point: [f64; 2],
        /// Text at this position, if the model gave it.
        text: Option<String>,
    },
    /// Scroll the view at the center of the screen.
    Scroll {
        /// Direction, in the model's words; see [`Direction`].
        direction: Direction,
        /// Distance in pixels, if the model gave it.
        distance: Option<f64>,
    },
    /// Type text.
    Input {
        /// The text.
        text: String,
        /// Position to click first.
        point: Option<[f64; 2]>,
    },
    /// Press at one point, move to another, and release.
    Drag {
        /// Start position.
        start: [f64; 2],
        /// End position.
        end: [f64; 2],
    },
    /// Start an application.
    Open {
        /// Name of the application.
        app: String,
    },
    /// Press keys together.
    Press {
        /// Names of the keys, such as `home`, `back` and `enter`.
        keys: Vec<String>,
    },
    /// Report that the task is over.
    Finished {
        /// Outcome, such as `success`.
        status: String,
    },
    /// Press for long.
    LongPress {
        /// Position.
        point: [f64; 2],
    },
    /// Move the pointer.
    Hover {
        /// Position.
        point: [f64; 2],
    },
    /// Choose an entry of a list.
    Select {
        /// The entry.
        text: String,
    },
    /// Do nothing for a while.
    Wait,
    /// Switch to another running application.
    AppSwitch {
        /// Name of the application.
        app: Option<String>,
    },
}

/// The values of an action's JSON fields; `None` where the action lacks one.
#[derive(Default)]
struct Fields {
    start_point: Option<[f64; 2]>,
    end_point: Option<[f64; 2]>,
    text: Option<String>,
    app: Option<String>,
    status: Option<String>,
    keys: Option<Vec<String>>,
    direction: Option<Direction>,
    scroll_distance: Option<f64>,
}

impl Fields {
    /// Reads one field of a JSON object. A value of another type counts as absent.
    ///
    /// # Errors
    /// [`Error::Answer`] for an unknown direction.
    fn read(&mut self, field: Field, object: &Map<String, Value>) -> Result<()> {
        let value = object.get(field.key());
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let point = || -> Option<[f64; 2]> {
            let [x, y] = &value?.as_array()?[..] else { return None };
            Some([x.as_f64()?, y.as_f64()?])
        };
        match field {
            Field::StartPoint => self.start_point = point(),
            Field::EndPoint => self.end_point = point(),
            Field::Text => self.text = text(value),
            // `app_name` is the placeholder in the prompt; it is accepted as a key, too.
            Field::App => self.app = text(value).or_else(|| text(object.get("app_name"))),
            Field::Status => self.status = text(value),
            Field::Keys => {
                let keys = value.and_then(Value::as_array);
                self.keys = keys.and_then(|keys| keys.iter().map(|key| text(Some(key))).collect());
            }
            Field::Direction => self.direction = text(value).map(|word| word.parse()).transpose()?,
            Field::ScrollDistance => self.scroll_distance = value.and_then(Value::as_f64),
        }
        Ok(())
    }

    /// The JSON value of one field. Pixels are rounded.
    fn write(&self, field: Field) -> Option<Value> {
        let point = |point: [f64; 2]| json!(point.map(|value| value.round() as i64));
        match field {
            Field::StartPoint => self.start_point.map(point),
            Field::EndPoint => self.end_point.map(point),
            Field::Text => self.text.as_ref().map(|text| json!(text)),
            Field::App => self.app.as_ref().map(|app| json!(app)),
            Field::Status => self.status.as_ref().map(|status| json!(status)),
            Field::Keys => self.keys.as_ref().map(|keys| json!(keys)),
            Field::Direction => self.direction.map(|direction| json!(direction.name())),
            Field::ScrollDistance => self.scroll_distance.map(|distance| json!(distance.round() as i64)),
        }
    }

    /// The action with these fields, or the first required field that is missing.
    fn into_action(self, kind: ActionKind) -> Result<Action, Field> {
        let point = self.start_point.ok_or(Field::StartPoint);
        let text = self.text.clone().ok_or(Field::Text);
        Ok(match kind {
            ActionKind::Click => Action::Click { point: point?, text: self.text },
            ActionKind::Scroll => {
                let direction = self.direction.ok_or(Field::Direction)?;
                Action::Scroll { direction, distance: self.scroll_distance }
            }
            ActionKind::Input => Action::Input { text: text?, point: self.start_point },
            ActionKind::Drag => Action::Drag { start: point?, end: self.end_point.ok_or(Field::EndPoint)? },
            ActionKind::Open => Action::Open { app: self.app.ok_or(Field::App)? },
            ActionKind::Press => Action::Press { keys: self.keys.ok_or(Field::Keys)? },
            ActionKind::Finished => Action::Finished { status: self.status.unwrap_or_default() },
            ActionKind::LongPress => Action::LongPress { point: point? },
            ActionKind::Hover => Action::Hover { point: point? },
            ActionKind::Select => Action::Select { text: text? },
            ActionKind::Wait => Action::Wait,
            ActionKind::AppSwitch => Action::AppSwitch { app: self.app },
        })
    }

    /// The fields of an action: the inverse of [`into_action`](Self::into_action).
    fn of_action(action: Action) -> Self {
        let none = Self::default();
        match action {
            Action::Click { point, text } => Self { start_point: Some(point), text, ..none },
            Action::Scroll { direction, distance } => {
                Self { direction: Some(direction), scroll_distance: distance, ..none }
            }
            Action::Input { text, point } => Self { text: Some(text), start_point: point, ..none },
            Action::Drag { start, end } => Self { start_point: Some(start), end_point: Some(end), ..none },
            Action::Open { app } => Self { app: Some(app), ..none },
            Action::Press { keys } => Self { keys: Some(keys), ..none },
            Action::Finished { status } => Self { status: Some(status), ..none },
            Action::LongPress { point } => Self { start_point: Some(point), ..none },
            Action::Hover { point } => Self { start_point: Some(point), ..none },
            Action::Select { text } => Self { text: Some(text), ..none },
            Action::Wait => none,
            Action::AppSwitch { app } => Self { app, ..none },
        }
    }
}

impl Action {
    /// Parses the first action of an answer. The answer is the text after the last `</think>`; the action is in a
    /// fenced JSON block, or between the first `{"action":` and the last brace. Of a list, the first element is used.
    /// Points are in the model's pixels.
    ///
    /// # Errors
    /// [`Error::Answer`] when there is no action, or one that is unknown or lacks a field.
    pub fn parse(answer: &str) -> Result<Self> {
        let answer = answer.rsplit("</think>").next().unwrap_or_default();
        let text = match answer.split_once("```json") {
            Some((_, block)) => block.split("```").next().unwrap_or_default(),
            None => unfenced(answer).ok_or_else(|| Error::answer(format!("no action in {:?}", shortened(answer))))?,
        };
        let value: Value = serde_json::from_str(text.trim())
            .map_err(|error| Error::answer(format!("the action {:?} is not JSON: {error}", shortened(text))))?;
        let first = match &value {
            Value::Array(list) => list.first(),
            other => Some(other),
        };
        let object = first.and_then(Value::as_object);
        Self::from_object(object.ok_or_else(|| Error::answer(format!("no action in {:?}", shortened(text))))?)
    }

    /// Reads an action from a JSON object, with its name under `action` or `action_name`.
    fn from_object(object: &Map<String, Value>) -> Result<Self> {
        let name = object.get("action").or_else(|| object.get("action_name")).and_then(Value::as_str);
        let name = name.ok_or_else(|| Error::answer("an action has no name under \"action\""))?;
        let kind =
            ActionKind::from_name(name).ok_or_else(|| Error::answer(format!("{name:?} is an unknown action")))?;
        let mut fields = Fields::default();
        for field in kind.all_fields() {
            fields.read(field, object)?;
        }
        fields.into_action(kind).map_err(|missing| {
            Error::answer(format!("the action {name:?} lacks {:?}, or its value has another type", missing.key()))
        })
    }

    /// The kind of the action.
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Click { .. } => ActionKind::Click,
            Self::Scroll { .. } => ActionKind::Scroll,
            Self::Input { .. } => ActionKind::Input,
            Self::Drag { .. } => ActionKind::Drag,
            Self::Open { .. } => ActionKind::Open,
            Self::Press { .. } => ActionKind::Press,
            Self::Finished { .. } => ActionKind::Finished,
            Self::LongPress { .. } => ActionKind::LongPress,
            Self::Hover { .. } => ActionKind::Hover,
            Self::Select { .. } => ActionKind::Select,
            Self::Wait => ActionKind::Wait,
            Self::AppSwitch { .. } => ActionKind::AppSwitch,
        }
    }

    /// The position of the action; the start position of a drag.
    pub fn point(&self) -> Option<[f64; 2]> {
        match self {
            Self::Click { point, .. } | Self::LongPress { point } | Self::Hover { point } => Some(*point),
            Self::Drag { start, .. } => Some(*start),
            Self::Input { point, .. } => *point,
            _ => None,
        }
    }

    /// The end position of a drag.
    pub fn end_point(&self) -> Option<[f64; 2]> {
        match self {
            Self::Drag { end, .. } => Some(*end),
            _ => None,
        }
    }

    /// The text, application or status of the action.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Click { text, .. } => text.as_deref(),
            Self::Input { text, .. } | Self::Select { text } => Some(text),
            Self::Open { app } => Some(app),
            Self::AppSwitch { app } => app.as_deref(),
            Self::Finished { status } => Some(status),
            _ => None,
        }
    }

    /// The keys to press; empty for other actions.
    pub fn keys(&self) -> &[String] {
        match self {
            Self::Press { keys } => keys,
            _ => &[],
        }
    }

    /// The direction of a scroll.
    pub fn direction(&self) -> Option<Direction> {
        match self {
            Self::Scroll { direction, .. } => Some(*direction),
            _ => None,
        }
    }

    /// The JSON that the model writes for the action: `{"action": "click", "start_point": [5, 6]}`. Pixels are rounded.
    pub fn to_json(&self) -> String {
        self.write_json("action")
    }

    /// The JSON of the action in the prompt's history, with its name under `action_name`.
    pub fn to_history(&self) -> String {
        self.write_json("action_name")
    }

    fn write_json(&self, name_key: &str) -> String {
        let (kind, fields) = (self.kind(), Fields::of_action(self.clone()));
        let values = kind.all_fields().filter_map(|field| Some((field.key().to_owned(), fields.write(field)?)));
        let object: Map<String, Value> =
            [(name_key.to_owned(), json!(kind.name()))].into_iter().chain(values).collect();
        to_python_json(&Value::Object(object))
    }

    /// Returns the action with `to` applied to every point.
    #[must_use]
    pub fn map(&self, to: impl Fn([f64; 2]) -> [f64; 2]) -> Self {
        let mut mapped = self.clone();
        match &mut mapped {
            Self::Click { point, .. } | Self::LongPress { point } | Self::Hover { point } => *point = to(*point),
            Self::Drag { start, end } => (*start, *end) = (to(*start), to(*end)),
            Self::Input { point: Some(point), .. } => *point = to(*point),
            _ => {}
        }
        mapped
    }

    /// Converts from the model's pixels to those of the caller's screenshot, clamped to the part that the model saw.
    #[must_use]
    pub fn to_original(&self, transform: &Transform) -> Self {
        let [(left, top), (right, bottom)] = transform.crop_corners();
        self.map(|[x, y]| {
            let (x, y) = transform.to_original(x, y);
            [x.clamp(left, right), y.clamp(top, bottom)]
        })
    }

    /// Converts from the pixels of the caller's screenshot to the model's.
    #[must_use]
    pub fn to_model(&self, transform: &Transform) -> Self {
        self.map(|[x, y]| transform.to_model(x, y).into())
    }

    /// Replaces a scroll by the equivalent drag on a screen of `width` by `height` pixels; returns other actions
    /// unchanged.
    #[must_use]
    pub fn scroll_as_drag(&self, width: f64, height: f64) -> Self {
        match self {
            Self::Scroll { direction, .. } => {
                let [start, end] = direction.to_drag(width, height);
                Self::Drag { start, end }
            }
            other => other.clone(),
        }
    }
}

/// The JSON from the first object that starts with an action's name up to the last brace.
fn unfenced(text: &str) -> Option<&str> {
    let starts = text.match_indices('{').map(|(at, _)| at);
    let is_action = |at: &usize| {
        let rest = text[at + 1..].trim_start();
        ["\"action\"", "\"action_name\""].iter().any(|key| rest.starts_with(key))
    };
    let start = starts.into_iter().find(is_action)?;
    let end = text.rfind('}')?;
    let object = text.get(start..=end)?;
    // The first of several objects, in a list or one after the other.
    let mut values = serde_json::Deserializer::from_str(object).into_iter::<Value>();
    match values.next() {
        Some(Ok(_)) => object.get(..values.byte_offset()),
        _ => Some(object),
    }
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Every kind of action with its JSON.
    fn all() -> Vec<(Action, &'static str)> {
        let text = |text: &str| text.to_owned();
        vec![
            (Action::Click { point: [5.0, 6.0], text: None }, r#"{"action": "click", "start_point": [5, 6]}"#),
            (
                Action::Click { point: [5.0, 6.0], text: Some(text("确定")) },
                r#"{"action": "click", "start_point": [5, 6], "text": "确定"}"#,
            ),
            (
                Action::Scroll { direction: Direction::Down, distance: None },
                r#"{"action": "scroll", "direction": "down"}"#,
            ),
            (
                Action::Scroll { direction: Direction::Left, distance: Some(300.0) },
                r#"{"action": "scroll", "direction": "left", "scroll_distance": 300}"#,
            ),
            (Action::Input { text: text("a \"b\""), point: None }, r#"{"action": "input", "text": "a \"b\""}"#),
            (
                Action::Input { text: text("a"), point: Some([1.0, 2.0]) },
                r#"{"action": "input", "text": "a", "start_point": [1, 2]}"#,
            ),
            (
                Action::Drag { start: [1.0, 2.0], end: [3.0, 4.0] },
                r#"{"action": "drag", "start_point": [1, 2], "end_point": [3, 4]}"#,
            ),
            (Action::Open { app: text("Maps") }, r#"{"action": "open", "app": "Maps"}"#),
            (Action::Press { keys: vec![text("ctrl"), text("c")] }, r#"{"action": "press", "keys": ["ctrl", "c"]}"#),
            (Action::Finished { status: text("success") }, r#"{"action": "finished", "status": "success"}"#),
            (Action::LongPress { point: [7.0, 8.0] }, r#"{"action": "longpress", "start_point": [7, 8]}"#),
            (Action::Hover { point: [7.0, 8.0] }, r#"{"action": "hover", "start_point": [7, 8]}"#),
            (Action::Select { text: text("Red") }, r#"{"action": "select", "text": "Red"}"#),
            (Action::Wait, r#"{"action": "wait"}"#),
            (Action::AppSwitch { app: None }, r#"{"action": "appswitch"}"#),
        ]
    }

    #[test]
    fn every_action_survives_writing_and_parsing() {
        let mut kinds: Vec<ActionKind> = Vec::new();
        for (action, json) in all() {
            assert_eq!(action.to_json(), json);
            assert_eq!(Action::parse(json).unwrap(), action);
            assert_eq!(Action::parse(&action.to_history()).unwrap(), action);
            assert!(action.to_history().starts_with(r#"{"action_name": ""#));
            assert!(action.kind().signature().starts_with(&format!(r#"{{"action": "{}""#, action.kind().name())));
            if !kinds.contains(&action.kind()) {
                kinds.push(action.kind());
            }
        }
        assert_eq!(kinds.len(), ActionKind::ALL.len());
    }

    #[test]
    fn actions_are_parsed_from_every_form_of_answer() {
        let click = Action::Click { point: [10.0, 20.5], text: None };
        for answer in [
            "<think>\n{\"action\": \"wait\"}</think>\n{\"action\": \"click\", \"start_point\": [10, 20.5]}",
            "```json\n[{\"action\": \"click\", \"start_point\": [10, 20.5]}, {\"action\": \"wait\"}]\n```",
            "I click. {\"action\":\"click\",\"start_point\":[10,20.5]} Done.",
            "[{\"action\": \"click\", \"start_point\": [10, 20.5]}, {\"action\": \"wait\"}]",
            "{ \"action_name\": \"click\", \"start_point\": [10, 20.5]}",
        ] {
            assert_eq!(Action::parse(answer).unwrap(), click, "{answer}");
        }
        let app = Action::Open { app: "Maps".to_owned() };
        assert_eq!(Action::parse(r#"{"action": "open", "app_name": "Maps"}"#).unwrap(), app);
    }

    #[test]
    fn answers_without_a_valid_action_are_errors() {
        for answer in [
            "",
            "I do nothing.",
            "{\"action\": \"fly\"}",
            "{\"action\": \"click\"}",
            "{\"action\": \"click\", \"start_point\": [1]}",
            "{\"action\": \"click\", \"start_point\": \"here\"}",
            "{\"action\": \"scroll\", \"direction\": \"inwards\"}",
            "{\"action\": \"press\", \"keys\": [1]}",
            "{\"action\": 3}",
            "{\"action\": \"wait\"",
            "```json\n[]\n```",
            "<think>{\"action\": \"wait\"}</think>",
        ] {
            assert!(matches!(Action::parse(answer), Err(Error::Answer { .. })), "{answer}");
        }
    }

    #[test]
    fn a_scroll_becomes_a_drag_and_other_actions_stay() {
        let scroll = Action::Scroll { direction: Direction::Down, distance: None };
        assert_eq!(scroll.scroll_as_drag(100.0, 50.0), Action::Drag { start: [50.0, 25.0], end: [50.0, 10.0] });
        assert_eq!(Action::Wait.scroll_as_drag(1.0, 1.0), Action::Wait);
    }
}
