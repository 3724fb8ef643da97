//! `timezone(zone, time)`, which is what `time AT TIME ZONE zone` means: of a timestamptz, what the clocks of a zone show at that moment; of a
//! timestamp, the moment at which they show it.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::{SqlType, Zone};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{
    DataType, FieldRef, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::cells::interval_of;
use crate::error::wrap;

pub fn function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(AtTimeZone {
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let moment = || SqlType::TIMESTAMPTZ.to_arrow();
        let zone = match given.first() {
            Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null) => Some(DataType::Utf8),
            Some(DataType::Interval(_)) => Some(DataType::Interval(IntervalUnit::MonthDayNano)),
            _ => None,
        };
        let time = match given.get(1) {
            Some(DataType::Timestamp(_, None)) => Some(SqlType::TIMESTAMP.to_arrow()),
            Some(DataType::Timestamp(_, Some(_)) | DataType::Date32 | DataType::Null) => Some(moment()),
            // A literal in quotes, which PostgreSQL takes for what it prefers.
            Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => Some(moment()),
            _ => None,
        };
        match (zone, time) {
            (Some(zone), Some(time)) if given.len() == 2 => Ok(vec![zone, time]),
            _ => {
                let names = given.iter().map(ToString::to_string).collect::<Vec<_>>();
                let message = format!("function timezone({}) does not exist", names.join(", "));
                Err(wrap(Error::not_found(SqlState::UNDEFINED_FUNCTION, message)))
            }
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match given.get(1) {
            Some(DataType::Timestamp(_, None)) => SqlType::TIMESTAMPTZ.to_arrow(),
            _ => SqlType::TIMESTAMP.to_arrow(),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let sql_type = match self.return_type(&types)? {
            DataType::Timestamp(_, None) => SqlType::TIMESTAMP,
            _ => SqlType::TIMESTAMPTZ,
        };
        Ok(Arc::new(sql_type.to_field(self.name(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [zones, times] = args.args.as_slice() else {
            return Err(wrap(Error::internal("timezone() has two arguments")));
        };
        let times = times.to_array(args.number_rows)?;
        let is_local = matches!(times.data_type(), DataType::Timestamp(TimeUnit::Microsecond, None));
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let moved = |zone: Zone, time: i64| match is_local {
            true => zone.to_moment(time).map_err(wrap),
            false => zone.to_local(time).map_err(wrap),
        };
        let zones = match zones {
            // Mostly it is one for all rows.
            ColumnarValue::Scalar(_) => zones_of(&zones.to_array(1)?)?,
            ColumnarValue::Array(array) => zones_of(array)?,
        };
        let zone_of = |row: usize| if zones.len() == 1 { zones[0] } else { zones[row] };
        let values = (0..times.len()).map(|row| match zone_of(row) {
            Some(zone) if times.is_valid(row) => moved(zone, times.value(row)).map(Some),
            _ => Ok(None),
        });
        let moved: TimestampMicrosecondArray = values.collect::<Result<_>>()?;
        let DataType::Timestamp(_, zone) = args.return_field.data_type() else {
            return Err(wrap(Error::internal("timezone() gives a timestamp")));
        };
        let array: ArrayRef = Arc::new(moved.with_timezone_opt(zone.clone()));
        Ok(ColumnarValue::Array(array))
    }
}

fn zones_of(array: &ArrayRef) -> Result<Vec<Option<Zone>>> {
    let zone = |row: usize| match array.data_type() {
        _ if array.is_null(row) => Ok(None),
        DataType::Interval(_) => {
            let interval = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let of = interval_of(interval);
            Zone::of_interval(of).map(Some)
        }
        _ => Zone::parse(array.as_string::<i32>().value(row)).map(Some),
    };
    (0..array.len()).map(|row| zone(row).map_err(wrap)).collect()
}
