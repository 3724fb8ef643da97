//! The functions of jsonb, and those that its operators are.

use aion_base::{Error, Result};
use aion_catalog::json::path::{Evaluation, Path};
use aion_catalog::json::{JsonbRef, PathElement};

use super::call::{Answer, Argument, Definition, Kind, Made};

use Kind::{Boolean, Integer, Jsonb as J, Path as P, Place, Text, Texts};

/// All of them.
pub const ALL: &[Definition] = &[
    Definition::new("jsonb_object_field", &[J, Text], Made::Jsonb, |row| {
        Ok(found(document(row)?.get(text(row, 1)?)))
    }),
    Definition::new("jsonb_object_field_text", &[J, Text], Made::Text, |row| {
        Ok(found_text(document(row)?.get(text(row, 1)?)))
    }),
    Definition::new("jsonb_array_element", &[J, Integer], Made::Jsonb, |row| {
        Ok(found(document(row)?.at(integer(row, 1)?)))
    }),
    Definition::new("jsonb_array_element_text", &[J, Integer], Made::Text, |row| {
        Ok(found_text(document(row)?.at(integer(row, 1)?)))
    }),
    Definition::new("jsonb_extract_path", &[J], Made::Jsonb, |row| {
        Ok(found(document(row)?.get_path(&path(&row[1..])?)))
    })
    .variadic(Place),
    Definition::new("jsonb_extract_path_text", &[J], Made::Text, |row| {
        Ok(found_text(document(row)?.get_path(&path(&row[1..])?)))
    })
    .variadic(Place),
    Definition::new("jsonb_contains", &[J, J], Made::Boolean, |row| {
        Ok(Answer::Boolean(document(row)?.contains(document(&row[1..])?)))
    }),
    Definition::new("jsonb_contained", &[J, J], Made::Boolean, |row| {
        Ok(Answer::Boolean(document(&row[1..])?.contains(document(row)?)))
    }),
    Definition::new("jsonb_exists", &[J, Text], Made::Boolean, |row| {
        Ok(Answer::Boolean(document(row)?.has_key(text(row, 1)?)))
    }),
    Definition::new("jsonb_exists_any", &[J, Texts], Made::Boolean, |row| {
        Ok(Answer::Boolean(document(row)?.has_any_key(keys(row, 1)?)))
    }),
    Definition::new("jsonb_exists_all", &[J, Texts], Made::Boolean, |row| {
        Ok(Answer::Boolean(document(row)?.has_all_keys(keys(row, 1)?)))
    }),
    Definition::new("jsonb_concat", &[J, J], Made::Jsonb, |row| {
        document(row)?.concat(document(&row[1..])?).map(Answer::Jsonb)
    }),
    Definition::new("jsonb_delete", &[J], Made::Jsonb, |row| {
        let document = document(row)?;
        match &row[1..] {
            [Argument::Integer(index)] => document.without_index(*index),
            rest => document.without_keys(&path(rest)?.into_iter().flatten().collect::<Vec<_>>()),
        }
        .map(Answer::Jsonb)
    })
    .requiring(2)
    .variadic(Place),
    Definition::new("jsonb_delete_path", &[J, Texts], Made::Jsonb, |row| {
        document(row)?.without_path(&path(&row[1..])?).map(Answer::Jsonb)
    }),
    Definition::new("jsonb_set", &[J, Texts, J, Boolean], Made::Jsonb, |row| {
        let (document, value) = (document(row)?, self::document(&row[2..])?);
        document
            .set(&path(&row[1..2])?, value, flag(row, 3, true))
            .map(Answer::Jsonb)
    })
    .requiring(3),
    Definition::new("jsonb_insert", &[J, Texts, J, Boolean], Made::Jsonb, |row| {
        let (document, value) = (document(row)?, self::document(&row[2..])?);
        document
            .insert(&path(&row[1..2])?, value, flag(row, 3, false))
            .map(Answer::Jsonb)
    })
    .requiring(3),
    Definition::new("jsonb_typeof", &[J], Made::Text, |row| {
        Ok(Answer::Text(document(row)?.type_name().to_owned()))
    }),
    Definition::new("jsonb_array_length", &[J], Made::Integer, |row| {
        document(row)?.array_length().map(Answer::Integer)
    }),
    Definition::new("jsonb_strip_nulls", &[J], Made::Jsonb, |row| {
        document(row)?.strip_nulls().map(Answer::Jsonb)
    }),
    Definition::new("jsonb_pretty", &[J], Made::Text, |row| {
        let mut out = String::new();
        document(row)?.write_pretty(&mut out);
        Ok(Answer::Text(out))
    }),
    Definition::new("jsonb_object_keys_list", &[J], Made::Texts, |row| {
        let keys = document(row)?.object_keys()?.into_iter();
        Ok(Answer::Texts(keys.map(|key| Some(key.to_owned())).collect()))
    }),
    Definition::new("jsonb_array_elements_list", &[J], Made::Jsonbs, |row| {
        let elements = document(row)?.array_elements()?;
        Ok(Answer::Jsonbs(elements.iter().map(JsonbRef::to_owned).collect()))
    }),
    Definition::new("jsonb_array_elements_text_list", &[J], Made::Texts, |row| {
        let elements = document(row)?.array_elements()?;
        Ok(Answer::Texts(elements.iter().map(JsonbRef::to_text).collect()))
    }),
    Definition::new("jsonb_each_keys", &[J, Text], Made::Texts, |row| {
        let members = document(row)?.each(text(row, 1)?)?;
        Ok(Answer::Texts(
            members.iter().map(|(key, _)| Some(key.to_owned())).collect(),
        ))
    }),
    Definition::new("jsonb_each_values", &[J, Text], Made::Jsonbs, |row| {
        let members = document(row)?.each(text(row, 1)?)?;
        Ok(Answer::Jsonbs(
            members.iter().map(|(_, value)| value.to_owned()).collect(),
        ))
    }),
    Definition::new("jsonb_each_texts", &[J, Text], Made::Texts, |row| {
        let members = document(row)?.each(text(row, 1)?)?;
        Ok(Answer::Texts(
            members.iter().map(|(_, value)| value.to_text()).collect(),
        ))
    }),
    Definition::new("jsonb_path_exists", &[J, P, J, Boolean], Made::Boolean, |row| {
        let found = jsonpath(row)?.exists(document(row)?, evaluation(row)?)?;
        Ok(found.map_or(Answer::Null, Answer::Boolean))
    })
    .requiring(2),
    Definition::new("jsonb_path_match", &[J, P, J, Boolean], Made::Boolean, |row| {
        let found = jsonpath(row)?.matches(document(row)?, evaluation(row)?)?;
        Ok(found.map_or(Answer::Null, Answer::Boolean))
    })
    .requiring(2),
    Definition::new("jsonb_path_query_list", &[J, P, J, Boolean], Made::Jsonbs, |row| {
        jsonpath(row)?
            .query(document(row)?, evaluation(row)?)
            .map(Answer::Jsonbs)
    })
    .requiring(2),
    Definition::new("jsonb_path_query_array", &[J, P, J, Boolean], Made::Jsonb, |row| {
        jsonpath(row)?
            .query_array(document(row)?, evaluation(row)?)
            .map(Answer::Jsonb)
    })
    .requiring(2),
    Definition::new("jsonb_path_query_first", &[J, P, J, Boolean], Made::Jsonb, |row| {
        let found = jsonpath(row)?.query_first(document(row)?, evaluation(row)?)?;
        Ok(found.map_or(Answer::Null, Answer::Jsonb))
    })
    .requiring(2),
    // A path is kept as its text.
    Definition::new("jsonpathin", &[P], Made::Text, |row| match row {
        [Argument::Path(path)] => Ok(Answer::Text(path.to_string())),
        _ => Err(misread("a path")),
    }),
    Definition::new("jsonb_path_exists_opr", &[J, P], Made::Boolean, |row| {
        let found = jsonpath(row)?.exists(document(row)?, silently())?;
        Ok(found.map_or(Answer::Null, Answer::Boolean))
    }),
    Definition::new("jsonb_path_match_opr", &[J, P], Made::Boolean, |row| {
        let found = jsonpath(row)?.matches(document(row)?, silently())?;
        Ok(found.map_or(Answer::Null, Answer::Boolean))
    }),
];

