//! Conversions of the header's enums. cbindgen reads their declarations, so these are written out where they belong.

use mimo_vl_core::Result;

use crate::pointer;

/// An enum of the header.
pub(crate) trait CEnum: Copy + 'static {
    /// Name in the header.
    const NAME: &'static str;
    /// All values.
    const ALL: &'static [Self];

    /// The value's number in C.
    fn number(self) -> i32;

    /// The value with this number in C; an error that names `argument` if there is none.
    fn from_number(number: i32, argument: &'static str) -> Result<Self> {
        let value = Self::ALL.iter().copied().find(|value| value.number() == number);
        value.ok_or_else(|| pointer::refuse(argument, format!("{number} is not a value of {}", Self::NAME)))
    }
}

/// Implements [`CEnum`] for an enum, and conversions to and from the core's enum with the same variants.
///
/// Each variant is listed once, and one that is missing does not compile. `into` converts to the core's enum. `from`
/// converts from it, and makes the variant after `else` of every value that is not listed; those after `besides` are
/// C's alone.
macro_rules! c_enum {
    ($name:literal, $type:ident { $($variant:ident),* $(,)? }) => {
        impl $crate::c_enum::CEnum for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn number(self) -> i32 {
                // Without a wildcard, so that the list is complete.
                match self {
                    $(Self::$variant => Self::$variant as i32,)*
                }
            }
        }
    };
    ($name:literal, $type:ident { $($variant:ident),* $(,)? } into $core:ty) => {
        $crate::c_enum::c_enum!($name, $type { $($variant),* });

        impl From<$type> for $core {
            fn from(value: $type) -> Self {
                match value {
                    $($type::$variant => Self::$variant,)*
                }
            }
        }
    };
    (
        $name:literal, $type:ident { $($variant:ident),* $(,)? } from $core:ty, else $other:ident
        $(, besides $own:ident)*
    ) => {
        $crate::c_enum::c_enum!($name, $type { $($own,)* $($variant,)* $other });
        $crate::c_enum::c_enum!(@from $type { $($variant),* } $core, $other);
    };
    ($name:literal, $type:ident { $($variant:ident),* $(,)? } into and from $core:ty, else $other:ident) => {
        $crate::c_enum::c_enum!($name, $type { $($variant,)* $other } into $core);
        $crate::c_enum::c_enum!(@from $type { $($variant),* } $core, $other);
    };
    (@from $type:ident { $($variant:ident),* } $core:ty, $other:ident) => {
        impl From<$core> for $type {
            fn from(value: $core) -> Self {
                match value {
                    $(<$core>::$variant => Self::$variant,)*
                    _ => Self::$other,
                }
            }
        }
    };
}

pub(crate) use c_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[repr(i32)]
    enum Colour {
        Red = 1,
        Blue = 4,
    }

    c_enum!("mimo_vl_colour", Colour { Red, Blue });

    #[test]
    fn numbers_become_values_and_others_are_refused_by_name() {
        assert!(matches!(Colour::from_number(4, "colour"), Ok(Colour::Blue)));
        assert_eq!(Colour::ALL.iter().map(|colour| colour.number()).collect::<Vec<_>>(), [1, 4]);
        let error = Colour::from_number(2, "colour").map(|_| ()).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("colour") && text.contains("mimo_vl_colour")));
    }
}
