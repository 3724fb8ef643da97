//! Times in the zones of places: `AT TIME ZONE`, and the session's `TimeZone`.
//!
//! **Vocabulary.** A *moment* is a value of a `timestamptz`, a *local* time one of a `timestamp` (see [`aion_catalog::zone`]). Arrow's type of
//! a moment always names UTC while it is computed with; the *session's* zone is in the options of a plan ([`Zones`]), so nothing that is kept
//! from one session to another knows it.
//!
//! 1. [`session`]: what the zone of a session does, as functions that look it up when they are called.
//! 2. [`rule`]: puts them in the place of casts, functions and operators that DataFusion computes in UTC.
//! 3. [`at`]: `AT TIME ZONE`, whose zone is a value.
//! 4. [`shown`]: rows whose types say in which zone they are to be written.

mod at;
mod rule;
mod session;

use std::sync::Arc;

use aion_catalog::Zone;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, make_array};
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema, TimeUnit};
use datafusion::common::config::{ConfigExtension, ConfigOptions};
use datafusion::common::extensions_options;
use datafusion::logical_expr::ScalarUDF;

pub use rule::InZone;

extensions_options! {
    /// The zones of a statement, by their names.
    pub struct Zones {
        /// What the session shows its times in.
        pub session: String, default = "UTC".to_owned()
        /// What the session had when it was told the statement: its literals are of then.
        pub literals: String, default = "UTC".to_owned()
    }
}

impl ConfigExtension for Zones {
    const PREFIX: &'static str = "aion_zones";
}

/// The zone of the session that a plan is computed for.
pub fn session_zone(options: &ConfigOptions) -> Zone {
    zone(options, |zones| &zones.session)
}

/// The zone that a statement's literals without an offset are in.
pub fn literal_zone(options: &ConfigOptions) -> Zone {
    zone(options, |zones| &zones.literals)
}

fn zone(options: &ConfigOptions, of: fn(&Zones) -> &String) -> Zone {
    let zones = options.extensions.get::<Zones>();
    let found = zones.and_then(|zones| Zone::setting(of(zones)));
    found.map(|(zone, _)| zone).unwrap_or_default()
}

/// All functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut all = vec![at::function()];
    all.extend(session::functions());
    all
}

/// The array, whose type says that its moments are shown in a zone; also those in lists.
pub fn label(array: &ArrayRef, zone: Zone) -> ArrayRef {
    if zone == Zone::UTC {
        return array.clone();
    }
    let Some(labelled) = labelled(array.data_type(), zone) else {
        return array.clone();
    };
    relabel(array, &labelled)
}

/// The array with a type whose layout is that of its own.
fn relabel(array: &ArrayRef, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = relabel(list.values(), item.data_type());
            let (_, offsets, _, nulls) = list.clone().into_parts();
            Arc::new(datafusion::arrow::array::ListArray::new(
                item.clone(),
                offsets,
                values,
                nulls,
            ))
        }
        _ => match array.to_data().into_builder().data_type(data_type.clone()).build() {
            Ok(data) => make_array(data),
            Err(_) => array.clone(),
        },
    }
}

fn labelled(data_type: &DataType, zone: Zone) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, Some(zone.name().into())))
        }
        DataType::List(item) => {
            let labelled = labelled(item.data_type(), zone)?;
            Some(DataType::List(Arc::new(item.as_ref().clone().with_data_type(labelled))))
        }
        _ => None,
    }
}

/// The rows, whose types say that moments are shown in a zone.
pub fn shown(batch: RecordBatch, zone: Zone) -> RecordBatch {
    let schema = batch.schema();
    let is_moment = |field: &FieldRef| labelled(field.data_type(), zone).is_some();
    if zone == Zone::UTC || !schema.fields().iter().any(is_moment) {
        return batch;
    }
    let columns: Vec<ArrayRef> = batch.columns().iter().map(|column| label(column, zone)).collect();
    let fields = schema.fields().iter().zip(&columns);
    let fields = fields.map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()));
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let labelled = RecordBatch::try_new_with_options(Arc::new(schema), columns, &options);
    labelled.expect("the fields have the types of the columns")
}
