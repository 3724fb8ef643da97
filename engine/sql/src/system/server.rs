//! The server: its database, settings, functions and extensions; and what there is nothing of.

use aion_base::Result;

use super::cells::{Cell, Row, row};
use super::facts::Facts;
use super::{Definition, oids};

pub(super) const TABLES: &[Definition] = &[
    Definition::new(
        "pg_database",
        1262,
        "oid oid, datname name, datdba oid, encoding int4, datlocprovider char, datistemplate bool, \
         datallowconn bool, datconnlimit int4, datfrozenxid int8, datminmxid int8, dattablespace oid, datcollate text, \
         datctype text, daticulocale text, datcollversion text, datacl text[]",
        databases,
    ),
    Definition::new(
        "pg_tablespace",
        1213,
        "oid oid, spcname name, spcowner oid, spcacl text[], spcoptions text[]",
        tablespaces,
    ),
    Definition::new(
        "pg_settings",
        0,
        "name text, setting text, unit text, category text, short_desc text, extra_desc text, context text, \
         vartype text, source text, min_val text, max_val text, enumvals text[], boot_val text, reset_val text, \
         sourcefile text, sourceline int4, pending_restart bool",
        settings,
    ),
    Definition::new(
        "pg_proc",
        1255,
        "oid oid, proname name, pronamespace oid, proowner oid, prolang oid, procost float4, prorows float4, \
         provariadic oid, prosupport text, prokind char, prosecdef bool, proleakproof bool, proisstrict bool, \
         proretset bool, provolatile char, proparallel char, pronargs int2, pronargdefaults int2, prorettype oid, \
         proargtypes oidvector, proallargtypes oid[], proargmodes text[], proargnames text[], proargdefaults text, \
         protrftypes oid[], prosrc text, probin text, prosqlbody text, proconfig text[], proacl text[]",
        functions,
    ),
    Definition::new(
        "pg_language",
        2612,
        "oid oid, lanname name, lanowner oid, lanispl bool, lanpltrusted bool, lanplcallfoid oid, laninline oid, \
         lanvalidator oid, lanacl text[]",
        languages,
    ),
    Definition::new(
        "pg_extension",
        3079,
        "oid oid, extname name, extowner oid, extnamespace oid, extrelocatable bool, extversion text, \
         extconfig oid[], extcondition text[]",
        extensions,
    ),
    Definition::new(
        "pg_available_extensions",
        0,
        "name name, default_version text, installed_version text, comment text",
        available_extensions,
    ),
];