#[cold]
fn misread(what: &str) -> Error {
    Error::internal(format!("a function of jsonb is not given {what}"))
}

/// The document that a row begins with.
pub fn document<'a>(row: &[Argument<'a>]) -> Result<JsonbRef<'a>> {
    match row.first() {
        Some(Argument::Jsonb(document)) => Ok(*document),
        _ => Err(misread("a document")),
    }
}

pub fn text<'a>(row: &[Argument<'a>], at: usize) -> Result<&'a str> {
    match row.get(at) {
        Some(Argument::Text(text)) => Ok(text),
        _ => Err(misread("a text")),
    }
}

pub fn integer(row: &[Argument<'_>], at: usize) -> Result<i64> {
    match row.get(at) {
        Some(Argument::Integer(number)) => Ok(*number),
        _ => Err(misread("a number")),
    }
}

/// The keys that are not NULL.
fn keys<'a>(row: &[Argument<'a>], at: usize) -> Result<Vec<&'a str>> {
    match row.get(at) {
        Some(Argument::Texts(keys)) => Ok(keys.iter().flatten().copied().collect()),
        _ => Err(misread("keys")),
    }
}

/// The path that arguments are: keys by themselves, or a list of them.
pub fn path<'a>(arguments: &[Argument<'a>]) -> Result<Vec<PathElement<'a>>> {
    let mut path = Vec::new();
    for argument in arguments {
        match argument {
            Argument::Text(key) => path.push(Some(*key)),
            Argument::Texts(keys) => path.extend(keys.iter().copied()),
            _ => return Err(misread("a path")),
        }
    }
    Ok(path)
}

fn flag(row: &[Argument<'_>], at: usize, otherwise: bool) -> bool {
    match row.get(at) {
        Some(Argument::Boolean(value)) => *value,
        _ => otherwise,
    }
}

fn jsonpath<'a>(row: &[Argument<'a>]) -> Result<&'a Path> {
    match row.get(1) {
        Some(Argument::Path(path)) => Ok(path),
        _ => Err(misread("a path")),
    }
}

/// The variables and the silence that follow a path.
fn evaluation<'a>(row: &[Argument<'a>]) -> Result<Evaluation<'a>> {
    let variables = match row.get(2) {
        Some(_) => Some(document(&row[2..])?),
        None => None,
    };
    Ok(Evaluation {
        variables,
        silent: flag(row, 3, false),
        ..Evaluation::default()
    })
}

fn silently() -> Evaluation<'static> {
    Evaluation {
        silent: true,
        ..Evaluation::default()
    }
}

fn found(document: Option<JsonbRef<'_>>) -> Answer {
    document.map_or(Answer::Null, |document| Answer::Jsonb(document.to_owned()))
}

fn found_text(document: Option<JsonbRef<'_>>) -> Answer {
    document.and_then(JsonbRef::to_text).map_or(Answer::Null, Answer::Text)
}
