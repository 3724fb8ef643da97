//! Each rule, with one violation planted in a workspace that is otherwise in order.
//!
//! [`House`] builds a small model; `finds` says that exactly one violation came out, of which check, where, and with
//! which words. A check that stops finding anything fails here.

use super::{Violation, check};
use crate::model::{Crate, Dependency, Model, Role, Root};
use crate::policy::{HOMES, LAYERS, LINES_MAX, LINES_WITHOUT_HEADER_MAX, STANDALONE};

struct House(Model);

impl House {
    /// Four crates, all in order.
    fn in_order() -> Self {
        Self(Model::default())
            .with("engine/base", "aion-base", &[])
            .with("engine/storage", "aion-storage", &["engine/base"])
            .with("engine/catalog", "aion-catalog", &["engine/storage"])
            .with("deploy/xtask", "aion-xtask", &[])
    }

    fn with(mut self, folder: &str, name: &str, edges: &[&str]) -> Self {
        self.0.crates.push(Crate {
            name: name.to_owned(),
            folder: folder.to_owned(),
            roots: vec![Root {
                path: format!("{folder}/src/lib.rs"),
                role: Role::Library,
            }],
            dependencies: Vec::new(),
        });
        for edge in edges {
            self = self.edge(folder, "dependency", edge);
        }
        self.file(&format!("{folder}/src/lib.rs"), "//! A crate.\n").file(
            &format!("{folder}/Cargo.toml"),
            "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n",
        )
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.0.files.insert(path.to_owned(), text.to_owned());
        self
    }

    /// The source of engine/storage.
    fn storage(self, text: &str) -> Self {
        self.file("engine/storage/src/lib.rs", text)
    }

    fn root(mut self, folder: &str, path: &str, role: Role) -> Self {
        self.member(folder).roots.push(Root {
            path: path.to_owned(),
            role,
        });
        self
    }

    fn edge(self, from: &str, kind: &'static str, to: &str) -> Self {
        let name = format!("aion-{}", to.rsplit('/').next().unwrap_or(to));
        self.dependency(
            from,
            Dependency {
                name,
                kind,
                folder: Some(to.to_owned()),
            },
        )
    }

    fn names(self, folder: &str, kind: &'static str, name: &str) -> Self {
        self.dependency(
            folder,
            Dependency {
                name: name.to_owned(),
                kind,
                folder: None,
            },
        )
    }

    fn dependency(mut self, folder: &str, dependency: Dependency) -> Self {
        self.member(folder).dependencies.push(dependency);
        self
    }

    fn member(&mut self, folder: &str) -> &mut Crate {
        self.0
            .crates
            .iter_mut()
            .find(|member| member.folder == folder)
            .expect("a crate that was added before")
    }

    #[track_caller]
    fn passes(self) {
        assert_eq!(check(&self.0), [], "nothing was planted");
    }

    #[track_caller]
    fn finds(self, name: &str, place: &str, words: &str) {
        let violations = check(&self.0);
        let [
            Violation {
                check,
                place: found,
                message,
            },
        ] = violations.as_slice()
        else {
            panic!("one violation was planted, found {violations:#?}");
        };
        assert_eq!((*check, found.as_str()), (name, place), "{message}");
        assert!(message.contains(words), "`{words}` is missing in: {message}");
    }
}

#[test]
fn a_house_in_order_is_clean() {
    House::in_order().passes();
}

#[test]
fn all_violations_are_listed_at_once() {
    let house =
        House::in_order()
            .storage("fn a() { b.unwrap(); todo!() }")
            .edge("engine/base", "dependency", "engine/catalog");
    assert_eq!(check(&house.0).len(), 3);
}

#[test]
fn an_edge_upwards() {
    let words = "engine/base is on row 0 (base) and engine/catalog on row 2 (catalog)";
    for kind in ["dependency", "dev-dependency", "build-dependency"] {
        let house = House::in_order().edge("engine/base", kind, "engine/catalog");
        assert!(check(&house.0)[0].message.contains(&format!("({kind})")));
        house.finds("layers", "engine/base/Cargo.toml", words);
    }
}

#[test]
fn an_edge_within_a_row() {
    House::in_order()
        .with("engine/security", "aion-security", &["engine/storage"])
        .finds(
            "layers",
            "engine/security/Cargo.toml",
            "engine/security -> engine/storage",
        );
}

