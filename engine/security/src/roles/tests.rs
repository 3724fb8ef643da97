//! Who may do what to whom, statement by statement, and invariants under statements at random.

use aion_base::rng::SeededRng;

use super::*;
use crate::role::BOOTSTRAP_ID;

const ROOT: RoleId = BOOTSTRAP_ID;
const BOSS: RoleId = RoleId(16384);
const MAKER: RoleId = RoleId(16385);
const BUILDER: RoleId = RoleId(16386);
const ALICE: RoleId = RoleId(16387);
const BOB: RoleId = RoleId(16388);

/// `boss` is a superuser, `maker` has CREATEROLE, `builder` CREATEROLE and CREATEDB, `alice` and `bob` nothing.
fn roles() -> Roles {
    let maker = Role {
        can_create_role: true,
        ..Role::new("maker", MAKER)
    };
    let stored = [
        Role {
            is_superuser: true,
            ..Role::new("boss", BOSS)
        },
        Role {
            name: "builder".to_owned(),
            id: BUILDER,
            can_create_database: true,
            ..maker.clone()
        },
        maker,
        Role::new("alice", ALICE),
        Role::new("bob", BOB),
    ];
    Roles::read(stored, RoleId(16389)).expect("they agree")
}

fn verifier() -> Verifier {
    Verifier::with_salt(b"pencil", &[1; 16], 1)
}

/// Options in SQL's words.
fn options(words: &str) -> Options {
    let mut options = Options::default();
    for word in words.split_whitespace() {
        match word {
            "LOGIN" => options.can_login = Some(true),
            "NOLOGIN" => options.can_login = Some(false),
            "SUPERUSER" => options.is_superuser = Some(true),
            "NOSUPERUSER" => options.is_superuser = Some(false),
            "CREATEROLE" => options.can_create_role = Some(true),
            "NOCREATEROLE" => options.can_create_role = Some(false),
            "CREATEDB" => options.can_create_database = Some(true),
            "NOCREATEDB" => options.can_create_database = Some(false),
            "NOINHERIT" => options.inherits = Some(false),
            "PASSWORD" => options.verifier = Some(Some(verifier())),
            "NOPASSWORD" => options.verifier = Some(None),
            "LIMIT" => options.connection_limit = Some(Some(5)),
            "UNLIMITED" => options.connection_limit = Some(None),
            "UNTIL" => options.valid_until = Some(Some(Timestamp(1))),
            "INFINITY" => options.valid_until = Some(None),
            other => panic!("{other}"),
        }
    }
    options
}

