//! CREATE and DROP PROPERTY GRAPH, as they are written.
//!
//! ```text
//! create  = CREATE PROPERTY GRAPH [IF NOT EXISTS] name VERTEX TABLES "(" vertex, ... ")" [EDGE TABLES "(" edge, ... ")"]
//! vertex  = element
//! edge    = table [AS alias] [KEY (columns)] SOURCE end DESTINATION end {label}
//! element = table [AS alias] [KEY (columns)] {label}
//! end     = KEY (columns) REFERENCES alias [(columns)]
//! label   = [LABEL name | DEFAULT LABEL] [NO PROPERTIES | PROPERTIES (column [AS name], ...)
//!           | PROPERTIES [ARE] ALL COLUMNS [EXCEPT (columns)]]
//! drop    = DROP PROPERTY GRAPH [IF EXISTS] name, ... [RESTRICT]
//! ```
//!
//! NODE stands for VERTEX and RELATIONSHIP for EDGE, as in the standard. What the names mean is looked up later.

use aion_base::{Error, Result, SqlState};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Span, Token};

use super::cursor::Cursor;

/// See the module's header.
#[derive(Clone, Debug)]
pub(crate) enum Definition {
    Create(Create),
    Drop {
        names: Vec<ast::ObjectName>,
        if_exists: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Create {
    pub name: ast::ObjectName,
    pub if_not_exists: bool,
    pub vertices: Vec<ElementTable>,
    pub edges: Vec<(ElementTable, End, End)>,
}

/// A table of vertices or edges.
#[derive(Clone, Debug)]
pub(crate) struct ElementTable {
    pub table: ast::ObjectName,
    pub alias: Option<ast::Ident>,
    pub key: Option<Vec<ast::Ident>>,
    pub label: Option<ast::Ident>,
    pub properties: Properties,
    pub span: Span,
}

/// What patterns see of a table.
#[derive(Clone, Debug)]
pub(crate) enum Properties {
    All,
    AllExcept(Vec<ast::Ident>),
    /// Columns with their names in patterns.
    These(Vec<(ast::Ident, ast::Ident)>),
}

/// The source or the destination of an edge.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub key: Vec<ast::Ident>,
    pub vertex: ast::Ident,
    pub columns: Option<Vec<ast::Ident>>,
    pub span: Span,
}

/// Reads a statement that lies at `place` in `text`.
///
/// # Errors
/// 42601 and 0A000, with the place.
pub(crate) fn parse(body: &str, place: Span, text: &str) -> Result<Definition> {
    let mut cursor = Cursor::new(body, place, text)?;
    let cursor = &mut cursor;
    if cursor.is_at_word("ALTER") || cursor.take_words(&["CREATE", "OR", "REPLACE"]) {
        let hint = "DROP PROPERTY GRAPH and CREATE PROPERTY GRAPH do it in one transaction.";
        return Err(cursor
            .unsupported("ALTER and CREATE OR REPLACE PROPERTY GRAPH are not there yet")
            .with_hint(hint));
    }
    if cursor.take_words(&["DROP", "PROPERTY", "GRAPH"]) {
        let if_exists = cursor.take_words(&["IF", "EXISTS"]);
        let mut names = vec![cursor.object_name()?];
        while cursor.take(&Token::Comma) {
            names.push(cursor.object_name()?);
        }
        if cursor.is_at_word("CASCADE") {
            return Err(cursor.unsupported("DROP ... CASCADE is not there yet"));
        }
        cursor.take_word("RESTRICT");
        cursor.expect_end()?;
        return Ok(Definition::Drop { names, if_exists });
    }
    cursor.expect_words(&["CREATE", "PROPERTY", "GRAPH"])?;
    let if_not_exists = cursor.take_words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.object_name()?;
    if !cursor.take_word("VERTEX") && !cursor.take_word("NODE") {
        return Err(cursor.unexpected("VERTEX TABLES"));
    }
    cursor.expect_words(&["TABLES"])?;
    let vertices = cursor.list(|cursor| {
        let mut table = element(cursor)?;
        labels(cursor, &mut table)?;
        Ok(table)
    })?;
    let mut edges = Vec::new();
    if cursor.take_word("EDGE") || cursor.take_word("RELATIONSHIP") {
        cursor.expect_words(&["TABLES"])?;
        edges = cursor.list(edge)?;
    }
    cursor.expect_end()?;
    Ok(Definition::Create(Create {
        name,
        if_not_exists,
        vertices,
        edges,
    }))
}

fn edge(cursor: &mut Cursor<'_>) -> Result<(ElementTable, End, End)> {
    let mut table = element(cursor)?;
    let source = end(cursor, "SOURCE")?;
    let destination = end(cursor, "DESTINATION")?;
    labels(cursor, &mut table)?;
    Ok((table, source, destination))
}

fn element(cursor: &mut Cursor<'_>) -> Result<ElementTable> {
    const NEXT: [&str; 7] = ["KEY", "LABEL", "DEFAULT", "NO", "PROPERTIES", "SOURCE", "DESTINATION"];
    let span = cursor.span();
    let table = cursor.object_name()?;
    let is_alias = matches!(cursor.peek().token, Token::Word(_)) && !NEXT.iter().any(|next| cursor.is_at_word(next));
    let alias = match cursor.take_word("AS") || is_alias {
        true => Some(cursor.ident()?),
        false => None,
    };
    let key = match cursor.take_word("KEY") {
        true => Some(cursor.idents()?),
        false => None,
    };
    Ok(ElementTable {
        table,
        alias,
        key,
        label: None,
        properties: Properties::All,
        span,
    })
}

fn end(cursor: &mut Cursor<'_>, which: &str) -> Result<End> {
    let span = cursor.span();
    cursor.expect_words(&[which])?;
    if matches!(cursor.peek().token, Token::Word(_)) && !cursor.is_at_word("KEY") {
        let error = Error::invalid(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("the {which} of an edge names no columns, and there is no foreign key to take them from"),
        );
        return Err(cursor.place(error, span).with_hint(format!(
            "Write {which} KEY (columns) REFERENCES vertex table (columns)."
        )));
    }
    cursor.expect_words(&["KEY"])?;
    let key = cursor.idents()?;
    cursor.expect_words(&["REFERENCES"])?;
    let vertex = cursor.ident()?;
    let columns = match cursor.is_at(&Token::LParen) {
        true => Some(cursor.idents()?),
        false => None,
    };
    Ok(End {
        key,
        vertex,
        columns,
        span,
    })
}

fn labels(cursor: &mut Cursor<'_>, table: &mut ElementTable) -> Result<()> {
    let is_default = cursor.take_words(&["DEFAULT", "LABEL"]);
    if !is_default && cursor.take_word("LABEL") {
        table.label = Some(cursor.ident()?);
    }
    table.properties = properties(cursor)?;
    if cursor.is_at_word("LABEL") || cursor.is_at_word("DEFAULT") {
        return Err(cursor
            .unsupported("several labels of one table are not there yet")
            .with_hint("Name the table twice, with an alias and a label each."));
    }
    Ok(())
}

fn properties(cursor: &mut Cursor<'_>) -> Result<Properties> {
    if cursor.take_words(&["NO", "PROPERTIES"]) {
        return Ok(Properties::These(Vec::new()));
    }
    if !cursor.take_word("PROPERTIES") {
        return Ok(Properties::All);
    }
    if cursor.is_at(&Token::LParen) {
        return Ok(Properties::These(cursor.list(property)?));
    }
    cursor.take_word("ARE");
    cursor.expect_words(&["ALL", "COLUMNS"])?;
    match cursor.take_word("EXCEPT") {
        true => cursor.idents().map(Properties::AllExcept),
        false => Ok(Properties::All),
    }
}

fn property(cursor: &mut Cursor<'_>) -> Result<(ast::Ident, ast::Ident)> {
    let column = cursor.ident()?;
    if !matches!(cursor.peek().token, Token::Comma | Token::RParen | Token::Word(_)) {
        return Err(cursor.unsupported("a property is a column: expressions are not there yet"));
    }
    let name = match cursor.take_word("AS") {
        true => cursor.ident()?,
        false => column.clone(),
    };
    Ok((column, name))
}