#[test]
fn an_edge_between_strangers() {
    House::in_order()
        .with("engine/cluster", "aion-cluster", &["engine/storage"])
        .with("engine/sql", "aion-sql", &["engine/catalog", "engine/cluster"])
        .finds("layers", "engine/sql/Cargo.toml", "must not know engine/cluster");
}

#[test]
fn an_edge_from_or_to_a_crate_that_stands_alone() {
    let place = "deploy/xtask/Cargo.toml";
    House::in_order()
        .edge("deploy/xtask", "dependency", "engine/base")
        .finds("layers", place, "stands alone");
    let place = "engine/storage/Cargo.toml";
    House::in_order()
        .edge("engine/storage", "dev-dependency", "deploy/xtask")
        .finds("layers", place, "stands alone");
}

#[test]
fn a_crate_without_a_layer() {
    House::in_order()
        .with("engine/magic", "aion-magic", &["engine/base"])
        .finds("layers", "engine/magic", "add it to LAYERS");
}

#[test]
fn each_folder_stands_on_one_row() {
    let mut folders: Vec<&str> = LAYERS
        .iter()
        .flat_map(|row| row.folders)
        .chain(STANDALONE)
        .copied()
        .collect();
    folders.sort_unstable();
    let count = folders.len();
    folders.dedup();
    assert_eq!(folders.len(), count);
    assert!(
        LAYERS.windows(2).all(|pair| pair[0].height == pair[1].height + 1),
        "the table is drawn top down"
    );
    let homes = HOMES
        .iter()
        .flat_map(|home| home.guests.iter().map(|guest| guest.folder).chain([home.folder]));
    for home in homes {
        assert!(folders.contains(&home), "{home} is a home but stands on no row");
    }
}

#[test]
fn a_second_home() {
    let house = || House::in_order().names("engine/storage", "dependency", "rocksdb");
    house().passes();
    house().names("engine/catalog", "dev-dependency", "rocksdb").finds(
        "homes",
        "engine/catalog/Cargo.toml",
        "it belongs to engine/storage",
    );
}

#[test]
fn a_family_shares_its_home_and_a_guest_may_call() {
    let house = || {
        House::in_order()
            .with("optimizer/rules", "aion-optimizer-rules", &["engine/catalog"])
            .with("engine/sql", "aion-sql", &["engine/catalog"])
            .names("engine/sql", "dependency", "datafusion")
            .names("optimizer/rules", "dependency", "datafusion-expr")
    };
    house().passes();
    house()
        .names("engine/catalog", "dependency", "datafusion-common")
        .finds(
            "homes",
            "engine/catalog/Cargo.toml",
            "it belongs to engine/sql (and to optimizer/rules: the adapter",
        );
    house().names("engine/catalog", "dependency", "sort").passes();
}

#[test]
fn what_the_lowest_crates_do_without() {
    House::in_order()
        .names("engine/catalog", "dependency", "arrow-schema")
        .passes();
    let place = "engine/catalog/Cargo.toml";
    House::in_order()
        .names("engine/catalog", "dependency", "arrow-array")
        .finds("homes", place, "only the type names");
    let place = "engine/base/Cargo.toml";
    House::in_order()
        .names("engine/base", "dev-dependency", "tokio")
        .finds("homes", place, "no async and no Arrow");
}

#[test]
fn a_banned_call() {
    for (call, words) in [
        ("a\n.unwrap ()", "`.unwrap()` in product code: return the error"),
        ("todo!()", "`todo!`"),
        ("unimplemented!(\"later\")", "`unimplemented!`"),
        ("dbg![a]", "`dbg!`"),
        ("panic!(\"no\")", "`panic!`"),
        ("println!(\"a\")", "`println!`"),
        ("eprint!(\"a\")", "`eprint!`"),
        ("std::time::Instant::now()", "the `Clock` of base"),
        ("SystemTime::now()", "the `Clock` of base"),
        ("thread::sleep(a)", "`thread::sleep`"),
        ("::std::fs::read(a)", "the file trait of base"),
        ("tokio::fs::read(a)", "the file trait of base"),
        ("rand::rng()", "a seeded `Rng` of base"),
        ("rand::thread_rng()", "a seeded `Rng` of base"),
        ("rand::random::<u8>()", "a seeded `Rng` of base"),
    ] {
        let line = 1 + call.matches('\n').count();
        let house = House::in_order().storage(&format!("fn a() {{ {call} }}"));
        house.finds("calls", &format!("engine/storage/src/lib.rs:{line}"), words);
    }
}

