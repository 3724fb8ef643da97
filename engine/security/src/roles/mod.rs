//! All roles at one moment, and what CREATE, ALTER and DROP ROLE may do to them.
//!
//! **Vocabulary.** The *actor* is the role that runs the statement. A *change* is one role before and after; the caller stores
//! it in the statement's transaction under keys of its own, and builds the next [`Roles`] from what it reads back, or with
//! [`Roles::apply`].
//!
//! **Guarantees.** [`Roles`] never changes. An actor is looked up here by its id at each verb, so that whoever was a superuser
//! when he connected and is none any more has lost its rights. The bootstrap role is always there, can log in and is a superuser.
//!
//! | actor | may |
//! |---|---|
//! | superuser | everything, but to the bootstrap role's name, LOGIN and SUPERUSER; nobody drops or renames himself |
//! | CREATEROLE | create, alter, rename, drop roles that are no superusers; give and take CREATEDB if it has that itself |
//! | anybody | change the own password |
//!
//! This is PostgreSQL's, with the rule of its version 16 on CREATEDB. **Left out**: memberships (GRANT role TO role, ADMIN
//! OPTION), REPLICATION and BYPASSRLS, settings of roles, and what a dropped role owns, which the caller checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aion_base::id::Timestamp;
use aion_base::{Error, ErrorKind, Result, SqlState};

use crate::role::{BOOTSTRAP_NAME, FIRST_ID, Role, RoleId, check_name};
use crate::verifier::Verifier;

/// Roles, at most: all of them are in memory.
pub const ROLES_MAX: usize = 10_000;

/// What CREATE ROLE and ALTER ROLE say; None is what they say nothing of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// LOGIN, NOLOGIN. CREATE USER says LOGIN where nothing is said.
    pub can_login: Option<bool>,
    /// SUPERUSER, NOSUPERUSER.
    pub is_superuser: Option<bool>,
    /// CREATEROLE, NOCREATEROLE.
    pub can_create_role: Option<bool>,
    /// CREATEDB, NOCREATEDB.
    pub can_create_database: Option<bool>,
    /// INHERIT, NOINHERIT.
    pub inherits: Option<bool>,
    /// CONNECTION LIMIT; inner None for -1, see [`crate::role::connection_limit`].
    pub connection_limit: Option<Option<u32>>,
    /// PASSWORD; inner None for NULL and for what [`Verifier::from_clause`] calls none.
    pub verifier: Option<Option<Verifier>>,
    /// VALID UNTIL; inner None for `infinity`.
    pub valid_until: Option<Option<Timestamp>>,
}

impl Options {
    fn write_to(&self, role: &mut Role) {
        let set = |field: &mut bool, value: Option<bool>| *field = value.unwrap_or(*field);
        set(&mut role.can_login, self.can_login);
        set(&mut role.is_superuser, self.is_superuser);
        set(&mut role.can_create_role, self.can_create_role);
        set(&mut role.can_create_database, self.can_create_database);
        set(&mut role.inherits, self.inherits);
        role.connection_limit = self.connection_limit.unwrap_or(role.connection_limit);
        role.valid_until = self.valid_until.unwrap_or(role.valid_until);
        if let Some(verifier) = &self.verifier {
            role.verifier.clone_from(verifier);
        }
    }

    /// Whether nothing but PASSWORD is said.
    fn is_password_alone(&self) -> bool {
        let rest = Self {
            verifier: None,
            ..self.clone()
        };
        self.verifier.is_some() && rest == Self::default()
    }
}

/// One role, before and after: both for an alteration or a rename, after alone for a new one, before alone for a dropped one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is replaced or removed.
    pub before: Option<Arc<Role>>,
    /// What takes its place.
    pub after: Option<Arc<Role>>,
}

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    by_name: BTreeMap<String, Arc<Role>>,
    next_id: RoleId,
}

/// The roles of a database in which nobody made one: the bootstrap role.
impl Default for Roles {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::from([(BOOTSTRAP_NAME.to_owned(), Arc::new(Role::bootstrap()))]),
            next_id: FIRST_ID,
        }
    }
}

