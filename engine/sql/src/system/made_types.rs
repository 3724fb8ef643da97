//! The types that users made: their rows beside those of the types that are always there, and what is asked of any type.

use aion_base::Result;
use aion_catalog::SqlType;
use aion_catalog::enumeration::EnumType;

use super::cells::{Row, row};
use super::facts::{Facts, quoted, split_name};
use super::types::{TypeRow, oid_of, type_of};
use super::{Definition, oids, show};

pub(super) const TABLES: &[Definition] = &[Definition::new(
    "pg_enum",
    3501,
    "oid oid, enumtypid oid, enumsortorder float4, enumlabel name",
    labels,
)];

fn labels(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for of in facts.catalog.enums() {
        for label in of.labels() {
            let oid = oids::hashed("label", &of.oid().to_string(), &label.position.to_string());
            rows.push(row![oid, of.oid(), f64::from(label.sort_order()), label.text.as_str()]);
        }
    }
    Ok(rows)
}

/// A type and its array.
fn rows_of(of: EnumType) -> [TypeRow; 2] {
    let schema = of.descriptor().schema.as_str();
    [
        TypeRow {
            oid: of.oid(),
            name: of.name(),
            schema,
            length: SqlType::Enum(of).type_length(),
            kind: "e",
            category: "E",
            item: None,
            array: of.array_oid(),
        },
        TypeRow {
            oid: of.array_oid(),
            name: of.array_type_name(),
            schema,
            length: -1,
            kind: "b",
            category: "A",
            item: Some(of.oid()),
            array: 0,
        },
    ]
}

impl Facts {
    /// The types that users made, and their arrays.
    pub fn made_types(&self) -> impl Iterator<Item = TypeRow> {
        self.catalog.enums().flat_map(rows_of)
    }

    /// The type of an OID.
    pub fn type_of(&self, oid: u32) -> Option<TypeRow> {
        let is_it = |found: &TypeRow| found.oid == oid;
        type_of(oid).cloned().or_else(|| self.made_types().find(is_it))
    }

    /// The SQL type of an OID and a modifier.
    pub fn sql_type(&self, oid: u32, modifier: i32) -> Option<SqlType> {
        SqlType::from_oid(oid, modifier).or_else(|| self.catalog.type_of_oid(oid))
    }

    /// Whether a type that a user made is what its name without a schema stands for.
    pub fn is_type_visible(&self, of: EnumType) -> bool {
        let mut path = self.path();
        path.find_map(|schema| self.catalog.enum_type(schema, of.name())) == Some(of)
    }

    /// A type's name with its modifier, as `format_type` prints it.
    pub fn type_name(&self, oid: u32, modifier: i32) -> String {
        let Some(made) = self.catalog.type_of_oid(oid) else {
            return show::type_name(oid, modifier);
        };
        let Some(of) = made.made() else {
            return made.to_string();
        };
        let mut name = match self.is_type_visible(of) {
            true => quoted(of.name()),
            false => of.qualified().to_owned(),
        };
        if made.element().is_some() {
            name.push_str("[]");
        }
        name
    }

    /// An expression as it was written, in which the types that users made have their schemas, without these where the search path finds
    /// the type.
    pub fn shortened(&self, written: String) -> String {
        let mut shown = written;
        for of in self.catalog.enums().filter(|of| self.is_type_visible(*of)) {
            let long = format!("::{}", of.qualified());
            if shown.contains(&long) {
                shown = without_schema(&shown, &long, &quoted(of.name()));
            }
        }
        shown
    }

    /// The OID of a type by any of its names.
    pub fn type_oid(&self, name: &str) -> Option<u32> {
        if let Some(oid) = oid_of(name) {
            return Some(oid);
        }
        let (bare, is_array) = match name.trim().strip_suffix("[]") {
            Some(bare) => (bare, true),
            None => (name.trim(), false),
        };
        let parts = split_name(bare)?;
        let named = |schema: &str, name: &str| {
            let own = self
                .catalog
                .enum_type(schema, name)
                .map(|of| [of.oid(), of.array_oid()]);
            let array = name.strip_prefix('_');
            let of_array = || array.and_then(|name| self.catalog.enum_type(schema, name));
            own.or_else(|| of_array().map(|of| [of.array_oid(), 0]))
        };
        let [oid, array] = match parts.as_slice() {
            [name] => self.path().find_map(|schema| named(schema, name))?,
            [schema, name] | [_, schema, name] => named(schema, name)?,
            _ => return None,
        };
        Some(if is_array { array } else { oid }).filter(|&oid| oid != 0)
    }
}

/// A text with a short name of a type in the place of a long one, where that does not go on.
fn without_schema(text: &str, long: &str, short: &str) -> String {
    let mut shortened = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(long) {
        shortened.push_str(before);
        let goes_on = behind.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '_' | '$' | '.'));
        match goes_on {
            true => shortened.push_str(long),
            false => {
                shortened.push_str("::");
                shortened.push_str(short);
            }
        }
        rest = behind;
    }
    shortened.push_str(rest);
    shortened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_left_out_where_a_name_ends() {
        let shown = |text: &str| without_schema(text, "::public.mood", "mood");
        assert_eq!(shown("('a'::public.mood = m)"), "('a'::mood = m)");
        assert_eq!(shown("'a'::public.mood2"), "'a'::public.mood2");
        assert_eq!(shown("'a'::public.mood"), "'a'::mood");
    }
}
