//! What a dump needs to make views and graphs again: `aion.views`, and what `pg_get_propgraphdef` answers.
//!
//! The names in a view's query are looked up along the path that its creator had, and a `*` in it stands for the columns that were there
//! then. So the text alone is not the view: the path goes with it, and the names of the columns that it takes of its query.

use aion_base::Result;
use aion_catalog::descriptor::{GraphDescriptor, Property};

use super::Definition;
use super::cells::{Cell, Row, row};
use super::facts::{Facts, quoted};

pub(super) const TABLES: &[Definition] = &[Definition::new(
    "views",
    0,
    "schemaname name, viewname name, search_path text[], columns text[], query_columns text[], uses text[], \
     definition text, is_materialized bool, is_populated bool",
    views,
)
.in_schema("aion")];

/// A name with its schema, as SQL writes it.
fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

fn views(facts: &Facts) -> Result<Vec<Row>> {
    let rows = facts.catalog.queries().map(|view| {
        let held = facts.catalog.table(&view.schema, &view.name);
        let uses = view.uses.iter().map(|(schema, name)| qualified(schema, name));
        let mut row = row![view.schema.as_str(), view.name.as_str()];
        row.push(Cell::Texts(view.search_path.clone()));
        row.push(Cell::Texts(view.columns.clone()));
        row.push(Cell::Texts(view.query_columns.clone()));
        row.push(Cell::Texts(uses.collect()));
        row.push(Cell::from(view.query.as_str()));
        row.push(Cell::from(held.is_some()));
        row.push(Cell::from(held.is_none_or(|table| !table.is_unpopulated)));
        row
    });
    Ok(rows.collect())
}

/// The CREATE PROPERTY GRAPH that makes a graph, with all that it could leave out.
pub fn graph_definition(graph: &GraphDescriptor) -> String {
    let vertices = graph.vertices.iter().map(|vertex| {
        format!(
            "\n    {} AS {} KEY ({}) LABEL {}{}",
            qualified(&vertex.schema, &vertex.table),
            quoted(&vertex.alias),
            names(&vertex.key),
            quoted(&vertex.label),
            properties(vertex.properties.as_deref())
        )
    });
    let vertices: Vec<_> = vertices.collect();
    let mut text = format!(
        "CREATE PROPERTY GRAPH {} VERTEX TABLES ({}\n)",
        qualified(&graph.schema, &graph.name),
        vertices.join(",")
    );
    let edges = graph.edges.iter().map(|edge| {
        format!(
            "\n    {} AS {} KEY ({}) SOURCE KEY ({}) REFERENCES {} ({}) DESTINATION KEY ({}) REFERENCES {} ({}) LABEL {}{}",
            qualified(&edge.schema, &edge.table),
            quoted(&edge.alias),
            names(&edge.key),
            names(&edge.source_key),
            quoted(&edge.source),
            names(&edge.source_columns),
            names(&edge.destination_key),
            quoted(&edge.destination),
            names(&edge.destination_columns),
            quoted(&edge.label),
            properties(edge.properties.as_deref())
        )
    });
    let edges: Vec<_> = edges.collect();
    if !edges.is_empty() {
        text.push_str(&format!(" EDGE TABLES ({}\n)", edges.join(",")));
    }
    text
}

fn names(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
    names.join(", ")
}

fn properties(properties: Option<&[Property]>) -> String {
    match properties {
        None => " PROPERTIES ALL COLUMNS".to_owned(),
        Some([]) => " NO PROPERTIES".to_owned(),
        Some(properties) => {
            let properties = properties
                .iter()
                .map(|property| format!("{} AS {}", quoted(&property.column), quoted(&property.name)));
            format!(" PROPERTIES ({})", properties.collect::<Vec<_>>().join(", "))
        }
    }
}
