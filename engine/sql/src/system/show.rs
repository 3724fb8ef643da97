//! Objects written as SQL: what `pg_get_indexdef` and its kin answer.

use aion_catalog::SqlType;
use aion_catalog::descriptor::{Distance, IndexColumn, IndexDescriptor, IndexMethod, TableDescriptor};

use super::facts::{Relation, RelationKind, quoted};
use super::types::type_of;
use super::written::{Form, expression};

/// The CREATE INDEX that makes an index; None for what is none. With the table's schema, or without it.
pub fn index_definition(relation: &Relation, has_schema: bool, form: Form) -> Option<String> {
    let (table, columns, of_index) = match &relation.kind {
        RelationKind::PrimaryKey(table) => {
            let columns = table.primary_key.iter().map(|&column| IndexColumn {
                column,
                is_descending: false,
                is_nulls_first: false,
            });
            (table, columns.collect::<Vec<_>>(), None)
        }
        RelationKind::Index(table, index) => (table, index.columns.clone(), Some(index)),
        _ => return None,
    };
    let method = of_index.map_or(IndexMethod::Ordered, |index| index.method);
    let is_unique = of_index.is_none_or(|index| index.is_unique);
    let unique = if is_unique { "UNIQUE " } else { "" };
    let schema = match has_schema {
        true => format!("{}.", quoted(&table.schema)),
        false => String::new(),
    };
    let (name, on) = (quoted(&relation.name), quoted(&table.name));
    let columns: Vec<_> = columns
        .iter()
        .filter_map(|column| index_column(table, column, method))
        .collect();
    let (using, with) = match method {
        IndexMethod::Ordered => ("btree", String::new()),
        IndexMethod::Hnsw { m, ef_construction, .. } => {
            ("hnsw", format!(" WITH (m='{m}', ef_construction='{ef_construction}')"))
        }
    };
    let (more, condition) = of_index.map_or_else(Default::default, |index| clauses(table, index, form));
    Some(format!(
        "CREATE {unique}INDEX {name} ON {schema}{on} USING {using} ({}){more}{with}{condition}",
        columns.join(", ")
    ))
}

/// What stands before an index's parameters, and behind them.
fn clauses(table: &TableDescriptor, index: &IndexDescriptor, form: Form) -> (String, String) {
    let included = index.included.iter().filter_map(|column| table.position_of(*column));
    let included: Vec<_> = included.map(|at| quoted(&table.columns[at].name)).collect();
    let mut before = match included.as_slice() {
        [] => String::new(),
        included => format!(" INCLUDE ({})", included.join(", ")),
    };
    if index.is_nulls_equal {
        before.push_str(" NULLS NOT DISTINCT");
    }
    let condition = index.predicate.as_ref();
    let condition = condition.map(|text| format!(" WHERE {}", expression(text, Some(table), form)));
    (before, condition.unwrap_or_default())
}

/// A column of an index by its place, from 1.
pub fn index_column_name(relation: &Relation, place: usize) -> Option<String> {
    let (table, column) = match &relation.kind {
        RelationKind::PrimaryKey(table) => (table, *table.primary_key.get(place.checked_sub(1)?)?),
        RelationKind::Index(table, index) => {
            let columns = index.columns.iter().map(|column| column.column);
            let mut columns = columns.chain(index.included.iter().copied());
            (table, columns.nth(place.checked_sub(1)?)?)
        }
        _ => return None,
    };
    let position = table.position_of(column)?;
    Some(quoted(&table.columns[position].name))
}

fn index_column(table: &TableDescriptor, column: &IndexColumn, method: IndexMethod) -> Option<String> {
    let mut text = quoted(&table.columns[table.position_of(column.column)?].name);
    match method {
        IndexMethod::Hnsw { distance, .. } => text.push_str(match distance {
            Distance::L2 => " vector_l2_ops",
            Distance::Cosine => " vector_cosine_ops",
            Distance::InnerProduct => " vector_ip_ops",
            Distance::L1 => " vector_l1_ops",
        }),
        IndexMethod::Ordered => {
            // NULLs are the largest: first where the largest is first.
            text.push_str(match (column.is_descending, column.is_nulls_first) {
                (false, false) => "",
                (false, true) => " NULLS FIRST",
                (true, true) => " DESC",
                (true, false) => " DESC NULLS LAST",
            });
        }
    }
    Some(text)
}

/// A type's name with its modifier, as `format_type` prints it.
pub fn type_name(oid: u32, modifier: i32) -> String {
    if let Some(sql_type) = SqlType::from_oid(oid, modifier) {
        return match (sql_type, modifier) {
            // Of what an expression gives, no modifier is known.
            (SqlType::Numeric { .. }, ..4) => "numeric".to_owned(),
            (sql_type, _) => sql_type.to_string(),
        };
    }
    match (oid, type_of(oid)) {
        (0, _) => "-".to_owned(),
        // "char" is a word that SQL reserves, and means another type without quotes.
        (18, _) => "\"char\"".to_owned(),
        (1042, _) => "character".to_owned(),
        (_, Some(found)) => match found.item {
            Some(item) => format!("{}[]", type_name(item, -1)),
            None => found.name.to_owned(),
        },
        (_, None) => "???".to_owned(),
    }
}