/// Runs a statement; what it comes to is `ok` or a SQLSTATE.
fn check(actor: RoleId, statement: &str, expected: &str) {
    let roles = roles();
    let mut words = statement.splitn(3, ' ');
    let (verb, name, rest) = (
        words.next(),
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let change = match verb {
        Some("create") => roles.create(actor, name, &options(rest)),
        Some("alter") => roles.alter(actor, name, &options(rest)),
        Some("rename") => roles.rename(actor, name, rest),
        Some("drop") => roles.drop(actor, name),
        other => panic!("{other:?}"),
    };
    let found = match &change {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.state().to_string(),
    };
    assert_eq!(found, expected, "{actor}: {statement}: {change:?}");
}

#[test]
fn who_may_create_whom() {
    for actor in [ROOT, BOSS] {
        check(actor, "create carol SUPERUSER CREATEDB CREATEROLE LOGIN PASSWORD", "ok");
        check(actor, "create alice", "42710");
        check(actor, "create aion", "42710");
        check(actor, "create pg_carol", "42939");
        check(actor, "create public", "42939");
        check(actor, "create none", "42939");
        check(actor, &format!("create {}", "x".repeat(64)), "42622");
    }
    check(
        MAKER,
        "create carol LOGIN PASSWORD CREATEROLE NOINHERIT LIMIT UNTIL",
        "ok",
    );
    check(MAKER, "create carol NOSUPERUSER NOCREATEDB", "ok");
    check(MAKER, "create carol SUPERUSER", "42501");
    check(MAKER, "create carol CREATEDB", "42501");
    check(BUILDER, "create carol CREATEDB", "ok");
    check(BUILDER, "create carol SUPERUSER", "42501");
    check(MAKER, "create alice", "42710");
    check(ALICE, "create carol", "42501");
    check(ALICE, "create alice", "42501");
    check(RoleId(4), "create carol", "42501");
}

#[test]
fn who_may_alter_whom() {
    check(ROOT, "alter alice SUPERUSER LOGIN PASSWORD", "ok");
    check(ROOT, "alter nobody LOGIN", "42704");
    check(BOSS, "alter boss NOSUPERUSER", "ok");
    check(BOSS, "alter aion PASSWORD LIMIT UNTIL", "ok");
    check(MAKER, "alter alice LOGIN PASSWORD NOCREATEROLE LIMIT", "ok");
    check(MAKER, "alter maker NOCREATEROLE", "ok");
    check(MAKER, "alter alice SUPERUSER", "42501");
    check(MAKER, "alter alice NOSUPERUSER", "42501");
    check(MAKER, "alter alice CREATEDB", "42501");
    check(MAKER, "alter maker CREATEDB", "42501");
    check(BUILDER, "alter alice CREATEDB", "ok");
    check(MAKER, "alter boss PASSWORD", "42501");
    check(MAKER, "alter aion PASSWORD", "42501");
    check(MAKER, "alter maker SUPERUSER", "42501");
}

#[test]
fn everybody_may_change_the_own_password_and_nothing_else() {
    check(ALICE, "alter alice PASSWORD", "ok");
    check(ALICE, "alter alice NOPASSWORD", "ok");
    check(ALICE, "alter bob PASSWORD", "42501");
    check(ALICE, "alter aion PASSWORD", "42501");
    for word in [
        "LOGIN",
        "CREATEROLE",
        "CREATEDB",
        "SUPERUSER",
        "NOSUPERUSER",
        "NOINHERIT",
        "LIMIT",
        "UNLIMITED",
        "UNTIL",
    ] {
        check(ALICE, &format!("alter alice {word}"), "42501");
        check(ALICE, &format!("alter alice PASSWORD {word}"), "42501");
    }
    check(ALICE, "alter alice INFINITY PASSWORD", "42501");
    check(ALICE, "alter alice", "42501");
}

#[test]
fn who_may_rename_and_drop_whom() {
    check(ROOT, "rename alice carol", "ok");
    check(ROOT, "rename boss carol", "ok");
    check(ROOT, "rename alice bob", "42710");
    check(ROOT, "rename alice alice", "42710");
    check(ROOT, "rename nobody carol", "42704");
    check(ROOT, "rename alice pg_alice", "42939");
    check(BOSS, "rename boss carol", "0A000");
    check(MAKER, "rename alice carol", "ok");
    check(MAKER, "rename boss carol", "42501");
    check(ALICE, "rename bob carol", "42501");
    check(ALICE, "rename alice carol", "0A000");

    check(ROOT, "drop alice", "ok");
    check(ROOT, "drop boss", "ok");
    check(ROOT, "drop nobody", "42704");
    check(BOSS, "drop boss", "55006");
    check(MAKER, "drop alice", "ok");
    check(MAKER, "drop builder", "ok");
    check(MAKER, "drop maker", "55006");
    check(MAKER, "drop boss", "42501");
    check(MAKER, "drop nobody", "42704");
    check(ALICE, "drop bob", "42501");
    check(ALICE, "drop nobody", "42501");
}

#[test]
fn the_bootstrap_role_stays_what_it_is() {
    for actor in [ROOT, BOSS] {
        check(actor, "drop aion", "2BP01");
        check(actor, "rename aion carol", "42501");
        check(actor, "alter aion NOLOGIN", "42501");
        check(actor, "alter aion NOSUPERUSER", "42501");
        check(actor, "alter aion LOGIN SUPERUSER NOCREATEDB NOPASSWORD", "ok");
    }
}

#[test]
fn rights_that_were_taken_are_gone_at_the_next_statement() {
    let roles = roles();
    let change = roles.alter(ROOT, "boss", &options("NOSUPERUSER")).expect("allowed");
    let roles = roles.apply(&change);
    let error = roles
        .create(BOSS, "carol", &Options::default())
        .expect_err("no rights any more");
    assert_eq!(error.state(), SqlState::INSUFFICIENT_PRIVILEGE);
    let roles = roles.apply(&roles.drop(ROOT, "boss").expect("allowed"));
    let error = roles.create(BOSS, "carol", &Options::default()).expect_err("dropped");
    assert_eq!(error.state(), SqlState::INSUFFICIENT_PRIVILEGE);
}

#[test]
fn what_is_not_said_stays() {
    let roles = Roles::default();
    let made = roles
        .create(ROOT, "carol", &options("LOGIN PASSWORD LIMIT UNTIL NOINHERIT"))
        .expect("allowed");
    let carol = made.after.clone().expect("new");
    assert_eq!(made.before, None);
    let expected = Role {
        can_login: true,
        inherits: false,
        connection_limit: Some(5),
        verifier: Some(verifier()),
        valid_until: Some(Timestamp(1)),
        ..Role::new("carol", FIRST_ID)
    };
    assert_eq!(*carol, expected);
    let roles = roles.apply(&made);
    let same = roles.alter(ROOT, "carol", &Options::default()).expect("allowed");
    assert_eq!(
        (same.before.as_ref(), same.after.as_ref()),
        (Some(&carol), Some(&carol))
    );
    let bare = roles
        .alter(ROOT, "carol", &options("NOPASSWORD UNLIMITED INFINITY"))
        .expect("allowed");
    let expected = Role {
        can_login: true,
        inherits: false,
        ..Role::new("carol", FIRST_ID)
    };
    assert_eq!(bare.after.as_deref(), Some(&expected));
    let renamed = roles
        .rename(ROOT, "carol", "dora")
        .expect("allowed")
        .after
        .expect("it stays");
    assert_eq!((renamed.name.as_str(), renamed.id), ("dora", carol.id));
    assert_eq!(renamed.verifier, carol.verifier);
}

#[test]
fn stored_roles_that_contradict_each_other_are_refused() {
    let bootstrap = Role::bootstrap;
    let alice = || Role::new("alice", FIRST_ID);
    let next = RoleId(FIRST_ID.0 + 1);
    assert_eq!(Roles::read([], FIRST_ID).expect("none stored"), Roles::default());
    assert!(Roles::read([bootstrap(), alice()], next).is_ok());
    let mut weak = bootstrap();
    weak.is_superuser = false;
    let mut closed = bootstrap();
    closed.can_login = false;
    let mut renamed = bootstrap();
    renamed.name = "root".to_owned();
    let contradictions: [(Vec<Role>, RoleId); 10] = [
        (vec![], RoleId(10)),
        (vec![alice()], FIRST_ID),
        (vec![alice(), alice()], next),
        (vec![alice(), Role::new("bob", FIRST_ID)], next),
        (vec![Role::new("alice", RoleId(11))], next),
        (vec![Role::new("aion", FIRST_ID)], next),
        (vec![bootstrap(), bootstrap()], next),
        (vec![weak], next),
        (vec![closed], next),
        (vec![renamed], next),
    ];
    for (stored, next_id) in contradictions {
        let shown = format!("{stored:?}");
        let error = Roles::read(stored, next_id).expect_err(&shown);
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED, "{shown}");
    }
}

