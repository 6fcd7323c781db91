//! The actions, and how the model writes them.

use serde_json::{Map, Value, json};

use super::kind::{ActionKind, Direction};
use crate::error::{Error, Result};
use crate::media::Transform;
use crate::prompt::spaced_json;

/// One action on a screen; points are pixels from the top left corner.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Press and let go.
    Click {
        /// Where.
        point: [f64; 2],
        /// What is written there.
        text: Option<String>,
    },
    /// Scroll the view in the middle of the screen.
    Scroll {
        /// As the model says it; see [`Direction`].
        direction: Direction,
        /// How far, in pixels.
        distance: Option<f64>,
    },
    /// Type.
    Input {
        /// What.
        text: String,
        /// Where to click before.
        point: Option<[f64; 2]>,
    },
    /// Move while pressing.
    Drag {
        /// From here.
        start: [f64; 2],
        /// To here.
        end: [f64; 2],
    },
    /// Start a program.
    Open {
        /// Its name.
        app: String,
    },
    /// Press keys together, `home`, `back` and `enter` among them.
    Press {
        /// Their names.
        keys: Vec<String>,
    },
    /// The task is over.
    Finished {
        /// How it went.
        status: String,
    },
    /// Press for long.
    LongPress {
        /// Where.
        point: [f64; 2],
    },
    /// Move there.
    Hover {
        /// Where.
        point: [f64; 2],
    },
    /// Choose from a list.
    Select {
        /// The entry.
        text: String,
    },
    /// Do nothing for a while.
    Wait,
    /// Go to another running program.
    AppSwitch {
        /// Its name.
        app: Option<String>,
    },
}

impl Action {
    /// The first action of an answer: what stands after the last `</think>`, in a block fenced as JSON or from the first
    /// `{"action":` to the last brace; of a list its first element. Points are in the model's pixels.
    ///
    /// # Errors
    /// [`Error::Answer`] when there is no action, or one that is none of the twelve or lacks something.
    pub fn parse(answer: &str) -> Result<Self> {
        let said = answer.rsplit("</think>").next().unwrap_or_default();
        let text = match said.split_once("```json") {
            Some((_, block)) => block.split("```").next().unwrap_or_default(),
            None => unfenced(said).ok_or_else(|| Error::answer(format!("no action in {:?}", shortened(said))))?,
        };
        let value: Value = serde_json::from_str(text.trim())
            .map_err(|error| Error::answer(format!("the action {:?} is no JSON: {error}", shortened(text))))?;
        let first = match &value {
            Value::Array(list) => list.first(),
            other => Some(other),
        };
        let object = first.and_then(Value::as_object);
        Self::from_object(object.ok_or_else(|| Error::answer(format!("no action in {:?}", shortened(text))))?)
    }

    /// An action as a JSON object, named under `action` or `action_name`.
    fn from_object(object: &Map<String, Value>) -> Result<Self> {
        let name = object.get("action").or_else(|| object.get("action_name")).and_then(Value::as_str);
        let name = name.ok_or_else(|| Error::answer("an action without a name under \"action\""))?;
        let kind = ActionKind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| Error::answer(format!("{name:?} is no action that MiMo-VL knows")))?;
        let missing = |key: &str| Error::answer(format!("the action {name:?} lacks {key:?}, or it is of another kind"));
        let point = |key: &str| -> Option<[f64; 2]> {
            let numbers = object.get(key)?.as_array()?;
            let [x, y] = &numbers[..] else { return None };
            Some([x.as_f64()?, y.as_f64()?])
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let needed = |key: &str| text(key).ok_or_else(|| missing(key));
        let place = |key: &str| point(key).ok_or_else(|| missing(key));
        let app = || text("app").or_else(|| text("app_name"));
        Ok(match kind {
            ActionKind::Click => Self::Click { point: place("start_point")?, text: text("text") },
            ActionKind::LongPress => Self::LongPress { point: place("start_point")? },
            ActionKind::Hover => Self::Hover { point: place("start_point")? },
            ActionKind::Drag => Self::Drag { start: place("start_point")?, end: place("end_point")? },
            ActionKind::Scroll => Self::Scroll {
                direction: needed("direction")?.parse()?,
                distance: object.get("scroll_distance").and_then(Value::as_f64),
            },
            ActionKind::Input => Self::Input { text: needed("text")?, point: point("start_point") },
            ActionKind::Select => Self::Select { text: needed("text")? },
            ActionKind::Press => {
                let keys = object.get("keys").and_then(Value::as_array).ok_or_else(|| missing("keys"))?;
                let keys: Option<Vec<String>> = keys.iter().map(|key| key.as_str().map(str::to_owned)).collect();
                Self::Press { keys: keys.ok_or_else(|| missing("keys"))? }
            }
            ActionKind::Open => Self::Open { app: app().ok_or_else(|| missing("app"))? },
            ActionKind::AppSwitch => Self::AppSwitch { app: app() },
            ActionKind::Finished => Self::Finished { status: text("status").unwrap_or_default() },
            ActionKind::Wait => Self::Wait,
        })
    }