impl Roles {
    /// The roles that were stored, and the id that was stored with them ([`Roles::next_id`]). The bootstrap role need not
    /// be among them: before its first alteration it is as [`Role::bootstrap`] makes it.
    ///
    /// # Errors
    /// Corrupt for two roles of one name or id, for an id that is yet to be given, for a bootstrap role that is none.
    pub fn read(stored: impl IntoIterator<Item = Role>, next_id: RoleId) -> Result<Self> {
        let mut roles = Self {
            next_id,
            ..Self::default()
        };
        if next_id < FIRST_ID {
            return Err(Error::corrupt(format!(
                "the next role's id, {next_id}, is below {FIRST_ID}"
            )));
        }
        let mut ids = BTreeSet::new();
        for role in stored {
            let is_misplaced = if role.is_bootstrap() {
                role.name != BOOTSTRAP_NAME || !role.can_login || !role.is_superuser
            } else {
                role.name == BOOTSTRAP_NAME || role.id < FIRST_ID || role.id >= next_id
            };
            let id = role.id;
            let twin = roles.by_name.insert(role.name.clone(), Arc::new(role));
            if is_misplaced || !ids.insert(id) || twin.is_some_and(|twin| !twin.is_bootstrap()) {
                return Err(Error::corrupt(format!(
                    "the stored role with the id {id} contradicts the others"
                )));
            }
        }
        Ok(roles)
    }

    /// The id that the next new role gets. To be stored with every new role, so that no id is given twice.
    pub fn next_id(&self) -> RoleId {
        self.next_id
    }

