//! CREATE, ALTER and DROP ROLE.
//!
//! Who may do what is decided in `aion_security::roles`; here a statement becomes options, and the change of a role a
//! change of keys. A password is hashed on a thread that may be kept busy, and dropped; no error quotes it.

use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::Catalog;
use aion_catalog::{SqlType, Value, Zone};
use aion_security::role::connection_limit;
use aion_security::roles::{Change, Options};
use aion_security::{Hashing, RoleId, Roles, Verifier};

use super::Session;
use super::ddl::Definition;
use crate::cancel::Cancellation;
use crate::response::Response;
use crate::roles::SeenRoles;
use crate::transaction::Transaction;
use crate::utility::role::{RoleName, RoleOptions, RoleStatement, Secret};

impl Session {
    /// Tells the session which role logged in: it acts as that one, also after a rename.
    pub fn set_role(&mut self, role: RoleId) {
        self.role = Some(role);
    }

    /// The roles as the next statement sees them.
    pub(super) fn seen_roles(&self) -> SeenRoles {
        let transaction = self.block.as_ref().map(|block| &block.transaction);
        SeenRoles::new(
            self.engine.roles.clone(),
            transaction,
            self.role,
            self.options.user.as_str(),
        )
    }

    pub(super) async fn define_role(
        &mut self,
        statement: &RoleStatement,
        cancellation: &Cancellation,
    ) -> Result<Response> {
        let given = match statement {
            RoleStatement::Create { options, .. } | RoleStatement::Alter { options, .. } => Some(options),
            _ => None,
        };
        let options = match given {
            Some(given) => interpret(given, self.zone()).await?,
            None => Options::default(),
        };
        let transaction = self.transaction(true)?;
        let catalog = self.catalog_of(&transaction)?;
        let mut definition = self.role_definition(statement, &options, &transaction, &catalog)?;
        if given.is_some_and(|given| matches!(given.password, Some(Some(_)))) && options.verifier == Some(None) {
            let notice = "empty string is not a valid password, clearing password";
            let notice = (SqlState::SUCCESSFUL_COMPLETION, notice.to_owned());
            definition.notices.push(notice);
        }
        self.establish(definition, &transaction, cancellation).await
    }

    fn role_definition(
        &self,
        statement: &RoleStatement,
        options: &Options,
        transaction: &Transaction,
        catalog: &Catalog,
    ) -> Result<Definition> {
        let roles = self.engine.roles.of(transaction)?;
        let actor = self.seen_roles().actor(&roles)?;
        let named = |name: &RoleName| match name {
            RoleName::Named(name) => name.clone(),
            RoleName::Current => actor.name.clone(),
        };
        let change = match statement {
            RoleStatement::Create { name, .. } => roles.create(actor.id, name, options)?,
            RoleStatement::Alter { name, .. } => roles.alter(actor.id, &named(name), options)?,
            RoleStatement::Rename { name, new_name } => roles.rename(actor.id, &named(name), new_name)?,
            RoleStatement::Drop { names, if_exists } => {
                let names: Vec<String> = names.iter().map(named).collect();
                return self.drop_roles(&names, *if_exists, actor.id, &roles, transaction, catalog);
            }
            RoleStatement::Refused { tag, why } => {
                return Err(Error::unsupported(format!("this {tag} is not there yet: {why}")));
            }
        };
        let mut definition = Definition::new(statement.tag(), Vec::new());
        self.store_role(&change, &roles.apply(&change), transaction, catalog, &mut definition)?;
        Ok(definition)
    }

    fn drop_roles(
        &self,
        names: &[String],
        if_exists: bool,
        actor: RoleId,
        roles: &Roles,
        transaction: &Transaction,
        catalog: &Catalog,
    ) -> Result<Definition> {
        let mut definition = Definition::new("DROP ROLE", Vec::new());
        let mut roles = roles.clone();
        for name in names {
            match roles.drop(actor, name) {
                Ok(change) => {
                    roles = roles.apply(&change);
                    self.store_role(&change, &roles, transaction, catalog, &mut definition)?;
                }
                Err(error) if if_exists && error.state() == SqlState::UNDEFINED_OBJECT => {
                    let notice = format!("{}, skipping", error.message());
                    definition.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(definition)
    }

    /// Adds what a change of a role writes; `roles` are those after it.
    fn store_role(
        &self,
        change: &Change,
        roles: &Roles,
        transaction: &Transaction,
        catalog: &Catalog,
        definition: &mut Definition,
    ) -> Result<()> {
        let changes = self.engine.roles.changes(change, roles, transaction)?;
        definition.changes.extend(changes);
        // Whoever remembers the roles reads them anew.
        definition.changes.push(catalog.renew());
        Ok(())
    }
}

/// What a statement says, as it is to be done.
async fn interpret(given: &RoleOptions, zone: Zone) -> Result<Options> {
    let mut options = given.plain.clone();
    options.connection_limit = given.connection_limit.map(connection_limit).transpose()?;
    options.valid_until = given
        .valid_until
        .as_deref()
        .map(|text| valid_until(text, zone))
        .transpose()?;
    options.verifier = match &given.password {
        None => None,
        Some(None) => Some(None),
        Some(Some(password)) => Some(hashed(password.clone()).await?),
    };
    Ok(options)
}

/// The verifier of a password, or the one that it is; None for an empty one.
async fn hashed(password: Secret) -> Result<Option<Verifier>> {
    let hashing = tokio::task::spawn_blocking(move || Verifier::from_clause(&password.0, &Hashing::default()));
    hashing
        .await
        .map_err(|error| Error::internal(format!("hashing a password panicked: {error}")))?
}

/// The time after VALID UNTIL; None for always.
///
/// # Errors
/// 22007 and 22008.
fn valid_until(text: &str, zone: Zone) -> Result<Option<Timestamp>> {
    if text.trim().eq_ignore_ascii_case("infinity") {
        return Ok(None);
    }
    match Value::text_in_zone(&SqlType::TIMESTAMPTZ, text, zone)? {
        // Before 1970 every password has expired.
        Value::Timestamp(micros) => Ok(Some(Timestamp(u64::try_from(micros).unwrap_or_default()))),
        _ => Err(Error::internal("a timestamp is read as one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_end_at_a_time_or_never() {
        assert_eq!(valid_until("Infinity", Zone::UTC).expect("never"), None);
        let until = valid_until("2030-01-01 00:00:00+00", Zone::UTC).expect("a time");
        assert_eq!(until, Some(Timestamp(1_893_456_000_000_000)));
        assert_eq!(
            valid_until("1960-01-01", Zone::UTC).expect("long ago"),
            Some(Timestamp(0))
        );
        assert_eq!(
            valid_until("soon", Zone::UTC).expect_err("no time").state(),
            SqlState::INVALID_DATETIME_FORMAT
        );
    }
}
