//! Roles: `pg_roles`, `pg_authid`, `pg_user`.
//!
//! Verifiers of passwords stand in `pg_authid` alone, which superusers may read; the others show asterisks, as in PostgreSQL.

use aion_base::{Error, Result, SqlState};
use aion_security::Role;

use super::Definition;
use super::cells::{Cell, Row, row};
use super::facts::Facts;

pub(super) const TABLES: &[Definition] = &[
    Definition::new(
        "pg_roles",
        0,
        "rolname name, rolsuper bool, rolinherit bool, rolcreaterole bool, rolcreatedb bool, rolcanlogin bool, \
         rolreplication bool, rolconnlimit int4, rolpassword text, rolvaliduntil timestamptz, rolbypassrls bool, \
         rolconfig text[], oid oid",
        roles,
    ),
    Definition::new(
        "pg_authid",
        1260,
        "oid oid, rolname name, rolsuper bool, rolinherit bool, rolcreaterole bool, rolcreatedb bool, rolcanlogin bool, \
         rolreplication bool, rolbypassrls bool, rolconnlimit int4, rolpassword text, rolvaliduntil timestamptz",
        authentication,
    ),
    Definition::new(
        "pg_user",
        0,
        "usename name, usesysid oid, usecreatedb bool, usesuper bool, userepl bool, usebypassrls bool, passwd text, \
         valuntil timestamptz, useconfig text[]",
        users,
    ),
];

/// What stands for a password, whether there is one or not.
const HIDDEN: &str = "********";

fn roles(facts: &Facts) -> Result<Vec<Row>> {
    let roles = facts.identity.roles.read()?;
    let rows = roles.iter().map(|role| {
        row![
            role.name.as_str(),
            role.is_superuser,
            role.inherits,
            role.can_create_role,
            role.can_create_database,
            role.can_login,
            false,
            connection_limit(role),
            HIDDEN,
            valid_until(role),
            role.is_superuser,
            Cell::Null,
            role.id.0,
        ]
    });
    Ok(rows.collect())
}

fn authentication(facts: &Facts) -> Result<Vec<Row>> {
    let roles = facts.identity.roles.read()?;
    if !facts.identity.roles.actor(&roles)?.is_superuser {
        let message = "permission denied for table pg_authid";
        return Err(Error::denied(SqlState::INSUFFICIENT_PRIVILEGE, message)
            .with_hint("pg_roles shows the same without passwords."));
    }
    let rows = roles.iter().map(|role| {
        row![
            role.id.0,
            role.name.as_str(),
            role.is_superuser,
            role.inherits,
            role.can_create_role,
            role.can_create_database,
            role.can_login,
            false,
            role.is_superuser,
            connection_limit(role),
            role.verifier.as_ref().map(|verifier| verifier.to_stored()),
            valid_until(role),
        ]
    });
    Ok(rows.collect())
}

fn users(facts: &Facts) -> Result<Vec<Row>> {
    let roles = facts.identity.roles.read()?;
    let rows = roles.iter().filter(|role| role.can_login).map(|role| {
        row![
            role.name.as_str(),
            role.id.0,
            role.can_create_database,
            role.is_superuser,
            false,
            role.is_superuser,
            HIDDEN,
            valid_until(role),
            Cell::Null,
        ]
    });
    Ok(rows.collect())
}

fn connection_limit(role: &Role) -> i64 {
    role.connection_limit.map_or(-1, i64::from)
}

fn valid_until(role: &Role) -> Cell {
    match role.valid_until {
        Some(until) => Cell::Time(i64::try_from(until.0).unwrap_or(i64::MAX)),
        None => Cell::Null,
    }
}
