//! The enums of a catalog: which there are, which tables have them, and the changes that make them and take them away.

use std::collections::BTreeMap;
use std::sync::Arc;

use aion_base::{Error, ErrorKind, Result, SqlState};

use super::{Catalog, KeyChange, Object, enum_key, put};
use crate::SqlType;
use crate::descriptor::TableDescriptor;
use crate::enumeration::{EnumDescriptor, EnumType};
use crate::row::RowLayout;

impl Catalog {
    /// Gives the types that users made, which tables name by their ids, to the tables.
    pub(super) fn settle(&mut self) -> Result<()> {
        let by_id: BTreeMap<u32, EnumType> = self.enums.values().map(|of| (of.id(), *of)).collect();
        for (name, table) in &mut self.tables {
            if !by_id.is_empty() {
                let table = Arc::make_mut(table);
                for sql_type in table.value_types_mut() {
                    // That of a column that is gone may be gone, too: how wide its values are is known without.
                    if let Some(of) = sql_type.made().and_then(|of| by_id.get(&of.id())) {
                        *sql_type = sql_type.remade(*of);
                    }
                }
            }
            let missing = table.columns.iter().filter_map(|column| column.sql_type.made());
            if let Some(of) = missing.into_iter().find(|of| !by_id.contains_key(&of.id())) {
                let id = of.id();
                return Err(Error::corrupt(format!(
                    "the table {}: there is no type of id {id}",
                    name.1
                )));
            }
            // Whoever reads its rows relies on this.
            RowLayout::of(table).map_err(|error| Error::corrupt(format!("the table {}: {error}", name.1)))?;
        }
        Ok(())
    }

    /// All enums, by schema and name.
    pub fn enums(&self) -> impl Iterator<Item = EnumType> {
        self.enums.values().copied()
    }

    /// The enum of that name.
    pub fn enum_type(&self, schema: &str, name: &str) -> Option<EnumType> {
        self.enums.get(&(schema.to_owned(), name.to_owned())).copied()
    }

    /// The enum, or array of one, that has an OID.
    pub fn type_of_oid(&self, oid: u32) -> Option<SqlType> {
        self.enums().find_map(|of| match oid {
            _ if of.oid() == oid => Some(SqlType::Enum(of)),
            _ if of.array_oid() == oid => SqlType::Enum(of).array(),
            _ => None,
        })
    }

    /// The tables that have a column of a type that a user made.
    pub fn tables_with(&self, of: EnumType) -> impl Iterator<Item = &Arc<TableDescriptor>> {
        self.tables().filter(move |table| table.has_type(of.id()))
    }

    /// The changes that create an enum. It comes without an id.
    ///
    /// # Errors
    /// 42710 for a name that is taken, 3F000 and 42501 for the schema, 42602 and 42622 for names.
    pub fn create_enum(&self, mut made: EnumDescriptor) -> Result<Vec<KeyChange>> {
        self.check_new_type(&made.schema, &made.name)?;
        let (id, next) = self.next_id(0)?;
        made.id = id;
        let key = enum_key(&made.schema, &made.name);
        Ok(vec![next, put(key, &made), self.next_version()])
    }

    /// The changes that give an enum another descriptor, which may have another name.
    ///
    /// # Errors
    /// As [`Catalog::create_enum`].
    pub fn alter_enum(&self, before: EnumType, made: &EnumDescriptor) -> Result<Vec<KeyChange>> {
        let (old, new) = (before.descriptor(), (&made.schema, &made.name));
        let mut changes = Vec::new();
        if (&old.schema, &old.name) != new {
            self.check_new_type(&made.schema, &made.name)?;
            changes.push(KeyChange {
                key: enum_key(&old.schema, &old.name),
                value: None,
            });
        }
        changes.push(put(enum_key(&made.schema, &made.name), made));
        changes.push(self.next_version());
        Ok(changes)
    }

    /// The changes that remove an enum. What uses it is the caller's.
    pub fn drop_enum(&self, of: EnumType) -> Vec<KeyChange> {
        let descriptor = of.descriptor();
        vec![
            KeyChange {
                key: enum_key(&descriptor.schema, &descriptor.name),
                value: None,
            },
            self.next_version(),
        ]
    }

    /// Whether a user may create a type of that name.
    ///
    /// # Errors
    /// As [`Catalog::create_enum`].
    fn check_new_type(&self, schema: &str, name: &str) -> Result<()> {
        self.check_place(schema, name, "type")?;
        let of_relation = matches!(self.object(schema, name), Some(Object::Table(_) | Object::View(_)));
        match of_relation || self.enum_type(schema, name).is_some() {
            true => Err(type_exists(name)),
            false => Ok(()),
        }
    }
}

/// 42710 for the name of a type that is taken.
pub(super) fn type_exists(name: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        SqlState::DUPLICATE_OBJECT,
        format!("type \"{name}\" already exists"),
    )
}
