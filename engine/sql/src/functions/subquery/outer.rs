//! Which columns of the rows around it a query looks at.
//!
//! An outer reference is a name, and nothing says how far out its column is. A name means the column of the nearest query around that has it, which is
//! how it was planned; so what is found on the way out is no reference of the query further in.
//!
//! DataFusion collects the references of a subquery, but not those of subqueries within it: [`OuterColumns`] gives each all that are its own.

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};
use datafusion::optimizer::AnalyzerRule;

/// The columns of rows around that were met, each once.
#[derive(Debug, Default)]
pub struct OuterRefs(Vec<(FieldRef, Column)>);

impl OuterRefs {
    /// Those of a query, and of the subqueries in it.
    pub fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut refs = Self::default();
        let own = match plan.inputs().as_slice() {
            [] => DFSchema::empty(),
            [only] => DFSchema::clone(only.schema()),
            several => merge_schema(several),
        };
        plan.apply_expressions(|expr| {
            refs.extend(Self::of_expr(expr, &own)?);
            Ok(TreeNodeRecursion::Continue)
        })?;
        match plan {
            // What is LATERAL looks at the rows beside it.
            LogicalPlan::Join(join) => {
                refs.extend(Self::of(&join.left)?);
                refs.extend(Self::of(&join.right)?.without(join.left.schema()));
            }
            other => other.inputs().into_iter().try_for_each(|input| {
                refs.extend(Self::of(input)?);
                Ok::<_, datafusion::common::DataFusionError>(())
            })?,
        }
        Ok(refs)
    }

    /// Those of an expression over rows with these columns.
    pub fn of_expr(expr: &Expr, own: &DFSchema) -> Result<Self> {
        let mut refs = Self::default();
        expr.apply(|expr| {
            match (expr, subquery_of(expr)) {
                (Expr::OuterReferenceColumn(field, column), _) => refs.add(field.clone(), column.clone()),
                (_, Some(subquery)) => refs.extend(Self::of(&subquery.subquery)?.without(own)),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(refs)
    }

    fn add(&mut self, field: FieldRef, column: Column) {
        if !self.0.iter().any(|(_, known)| *known == column) {
            self.0.push((field, column));
        }
    }

    fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|(field, column)| self.add(field, column));
    }

    /// Those that are no columns of these rows.
    pub fn without(mut self, schema: &DFSchema) -> Self {
        self.0.retain(|(_, column)| !schema.has_column(column));
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &(FieldRef, Column)> {
        self.0.iter()
    }

    fn into_exprs(self) -> Vec<Expr> {
        let refs = self.0.into_iter();
        refs.map(|(field, column)| Expr::OuterReferenceColumn(field, column))
            .collect()
    }
}

/// The subquery that an expression is.
pub fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

fn subquery_mut(expr: &mut Expr) -> Option<&mut Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

/// Whether a plan has a subquery, in an expression or beside another plan: most have none, and nothing of them is copied.
pub fn has_subqueries(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply(|plan| {
        found |= matches!(plan, LogicalPlan::Subquery(_)) || any_expr(plan, &|expr| subquery_of(expr).is_some())?;
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

/// Whether something is true of an expression of a node, or of one within it.
pub fn any_expr(plan: &LogicalPlan, is_it: &dyn Fn(&Expr) -> bool) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        found = found || expr.exists(|expr| Ok(is_it(expr)))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether a subquery looks at rows further out than those around it.
pub fn is_deep(subquery: &Subquery, around: &DFSchema) -> Result<bool> {
    Ok(!OuterRefs::of(&subquery.subquery)?.without(around).is_empty())
}

/// Whether a subquery in an expression looks at rows further out than those that the expression is over.
pub fn has_deep(expr: &Expr, own: &DFSchema) -> Result<bool> {
    let mut found = false;
    expr.apply(|expr| {
        if let Some(subquery) = subquery_of(expr) {
            found |= is_deep(subquery, own)?;
        }
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    Ok(found)
}

/// See the module's header.
#[derive(Debug)]
pub struct OuterColumns;

impl AnalyzerRule for OuterColumns {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !has_subqueries(&plan)? {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(settled)
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "outer_columns"
    }
}

/// A node whose subqueries know all that they look at.
pub fn settled(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if let LogicalPlan::Subquery(mut subquery) = plan {
        subquery.outer_ref_columns = OuterRefs::of(&subquery.subquery)?.into_exprs();
        return Ok(Transformed::yes(LogicalPlan::Subquery(subquery)));
    }
    plan.map_expressions(|expr| {
        expr.transform_up(|mut expr| {
            let Some(subquery) = subquery_mut(&mut expr) else {
                return Ok(Transformed::no(expr));
            };
            let refs = OuterRefs::of(&subquery.subquery)?.into_exprs();
            let is_changed = refs != subquery.outer_ref_columns;
            subquery.outer_ref_columns = refs;
            Ok(Transformed::new_transformed(expr, is_changed))
        })
    })
}
