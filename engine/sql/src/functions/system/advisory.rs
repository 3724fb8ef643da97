//! `pg_advisory_lock` and its kin: see [`crate::advisory`].

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use aion_base::{Error, SqlState};
use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::advisory::{AdvisoryLocks, Key, Until};
use crate::error::wrap;
use crate::system::Facts;

/// All of them.
pub const NAMES: [&str; 11] = [
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_shared",
    "pg_advisory_unlock_all",
];

/// The function of that name, for a session.
pub fn bound(name: &str, facts: &Facts) -> Option<Arc<ScalarUDF>> {
    let name = NAMES.into_iter().find(|known| *known == name)?;
    let signature = match name {
        "pg_advisory_unlock_all" => Signature::nullary(Volatility::Volatile),
        // The wrapper of what waits has no coercion of its own: integers are checked when they are there.
        _ => Signature::one_of(
            vec![
                TypeSignature::Exact(vec![DataType::Int64]),
                TypeSignature::Exact(vec![DataType::Int64, DataType::Int64]),
            ],
            Volatility::Volatile,
        ),
    };
    let timeout = facts.identity.settings.duration_ms("lock_timeout");
    let function = Advisory {
        name,
        locks: facts.identity.advisory.clone(),
        timeout: timeout.map(Duration::from_millis),
        signature,
    };
    Some(Arc::new(AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf()))
}

#[derive(Debug)]
struct Advisory {
    name: &'static str,
    locks: Arc<AdvisoryLocks>,
    timeout: Option<Duration>,
    signature: Signature,
}

impl PartialEq for Advisory {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.locks, &other.locks)
    }
}

impl Eq for Advisory {}

impl Hash for Advisory {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Advisory {
    fn tells(&self) -> bool {
        self.name.contains("try") || (self.name.contains("unlock") && !self.name.ends_with("_all"))
    }

    /// What it answers; None is void.
    async fn called(&self, key: Key) -> aion_base::Result<bool> {
        let is_shared = self.name.ends_with("_shared");
        let until = match self.name.contains("_xact_") {
            true => Until::TransactionEnds,
            false => Until::Unlocked,
        };
        if self.name.contains("unlock") {
            return Ok(self.locks.unlock(key, is_shared));
        }
        if self.name.contains("try") {
            return self.locks.try_lock(key, is_shared, until);
        }
        self.locks
            .lock(key, is_shared, until, self.timeout)
            .await
            .map(|()| true)
    }
}

impl ScalarUDFImpl for Advisory {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// void travels as an empty text.
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.tells() {
            true => DataType::Boolean,
            false => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} cannot wait here", self.name)
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Advisory {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        if self.name == "pg_advisory_unlock_all" {
            self.locks.unlock_all();
            let answers: StringArray = (0..rows).map(|_| Some("")).collect();
            return Ok(ColumnarValue::Array(Arc::new(answers) as ArrayRef));
        }
        let arrays = args.args.iter().map(|arg| arg.to_array(rows));
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let number = |array: &ArrayRef, row: usize| array.as_primitive::<Int64Type>().value(row);
        let integer = |array: &ArrayRef, row: usize| {
            i32::try_from(number(array, row)).map_err(|_| {
                wrap(Error::invalid(
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    "integer out of range",
                ))
            })
        };
        let key = |row: usize| {
            Ok::<_, DataFusionError>(match arrays.as_slice() {
                [one] if one.is_valid(row) => Some(Key::One(number(one, row))),
                [one, other] if one.is_valid(row) && other.is_valid(row) => {
                    Some(Key::Two(integer(one, row)?, integer(other, row)?))
                }
                _ => None,
            })
        };
        let mut answers = Vec::with_capacity(rows);
        for row in 0..rows {
            answers.push(match key(row)? {
                Some(key) => Some(self.called(key).await.map_err(wrap)?),
                None => None,
            });
        }
        let answers: ArrayRef = match self.tells() {
            true => Arc::new(BooleanArray::from(answers)),
            false => Arc::new(
                answers
                    .into_iter()
                    .map(|answer| answer.map(|_| ""))
                    .collect::<StringArray>(),
            ),
        };
        Ok(ColumnarValue::Array(answers))
    }
}
