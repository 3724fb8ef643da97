//! `generate_series` of timestamps in FROM: each is the one before and the step, whose days and months are those of UTC.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::interval::Interval;
use aion_catalog::text;
use datafusion::arrow::array::TimestampMicrosecondArray;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

use crate::cells::interval_of;
use crate::error::translate;

/// Rows of a series, at most: it is made at once.
const ROWS_MAX: usize = 10_000_000;
/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// The table of a series of timestamps; None for one of something else, which is DataFusion's.
///
/// # Errors
/// 22023 for a step of nothing, 54000 for more rows than there may be, 22007 and its like for a text.
pub fn series(args: &[Expr]) -> Result<Option<Arc<dyn TableProvider>>> {
    let [Expr::Literal(start, _), Expr::Literal(end, _), Expr::Literal(step, _)] = args else {
        return Ok(None);
    };
    let ScalarValue::TimestampMicrosecond(first, zone) = start else {
        return Ok(None);
    };
    let last = match end {
        ScalarValue::TimestampMicrosecond(last, _) => *last,
        ScalarValue::Date32(day) => day.map(|day| Interval::default().add_to_date(day)).transpose()?,
        ScalarValue::Utf8(Some(text)) if zone.is_none() => Some(text::parse_timestamp(text)?),
        ScalarValue::Utf8(Some(text)) => Some(text::parse_timestamptz_in(text, aion_catalog::Zone::UTC)?),
        other if other.is_null() => None,
        _ => return Ok(None),
    };
    let step = match step {
        ScalarValue::IntervalMonthDayNano(step) => step.map(interval_of),
        ScalarValue::Utf8(Some(text)) => Some(text::parse_interval(text)?),
        other if other.is_null() => None,
        _ => return Ok(None),
    };
    let times = match (first, last, step) {
        (Some(first), Some(last), Some(step)) => times(*first, last, step)?,
        _ => Vec::new(),
    };
    let data_type = start.data_type();
    let DataType::Timestamp(_, zone) = &data_type else {
        return Ok(None);
    };
    let schema = Arc::new(Schema::new(vec![Field::new("value", data_type.clone(), false)]));
    let failed = |error: datafusion::common::DataFusionError| translate(error, "");
    let batches = times.chunks(BATCH_ROWS).map(|times| {
        let column = TimestampMicrosecondArray::from(times.to_vec()).with_timezone_opt(zone.clone());
        RecordBatch::try_new(schema.clone(), vec![Arc::new(column)]).map_err(|error| failed(error.into()))
    });
    let batches = batches.collect::<Result<Vec<_>>>()?;
    let table = MemTable::try_new(schema.clone(), vec![batches]).map_err(failed)?;
    Ok(Some(Arc::new(table)))
}

fn times(first: i64, last: i64, step: Interval) -> Result<Vec<i64>> {
    let sign = step.compare(Interval::default());
    if sign.is_eq() {
        let message = "step size cannot equal zero";
        return Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let (mut times, mut time) = (Vec::new(), first);
    while if sign.is_gt() { time <= last } else { time >= last } {
        if times.len() >= ROWS_MAX {
            let message = format!("a series of timestamps has at most {ROWS_MAX} rows");
            return Err(Error::exhausted(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        times.push(time);
        time = step.add_to_timestamp(time)?;
    }
    Ok(times)
}
