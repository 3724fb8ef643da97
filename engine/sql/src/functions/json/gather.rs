//! `json_agg`, `json_object_agg` and what jsonb has of them: what `array_agg` has gathered, as one document.
//!
//! The aggregate is `array_agg`, with its DISTINCT, ORDER BY, FILTER and OVER, of the values as JSON (see [`crate::system`], which writes
//! it so); these functions put its list together. Of no rows the list is NULL, and so is the document.

use std::sync::Arc;

use aion_catalog::json::{JsonbRef, Node, Tree};
use aion_catalog::{SqlType, Zone};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, LargeBinaryArray, LargeBinaryBuilder, ListArray, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::super::time_zone::session_zone;
use super::values::Values;
use crate::error::wrap;

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let gather = |name, of, sql_type| {
        Arc::new(ScalarUDF::from(Gather {
            name,
            of,
            sql_type,
            // Moments among the values are shown in the session's zone.
            signature: Signature::any(1, Volatility::Stable),
        }))
    };
    vec![
        gather("json_gathered", Of::Documents, SqlType::Json),
        gather("jsonb_gathered", Of::Documents, SqlType::Jsonb),
        gather("json_object_gathered", Of::Members, SqlType::Json),
        gather("jsonb_object_gathered", Of::Members, SqlType::Jsonb),
        gather("json_gathered_values", Of::Values, SqlType::Json),
        gather("jsonb_gathered_values", Of::Values, SqlType::Jsonb),
    ]
}

/// What the list has gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Documents,
    /// Objects of one member each.
    Members,
    /// Values that are no documents yet: what is made distinct is sorted by itself.
    Values,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Gather {
    name: &'static str,
    of: Of,
    sql_type: SqlType,
    signature: Signature,
}

impl ScalarUDFImpl for Gather {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.sql_type.to_arrow())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(self.sql_type.to_field(self.name, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = session_zone(&args.config_options);
        match args.args.first() {
            Some(ColumnarValue::Scalar(list)) => {
                let array = self.all(&list.to_array()?, zone)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            Some(ColumnarValue::Array(lists)) => Ok(ColumnarValue::Array(self.all(lists, zone)?)),
            None => exec_err!("{} takes a list", self.name),
        }
    }
}

impl Gather {
    fn all(&self, lists: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
        let Some(lists) = lists.as_list_opt::<i32>() else {
            return exec_err!("{} takes a list, not {}", self.name, lists.data_type());
        };
        if self.of == Of::Values {
            return self.all_values(lists, zone);
        }
        let lists = (0..lists.len()).map(|row| lists.is_valid(row).then(|| lists.value(row)));
        if self.sql_type == SqlType::Json {
            let mut texts = StringBuilder::new();
            for list in lists {
                texts.append_option(list.map(|list| self.text(&list)));
            }
            return Ok(Arc::new(texts.finish()));
        }
        let mut documents = LargeBinaryBuilder::new();
        for list in lists {
            match list {
                None => documents.append_null(),
                Some(list) => {
                    let is_object = self.of == Of::Members;
                    let document = tree(list.as_binary::<i64>(), is_object).encode().map_err(wrap)?;
                    documents.append_value(document.as_bytes());
                }
            }
        }
        Ok(Arc::new(documents.finish()))
    }

    fn all_values(&self, lists: &ListArray, zone: Zone) -> Result<ArrayRef> {
        let (DataType::List(item), offsets) = (lists.data_type(), lists.value_offsets()) else {
            return exec_err!("{} takes a list", self.name);
        };
        let values = Values::new(lists.values(), item, zone).map_err(wrap)?;
        let offset = |row: usize| usize::try_from(offsets[row]).unwrap_or(0);
        let rows = (0..lists.len()).map(|row| lists.is_valid(row).then(|| offset(row)..offset(row + 1)));
        if self.sql_type == SqlType::Jsonb {
            let mut documents = LargeBinaryBuilder::new();
            for row in rows {
                let elements = row.map(|row| row.map(|at| values.tree(at)).collect::<aion_base::Result<Vec<_>>>());
                match elements.transpose().map_err(wrap)? {
                    None => documents.append_null(),
                    Some(elements) => {
                        let document = Tree::Array(elements).encode().map_err(wrap)?;
                        documents.append_value(document.as_bytes());
                    }
                }
            }
            return Ok(Arc::new(documents.finish()));
        }
        let mut texts = StringBuilder::new();
        for row in rows {
            let Some(row) = row else {
                texts.append_null();
                continue;
            };
            let mut text = String::from("[");
            for at in row.clone() {
                text.push_str(if at > row.start { ", " } else { "" });
                values.write(at, &mut text).map_err(wrap)?;
            }
            text.push(']');
            texts.append_value(text);
        }
        Ok(Arc::new(texts.finish()))
    }

    fn text(&self, list: &ArrayRef) -> String {
        let (open, close) = if self.of == Of::Members {
            ("{ ", " }")
        } else {
            ("[", "]")
        };
        let mut text = String::from(open);
        for (at, value) in list.as_string::<i32>().iter().enumerate() {
            text.push_str(if at > 0 { ", " } else { "" });
            text.push_str(value.unwrap_or("null"));
        }
        text.push_str(close);
        text
    }
}

fn tree(documents: &LargeBinaryArray, is_object: bool) -> Tree<'_> {
    let documents = documents.iter().map(|bytes| bytes.map(JsonbRef::new));
    if !is_object {
        return Tree::Array(
            documents
                .map(|document| document.map_or(Tree::Null, Tree::Stored))
                .collect(),
        );
    }
    let mut members = Vec::new();
    for document in documents.flatten() {
        if let Node::Object(object) = document.node() {
            members.extend(object.iter().map(|(key, value)| (key.into(), Tree::Stored(value))));
        }
    }
    Tree::Object(members)
}
