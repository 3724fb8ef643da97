//! Expressions over one row of a table, by their texts: CHECK constraints, generated columns, the conditions of partial indexes, and what indexes are over.

use std::ops::ControlFlow;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{ColumnDescriptor, IndexDescriptor};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::expr_rewriter::{unnormalize_col, unnormalize_cols};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::sql::sqlparser::ast;

use super::{BeyondRow, Names};
use crate::dml::{RowRules, TARGET, assigned_type, normalize, select, target_as};
use crate::error::translate;
use crate::parse;
use crate::session::{converts_by_itself, named_columns};
use crate::table::{Expression, Formula, Formulas, Table, TableShape, computed_columns, has_formulas};

/// What an expression is for: what is said of one that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Check,
    Predicate,
    Expression,
    Generation,
}

/// An expression, and the columns that it is over.
struct Analyzed {
    expr: Expr,
    schema: DFSchemaRef,
}

/// Functions that are computed here as if nothing but their arguments mattered, and are not immutable in PostgreSQL.
const STABLE_FUNCTIONS: [&str; 6] = ["concat", "concat_ws", "format", "to_char", "to_date", "to_timestamp"];

impl Names<'_> {
    /// What each row of a table must fulfil; None where that is nothing.
    ///
    /// # Errors
    /// 42xxx for a condition that is none over the table's columns.
    pub fn row_rules(&self, shape: &Arc<TableShape>) -> Result<Option<Arc<RowRules>>> {
        let check = |text: &str| {
            let Analyzed { expr, schema } = self.analyzed(shape, text, Purpose::Check)?;
            self.physical(expr, &schema)
        };
        RowRules::new(&shape.descriptor, check, |column, text| {
            let text = format!("CAST(({text}) AS {})", assigned_type(column.sql_type).qualified());
            let Analyzed { expr, schema } = self.analyzed(shape, &text, Purpose::Generation)?;
            self.physical(expr, &schema)
        })
    }

    /// That a column can be generated from an expression.
    ///
    /// # Errors
    /// 42P17 for one that is not immutable or names a generated column, 42804 for one of another type, 42xxx.
    pub fn check_generated(&self, shape: &Arc<TableShape>, column: &ColumnDescriptor, text: &str) -> Result<()> {
        let parsed = parse::parse_expression(text)?;
        let names = named_columns(&parsed);
        let generated = shape.descriptor.columns.iter().filter(|of| of.generated.is_some());
        if let Some(other) = generated.into_iter().find(|of| names.contains(&of.name)) {
            return Err(Error::invalid(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!(
                    "cannot use generated column \"{}\" in column generation expression",
                    other.name
                ),
            )
            .with_detail("A generated column cannot reference another generated column."));
        }
        let Analyzed { expr, schema } = self.analyzed(shape, text, Purpose::Generation)?;
        let is_literal = matches!(parsed, ast::Expr::Value(_));
        let Ok(found) = SqlType::from_arrow(&expr.get_type(&schema).map_err(|error| translate(error, ""))?) else {
            return Ok(());
        };
        match is_literal || converts_by_itself(found, column.sql_type) {
            true => Ok(()),
            false => Err(Error::invalid(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" is of type {} but default expression is of type {}",
                    column.name,
                    column.sql_type.base_name(),
                    found.base_name()
                ),
            )
            .with_hint("You will need to rewrite or cast the expression.")),
        }
    }

    /// With what is computed for its indexes. Where that cannot be planned, whoever needs it is told.
    pub(super) fn prepared(&self, shape: Arc<TableShape>) -> Arc<TableShape> {
        if has_formulas(&shape.descriptor) {
            shape.formulas.get_or_init(|| self.formulas(&shape));
        }
        shape
    }

    fn formulas(&self, shape: &Arc<TableShape>) -> Result<Formulas> {
        let indexes = shape.descriptor.indexes.iter();
        let computed = indexes.filter(|index| index.is_computed());
        computed
            .map(|index| Ok((index.id, Arc::new(self.formula(shape, index)?))))
            .collect()
    }

    /// What is computed for an index.
    ///
    /// # Errors
    /// 42xxx for texts that are no expressions over the table's columns, 42P17 for functions that are not immutable.
    pub fn formula(&self, shape: &Arc<TableShape>, index: &IndexDescriptor) -> Result<Formula> {
        let condition = match &index.predicate {
            Some(text) => Some(unnormalize_col(self.analyzed(shape, text, Purpose::Predicate)?.expr)),
            None => None,
        };
        let mut expressions = Vec::new();
        for expression in &index.expressions {
            let found = self.analyzed(shape, &expression.text, Purpose::Expression)?;
            expressions.push(unnormalize_col(found.expr));
        }
        let mut columns = Vec::new();
        for column in condition.iter().chain(&expressions).flat_map(Expr::column_refs) {
            let position = shape.descriptor.position(&column.name);
            columns.push(position.ok_or_else(|| Error::internal("a column of a condition is not the table's"))?);
        }
        columns.sort_unstable();
        columns.dedup();
        let schema = shape.schema.project(&columns);
        let schema = Arc::new(schema.map_err(|error| Error::internal(error.to_string()))?);
        let over = DFSchema::try_from(schema.clone()).map_err(|error| translate(error, ""))?;
        let texts = index.expressions.iter().map(|expression| &expression.text);
        let expressions = expressions.into_iter().zip(texts).map(|(expr, text)| {
            Ok(Expression {
                normal: self.normal(shape, text)?,
                physical: self.physical(expr, &over)?,
            })
        });
        Ok(Formula {
            expressions: expressions.collect::<Result<_>>()?,
            computed: computed_columns(index),
            conjuncts: match &index.predicate {
                Some(text) => self.conjuncts(shape, text)?,
                None => Vec::new(),
            },
            condition: condition.map(|expr| self.physical(expr, &over)).transpose()?,
            columns,
            schema,
        })
    }

    /// The type of what an index is to be over.
    ///
    /// # Errors
    /// 42xxx for a text that is no expression over the table's columns, 42P17 for functions that are not immutable.
    pub fn expression_type(&self, shape: &Arc<TableShape>, text: &str) -> Result<SqlType> {
        let Analyzed { expr, schema } = self.analyzed(shape, text, Purpose::Expression)?;
        let (_, field) = expr.to_field(&schema).map_err(|error| translate(error, ""))?;
        match SqlType::from_field(&field)? {
            // That it is json is told by the field; of others the type is what is computed.
            SqlType::Json => Ok(SqlType::Json),
            _ => SqlType::from_arrow(field.data_type()),
        }
    }

    /// An expression over the rows of a table as the optimizer leaves it in a query's filter; None where it makes something else of it.
    ///
    /// # Errors
    /// 42xxx.
    pub fn normal(&self, shape: &Arc<TableShape>, text: &str) -> Result<Option<Expr>> {
        let plan = self.over_row(shape, vec![parse::parse_expression(text)?], None)?;
        let plan = self.state.optimize(&plan).map_err(|error| translate(error, ""))?;
        let LogicalPlan::Projection(projection) = plan else {
            return Ok(None);
        };
        let of_table = match &*projection.input {
            LogicalPlan::SubqueryAlias(alias) => matches!(&*alias.input, LogicalPlan::TableScan(_)),
            input => matches!(input, LogicalPlan::TableScan(_)),
        };
        let [expr] = projection.expr.as_slice() else {
            return Ok(None);
        };
        if of_table {
            return Ok(Some(unnormalize_col(expr.clone().unalias_nested().data)));
        }
        // What is in it twice is computed once, below: in a filter of a scan it is not.
        let Analyzed { expr, schema } = self.analyzed(shape, text, Purpose::Expression)?;
        Ok(Some(unnormalize_col(self.simplified(expr, &schema)?)))
    }

    /// A condition over the rows of a table as a query's filter: all of these, as the optimizer leaves them.
    ///
    /// # Errors
    /// 42xxx.
    pub fn conjuncts(&self, shape: &Arc<TableShape>, text: &str) -> Result<Vec<Expr>> {
        let all = vec![parse::parse_expression("1")?];
        let plan = self.over_row(shape, all, Some(parse::parse_expression(text)?))?;
        let plan = self.state.optimize(&plan).map_err(|error| translate(error, ""))?;
        let (mut found, mut is_read) = (Vec::new(), false);
        let walked = plan.apply(|plan| {
            match plan {
                LogicalPlan::TableScan(scan) => {
                    is_read = true;
                    found.extend(scan.filters.iter().cloned().flat_map(split_conjunction_owned));
                }
                LogicalPlan::Filter(filter) => found.extend(split_conjunction_owned(filter.predicate.clone())),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        });
        walked.map_err(|error| translate(error, ""))?;
        // It may be true of no row.
        Ok(match is_read {
            true => unnormalize_cols(found),
            false => vec![lit(false)],
        })
    }

    /// The literals of an expression over the rows of a table, as the analyzer leaves them.
    ///
    /// # Errors
    /// 42xxx.
    pub fn literals_over_row(&self, shape: &Arc<TableShape>, text: &str) -> Result<Vec<ScalarValue>> {
        self.literals(self.over_row(shape, vec![parse::parse_expression(text)?], None)?)
    }

    /// The literals of the DEFAULT of a column of some type, as the analyzer leaves them.
    ///
    /// # Errors
    /// 42xxx.
    pub fn literals_of_default(&self, text: &str, sql_type: SqlType) -> Result<Vec<ScalarValue>> {
        let names = self.within_view(self.search_path);
        let cast = parse::parse_expression(&format!("CAST(({text}) AS {})", sql_type.qualified()))?;
        let statement = select(vec![ast::SelectItem::UnnamedExpr(cast)], Vec::new(), None)?;
        self.literals(names.plan(statement, Vec::new(), "")?.plan)
    }

    /// The literals of a plan, as the analyzer leaves them.
    ///
    /// # Errors
    /// 42xxx.
    pub fn literals(&self, plan: LogicalPlan) -> Result<Vec<ScalarValue>> {
        let failed = |error| translate(error, "");
        let config = self.state.config_options();
        let plan = self.state.analyzer().execute_and_check(plan, config, |_, _| {});
        let mut found = Vec::new();
        let walked = plan.map_err(failed)?.apply_with_subqueries(|plan| {
            plan.apply_expressions(|expr| {
                expr.apply(|expr| {
                    if let Expr::Literal(value, _) = expr {
                        found.push(value.clone());
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        walked.map_err(failed)?;
        Ok(found)
    }

    /// An expression over the columns of a table; a condition, where the purpose wants one.
    fn analyzed(&self, shape: &Arc<TableShape>, text: &str, purpose: Purpose) -> Result<Analyzed> {
        let expr = parse::parse_expression(text)?;
        self.check_over_row(&expr, purpose)?;
        let plan = self.over_row(shape, vec![expr], None)?;
        let failed = |error| translate(error, "");
        let config = self.state.config_options();
        let plan = self.state.analyzer().execute_and_check(plan, config, |_, _| {});
        let LogicalPlan::Projection(projection) = plan.map_err(failed)? else {
            return Err(Error::internal("a condition is planned as something else"));
        };
        let [condition] = projection.expr.as_slice() else {
            return Err(Error::internal("a condition is one expression"));
        };
        let schema = projection.input.schema().clone();
        let found = condition.get_type(&schema).map_err(failed)?;
        let is_condition = matches!(purpose, Purpose::Check | Purpose::Predicate);
        if is_condition && !matches!(found, DataType::Boolean | DataType::Null) {
            let named = SqlType::from_arrow(&found).map(|found| found.base_name().to_owned());
            let named = named.unwrap_or_else(|_| found.to_string());
            let clause = match purpose {
                Purpose::Check => "CHECK",
                Purpose::Predicate | Purpose::Expression | Purpose::Generation => "WHERE",
            };
            return Err(Error::invalid(
                SqlState::DATATYPE_MISMATCH,
                format!("argument of {clause} must be type boolean, not type {named}"),
            ));
        }
        let expr = match condition {
            Expr::Alias(alias) => (*alias.expr).clone(),
            other => other.clone(),
        };
        match is_immutable(&expr) {
            true => Ok(Analyzed { expr, schema }),
            false => not_immutable(purpose).map(|()| Analyzed { expr, schema }),
        }
    }

    /// A query for expressions over the rows of a table.
    fn over_row(
        &self,
        shape: &Arc<TableShape>,
        exprs: Vec<ast::Expr>,
        selection: Option<ast::Expr>,
    ) -> Result<LogicalPlan> {
        let mut names = self.within_view(self.search_path);
        names.bind(TARGET, Arc::new(Table::new(shape.clone(), Vec::new())));
        let alias = ast::Ident::with_quote('"', shape.descriptor.name.clone());
        let items = exprs.into_iter().map(ast::SelectItem::UnnamedExpr).collect();
        let mut statement = select(items, vec![target_as(&alias)?], selection)?;
        parse::write_out_exponents(&mut statement);
        Ok(names.plan(statement, Vec::new(), "")?.plan)
    }

    fn physical(&self, expr: Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        // Some functions, coalesce for one, are nothing but what they are simplified to.
        let physical = self.state.create_physical_expr(self.simplified(expr, schema)?, schema);
        physical.map_err(|error| translate(error, ""))
    }

    fn simplified(&self, expr: Expr, schema: &DFSchema) -> Result<Expr> {
        let context = SimplifyContext::builder()
            .with_config_options(self.state.config_options().clone())
            .with_schema(Arc::new(schema.clone()))
            .build();
        let simplified = ExprSimplifier::new(context).simplify(expr);
        simplified.map_err(|error| translate(error, ""))
    }

    fn check_over_row(&self, expr: &ast::Expr, purpose: Purpose) -> Result<()> {
        let (of_query, of_others) = match purpose {
            Purpose::Check => ("check constraint", "check constraints"),
            Purpose::Predicate => ("index predicate", "index predicates"),
            Purpose::Expression => ("index expression", "index expressions"),
            Purpose::Generation => ("column generation expression", "column generation expressions"),
        };
        let invalid = |state, what: &str| {
            let message = format!("{what} functions are not allowed in {of_others}");
            Err(Error::invalid(state, message))
        };
        match self.beyond_a_row(expr) {
            None => {}
            Some(BeyondRow::Query) => return Err(Error::unsupported(format!("cannot use subquery in {of_query}"))),
            Some(BeyondRow::Aggregate) => return invalid(SqlState::GROUPING_ERROR, "aggregate"),
            Some(BeyondRow::Window) => return invalid(SqlState::WINDOWING_ERROR, "window"),
        }
        match calls_stable(expr) {
            true => not_immutable(purpose),
            false => Ok(()),
        }
    }
}

/// What is said of an expression that does not give the same for the same row at any time: a CHECK takes it.
fn not_immutable(purpose: Purpose) -> Result<()> {
    let what = match purpose {
        Purpose::Check => return Ok(()),
        Purpose::Generation => {
            return Err(Error::invalid(
                SqlState::INVALID_OBJECT_DEFINITION,
                "generation expression is not immutable",
            ));
        }
        Purpose::Predicate => "predicate",
        Purpose::Expression => "expression",
    };
    Err(Error::invalid(
        SqlState::INVALID_OBJECT_DEFINITION,
        format!("functions in index {what} must be marked IMMUTABLE"),
    ))
}

/// Whether an expression gives the same for the same row at any time.
fn is_immutable(expr: &Expr) -> bool {
    let found = expr.exists(|expr| {
        Ok(match expr {
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
            Expr::ScalarVariable(..) => true,
            _ => false,
        })
    });
    matches!(found, Ok(false))
}

fn calls_stable(expr: &ast::Expr) -> bool {
    let found = ast::visit_expressions(expr, |expr| {
        if let ast::Expr::Function(function) = expr {
            let name = function.name.0.last().and_then(ast::ObjectNamePart::as_ident);
            if name.is_some_and(|name| STABLE_FUNCTIONS.contains(&normalize(name).as_str())) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    found.is_break()
}
