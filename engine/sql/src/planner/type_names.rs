//! The types that a statement names.

use std::sync::Arc;

use aion_catalog::SqlType;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast;

use crate::error::wrap;
use crate::system;

/// The types of casts and column definitions are ours, by PostgreSQL's names.
#[derive(Debug)]
pub struct SqlTypePlanner;

impl TypePlanner for SqlTypePlanner {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>, DataFusionError> {
        let name = system::plain_type_name(&sql_type.to_string());
        // Types that only the catalog has; `char` without quotes is another one.
        let catalog_type = match name.as_str() {
            "oid" | "xid" | "cid" => Some("oid"),
            "name" => Some("name"),
            "\"char\"" => Some("char"),
            _ => None,
        };
        if let Some(field) = catalog_type.and_then(|name| system::cells::field("", name)) {
            return Ok(Some(Arc::new(field)));
        }
        match name.parse::<SqlType>() {
            Ok(sql_type) => Ok(Some(Arc::new(sql_type.to_field("", true)))),
            // A name that is none of a type.
            Err(error) if matches!(sql_type, ast::DataType::Custom(..)) => Err(wrap(error)),
            // DataFusion's has no column to be stored in.
            Err(error) if matches!(sql_type, ast::DataType::Time(..)) => Err(wrap(error)),
            // DataFusion knows more, intervals for instance, that have no place in a table.
            Err(_) => Ok(None),
        }
    }
}
