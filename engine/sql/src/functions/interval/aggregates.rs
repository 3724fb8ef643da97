//! `sum`, `avg`, `min` and `max` of intervals.
//!
//! DataFusion adds fields without looking for overflows, compares them one by one, and has no average of intervals. So `avg` is replaced by
//! one that takes them, and [`settle_aggregates`] puts ours in the place of DataFusion's once a query is planned. They have the names of those.
//! What a window is sorted by becomes a length: DataFusion has no frames over rows that are sorted by intervals.

use std::collections::VecDeque;
use std::sync::Arc;

use aion_base::Error;
use aion_catalog::interval::Interval;
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, ExprSchemable, LogicalPlan, Signature, Volatility,
    WindowFunctionDefinition,
};

use super::compute::{INTERVAL, Intervals, Way, is_interval};
use crate::cells::arrow_interval;
use crate::error::wrap;
use crate::functions::retyped::retyped;

/// What is made of many intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Sum,
    Average,
    Least,
    Greatest,
}

impl Of {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "avg" | "mean" => Self::Average,
            "min" => Self::Least,
            "max" => Self::Greatest,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Average => "avg",
            Self::Least => "min",
            Self::Greatest => "max",
        }
    }

    fn function(self) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::from(OfIntervals {
            of: self,
            signature: Signature::exact(vec![INTERVAL], Volatility::Immutable),
        }))
    }
}

/// The plan of a query whose aggregates of intervals are ours, and whose other averages are DataFusion's.
///
/// # Errors
/// 0A000 for sums of DISTINCT intervals; when a plan cannot be put together again.
pub fn settle_aggregates(plan: LogicalPlan) -> Result<LogicalPlan> {
    let is_concerned = |plan: &LogicalPlan| matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_));
    retyped(plan, is_concerned, |expr, schema| {
        expr.transform_up(|expr| settled(expr, schema))
    })
}

fn settled(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut is_keyed = false;
    if let Expr::WindowFunction(call) = &mut expr {
        for sort in &mut call.params.order_by {
            if sort
                .expr
                .get_type(schema)
                .is_ok_and(|data_type| is_interval(&data_type))
            {
                sort.expr = Way::Length.call(vec![std::mem::take(&mut sort.expr)]);
                is_keyed = true;
            }
        }
    }
    let (func, args, is_distinct) = match &mut expr {
        Expr::AggregateFunction(call) => (&mut call.func, &call.params.args, call.params.distinct),
        Expr::WindowFunction(call) => match &mut call.fun {
            WindowFunctionDefinition::AggregateUDF(func) => (func, &call.params.args, call.params.distinct),
            WindowFunctionDefinition::WindowUDF(_) => return Ok(Transformed::new_transformed(expr, is_keyed)),
        },
        _ => return Ok(Transformed::no(expr)),
    };
    let (Some(of), [arg]) = (Of::named(func.name()), args.as_slice()) else {
        return Ok(Transformed::new_transformed(expr, is_keyed));
    };
    if !arg.get_type(schema).is_ok_and(|data_type| is_interval(&data_type)) {
        let is_changed = of == Of::Average;
        if is_changed {
            *func = avg_udaf();
        }
        return Ok(Transformed::new_transformed(expr, is_changed || is_keyed));
    }
    if is_distinct && matches!(of, Of::Sum | Of::Average) {
        let message = format!("{}(DISTINCT ...) of intervals", of.name());
        return Err(wrap(Error::unsupported(message)));
    }
    *func = of.function();
    Ok(Transformed::yes(expr))
}

