//! The tree of a plan in PostgreSQL's two forms: lines, and JSON.

use std::time::Duration;

use aion_base::observation::Predicted;
use serde_json::{Map, Value, json};

use super::tree::{Node, Property};

/// Milliseconds by the clock.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub planning_ms: f64,
    /// None if it did not run.
    pub execution_ms: Option<f64>,
}

/// What the learned parts say of a plan.
#[derive(Clone, Debug)]
pub struct Ai {
    /// The mode of the session.
    pub mode: String,
    /// None where there is no model.
    pub predicted: Option<Predicted>,
    /// What asking it took.
    pub took: Duration,
}

impl Ai {
    /// `card v3, shadow: not used`
    fn model(&self) -> String {
        match &self.predicted {
            Some(predicted) if predicted.is_live => format!("{}, live", predicted.model),
            Some(predicted) => format!("{}, shadow: not used", predicted.model),
            None => "no model".to_owned(),
        }
    }

    /// `classical 310, learned 92 [61..140] (card v3, shadow: not used), actual 84`
    fn rows(&self, node: &Node) -> String {
        let classical = node.rows.map_or("unknown".to_owned(), |rows| format!("{rows:.0}"));
        let learned = match node.predicted {
            Some(learned) => format!(
                "learned {:.0} [{:.0}..{:.0}] ({})",
                learned.rows,
                learned.low,
                learned.high,
                self.model()
            ),
            None => "learned nothing".to_owned(),
        };
        let actual = node
            .actual
            .map_or(String::new(), |actual| format!(", actual {:.0}", actual.rows));
        let censored = if node.is_censored { " (ended early)" } else { "" };
        format!("classical {classical}, {learned}{actual}{censored}")
    }

    /// The last line.
    fn summary(&self) -> String {
        let plan = match &self.predicted {
            Some(predicted) if predicted.is_live => "planned with the model's rows",
            _ => "the classical plan",
        };
        format!(
            "mode {}, {plan}, {}; asking took {:.3} ms",
            self.mode,
            self.model(),
            self.took.as_secs_f64() * 1_000.0
        )
    }
}

/// One line for each operator, indented, with its properties below it.
pub fn lines(root: &Node, times: Times, ai: Option<&Ai>) -> Vec<String> {
    let mut lines = Vec::new();
    add_lines(root, 0, ai, &mut lines);
    lines.push(format!("Planning Time: {:.3} ms", times.planning_ms));
    if let Some(execution_ms) = times.execution_ms {
        lines.push(format!("Execution Time: {execution_ms:.3} ms"));
    }
    lines.extend(ai.map(|ai| format!("AI: {}", ai.summary())));
    lines
}

fn add_lines(node: &Node, depth: usize, ai: Option<&Ai>, lines: &mut Vec<String>) {
    let (indent, arrow) = match depth {
        0 => (String::new(), ""),
        depth => (" ".repeat(6 * depth - 4), "->  "),
    };
    let mut line = format!("{indent}{arrow}{}", headline(node));
    match node.rows {
        Some(rows) => line.push_str(&format!("  (rows={rows:.0})")),
        None => line.push_str("  (rows unknown)"),
    }
    if let Some(actual) = node.actual {
        line.push_str(&format!(
            " (actual time={:.3} ms rows={:.0})",
            actual.total_ms, actual.rows
        ));
    }
    lines.push(line);
    let below = " ".repeat(indent.len() + arrow.len() + 2);
    for (key, value) in &node.properties {
        if !HEADLINE.contains(key) {
            lines.push(format!("{below}{key}: {}", shown(value)));
        }
    }
    lines.extend(ai.map(|ai| format!("{below}Rows: {}", ai.rows(node))));
    for child in &node.children {
        add_lines(child, depth + 1, ai, lines);
    }
}

