//! [`Path`] as PostgreSQL prints a `jsonpath`.

use std::fmt;

use super::{Flags, Item, LAST_LEVEL, Operator, Path};
use crate::json::write::write_string;
use crate::text::append;

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        if self.is_strict {
            text.push_str("strict ");
        }
        write_chain(&self.chain, true, &mut text);
        f.write_str(&text)
    }
}

/// Appends a chain; its primary in parentheses if it is an operator and `in_parentheses`, or if an accessor follows.
fn write_chain(chain: &[Item], in_parentheses: bool, out: &mut String) {
    for (index, item) in chain.iter().enumerate() {
        let has_next = index + 1 < chain.len();
        write_item(item, in_parentheses || index > 0 || has_next, has_next, out);
    }
}

/// Appends an operand of an operator of this priority.
fn write_operand(chain: &[Item], priority: u8, out: &mut String) {
    write_chain(chain, chain[0].priority() <= priority, out);
}

fn parenthesized(open: bool, out: &mut String, inner: impl FnOnce(&mut String)) {
    if open {
        out.push('(');
    }
    inner(out);
    if open {
        out.push(')');
    }
}

fn write_item(item: &Item, in_parentheses: bool, has_next: bool, out: &mut String) {
    match item {
        Item::Root => out.push('$'),
        Item::Current => out.push('@'),
        Item::Last => out.push_str("last"),
        Item::Literal(literal) => {
            let is_number = literal.as_ref().type_name() == "number";
            parenthesized(is_number && has_next, out, |out| literal.as_ref().write(out));
        }
        Item::Variable(name) => {
            out.push('$');
            write_string(name, out);
        }
        Item::Binary(operator, left, right) => parenthesized(in_parentheses, out, |out| {
            write_operand(left, operator.priority(), out);
            append(out, format_args!(" {} ", operator.text()));
            write_operand(right, operator.priority(), out);
        }),
        Item::Sign(operator, operand) => parenthesized(in_parentheses, out, |out| {
            out.push_str(operator.text());
            write_operand(operand, item.priority(), out);
        }),
        Item::LikeRegex(like) => parenthesized(in_parentheses, out, |out| {
            write_operand(&like.text, Operator::StartsWith.priority(), out);
            out.push_str(" like_regex ");
            write_string(&like.pattern, out);
            write_flags(like.flags, out);
        }),
        Item::Not(operand) => {
            out.push('!');
            parenthesized(true, out, |out| write_chain(operand, false, out));
        }
        Item::IsUnknown(operand) => {
            parenthesized(true, out, |out| write_chain(operand, false, out));
            out.push_str(" is unknown");
        }
        Item::Exists(operand) => {
            out.push_str("exists ");
            parenthesized(true, out, |out| write_chain(operand, false, out));
        }
        Item::Filter(predicate) => {
            out.push('?');
            parenthesized(true, out, |out| write_chain(predicate, false, out));
        }
        Item::Key(key) => {
            out.push('.');
            write_string(key, out);
        }
        Item::AnyKey => out.push_str(".*"),
        Item::AnyElement => out.push_str("[*]"),
        Item::Elements(ranges) => {
            for (index, (from, to)) in ranges.iter().enumerate() {
                out.push(if index == 0 { '[' } else { ',' });
                write_chain(from, false, out);
                if let Some(to) = to {
                    out.push_str(" to ");
                    write_chain(to, false, out);
                }
            }
            out.push(']');
        }
        Item::AnyLevel { first, last } => {
            out.push_str(".**");
            match (*first, *last) {
                (0, LAST_LEVEL) => {}
                (LAST_LEVEL, LAST_LEVEL) => out.push_str("{last}"),
                (first, last) if first == last => append(out, format_args!("{{{first}}}")),
                (LAST_LEVEL, last) => append(out, format_args!("{{last to {last}}}")),
                (first, LAST_LEVEL) => append(out, format_args!("{{{first} to last}}")),
                (first, last) => append(out, format_args!("{{{first} to {last}}}")),
            }
        }
        Item::Method(method) => append(out, format_args!(".{}()", method.name())),
    }
}

fn write_flags(flags: Flags, out: &mut String) {
    let letters = [
        (flags.ignores_case, 'i'),
        (flags.dot_is_all, 's'),
        (flags.many_lines, 'm'),
        (flags.quoted, 'q'),
    ];
    if letters.iter().any(|(is_set, _)| *is_set) {
        out.push_str(" flag \"");
        out.extend(letters.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| *letter));
        out.push('"');
    }
}