/// `avg` until a query is planned: of all that DataFusion's takes, and of intervals.
pub fn avg() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Average {
        inner: avg_udaf(),
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if let [given] = given
            && is_interval(given)
        {
            return Ok(vec![INTERVAL]);
        }
        let field = |given: &DataType| Arc::new(Field::new("", given.clone(), true));
        let given: Vec<FieldRef> = given.iter().map(field).collect();
        let fields = fields_with_udf(&given, self.inner.as_ref())?;
        Ok(fields.iter().map(|field| field.data_type().clone()).collect())
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [given] if is_interval(given) => Ok(INTERVAL),
            given => self.inner.return_type(given),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match is_interval(args.return_field.data_type()) {
            true => Ok(Box::new(Total::new(Of::Average))),
            false => self.inner.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        match is_interval(args.return_field.data_type()) {
            true => Ok(state(args.name)),
            false => self.inner.state_fields(args),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfIntervals {
    of: Of,
    signature: Signature,
}

impl AggregateUDFImpl for OfIntervals {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(match self.of {
            Of::Sum | Of::Average => Box::new(Total::new(self.of)),
            Of::Least | Of::Greatest => Box::new(Extreme::new(self.of)),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(state(args.name))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// An interval, and how many it stands for.
fn state(name: &str) -> Vec<FieldRef> {
    vec![
        Arc::new(Field::new(format!("{name}[interval]"), INTERVAL, true)),
        Arc::new(Field::new(format!("{name}[count]"), DataType::Int64, true)),
    ]
}

fn as_scalar(interval: Option<Interval>) -> Result<ScalarValue> {
    let arrow = interval.map(arrow_interval).transpose().map_err(wrap)?;
    Ok(ScalarValue::IntervalMonthDayNano(arrow))
}

fn given(values: &[ArrayRef]) -> Result<Vec<Interval>> {
    let [values, ..] = values else {
        return exec_err!("an aggregate of intervals has an argument");
    };
    let intervals = Intervals::of(values)?;
    Ok((0..intervals.len()).filter_map(|row| intervals.get(row)).collect())
}

/// A sum and how many it is of.
#[derive(Debug)]
struct Total {
    of: Of,
    sum: Interval,
    count: i64,
}

impl Total {
    fn new(of: Of) -> Self {
        Self {
            of,
            sum: Interval::default(),
            count: 0,
        }
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for interval in given(values)? {
            self.sum = self.sum.plus(interval).map_err(wrap)?;
            self.count += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for interval in given(values)? {
            self.sum = self.sum.minus(interval).map_err(wrap)?;
            self.count -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let total = match (self.count, self.of) {
            (0, _) => None,
            (count, Of::Average) => Some(self.sum.divide(count as f64).map_err(wrap)?),
            _ => Some(self.sum),
        };
        as_scalar(total)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![as_scalar(Some(self.sum))?, ScalarValue::Int64(Some(self.count))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_counted(states)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

impl Total {
    fn update_counted(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [_, counts] = states else {
            return exec_err!("the state of a sum of intervals is a sum and a count");
        };
        for sum in given(states)? {
            self.sum = self.sum.plus(sum).map_err(wrap)?;
        }
        self.count += counts.as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        Ok(())
    }
}

/// The least or the greatest of the intervals that came and have not gone, of equal ones the last.
///
/// Those that cannot become it any more are left out: what stands is sorted, and what is first leaves first.
#[derive(Debug)]
struct Extreme {
    of: Of,
    standing: VecDeque<(u64, Interval)>,
    /// How many came, and how many left.
    came: u64,
    left: u64,
}

impl Extreme {
    fn new(of: Of) -> Self {
        Self {
            of,
            standing: VecDeque::new(),
            came: 0,
            left: 0,
        }
    }

    fn add(&mut self, interval: Interval) {
        let gives_way = |there: Interval| match self.of {
            Of::Greatest => !there.compare(interval).is_gt(),
            _ => !there.compare(interval).is_lt(),
        };
        while let Some((_, last)) = self.standing.back()
            && gives_way(*last)
        {
            self.standing.pop_back();
        }
        self.standing.push_back((self.came, interval));
        self.came += 1;
    }
}

impl Accumulator for Extreme {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for interval in given(values)? {
            self.add(interval);
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.left += given(values)?.len() as u64;
        while self.standing.front().is_some_and(|(at, _)| *at < self.left) {
            self.standing.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        as_scalar(self.standing.front().map(|(_, interval)| *interval))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?, ScalarValue::Int64(None)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for interval in given(states)? {
            self.add(interval);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.standing.capacity() * size_of::<(u64, Interval)>()
    }
}
