//! Objects written as SQL: what `pg_get_indexdef` and its kin answer.

use aion_catalog::SqlType;
use aion_catalog::descriptor::{
    ColumnId, Distance, IndexColumn, IndexDescriptor, IndexMethod, IndexPart, TableDescriptor,
};
use datafusion::sql::sqlparser::ast;

use super::facts::{Relation, RelationKind, quoted};
use super::types::type_of;
use super::written::{Form, expression};
use crate::parse::parse_expression;
use crate::session::{UNNAMED, name_of};

/// The CREATE INDEX that makes an index; None for what is none. With the table's schema, or without it.
pub fn index_definition(relation: &Relation, has_schema: bool, form: Form) -> Option<String> {
    let (table, of_index) = match &relation.kind {
        RelationKind::PrimaryKey(table) => (table, None),
        RelationKind::Index(table, index) => (table, Some(index)),
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
    let columns: Vec<_> = match of_index {
        Some(index) => index
            .parts()
            .filter_map(|(part, column)| Some(part_text(part, table, form)? + ordering(column, method)))
            .collect(),
        None => {
            let columns = table.primary_key.iter();
            columns.filter_map(|&column| column_text(column, table)).collect()
        }
    };
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

/// What an index is over at a place, from 1.
pub fn index_column_name(relation: &Relation, place: usize, form: Form) -> Option<String> {
    let nth = place.checked_sub(1)?;
    match &relation.kind {
        RelationKind::PrimaryKey(table) => column_text(*table.primary_key.get(nth)?, table),
        RelationKind::Index(table, index) => {
            let included = index.included.iter().map(|&column| IndexPart::Column(column));
            let part = index.parts().map(|(part, _)| part).chain(included).nth(nth)?;
            part_text(part, table, form)
        }
        _ => None,
    }
}

/// The names of an index's columns: a number tells those apart that would be the same.
pub fn index_names(table: &TableDescriptor, index: &IndexDescriptor) -> Vec<String> {
    let included = index.included.iter().map(|&column| IndexPart::Column(column));
    let mut names: Vec<String> = Vec::new();
    for part in index.parts().map(|(part, _)| part).chain(included) {
        let name = match part {
            IndexPart::Column(id) => table.position_of(id).map(|at| table.columns[at].name.clone()),
            IndexPart::Expression(expression) => {
                let parsed = parse_expression(&expression.text).ok();
                parsed.map(|expr| name_of(&expr)).filter(|name| name != UNNAMED)
            }
        };
        let name = name.unwrap_or_else(|| "expr".to_owned());
        let numbered = (1..=names.len()).map(|number| format!("{name}{number}"));
        let mut candidates = std::iter::once(name.clone()).chain(numbered);
        // There are as many numbers as names that may be in the way.
        let free = candidates.find(|candidate| !names.contains(candidate));
        names.push(free.unwrap_or(name));
    }
    names
}

/// An expression as the definition of an index has it: what is no call of a function within parentheses.
pub fn index_part(text: &str, table: &TableDescriptor, form: Form) -> String {
    use ast::Expr as E;
    let shown = expression(text, Some(table), form);
    match parse_expression(text) {
        Ok(E::Function(_) | E::Extract { .. } | E::Substring { .. } | E::Trim { .. } | E::Position { .. }) => shown,
        Ok(E::Ceil { .. } | E::Floor { .. } | E::Overlay { .. }) => shown,
        _ => format!("({shown})"),
    }
}

fn part_text(part: IndexPart<'_>, table: &TableDescriptor, form: Form) -> Option<String> {
    match part {
        IndexPart::Column(column) => column_text(column, table),
        IndexPart::Expression(expression) => Some(index_part(&expression.text, table, form)),
    }
}

fn column_text(column: ColumnId, table: &TableDescriptor) -> Option<String> {
    Some(quoted(&table.columns[table.position_of(column)?].name))
}

fn ordering(column: IndexColumn, method: IndexMethod) -> &'static str {
    match method {
        IndexMethod::Hnsw { distance, .. } => match distance {
            Distance::L2 => " vector_l2_ops",
            Distance::Cosine => " vector_cosine_ops",
            Distance::InnerProduct => " vector_ip_ops",
            Distance::L1 => " vector_l1_ops",
        },
        // NULLs are the largest: first where the largest is first.
        IndexMethod::Ordered => match (column.is_descending, column.is_nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        },
    }
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
