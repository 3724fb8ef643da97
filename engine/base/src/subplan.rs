//! What the rows of an operator depend on, in terms that a model can be trained on.
//!
//! A *sub-plan* is an operator with all that is below it. Of it are kept its kind, the tables that it reads with their rows, the
//! predicates and joins over all of it, and what the classical planner expects. Literals are not: of a predicate only where its literal
//! stands in the range of its column.

/// What an operator does to rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OperatorKind {
    /// Reads a table, with the predicates that it checks itself.
    Scan,
    /// Checks predicates.
    Filter,
    /// Joins its inputs; what is not matched goes.
    InnerJoin,
    /// Joins its inputs; what is not matched stays, on one side or both.
    OuterJoin,
    /// Keeps the rows of one input that have, or have not, a match in the other.
    SemiJoin,
    /// Groups rows.
    Aggregate,
    /// Anything else.
    #[default]
    Other,
}

/// How a predicate compares its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`, `<=`
    Less,
    /// `>`, `>=`
    Greater,
    /// `IN (...)`
    In,
    /// `LIKE` and its kin
    Like,
    /// `IS NULL`, `IS NOT NULL`
    Null,
    /// Anything else.
    Other,
}

/// A table that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// `schema.table`.
    pub name: String,
    /// Its rows, as far as is known.
    pub rows: Option<f64>,
}

/// A condition on one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicate {
    /// `table.column`; the whole expression where it is none.
    pub column: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// Where the literal stands between the column's least value (0) and its greatest (1), where that is known.
    pub position: Option<f64>,
}

/// An operator and all below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubPlan {
    /// What the topmost operator does.
    pub kind: OperatorKind,
    /// Tables that are read, in the order of the plan.
    pub relations: Vec<Relation>,
    /// Predicates on them.
    pub predicates: Vec<Predicate>,
    /// Joined pairs of columns, each as `table.column`.
    pub joins: Vec<(String, String)>,
    /// Columns that are grouped by, as `table.column`.
    pub groups: Vec<String>,
    /// Rows that are expected of each input of the topmost operator.
    pub inputs: Vec<Option<f64>>,
    /// Rows that the classical planner expects.
    pub estimated_rows: Option<f64>,
}