#[test]
fn a_banned_import() {
    for import in [
        "use std::fs;",
        "use std::{fmt,\n fs::File};",
        "use std::{thread::{self, sleep}};",
        "use rand::rng;",
    ] {
        let violations = check(&House::in_order().storage(import).0);
        assert!(
            matches!(violations.as_slice(), [one] if one.check == "calls"),
            "{import}: {violations:?}"
        );
    }
}

#[test]
fn what_only_looks_like_a_banned_call() {
    for text in [
        "/// `a.unwrap()` would stop here: todo!()\nfn a() { /* dbg!(b) */ b(\"panic!(c)\", r#\"std::fs\"#) }",
        "fn a() { b.unwrap_or(c); d.unwrap; unwrap(); e.unwrap(f); todo != g; std_panic!(h) }",
        "use std::time::Instant; fn a(now: Instant) -> my::fs::File { rng() }",
        "fn a() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() { c.unwrap(); std::fs::read(d).unwrap(); }\n}\n",
    ] {
        House::in_order().storage(text).passes();
    }
}

#[test]
fn tests_and_build_scripts_have_their_own_rules() {
    let house =
        |path: &str, role: Role, text: &str| House::in_order().root("engine/storage", path, role).file(path, text);
    house(
        "engine/storage/tests/crash.rs",
        Role::Test,
        "fn a() { b.unwrap(); std::fs::read(c) }",
    )
    .passes();
    let path = "engine/storage/build.rs";
    house(
        path,
        Role::BuildScript,
        "fn main() { println!(\"cargo::a\"); std::fs::read(b)?; }",
    )
    .passes();
    house(path, Role::BuildScript, "fn main() { a.unwrap() }").finds("calls", "engine/storage/build.rs:1", "unwrap");
}

#[test]
fn a_module_that_only_tests_declare_is_test_code() {
    let planted = "fn a() { b.unwrap() }";
    let house = |declaration: &str| {
        House::in_order()
            .storage(declaration)
            .file("engine/storage/src/reference.rs", planted)
    };
    house("#[cfg(test)] mod reference;").passes();
    house("mod reference;").finds("calls", "engine/storage/src/reference.rs:1", "unwrap");
    let both = "#[cfg(test)] #[path = \"reference.rs\"] mod model; mod reference;";
    house(both).finds("calls", "engine/storage/src/reference.rs:1", "unwrap");
}

#[test]
fn a_place_that_may_make_the_call() {
    let clock = "fn now() { std::time::Instant::now() }";
    let base = |name: &str, text: &str| {
        let path = format!("engine/base/src/{name}.rs");
        House::in_order()
            .file("engine/base/src/lib.rs", &format!("mod {name};"))
            .file(&path, text)
    };
    base("clock", clock).passes();
    base("id", clock).finds("calls", "engine/base/src/id.rs:1", "Instant::now");
    base("clock", "fn a() { b.unwrap() }").finds("calls", "engine/base/src/clock.rs:1", "unwrap");
}

#[test]
fn a_file_that_is_too_long() {
    let product = "// A line.\n".repeat(LINES_MAX - 1);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// A line.\n".repeat(LINES_MAX));
    House::in_order()
        .storage(&format!("//! Long.\n{product}{tests}"))
        .passes();
    House::in_order()
        .storage(&format!("//! Long.\n{product}\n{tests}"))
        .finds("sizes", "engine/storage/src/lib.rs", "801 lines without tests");
}

#[test]
fn a_long_file_without_a_header() {
    let lines = "// A line.\n".repeat(LINES_WITHOUT_HEADER_MAX);
    House::in_order().storage(&lines).passes();
    House::in_order().storage(&format!("//! Says what.\n{lines}")).passes();
    let path = "engine/storage/src/lib.rs";
    House::in_order()
        .storage(&format!("{lines}fn a() {{}}\n"))
        .finds("headers", path, "open with `//!`");
}

