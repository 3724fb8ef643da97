//! The limits of paths and what they leave out. What they answer is compared with PostgreSQL's answers in `tests/postgres.rs`.

use super::*;

fn query(path: &str, document: &str) -> aion_base::Result<Vec<String>> {
    let document = Jsonb::parse(document).expect(document);
    let evaluation = Evaluation {
        steps_max: 200_000,
        ..Evaluation::default()
    };
    let found = Path::parse(path)?.query(document.as_ref(), evaluation)?;
    Ok(found.iter().map(Jsonb::to_string).collect())
}

fn state(path: &str) -> String {
    Path::parse(path).expect_err(path).state().as_str().to_owned()
}

#[test]
fn paths_have_limits() {
    let nested = |count: usize| format!("{}1{}", "(".repeat(count), ")".repeat(count));
    Path::parse(&nested(DEPTH_MAX - 1)).expect("as deep as may be");
    assert_eq!(state(&nested(DEPTH_MAX)), "54001");
    assert_eq!(state(&"(".repeat(60_000)), "54001");
    assert_eq!(state(&format!("{}1", "- ".repeat(10_000))), "54001");
    assert_eq!(state(&format!("!({}", "!(".repeat(10_000))), "54001");
    assert_eq!(state(&format!("$ ? ({}", "@ ? (".repeat(10_000))), "54001");
    assert_eq!(state(&format!("1{}", " + 1".repeat(OPERATORS_MAX + 1))), "54001");
    assert_eq!(state(&" ".repeat(TEXT_BYTES_MAX + 1)), "54000");
    // The deepest trees are walked, printed and dropped on the stack of a test's thread.
    let row = format!("1{}", " + 1".repeat(OPERATORS_MAX));
    assert_eq!(
        query(&row, "null").expect("within the limits"),
        [(OPERATORS_MAX + 1).to_string()]
    );
    let right = format!("{}1{}", "1 + (".repeat(DEPTH_MAX - 1), ")".repeat(DEPTH_MAX - 1));
    assert_eq!(
        query(&right, "null").expect("within the limits"),
        [DEPTH_MAX.to_string()]
    );
    let filters = format!(
        "${}",
        " ? (exists(@".repeat(DEPTH_MAX / 2 - 1) + &"))".repeat(DEPTH_MAX / 2 - 1)
    );
    assert_eq!(query(&filters, "7").expect("within the limits"), ["7"]);
    let chain = format!("${}", ".a".repeat(20_000));
    assert!(query(&chain, "{}").expect("within the limits").is_empty());
    let levels = format!("${}", "[*]".repeat(20_000));
    assert_eq!(query(&levels, "1").expect("within the limits"), ["1"]);
}

/// What one step may give several of is walked by recursion, which must not reach the end of the stack.
#[test]
fn recursion_has_a_limit() {
    let nested = format!("{}1{}", "[".repeat(900), "]".repeat(900));
    let steps = RECURSION_MAX - 2;
    let chain = format!("$.a ? ({} > 0){}", "@", "[*]".repeat(steps - 1));
    assert!(query(&chain, &nested).expect("within the limits").is_empty());
    let chain = format!("${}", "[*]".repeat(steps));
    assert_eq!(query(&chain, &nested).expect("within the limits").len(), 1);
    for item in ["[*]", "[0]", ".**", ".*", " ? (exists(@.b))", ".a.keyvalue()"] {
        let chain = format!("${}", item.repeat(4_000));
        for document in [nested.as_str(), "1", r#"{"a": {"b": [{"a": 1}]}}"#] {
            if let Err(error) = query(&chain, document) {
                assert!(
                    ["54001", "54000", "2203C"].contains(&error.state().as_str()),
                    "{item}: {error}"
                );
            }
        }
    }
    let all = format!(
        "$[*] ? (1{} > 0 && {})",
        " + 1".repeat(OPERATORS_MAX - 3),
        "exists(@[*] ? (@ > 0))"
    );
    assert_eq!(query(&all, "[[1]]").expect("within the limits"), ["1"]);
    let either = format!("$ ? (@ == 1{})", " || @ == 2".repeat((OPERATORS_MAX - 1) / 2));
    assert_eq!(query(&either, "2").expect("within the limits"), ["2"]);
}

#[test]
fn evaluation_has_a_limit_that_silence_does_not_lift() {
    let document = Jsonb::parse(&format!("[{}0]", "0,".repeat(1_000))).expect("an array");
    let path = Path::parse("$[*] ? (@ == $[*] && @ == 1)").expect("a path");
    let evaluation = Evaluation {
        silent: true,
        steps_max: 10_000,
        ..Evaluation::default()
    };
    let all_pairs = Path::parse("$[*] ? (@ != $[*])").expect("a path");
    for path in [path, all_pairs] {
        let error = path.exists(document.as_ref(), evaluation).expect_err("too many steps");
        assert_eq!(error.state().as_str(), "54000");
    }
    let many = Path::parse("$.**.**.**.**.**.**.**.**.**.**").expect("a path");
    let deep = Jsonb::parse(&format!("{}{}", "[".repeat(200), "]".repeat(200))).expect("an array");
    let error = many.query(deep.as_ref(), evaluation).expect_err("too many steps");
    assert_eq!(error.state().as_str(), "54000");
}

#[test]
fn what_is_left_out_is_refused() {
    assert_eq!(state("$.datetime()"), "0A000");
    assert_eq!(state(r#"$ ? (@ like_regex "(a)\\1")"#), "2201B");
    assert_eq!(
        state(&format!("$ ? (@ like_regex \"{}\")", "a{1000}".repeat(100))),
        "2201B"
    );
}

/// `id` tells the objects of one evaluation apart, whatever they were made by.
#[test]
fn keyvalue_numbers_objects() {
    let document = r#"{"a": {"x": 1}, "b": [{"x": 1}, {"y": 2, "z": 3}]}"#;
    let ids = query("$.** ? (@.type() == \"object\").keyvalue().id", document).expect("numbers");
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!((distinct.len(), ids[0].as_str()), (4, "0"));
    assert_eq!(
        query("$.a.keyvalue().keyvalue().key", document).expect("keys"),
        [r#""id""#, r#""key""#, r#""value""#]
    );
}

proptest::proptest! {
    #[test]
    fn noise_never_panics(text in r#"[$@.*\[\]()?!&|<>=+/%0-9a-z" {},-]{0,30}"#) {
        if let Ok(path) = Path::parse(&text) {
            let printed = path.to_string();
            let reread = Path::parse(&printed).expect("printed");
            proptest::prop_assert_eq!(reread.to_string(), printed);
            let document = Jsonb::parse(r#"{"a": [1, {"b": 2}]}"#).expect("an object");
            let _ = path.query(document.as_ref(), Evaluation::default());
        }
    }
}
