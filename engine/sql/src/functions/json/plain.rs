//! The functions of json, the text, and those that its operators are.

use aion_base::{Error, Result};
use aion_catalog::json::plain::Plain;

use super::call::{Answer, Argument, Definition, Kind, Made};
use super::documents::{integer, path, text};

use Kind::{Integer, Json as J, Place, Text};

/// All of them.
pub const ALL: &[Definition] = &[
    Definition::new("json_object_field", &[J, Text], Made::Json, |row| {
        Ok(found(plain(row)?.get(text(row, 1)?)?))
    }),
    Definition::new("json_object_field_text", &[J, Text], Made::Text, |row| {
        found_text(plain(row)?.get(text(row, 1)?)?)
    }),
    Definition::new("json_array_element", &[J, Integer], Made::Json, |row| {
        Ok(found(plain(row)?.at(integer(row, 1)?)))
    }),
    Definition::new("json_array_element_text", &[J, Integer], Made::Text, |row| {
        found_text(plain(row)?.at(integer(row, 1)?))
    }),
    Definition::new("json_extract_path", &[J], Made::Json, |row| {
        Ok(found(plain(row)?.get_path(&path(&row[1..])?)?))
    })
    .variadic(Place),
    Definition::new("json_extract_path_text", &[J], Made::Text, |row| {
        found_text(plain(row)?.get_path(&path(&row[1..])?)?)
    })
    .variadic(Place),
    Definition::new("json_typeof", &[J], Made::Text, |row| {
        Ok(Answer::Text(plain(row)?.type_name().to_owned()))
    }),
    Definition::new("json_array_length", &[J], Made::Integer, |row| {
        plain(row)?.array_length().map(Answer::Integer)
    }),
    Definition::new("json_strip_nulls", &[J], Made::Json, |row| {
        let mut out = String::new();
        plain(row)?.write_stripped(&mut out)?;
        Ok(Answer::Text(out))
    }),
    Definition::new("json_object_keys_list", &[J], Made::Texts, |row| {
        let keys = plain(row)?.object_keys()?.into_iter();
        Ok(Answer::Texts(keys.map(|key| Some(key.into_owned())).collect()))
    }),
    Definition::new("json_array_elements_list", &[J], Made::Jsons, |row| {
        let elements = plain(row)?.array_elements("json_array_elements")?.into_iter();
        Ok(Answer::Texts(
            elements.map(|element| Some(element.as_str().to_owned())).collect(),
        ))
    }),
    Definition::new("json_array_elements_text_list", &[J], Made::Texts, |row| {
        let elements = plain(row)?.array_elements("json_array_elements_text")?;
        texts(elements.into_iter())
    }),
    Definition::new("json_each_keys", &[J, Text], Made::Texts, |row| {
        let members = plain(row)?.each()?.into_iter();
        Ok(Answer::Texts(members.map(|(key, _)| Some(key.into_owned())).collect()))
    }),
    Definition::new("json_each_values", &[J, Text], Made::Jsons, |row| {
        let members = plain(row)?.each()?.into_iter();
        Ok(Answer::Texts(
            members.map(|(_, value)| Some(value.as_str().to_owned())).collect(),
        ))
    }),
    Definition::new("json_each_texts", &[J, Text], Made::Texts, |row| {
        texts(plain(row)?.each()?.into_iter().map(|(_, value)| value))
    }),
];

fn plain<'a>(row: &[Argument<'a>]) -> Result<Plain<'a>> {
    match row.first() {
        Some(Argument::Json(plain)) => Ok(*plain),
        _ => Err(Error::internal("a function of json is not given one")),
    }
}

fn found(value: Option<Plain<'_>>) -> Answer {
    value.map_or(Answer::Null, |value| Answer::Text(value.as_str().to_owned()))
}

fn found_text(value: Option<Plain<'_>>) -> Result<Answer> {
    let text = value.map(Plain::to_text).transpose()?.flatten();
    Ok(text.map_or(Answer::Null, |text| Answer::Text(text.into_owned())))
}

fn texts<'a>(values: impl Iterator<Item = Plain<'a>>) -> Result<Answer> {
    let texts = values.map(|value| Ok(value.to_text()?.map(std::borrow::Cow::into_owned)));
    texts.collect::<Result<_>>().map(Answer::Texts)
}