/// Properties that are part of the first line.
const HEADLINE: &[&str] = &[
    "Relation Name",
    "Schema",
    "Alias",
    "Index Name",
    "Scan Direction",
    "Join Type",
    "Strategy",
    "Partial Mode",
];

/// The operator as PostgreSQL heads its line: `Hash Semi Join`, `Index Scan using i on t`.
fn headline(node: &Node) -> String {
    let property = |wanted: &str| {
        let found = node.properties.iter().find(|(key, _)| *key == wanted);
        found.map(|(_, value)| shown(value))
    };
    let mut line = match (node.name.as_str(), property("Join Type")) {
        ("Hash Join", Some(kind)) if kind != "Inner" => format!("Hash {kind} Join"),
        ("Nested Loop", Some(kind)) if kind != "Inner" => format!("Nested Loop {kind} Join"),
        ("Aggregate", _) => {
            let mode = property("Partial Mode").filter(|mode| mode != "Simple");
            let strategy = property("Strategy").unwrap_or_default();
            let name = match strategy.as_str() {
                "Hashed" => "HashAggregate",
                "Sorted" => "GroupAggregate",
                _ => "Aggregate",
            };
            mode.map_or_else(|| name.to_owned(), |mode| format!("{mode} {name}"))
        }
        (name, _) => name.to_owned(),
    };
    if property("Scan Direction").as_deref() == Some("Backward") {
        line.push_str(" Backward");
    }
    if let Some(index) = property("Index Name") {
        line.push_str(&format!(" using {index}"));
    }
    if let Some(relation) = property("Relation Name") {
        line.push_str(&format!(" on {relation}"));
    }
    line
}

fn shown(value: &Property) -> String {
    match value {
        Property::Text(text) => text.clone(),
        Property::List(list) => list.join(", "),
        Property::Number(number) => number.to_string(),
    }
}

/// The document that `EXPLAIN (FORMAT JSON)` gives: a list with one object.
pub fn document(root: &Node, times: Times, ai: Option<&Ai>) -> String {
    let mut query = Map::new();
    query.insert("Plan".to_owned(), object(root));
    query.insert("Planning Time".to_owned(), json!(rounded(times.planning_ms)));
    if let Some(execution_ms) = times.execution_ms {
        query.insert("Execution Time".to_owned(), json!(rounded(execution_ms)));
    }
    if let Some(ai) = ai {
        query.insert("AI".to_owned(), json!(ai.summary()));
    }
    let document = Value::Array(vec![Value::Object(query)]);
    serde_json::to_string_pretty(&document).expect("text, numbers and lists of them")
}

fn object(node: &Node) -> Value {
    let mut object = Map::new();
    object.insert("Node Type".to_owned(), json!(node.name));
    for (key, value) in &node.properties {
        let value = match value {
            Property::Text(text) => json!(text),
            Property::List(list) => json!(list),
            Property::Number(number) => json!(number),
        };
        object.insert((*key).to_owned(), value);
    }
    // PostgreSQL always has the key; where nothing is known it is null rather than a made-up number.
    object.insert("Plan Rows".to_owned(), json!(node.rows.map(|rows| rows.round() as u64)));
    if let Some(actual) = node.actual {
        object.insert("Actual Rows".to_owned(), json!(actual.rows as u64));
        object.insert("Actual Loops".to_owned(), json!(1));
        object.insert("Actual Total Time".to_owned(), json!(rounded(actual.total_ms)));
    }
    if let Some(predicted) = node.predicted {
        object.insert("Learned Rows".to_owned(), json!(predicted.rows.round()));
        object.insert("Learned Rows Low".to_owned(), json!(predicted.low.round()));
        object.insert("Learned Rows High".to_owned(), json!(predicted.high.round()));
    }
    if !node.children.is_empty() {
        let children = node.children.iter().map(self::object);
        object.insert("Plans".to_owned(), Value::Array(children.collect()));
    }
    Value::Object(object)
}

fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1_000.0).round() / 1_000.0
}