    /// What it does.
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

    /// The action as the model writes it: `{"action": "click", "start_point": [5, 6]}`. Pixels are rounded.
    pub fn to_json(&self) -> String {
        self.named("action")
    }

    /// The action as the model sees it in its history, with the name under `action_name`.
    pub fn to_history(&self) -> String {
        self.named("action_name")
    }

    fn named(&self, key: &str) -> String {
        let pixels = |point: &[f64; 2]| json!(point.map(|value| value.round() as i64));
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
        put(key, json!(self.kind().name()));
        match self {
            Self::Click { point, text } => {
                put("start_point", pixels(point));
                text.iter().for_each(|text| put("text", json!(text)));
            }
            Self::LongPress { point } | Self::Hover { point } => put("start_point", pixels(point)),
            Self::Drag { start, end } => {
                put("start_point", pixels(start));
                put("end_point", pixels(end));
            }
            Self::Scroll { direction, distance } => {
                put("direction", json!(direction.name()));
                distance.iter().for_each(|distance| put("scroll_distance", json!(distance.round() as i64)));
            }
            Self::Input { text, point } => {
                put("text", json!(text));
                point.iter().for_each(|point| put("start_point", pixels(point)));
            }
            Self::Select { text } => put("text", json!(text)),
            Self::Press { keys } => put("keys", json!(keys)),
            Self::Open { app } => put("app", json!(app)),
            Self::AppSwitch { app } => app.iter().for_each(|app| put("app", json!(app))),
            Self::Finished { status } => put("status", json!(status)),
            Self::Wait => {}
        }
        spaced_json(&Value::Object(object))
    }

    /// The action with every point moved.
    #[must_use]
    pub fn map(&self, to: impl Fn([f64; 2]) -> [f64; 2]) -> Self {
        let mut moved = self.clone();
        match &mut moved {
            Self::Click { point, .. } | Self::LongPress { point } | Self::Hover { point } => *point = to(*point),
            Self::Drag { start, end } => (*start, *end) = (to(*start), to(*end)),
            Self::Input { point: Some(point), .. } => *point = to(*point),
            _ => {}
        }
        moved
    }

    /// From the model's pixels to those of the caller's screenshot, kept within what the model saw of it.
    #[must_use]
    pub fn to_original(&self, transform: &Transform) -> Self {
        let [(left, top), (right, bottom)] = transform.crop_corners();
        self.map(|[x, y]| {
            let (x, y) = transform.to_original(x, y);
            [x.clamp(left, right), y.clamp(top, bottom)]
        })
    }

    /// From the pixels of the caller's screenshot to the model's.
    #[must_use]
    pub fn to_model(&self, transform: &Transform) -> Self {
        self.map(|[x, y]| transform.to_model(x, y).into())
    }

    /// A scroll as the drag that does the same on a screen of `width` by `height` pixels; other actions as they are.
    #[must_use]
    pub fn scroll_as_drag(&self, width: f64, height: f64) -> Self {
        let Self::Scroll { direction, .. } = self else { return self.clone() };
        let end = match direction {
            Direction::Up => [0.5, 0.8],
            Direction::Down => [0.5, 0.2],
            Direction::Left => [0.8, 0.5],
            Direction::Right => [0.2, 0.5],
        };
        Self::Drag { start: [0.5 * width, 0.5 * height], end: [end[0] * width, end[1] * height] }
    }
}

/// From the first object that starts with an action to the last brace.
fn unfenced(text: &str) -> Option<&str> {
    let starts = text.match_indices('{').map(|(at, _)| at);
    let named = |at: &usize| {
        let rest = text[at + 1..].trim_start();
        ["\"action\"", "\"action_name\""].iter().any(|key| rest.starts_with(key))
    };
    let start = starts.into_iter().find(named)?;
    let end = text.rfind('}')?;
    let object = text.get(start..=end)?;
    // Several objects, of a list or one after the other: the first.
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
    fn all_actions_are_written_and_read() {
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
    fn answers_are_read_as_the_authors_do() {
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
    fn what_is_no_action_is_an_error() {
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
    fn scrolls_and_drags_agree() {
        for direction in Direction::ALL {
            let scroll = Action::Scroll { direction, distance: None };
            let Action::Drag { start, end } = scroll.scroll_as_drag(1000.0, 500.0) else { panic!("{direction:?}") };
            assert_eq!(start, [500.0, 250.0]);
            assert_eq!(Direction::of_drag(start, end), Some(direction));
            assert_eq!(direction.flipped().flipped(), direction);
        }
        assert_eq!(Direction::of_drag([1.0, 1.0], [1.0, 1.0]), None);
        assert_eq!(Action::Wait.scroll_as_drag(1.0, 1.0), Action::Wait);
    }
}