/// What the catalog of PostgreSQL holds and there is none of here.
pub(super) const EMPTY: &[Definition] = &[
    Definition::empty("pg_shdescription", 2396, "objoid oid, classoid oid, description text"),
    Definition::empty(
        "pg_auth_members",
        1261,
        "roleid oid, member oid, grantor oid, admin_option bool",
    ),
    Definition::empty(
        "pg_range",
        3541,
        "rngtypid oid, rngsubtype oid, rngmultitypid oid, rngcollation oid, rngsubopc oid, rngcanonical text, rngsubdiff text",
    ),
    Definition::empty(
        "pg_inherits",
        2611,
        "inhrelid oid, inhparent oid, inhseqno int4, inhdetachpending bool",
    ),
    Definition::empty(
        "pg_trigger",
        2620,
        "oid oid, tgrelid oid, tgparentid oid, tgname name, tgfoid oid, tgtype int2, tgenabled char, tgisinternal bool, \
         tgconstrrelid oid, tgconstrindid oid, tgconstraint oid, tgdeferrable bool, tginitdeferred bool, tgnargs int2, \
         tgattr int2vector, tgargs text, tgqual text, tgoldtable name, tgnewtable name",
    ),
    Definition::empty(
        "pg_policy",
        3256,
        "oid oid, polname name, polrelid oid, polcmd char, polpermissive bool, polroles oid[], polqual text, \
         polwithcheck text",
    ),
    Definition::empty(
        "pg_statistic_ext",
        3381,
        "oid oid, stxrelid oid, stxname name, stxnamespace oid, stxowner oid, stxstattarget int4, stxkeys int2vector, \
         stxkind text[], stxexprs text",
    ),
    Definition::empty(
        "pg_publication",
        6104,
        "oid oid, pubname name, pubowner oid, puballtables bool, pubinsert bool, pubupdate bool, pubdelete bool, \
         pubtruncate bool, pubviaroot bool",
    ),
    Definition::empty(
        "pg_publication_rel",
        6106,
        "oid oid, prpubid oid, prrelid oid, prqual text, prattrs int2vector",
    ),
    Definition::empty("pg_publication_namespace", 6237, "oid oid, pnpubid oid, pnnspid oid"),
    Definition::empty(
        "pg_publication_tables",
        0,
        "pubname name, schemaname name, tablename name, attnames text[], rowfilter text",
    ),
    Definition::empty(
        "pg_subscription",
        6100,
        "oid oid, subdbid oid, subname name, subowner oid, subenabled bool, subconninfo text, subslotname name, \
         subpublications text[]",
    ),
    Definition::empty(
        "pg_rewrite",
        2618,
        "oid oid, rulename name, ev_class oid, ev_type char, ev_enabled char, is_instead bool, ev_qual text, \
         ev_action text",
    ),
    Definition::empty(
        "pg_rules",
        0,
        "schemaname name, tablename name, rulename name, definition text",
    ),
    Definition::empty(
        "pg_shdepend",
        1214,
        "dbid oid, classid oid, objid oid, objsubid int4, refclassid oid, refobjid oid, deptype char",
    ),
    Definition::empty(
        "pg_partitioned_table",
        3350,
        "partrelid oid, partstrat char, partnatts int2, partdefid oid, partattrs int2vector, partclass oidvector, \
         partcollation oidvector, partexprs text",
    ),
    Definition::empty("pg_foreign_table", 3118, "ftrelid oid, ftserver oid, ftoptions text[]"),
    Definition::empty(
        "pg_foreign_server",
        1417,
        "oid oid, srvname name, srvowner oid, srvfdw oid, srvtype text, srvversion text, srvacl text[], srvoptions text[]",
    ),
    Definition::empty(
        "pg_foreign_data_wrapper",
        2328,
        "oid oid, fdwname name, fdwowner oid, fdwhandler oid, fdwvalidator oid, fdwacl text[], fdwoptions text[]",
    ),
    Definition::empty(
        "pg_event_trigger",
        3466,
        "oid oid, evtname name, evtevent name, evtowner oid, evtfoid oid, evtenabled char, evttags text[]",
    ),
    Definition::empty(
        "pg_cast",
        2605,
        "oid oid, castsource oid, casttarget oid, castfunc oid, castcontext char, castmethod char",
    ),
    Definition::empty(
        "pg_operator",
        2617,
        "oid oid, oprname name, oprnamespace oid, oprowner oid, oprkind char, oprcanmerge bool, oprcanhash bool, \
         oprleft oid, oprright oid, oprresult oid, oprcom oid, oprnegate oid, oprcode text, oprrest text, oprjoin text",
    ),
    Definition::empty(
        "pg_opclass",
        2616,
        "oid oid, opcmethod oid, opcname name, opcnamespace oid, opcowner oid, opcfamily oid, opcintype oid, \
         opcdefault bool, opckeytype oid",
    ),
    Definition::empty(
        "pg_opfamily",
        2753,
        "oid oid, opfmethod oid, opfname name, opfnamespace oid, opfowner oid",
    ),
    Definition::empty(
        "pg_aggregate",
        2600,
        "aggfnoid text, aggkind char, aggnumdirectargs int2, aggtransfn text, aggfinalfn text, aggcombinefn text",
    ),
    Definition::empty(
        "pg_default_acl",
        826,
        "oid oid, defaclrole oid, defaclnamespace oid, defaclobjtype char, defaclacl text[]",
    ),
    Definition::empty(
        "pg_init_privs",
        3394,
        "objoid oid, classoid oid, objsubid int4, privtype char, initprivs text[]",
    ),
    Definition::empty(
        "pg_seclabel",
        3596,
        "objoid oid, classoid oid, objsubid int4, provider text, label text",
    ),
    Definition::empty("pg_largeobject_metadata", 2995, "oid oid, lomowner oid, lomacl text[]"),
    Definition::empty(
        "pg_prepared_xacts",
        0,
        "transaction int8, gid text, prepared timestamptz, owner name, database name",
    ),
];

