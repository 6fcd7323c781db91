//! JSON in the layout of Python's `json.dumps`, which the models were trained on.

use std::io::{Result, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// Serializes JSON as Python's `json.dumps(value, ensure_ascii=False)` does.
pub(crate) fn to_python_json(json: &Value) -> String {
    write_json(json, PythonFormatter)
}

pub(super) fn write_json(json: &Value, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    json.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)).expect("JSON values serialize");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Python's default layout: one line, with a space after every comma and colon.
struct PythonFormatter;

impl Formatter for PythonFormatter {
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
