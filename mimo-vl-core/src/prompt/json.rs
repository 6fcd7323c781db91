//! JSON in the layout that models were trained on.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// JSON as Python's `json.dumps(value, ensure_ascii=False)` writes it.
pub(crate) fn spaced_json(json: &Value) -> String {
    write_json(json, Spaced)
}

pub(super) fn write_json(json: &Value, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    json.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)).expect("values of JSON can be written");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Python's default layout: one line, a space after every comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(b": ")
    }
}
