//! The roles: where they lie, who remembers them, and as whom a session acts.
//!
//! **Where.** Each role is a key of the catalog's table (`aion_catalog::objects`), written by CREATE, ALTER and DROP ROLE like any
//! definition: in the statement's transaction, with a new version of the catalog. So whoever remembers the roles of a version has those
//! of every snapshot with that version, and a login sees what was committed before it.
//!
//! **The mock's secret** (`aion_security::decide`) comes with the first role that is stored, in the same commit. Before that no role
//! has a password and there is nothing to hide: until then a secret of this process does.
//!
//! **Guarantee.** No `Debug` of what is here shows a secret.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::{self, KeyChange};
use aion_security::decide::SECRET_BYTES;
use aion_security::roles::Change;
use aion_security::{Hashing, Mock, Role, RoleId, Roles};
use aion_storage::{Direction, Store};
use parking_lot::Mutex;

use crate::transaction::Transaction;

/// The roles of a store.
pub struct RoleStore {
    store: Arc<Store>,
    /// The newest that anyone read, and the version of the catalog that has them.
    known: Mutex<Option<(u64, Arc<Roles>)>>,
    /// Stands in for the stored secret while there is none.
    passing_secret: [u8; SECRET_BYTES],
}

impl fmt::Debug for RoleStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleStore").finish_non_exhaustive()
    }
}

impl RoleStore {
    /// The roles that lie in `store`.
    ///
    /// # Errors
    /// Internal if the operating system gives no randomness.
    pub fn new(store: Arc<Store>) -> Result<Self> {
        Ok(Self {
            store,
            known: Mutex::default(),
            passing_secret: Mock::new_secret()?,
        })
    }

    /// The roles as they are now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn now(&self) -> Result<Arc<Roles>> {
        let snapshot = self.store.snapshot();
        let mut value = Vec::new();
        let found = snapshot.get(&objects::version_key(), &mut value)?;
        let version = objects::read_version(found.map(|_| value.as_slice()))?;
        if let Some((known, roles)) = &*self.known.lock()
            && *known == version
        {
            return Ok(roles.clone());
        }
        let mut stored = Vec::new();
        let mut scan = snapshot.scan(&objects::roles_range(), Direction::Forward);
        while scan.advance()? {
            stored.push(Role::from_bytes(scan.value())?);
        }
        let found = snapshot.get(&objects::next_role_key(), &mut value)?;
        let roles = Arc::new(assemble(stored, found.map(|_| value.as_slice()))?);
        let mut known = self.known.lock();
        if known.as_ref().is_none_or(|(newest, _)| version > *newest) {
            *known = Some((version, roles.clone()));
        }
        Ok(roles)
    }

    /// The roles as a transaction sees them, its own changes included. Its outcome relies on them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn of(&self, transaction: &Transaction) -> Result<Arc<Roles>> {
        // Whoever changes a role changes the version.
        transaction.rely_on(&KeyRange::point(&objects::version_key()));
        let mut stored = Vec::new();
        let mut scan = transaction.glance(&objects::roles_range(), Direction::Forward)?;
        while scan.advance()? {
            stored.push(Role::from_bytes(scan.value())?);
        }
        let next = transaction.get(&objects::next_role_key())?;
        assemble(stored, next.as_deref()).map(Arc::new)
    }

    /// What makes verifiers for those who have none.
    ///
    /// # Errors
    /// When the secret cannot be read.
    pub fn mock(&self) -> Result<Mock> {
        let mut value = Vec::new();
        let secret = match self.store.snapshot().get(&objects::mock_secret_key(), &mut value)? {
            Some(_) => <[u8; SECRET_BYTES]>::try_from(value.as_slice())
                .map_err(|_| Error::corrupt("the secret beside the roles is damaged"))?,
            None => self.passing_secret,
        };
        Ok(Mock::new(secret, Hashing::default()))
    }

    /// The changes of keys that a change of a role is; `roles` are those after it.
    ///
    /// # Errors
    /// When the transaction cannot be read; Internal if the operating system gives no randomness.
    pub fn changes(&self, change: &Change, roles: &Roles, transaction: &Transaction) -> Result<Vec<KeyChange>> {
        let mut changes = Vec::new();
        let put = |key, value| KeyChange {
            key,
            value: Some(value),
        };
        let stays = change.after.as_ref().map(|role| role.name.as_str());
        if let Some(before) = &change.before
            && stays != Some(before.name.as_str())
        {
            changes.push(KeyChange {
                key: objects::role_key(&before.name),
                value: None,
            });
        }
        if let Some(after) = &change.after {
            changes.push(put(objects::role_key(&after.name), after.to_bytes()));
        }
        if change.before.is_none() {
            let next = roles.next_id().0.to_le_bytes().to_vec();
            changes.push(put(objects::next_role_key(), next));
        }
        if transaction.get(&objects::mock_secret_key())?.is_none() {
            changes.push(put(objects::mock_secret_key(), Mock::new_secret()?.to_vec()));
        }
        Ok(changes)
    }
}

/// The roles of what was stored.
fn assemble(stored: Vec<Role>, next_id: Option<&[u8]>) -> Result<Roles> {
    let next_id = match next_id.map(<[u8; 4]>::try_from) {
        None => Roles::default().next_id(),
        Some(Ok(bytes)) => RoleId(u32::from_le_bytes(bytes)),
        Some(Err(_)) => return Err(Error::corrupt("the next role's id is damaged")),
    };
    Roles::read(stored, next_id)
}

