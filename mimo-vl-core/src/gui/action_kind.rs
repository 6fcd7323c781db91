//! The table of the twelve actions: the name and the JSON fields of each.
//!
//! The prompt, the grammar, the parser and the writer of actions all read this table.

/// The kind of an [`Action`](super::Action). The discriminants are the rows of the table below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// Press and release at a point.
    Click,
    /// Scroll a view.
    Scroll,
    /// Type text.
    Input,
    /// Press at one point, move to another, and release.
    Drag,
    /// Start an application.
    Open,
    /// Press keys together.
    Press,
    /// Report that the task is over.
    Finished,
    /// Press at a point for long.
    LongPress,
    /// Move the pointer to a point.
    Hover,
    /// Choose an entry of a list.
    Select,
    /// Do nothing for a while.
    Wait,
    /// Switch to another running application.
    AppSwitch,
}

/// A field of an action's JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    StartPoint,
    EndPoint,
    Text,
    App,
    Status,
    Keys,
    Direction,
    ScrollDistance,
}

impl Field {
    /// The key in the JSON object.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::StartPoint => "start_point",
            Self::EndPoint => "end_point",
            Self::Text => "text",
            Self::App => "app",
            Self::Status => "status",
            Self::Keys => "keys",
            Self::Direction => "direction",
            Self::ScrollDistance => "scroll_distance",
        }
    }

    /// The value in the prompt's list of actions.
    fn placeholder(self) -> &'static str {
        match self {
            Self::StartPoint | Self::EndPoint => "[x,y]",
            Self::Text => "\"text\"",
            Self::App => "\"app_name\"",
            Self::Status => "\"status\"",
            Self::Keys => "[key1, key2, ...]",
            Self::Direction => "\"direction\"",
            Self::ScrollDistance => "distance",
        }
    }
}

/// A row of the table.
struct ActionSpec {
    kind: ActionKind,
    name: &'static str,
    /// Fields in the prompt and in the grammar.
    fields: &'static [Field],
    /// Further fields that the parser and the writer know.
    extra_fields: &'static [Field],
}

impl ActionSpec {
    const fn new(kind: ActionKind, name: &'static str, fields: &'static [Field]) -> Self {
        Self { kind, name, fields, extra_fields: &[] }
    }

    const fn extra(mut self, fields: &'static [Field]) -> Self {
        self.extra_fields = fields;
        self
    }
}

/// Every action, in the order of [`ActionKind`].
const TABLE: [ActionSpec; 12] = [
    ActionSpec::new(ActionKind::Click, "click", &[Field::StartPoint]).extra(&[Field::Text]),
    ActionSpec::new(ActionKind::Scroll, "scroll", &[Field::Direction]).extra(&[Field::ScrollDistance]),
    ActionSpec::new(ActionKind::Input, "input", &[Field::Text]).extra(&[Field::StartPoint]),
    ActionSpec::new(ActionKind::Drag, "drag", &[Field::StartPoint, Field::EndPoint]),
    ActionSpec::new(ActionKind::Open, "open", &[Field::App]),
    ActionSpec::new(ActionKind::Press, "press", &[Field::Keys]),
    ActionSpec::new(ActionKind::Finished, "finished", &[Field::Status]),
    ActionSpec::new(ActionKind::LongPress, "longpress", &[Field::StartPoint]),
    ActionSpec::new(ActionKind::Hover, "hover", &[Field::StartPoint]),
    ActionSpec::new(ActionKind::Select, "select", &[Field::Text]),
    ActionSpec::new(ActionKind::Wait, "wait", &[]),
    ActionSpec::new(ActionKind::AppSwitch, "appswitch", &[Field::App]),
];

impl ActionKind {
    /// Every kind, in the order of the discriminants.
    pub const ALL: [Self; 12] = {
        let mut all = [Self::Click; TABLE.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = TABLE[index].kind;
            index += 1;
        }
        all
    };

    fn spec(self) -> &'static ActionSpec {
        &TABLE[self as usize]
    }

    /// The model's name for the action.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The kind with this name; `None` for an unknown name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The line that describes the action in the prompt: `{"action": "click", "start_point": [x,y]}`.
    pub fn signature(self) -> String {
        let fields: String =
            self.fields().iter().map(|field| format!(", \"{}\": {}", field.key(), field.placeholder())).collect();
        format!("{{\"action\": \"{}\"{fields}}}", self.name())
    }

    /// The fields in the prompt and in the grammar.
    pub(crate) fn fields(self) -> &'static [Field] {
        self.spec().fields
    }

    /// Every field that the parser and the writer know, in the order in which they are written.
    pub(super) fn all_fields(self) -> impl Iterator<Item = Field> {
        self.spec().fields.iter().chain(self.spec().extra_fields).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds() {
        for (index, kind) in ActionKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(ActionKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(ActionKind::from_name("fly"), None);
    }
}
