//! The table of generation options: defaults, setters and what the bindings need to know of each option come from it.

use std::time::Duration;

use super::grammar::Grammar;
use super::options::GenerateOptions;
use crate::cancel::CallOptions;

/// One field of [`GenerateOptions`], as C, Python and the documentation must describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    /// Name of the field.
    pub name: &'static str,
    /// Type of the field.
    pub kind: OptionKind,
    /// Values that [`GenerateOptions::validate`] accepts, and the one that turns the option off.
    pub range: &'static str,
    /// Default, in Rust.
    pub default: &'static str,
}

/// Type of a generation option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OptionKind {
    /// `usize`.
    Count,
    /// `Option<usize>`.
    OptionalCount,
    /// `f32`.
    Number,
    /// `u64`.
    Seed,
    /// `bool`.
    Switch,
    /// `Option<Duration>`.
    Duration,
    /// `Vec<String>`.
    Texts,
    /// `Vec<(u32, f32)>`: token ids with a number each.
    TokenBiases,
    /// `Option<Grammar>`.
    Grammar,
}

trait OptionType {
    const KIND: OptionKind;
}

macro_rules! option_types {
    ($($type:ty => $kind:ident),* $(,)?) => {
        $(impl OptionType for $type {
            const KIND: OptionKind = OptionKind::$kind;
        })*
    };
}

option_types! {
    usize => Count,
    Option<usize> => OptionalCount,
    f32 => Number,
    u64 => Seed,
    bool => Switch,
    Option<Duration> => Duration,
    Vec<String> => Texts,
    Vec<(u32, f32)> => TokenBiases,
    Option<Grammar> => Grammar,
}

/// The kind of a field, from its type in the struct.
const fn kind_of<T: OptionType>(_: fn(&GenerateOptions) -> &T) -> OptionKind {
    T::KIND
}

/// Makes the default, the setters and the table. A field of the struct without a row does not compile.
///
/// A row with `value` gets a setter of the field's type, one with `optional` a setter of the type in the field's
/// `Option`, and one with `list` none: those that add to a list are written out in `options.rs`.
macro_rules! generation_options {
    ($($form:ident $name:ident: $type:ty = $default:expr, $range:literal;)*) => {
        /// All fields of [`GenerateOptions`], in their order, and the time limit of its `call`.
        pub const GENERATION_OPTIONS: &[OptionSpec] = &[$(OptionSpec {
            name: stringify!($name),
            kind: kind_of(|options| &options.$name),
            range: $range,
            default: stringify!($default),
        },)*
        OptionSpec {
            name: "timeout",
            kind: kind_of(|options| &options.call.timeout),
            range: "any",
            default: "None",
        }];

        impl Default for GenerateOptions {
            fn default() -> Self {
                Self { $($name: $default,)* call: CallOptions::new() }
            }
        }

        impl GenerateOptions {
            $(setter!($form $name: $type, $range);)*
        }
    };
}

macro_rules! setter {
    (value $name:ident: $type:ty, $range:literal) => {
        #[doc = concat!("Sets [`", stringify!($name), "`](#structfield.", stringify!($name), "): ", $range, ".")]
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        }
    };
    (optional $name:ident: $type:ty, $range:literal) => {
        #[doc = concat!("Sets [`", stringify!($name), "`](#structfield.", stringify!($name), "): ", $range, ".")]
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = Some($name);
            self
        }
    };
    (list $name:ident: $type:ty, $range:literal) => {};
}

generation_options! {
    value max_tokens: usize = 4096, "at least 1";
    optional max_context: usize = None, "at least 1";
    value repetition_penalty: f32 = 1.0, "above 0; 1 is off";
    value frequency_penalty: f32 = 0.0, "-2 to 2; 0 is off";
    value presence_penalty: f32 = 0.0, "-2 to 2; 0 is off";
    list logit_bias: Vec<(u32, f32)> = Vec::new(), "any number below infinity";
    value temperature: f32 = 0.0, "at least 0; 0 is greedy";
    value top_k: usize = 0, "at least 0; 0 is off";
    value top_p: f32 = 1.0, "0 to 1; 1 is off";
    value min_p: f32 = 0.0, "0 to 1; 0 is off";
    value typical_p: f32 = 1.0, "above 0, at most 1; 1 is off";
    value seed: u64 = 0, "any";
    optional num_draft_tokens: usize = None, "0 to 7; 0 is off";
    list stop: Vec<String> = Vec::new(), "not empty";
    optional grammar: Grammar = None, "any";
    value loop_window: usize = 0, "at least 16; 0 is off";
    optional logprobs: usize = None, "0 to 100";
    value best_of: usize = 1, "at least 1";
    optional thinking_budget: usize = None, "at least 0";
    value keep_thinking: bool = false, "true or false";
    value prose_regions: bool = false, "true or false";
}
