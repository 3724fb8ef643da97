//! Documents as text.

use std::fmt;

use super::{JsonbRef, Node};

const INDENT: &str = "    ";

impl JsonbRef<'_> {
    /// Appends the text as PostgreSQL writes a `jsonb`: `{"a": 1, "b": [1, 2]}`.
    pub fn write(self, out: &mut String) {
        match self.node() {
            Node::Null => out.push_str("null"),
            Node::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            Node::Number(number) => out.push_str(number.as_str()),
            Node::String(text) => write_string(text, out),
            Node::Array(array) => {
                out.push('[');
                for (index, element) in array.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    element.write(out);
                }
                out.push(']');
            }
            Node::Object(object) => {
                out.push('{');
                for (index, (key, value)) in object.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    write_string(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// Appends the text as `->>` gives it: a string without its quotes, nothing for `null`.
    pub fn write_unquoted(self, out: &mut String) {
        match self.node() {
            Node::Null => {}
            Node::String(text) => out.push_str(text),
            _ => self.write(out),
        }
    }

    /// Appends the text of `jsonb_pretty`: each part on a line of its own.
    pub fn write_pretty(self, out: &mut String) {
        self.pretty(0, out);
    }

    fn pretty(self, level: usize, out: &mut String) {
        let new_line = |level: usize, out: &mut String| {
            out.push('\n');
            (0..level).for_each(|_| out.push_str(INDENT));
        };
        match self.node() {
            Node::Array(array) => {
                out.push('[');
                for (index, element) in array.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    new_line(level + 1, out);
                    element.pretty(level + 1, out);
                }
                new_line(level, out);
                out.push(']');
            }
            Node::Object(object) => {
                out.push('{');
                for (index, (key, value)) in object.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    new_line(level + 1, out);
                    write_string(key, out);
                    out.push_str(": ");
                    value.pretty(level + 1, out);
                }
                new_line(level, out);
                out.push('}');
            }
            _ => self.write(out),
        }
    }
}

/// Appends a string in quotes, with the escapes that PostgreSQL writes.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            8 => "\\b",
            12 => "\\f",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..32 => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        out.push_str(escape);
        if escape.is_empty() {
            crate::text::append(out, format_args!("\\u{byte:04x}"));
        }
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

impl fmt::Display for JsonbRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for JsonbRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