fn databases(facts: &Facts) -> Result<Vec<Row>> {
    const UTF8: i32 = 6;
    Ok(vec![row![
        oids::DATABASE,
        facts.identity.database.as_str(),
        oids::OWNER,
        UTF8,
        "c",
        false,
        true,
        -1,
        0,
        0,
        oids::TABLESPACE,
        "C",
        "C",
        Cell::Null,
        Cell::Null,
        Cell::Null,
    ]])
}

fn tablespaces(_: &Facts) -> Result<Vec<Row>> {
    Ok(vec![row![
        oids::TABLESPACE,
        "pg_default",
        oids::OWNER,
        Cell::Null,
        Cell::Null
    ]])
}

fn settings(facts: &Facts) -> Result<Vec<Row>> {
    let settings = facts.identity.settings.described();
    Ok(settings
        .into_iter()
        .map(|setting| {
            row![
                setting.name,
                setting.value.as_str(),
                Cell::Null,
                "Aion",
                "",
                Cell::Null,
                if setting.is_fixed { "internal" } else { "user" },
                setting.type_name,
                if setting.is_default { "default" } else { "session" },
                Cell::Null,
                Cell::Null,
                setting.values.map_or(Cell::Null, Cell::Texts),
                setting.default.as_str(),
                setting.default.as_str(),
                Cell::Null,
                Cell::Null,
                false,
            ]
        })
        .collect())
}

/// The oid of a function.
pub fn function_oid(name: &str) -> u32 {
    oids::hashed("function", "pg_catalog", name)
}

fn functions(facts: &Facts) -> Result<Vec<Row>> {
    /// The language of what is compiled in, with PostgreSQL's oid.
    const INTERNAL: u32 = 12;
    const ANY: u32 = 2276;
    let functions = facts.functions.iter().map(|(full, kind)| {
        // Those of the schema `aion` are known by both names.
        let (namespace, name) = match full.strip_prefix("aion.") {
            Some(name) => (oids::schema("aion"), name),
            None => (oids::PG_CATALOG, full.as_str()),
        };
        let mut row = row![
            function_oid(full),
            name,
            namespace,
            oids::OWNER,
            INTERNAL,
            1,
            0,
            // Most take several lists of types: any number of any.
            ANY,
            "-",
            kind.to_string(),
            false,
            false,
            false,
            false,
            "s",
            "s",
            1,
            0,
            ANY,
            Cell::Ints(vec![ANY.into()]),
        ];
        row.resize(25, Cell::Null);
        row.push(Cell::from(name));
        row.resize(30, Cell::Null);
        row
    });
    Ok(functions.collect())
}

fn languages(_: &Facts) -> Result<Vec<Row>> {
    let row = |oid: u32, name: &str| row![oid, name, oids::OWNER, false, false, 0, 0, 0, Cell::Null];
    Ok(vec![row(12, "internal"), row(14, "sql")])
}

/// Name and version of what is built in and called an extension elsewhere.
const EXTENSIONS: [(&str, &str, u32); 2] = [("plpgsql", "1.0", oids::PG_CATALOG), ("vector", "0.8.0", oids::PUBLIC)];

fn extensions(_: &Facts) -> Result<Vec<Row>> {
    let extensions = EXTENSIONS.iter().map(|&(name, version, schema)| {
        row![
            oids::hashed("extension", "", name),
            name,
            oids::OWNER,
            schema,
            false,
            version,
            Cell::Null,
            Cell::Null,
        ]
    });
    Ok(extensions.collect())
}

fn available_extensions(_: &Facts) -> Result<Vec<Row>> {
    let extensions = EXTENSIONS.iter();
    Ok(extensions
        .map(|&(name, version, _)| row![name, version, version, Cell::Null])
        .collect())
}