#[test]
fn there_is_a_limit() {
    let last = u32::try_from(ROLES_MAX - 2).expect("small");
    let stored = (0..last).map(|number| Role::new(format!("r{number}"), RoleId(FIRST_ID.0 + number)));
    let roles = Roles::read(stored, RoleId(FIRST_ID.0 + last)).expect("they agree");
    let change = roles
        .create(ROOT, "last", &Options::default())
        .expect("there is room for one");
    let full = roles.apply(&change);
    assert_eq!(full.iter().count(), ROLES_MAX);
    let error = full.create(ROOT, "more", &Options::default()).expect_err("full");
    assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
}

/// Statements at random by actors at random. Beside the collection, a plain list to which the changes are applied; after each,
/// what was stored reads back as the same collection, the bootstrap role is there, no id was given twice, and nobody without
/// SUPERUSER made a superuser or touched one.
#[test]
fn invariants_hold_under_any_statements() {
    const WORDS: [&str; 10] = [
        "LOGIN",
        "NOLOGIN",
        "SUPERUSER",
        "NOSUPERUSER",
        "CREATEROLE",
        "NOCREATEROLE",
        "CREATEDB",
        "NOCREATEDB",
        "PASSWORD",
        "UNTIL",
    ];
    const NAMES: [&str; 6] = ["aion", "a", "b", "c", "d", "pg_e"];
    let seed = aion_base::rng::entropy();
    println!("seed {seed}");
    let mut rng = SeededRng::new(seed);
    let mut pick = |limit: usize| usize::try_from(rng.below(limit as u64)).expect("small");
    let mut roles = Roles::default();
    let mut list: Vec<Role> = Vec::new();
    let mut given = BTreeSet::from([BOOTSTRAP_ID]);
    let mut done = 0;
    for _ in 0..20_000 {
        let present: Vec<Arc<Role>> = roles.iter().cloned().collect();
        let actor = &present[pick(present.len())];
        let (name, other) = (NAMES[pick(NAMES.len())], NAMES[pick(NAMES.len())]);
        let words: Vec<&str> = (0..pick(3)).map(|_| WORDS[pick(WORDS.len())]).collect();
        let options = options(&words.join(" "));
        let change = match pick(4) {
            0 => roles.create(actor.id, name, &options),
            1 => roles.alter(actor.id, name, &options),
            2 => roles.rename(actor.id, name, other),
            _ => roles.drop(actor.id, name),
        };
        let Ok(change) = change else { continue };
        done += 1;
        let concerns_superuser = [&change.before, &change.after]
            .into_iter()
            .flatten()
            .any(|role| role.is_superuser);
        assert!(actor.is_superuser || !concerns_superuser, "{actor:?}: {change:?}");
        let created = change.before.is_none();
        if let Some(after) = change.after.as_ref().filter(|_| created) {
            assert!(given.insert(after.id), "{change:?}");
        }
        roles = roles.apply(&change);
        list.retain(|role| change.before.as_ref().is_none_or(|before| before.id != role.id));
        list.extend(change.after.as_deref().cloned());
        let read = Roles::read(list.iter().cloned(), roles.next_id()).expect("it was stored");
        assert_eq!(read, roles);
        let root = roles.get("aion").expect("always there");
        assert!(root.is_bootstrap() && root.can_login && root.is_superuser);
    }
    assert!(done > 1000, "{done} statements did something");
}