/// The roles as a statement sees them, read when they are asked for, and whose session it is.
#[derive(Clone, Debug)]
pub struct SeenRoles {
    store: Arc<RoleStore>,
    /// That of the block which the statement is in, and gone with it: a plan that is kept longer keeps no snapshot.
    transaction: Option<Weak<Transaction>>,
    /// What the login found; None where there was none.
    role: Option<RoleId>,
    user: String,
    read: OnceLock<Arc<Roles>>,
}

impl SeenRoles {
    /// Seen by a session of `user`.
    pub fn new(
        store: Arc<RoleStore>,
        transaction: Option<&Arc<Transaction>>,
        role: Option<RoleId>,
        user: impl Into<String>,
    ) -> Self {
        Self {
            store,
            transaction: transaction.map(Arc::downgrade),
            role,
            user: user.into(),
            read: OnceLock::new(),
        }
    }

    /// The roles.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(&self) -> Result<Arc<Roles>> {
        if let Some(roles) = self.read.get() {
            return Ok(roles.clone());
        }
        let roles = match self.transaction.as_ref().and_then(Weak::upgrade) {
            Some(transaction) => self.store.of(&transaction)?,
            None => self.store.now()?,
        };
        Ok(self.read.get_or_init(|| roles).clone())
    }

    /// Whether a superuser acts.
    ///
    /// # Errors
    /// As [`SeenRoles::actor`].
    pub fn is_superuser(&self) -> Result<bool> {
        Ok(self.actor(&*self.read()?)?.is_superuser)
    }

    /// Who acts: the role that the session logged in as, whatever it is called by now; without a login, that of its user's name.
    ///
    /// # Errors
    /// 42501 where that role is gone.
    pub fn actor(&self, roles: &Roles) -> Result<Arc<Role>> {
        let found = match self.role {
            Some(id) => roles.by_id(id),
            None => roles.get(&self.user),
        };
        found.cloned().ok_or_else(|| {
            Error::denied(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("role \"{}\", which runs this statement, was dropped", self.user),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use aion_security::role::{BOOTSTRAP_ID, FIRST_ID};
    use aion_security::roles::Options;
    use aion_storage::StoreOptions;

    use super::*;

    fn store() -> Arc<Store> {
        Arc::new(Store::in_memory(&StoreOptions::default()))
    }

    fn apply(transaction: &Transaction, changes: Vec<KeyChange>) {
        for KeyChange { key, value } in changes {
            match value {
                Some(value) if transaction.get(&key).expect("readable").is_none() => {
                    assert!(transaction.insert(&key, &value).expect("small"));
                }
                Some(value) => transaction.update(&key, &value).expect("small"),
                None if transaction.get(&key).expect("readable").is_some() => {
                    transaction.delete(&key).expect("there");
                }
                None => {}
            }
        }
    }

    #[test]
    fn a_database_without_roles_has_the_bootstrap_role() {
        let roles = RoleStore::new(store()).expect("randomness");
        assert_eq!(*roles.now().expect("readable"), Roles::default());
    }

    #[test]
    fn a_transaction_sees_the_roles_that_it_made_and_renamed() {
        let store = store();
        let stored = RoleStore::new(store.clone()).expect("randomness");
        let transaction = Transaction::begin(store, true);
        let roles = stored.of(&transaction).expect("readable");
        let made = roles
            .create(BOOTSTRAP_ID, "alice", &Options::default())
            .expect("a new name");
        let changes = stored.changes(&made, &roles.apply(&made), &transaction);
        let changes = changes.expect("readable");
        assert_eq!(changes.len(), 3, "the role, the next id, and the secret once");
        apply(&transaction, changes);
        let roles = stored.of(&transaction).expect("readable");
        assert_eq!(roles.next_id(), RoleId(FIRST_ID.0 + 1));

        let renamed = roles.rename(BOOTSTRAP_ID, "alice", "bob").expect("free");
        let changes = stored.changes(&renamed, &roles.apply(&renamed), &transaction);
        let changes = changes.expect("readable");
        assert_eq!(changes.len(), 2, "one name goes, another comes");
        apply(&transaction, changes);
        let roles = stored.of(&transaction).expect("readable");
        assert!(roles.get("alice").is_none());
        assert_eq!(roles.get("bob").map(|role| role.id), Some(FIRST_ID));
        assert_eq!(
            *stored.now().expect("readable"),
            Roles::default(),
            "nothing was committed"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", RoleStore::new(store()).expect("randomness"));
        assert_eq!(shown, "RoleStore { .. }");
    }

    #[test]
    fn whoever_was_dropped_acts_no_more() {
        let stored = Arc::new(RoleStore::new(store()).expect("randomness"));
        let roles = stored.now().expect("readable");
        let seen = |role, user: &str| SeenRoles::new(stored.clone(), None, role, user);
        assert!(seen(None, "aion").actor(&roles).expect("there").is_superuser);
        assert!(seen(Some(BOOTSTRAP_ID), "another").actor(&roles).is_ok());
        for gone in [seen(None, "bob"), seen(Some(FIRST_ID), "aion")] {
            let error = gone.actor(&roles).expect_err("gone");
            assert_eq!(error.state(), SqlState::INSUFFICIENT_PRIVILEGE);
        }
    }
}
