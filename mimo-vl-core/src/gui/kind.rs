//! The names of actions and directions.

use std::str::FromStr;

use crate::error::{Error, Result};

/// Shortest drag that has a direction, in pixels.
const SHORTEST_DRAG: f64 = 1e-9;

/// A way in which a view is scrolled: [`Down`](Self::Down) shows what is further down, so a finger moves up.
///
/// The published data does not use the words in one sense: drags follow this one, and the evaluation code of MiMo-VL's
/// authors reads up and down of the model's own `scroll` the other way round ([`flipped`](Self::flipped)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// What is further up.
    Up,
    /// What is further down.
    Down,
    /// What is further left.
    Left,
    /// What is further right.
    Right,
}

impl Direction {
    /// Every direction.
    pub const ALL: [Self; 4] = [Self::Up, Self::Down, Self::Left, Self::Right];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// Up for down and down for up, as the authors' evaluation reads a `scroll` of the model's.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
            other => other,
        }
    }

    /// What a finger scrolls that moves from `start` to `end`; `None` when it does not move. Of two directions that are
    /// equally near the vertical one counts.
    pub fn of_drag(start: [f64; 2], end: [f64; 2]) -> Option<Self> {
        let (x, y) = (end[0] - start[0], end[1] - start[1]);
        if x.abs().max(y.abs()) < SHORTEST_DRAG {
            return None;
        }
        Some(match y.abs() >= x.abs() {
            true if y < 0.0 => Self::Down,
            true => Self::Up,
            false if x < 0.0 => Self::Right,
            false => Self::Left,
        })
    }
}

impl FromStr for Direction {
    type Err = Error;

    /// # Errors
    /// [`Error::Answer`] for another word.
    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|direction| direction.name() == name);
        found.ok_or_else(|| Error::answer(format!("{name:?} is no direction")))
    }
}

/// What an [`Action`](super::Action) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// Press and let go.
    Click,
    /// Scroll a view.
    Scroll,
    /// Type.
    Input,
    /// Move while pressing.
    Drag,
    /// Start a program.
    Open,
    /// Press keys together.
    Press,
    /// The task is over.
    Finished,
    /// Press for long.
    LongPress,
    /// Move there.
    Hover,
    /// Choose from a list.
    Select,
    /// Do nothing for a while.
    Wait,
    /// Go to another running program.
    AppSwitch,
}

impl ActionKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Click,
        Self::Scroll,
        Self::Input,
        Self::Drag,
        Self::Open,
        Self::Press,
        Self::Finished,
        Self::LongPress,
        Self::Hover,
        Self::Select,
        Self::Wait,
        Self::AppSwitch,
    ];

    /// The name that the model knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Scroll => "scroll",
            Self::Input => "input",
            Self::Drag => "drag",
            Self::Open => "open",
            Self::Press => "press",
            Self::Finished => "finished",
            Self::LongPress => "longpress",
            Self::Hover => "hover",
            Self::Select => "select",
            Self::Wait => "wait",
            Self::AppSwitch => "appswitch",
        }
    }

    /// The line that tells the model that it may do this.
    pub fn signature(self) -> String {
        let rest = match self {
            Self::Click | Self::LongPress | Self::Hover => r#", "start_point": [x,y]"#,
            Self::Drag => r#", "start_point": [x,y], "end_point": [x,y]"#,
            Self::Scroll => r#", "direction": "direction""#,
            Self::Input | Self::Select => r#", "text": "text""#,
            Self::Open | Self::AppSwitch => r#", "app": "app_name""#,
            Self::Press => r#", "keys": [key1, key2, ...]"#,
            Self::Finished => r#", "status": "status""#,
            Self::Wait => "",
        };
        format!(r#"{{"action": "{}"{rest}}}"#, self.name())
    }
}