#[test]
fn package_names() {
    House::in_order()
        .with("optimizer/core", "aion-optimizer-core", &["engine/base"])
        .with("tuner", "aion-tuner", &["engine/base"])
        .passes();
    House::in_order()
        .with("optimizer/core", "aion-core", &["engine/base"])
        .finds(
            "names",
            "optimizer/core/Cargo.toml",
            "is called `aion-optimizer-core`, not `aion-core`",
        );
    let vague = check(&House::in_order().with("engine/util", "aion-util", &[]).0);
    assert!(
        vague
            .iter()
            .any(|one| one.check == "names" && one.message.contains("`util` says nothing")),
        "{vague:?}"
    );
}

#[test]
fn a_forgotten_file() {
    let house = |path: &str, text: &str| House::in_order().storage(text).file(path, "fn a() {}\n");
    house("engine/storage/src/log.rs", "mod log;").passes();
    house("engine/storage/src/log/mod.rs", "pub(crate) mod log;").passes();
    house("engine/storage/src/log/frame.rs", "mod log { mod frame; }").passes();
    house("engine/storage/src/disk/log.rs", "#[path = \"disk/log.rs\"] mod log;").passes();
    let place = "engine/storage/src/log.rs";
    house(place, "// mod log;").finds(
        "modules",
        place,
        "no `mod` declaration of `aion-storage` reaches this file",
    );
    house("stray.rs", "").finds("modules", "stray.rs", "belongs to no crate");
}

#[test]
fn modules_below_modules() {
    let house = || {
        House::in_order()
            .storage("mod log;")
            .file("engine/storage/src/log.rs", "mod frame;\nmod r#type;")
    };
    let frame = "engine/storage/src/log/frame.rs";
    house()
        .file(frame, "")
        .file("engine/storage/src/log/type.rs", "")
        .passes();
    let beside = "engine/storage/src/frame.rs";
    house().file(beside, "").finds("modules", beside, "reaches this file");
}

#[test]
fn a_forgotten_script() {
    House::in_order().file("engine/tests/slt/join.slt", "").passes();
    let place = "engine/tests/learned/join.slt";
    House::in_order()
        .file(place, "")
        .finds("scripts", place, "move it below engine/tests/slt/");
}

#[test]
fn manifests() {
    let path = "engine/storage/Cargo.toml";
    let house = |text: &str| House::in_order().file(path, text);
    house("lints.workspace = true\n[dependencies]\naion-base.workspace = true\n[[bin]]\npath = \"a.rs\"\n").passes();
    house("[package]\n").finds("manifests", path, "add `[lints]` with `workspace = true`");
    house("[package]\n# lints.workspace = true\n").finds("manifests", path, "does not share the lints");
    let lints = "[lints]\nworkspace = true\n";
    for dependency in [
        "[dependencies]\naion-base = { path = \"../base\" }\n",
        "[dev-dependencies]\naion-base = {version=\"1\",path=\"../base\"}\n",
        "[dependencies]\naion-base.path = \"../base\"\n",
        "[target.'cfg(unix)'.dependencies.aion-base]\npath = \"../base\"\n",
    ] {
        let line = 2 + dependency.lines().count();
        house(&format!("{lints}{dependency}")).finds("manifests", &format!("{path}:{line}"), "through the workspace");
    }
}

#[test]
fn a_crate_that_is_no_member() {
    let path = "engine/lost/Cargo.toml";
    House::in_order()
        .file(path, "[package]\n")
        .finds("manifests", path, "no member of the workspace");
}

#[test]
fn a_path_of_one_machine() {
    for directory in ["work", "root"] {
        let path = format!("/{directory}/main/x");
        for line in [
            format!("cd {path}"),
            format!("\"{path}\""),
            path.clone(),
            format!("file://{path}"),
        ] {
            House::in_order()
                .file("README.md", &format!("\n{line}\n"))
                .finds("paths", "README.md:2", "one machine");
        }
        let relative =
            format!("a{path} ../{directory}/ ~{path} ${{HOME}}{path} https://example.org{path} /{directory}");
        House::in_order().file("README.md", &relative).passes();
    }
}