    /// The role of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Role>> {
        self.by_name.get(name)
    }

    /// The role with that id.
    pub fn by_id(&self, id: RoleId) -> Option<&Arc<Role>> {
        self.by_name.values().find(|role| role.id == id)
    }

    /// All roles, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.by_name.values()
    }

    /// Whether any role has a password.
    pub fn any_password(&self) -> bool {
        self.iter().any(|role| role.verifier.is_some())
    }

    /// The roles after a change that one of the verbs below gave.
    pub fn apply(&self, change: &Change) -> Self {
        let mut roles = self.clone();
        if let Some(before) = &change.before {
            roles.by_name.remove(&before.name);
        }
        if let Some(after) = &change.after {
            roles.next_id = roles.next_id.max(RoleId(after.id.0.saturating_add(1)));
            roles.by_name.insert(after.name.clone(), Arc::clone(after));
        }
        roles
    }

    /// CREATE ROLE.
    ///
    /// # Errors
    /// 42501 for the actor's rights, 42710 for a name that is taken, 42602, 42622 and 42939 for names, 54000 beyond [`ROLES_MAX`].
    pub fn create(&self, actor: RoleId, name: &str, options: &Options) -> Result<Change> {
        let actor = self.actor(actor)?;
        if options.is_superuser == Some(true) && !actor.is_superuser {
            return Err(denied("must be superuser to create superusers"));
        }
        check_creates_roles(actor, "permission denied to create role", "create roles")?;
        if options.can_create_database == Some(true) {
            check_gives_databases(actor, "permission denied to create role")?;
        }
        check_name(name)?;
        self.check_free(name)?;
        if self.by_name.len() >= ROLES_MAX || self.next_id.0 == u32::MAX {
            let message = format!("a database has at most {ROLES_MAX} roles");
            return Err(Error::exhausted(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let mut role = Role::new(name, self.next_id);
        options.write_to(&mut role);
        Ok(Change {
            before: None,
            after: Some(Arc::new(role)),
        })
    }

    /// ALTER ROLE ... with options.
    ///
    /// # Errors
    /// 42704 for a role that is not there, 42501 for the actor's rights and for what the bootstrap role must keep.
    pub fn alter(&self, actor: RoleId, name: &str, options: &Options) -> Result<Change> {
        let actor = self.actor(actor)?;
        let target = self.named(name)?;
        check_may_alter(actor, target, options)?;
        if target.is_bootstrap() && (options.can_login == Some(false) || options.is_superuser == Some(false)) {
            return Err(denied("permission denied to alter role")
                .with_detail("The bootstrap superuser must keep LOGIN and SUPERUSER."));
        }
        let mut role = Role::clone(target);
        options.write_to(&mut role);
        Ok(altered(target, role))
    }

    /// ALTER ROLE ... RENAME TO. A verifier does not depend on the name and stays.
    ///
    /// # Errors
    /// 42704 and 42710 for the names, 0A000 for the actor itself, 42501 for its rights and for the bootstrap role, 42602, 42622
    /// and 42939 for the new name.
    pub fn rename(&self, actor: RoleId, name: &str, new_name: &str) -> Result<Change> {
        let actor = self.actor(actor)?;
        let target = self.named(name)?;
        if target.is_bootstrap() {
            return Err(denied("permission denied to rename role")
                .with_detail(format!("The bootstrap superuser is called \"{BOOTSTRAP_NAME}\".")));
        }
        if target.id == actor.id {
            return Err(Error::unsupported("current user cannot be renamed"));
        }
        if target.is_superuser && !actor.is_superuser {
            return Err(denied("must be superuser to rename superusers"));
        }
        check_creates_roles(actor, "permission denied to rename role", "rename roles")?;
        check_name(new_name)?;
        self.check_free(new_name)?;
        let mut role = Role::clone(target);
        new_name.clone_into(&mut role.name);
        Ok(altered(target, role))
    }

    /// DROP ROLE. What the role owns, and its open connections, are the caller's.
    ///
    /// # Errors
    /// 42704 for a role that is not there (which IF EXISTS makes a notice), 2BP01 for the bootstrap role, 55006 for the actor itself,
    /// 42501 for its rights.
    pub fn drop(&self, actor: RoleId, name: &str) -> Result<Change> {
        let actor = self.actor(actor)?;
        // As in PostgreSQL, whoever may drop none is not told which there are.
        check_creates_roles(actor, "permission denied to drop role", "drop roles")?;
        let target = self.named(name)?;
        if target.is_bootstrap() {
            return Err(Error::invalid(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop role {name} because it is required by the database system"),
            ));
        }
        if target.id == actor.id {
            return Err(Error::new(
                ErrorKind::Conflict,
                SqlState::OBJECT_IN_USE,
                "current user cannot be dropped",
            ));
        }
        if target.is_superuser && !actor.is_superuser {
            return Err(denied("must be superuser to drop superusers"));
        }
        Ok(Change {
            before: Some(Arc::clone(target)),
            after: None,
        })
    }

    fn actor(&self, id: RoleId) -> Result<&Role> {
        let role = self.by_id(id).map(AsRef::as_ref);
        role.ok_or_else(|| {
            denied(format!(
                "the role with the id {id}, which runs this statement, was dropped"
            ))
        })
    }

    fn named(&self, name: &str) -> Result<&Arc<Role>> {
        let missing = || Error::not_found(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"));
        self.get(name).ok_or_else(missing)
    }

    fn check_free(&self, name: &str) -> Result<()> {
        if self.by_name.contains_key(name) {
            return Err(Error::new(
                ErrorKind::Conflict,
                SqlState::DUPLICATE_OBJECT,
                format!("role \"{name}\" already exists"),
            ));
        }
        Ok(())
    }
}

fn altered(before: &Arc<Role>, after: Role) -> Change {
    Change {
        before: Some(Arc::clone(before)),
        after: Some(Arc::new(after)),
    }
}

fn check_may_alter(actor: &Role, target: &Role, options: &Options) -> Result<()> {
    const REFUSAL: &str = "permission denied to alter role";
    if actor.is_superuser {
        return Ok(());
    }
    if target.is_superuser || options.is_superuser.is_some() {
        return Err(denied(
            "must be superuser to alter superuser roles or change superuser attribute",
        ));
    }
    if target.id == actor.id && options.is_password_alone() {
        return Ok(());
    }
    check_creates_roles(actor, REFUSAL, "alter other roles")?;
    if options.can_create_database.is_some() {
        check_gives_databases(actor, REFUSAL)?;
    }
    Ok(())
}

fn check_creates_roles(actor: &Role, refusal: &str, to: &str) -> Result<()> {
    if actor.is_superuser || actor.can_create_role {
        return Ok(());
    }
    Err(denied(refusal).with_detail(format!("Only roles with the CREATEROLE attribute may {to}.")))
}

fn check_gives_databases(actor: &Role, refusal: &str) -> Result<()> {
    if actor.is_superuser || actor.can_create_database {
        return Ok(());
    }
    let detail = "Only roles with the CREATEDB attribute may change the CREATEDB attribute.";
    Err(denied(refusal).with_detail(detail))
}

/// 42501.
fn denied(message: impl Into<String>) -> Error {
    Error::denied(SqlState::INSUFFICIENT_PRIVILEGE, message)
}

#[cfg(test)]
mod tests;
