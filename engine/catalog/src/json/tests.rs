//! Documents against naive searches and changes of another library's trees, under damage, and at their limits. PostgreSQL's answers are
//! compared in `tests/postgres.rs`. The scalars and keys of random documents are few, so that two of them often share parts.

use std::collections::HashMap;

use aion_base::rng::{SeededRng, entropy};
use serde_json::{Map, Value, json};

use super::*;

const ROUNDS: usize = 2_000;

fn jsonb(text: &str) -> Jsonb {
    Jsonb::parse(text).expect(text)
}

fn of(value: &Value) -> Jsonb {
    jsonb(&value.to_string())
}

fn random(rng: &mut SeededRng, depth: u64) -> Value {
    let count = rng.below(4);
    match rng.below(if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => json!(rng.chance(1, 2)),
        2 => json!(rng.below(3)),
        3 => json!(["a", "ab", "b", "€\n\u{1}\"", ""][rng.below(5) as usize]),
        4 => json!(rng.next_u64().cast_signed() >> rng.below(64)),
        5 | 6 => (0..count).map(|_| random(rng, depth - 1)).collect(),
        _ => Value::Object(
            (0..count)
                .map(|_| (key(rng).to_owned(), random(rng, depth - 1)))
                .collect(),
        ),
    }
}

fn key(rng: &mut SeededRng) -> &'static str {
    ["a", "b", "ab", "ba", "", "€", "0", "1"][rng.below(8) as usize]
}

/// `@>` by its definition in PostgreSQL's manual.
fn contains(one: &Value, other: &Value, is_top: bool) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => other
            .iter()
            .all(|(key, wanted)| one.get(key).is_some_and(|value| contains(value, wanted, false))),
        (Value::Array(one), Value::Array(other)) => other
            .iter()
            .all(|wanted| one.iter().any(|element| contains(element, wanted, false))),
        (Value::Array(one), scalar) if is_top && !scalar.is_object() => one.contains(scalar),
        (one, other) => !one.is_array() && !one.is_object() && one == other,
    }
}

fn naive_path<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, element| match value {
        Value::Object(members) => members.get(*element),
        Value::Array(elements) => elements.get(element.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A failure prints the seed; `AION_SEED` replays it.
fn for_seeds(check: impl Fn(&mut SeededRng)) {
    let seed = match std::env::var("AION_SEED") {
        Ok(seed) => seed.parse().expect("AION_SEED is a number"),
        Err(_) => entropy(),
    };
    println!("seed {seed}: AION_SEED={seed} replays it");
    let mut rng = SeededRng::new(seed);
    (0..ROUNDS).for_each(|_| check(&mut rng));
}

#[test]
fn what_is_written_reads_back() {
    for_seeds(|rng| {
        let value = random(rng, 4);
        let document = of(&value);
        let reread = jsonb(&document.to_string());
        assert_eq!(reread.as_bytes(), document.as_bytes(), "{value}");
        let mut pretty = String::new();
        document.as_ref().write_pretty(&mut pretty);
        assert_eq!(jsonb(&pretty).as_bytes(), document.as_bytes());
        assert_eq!(
            serde_json::from_str::<Value>(&document.to_string()).expect("JSON"),
            value
        );
        JsonbRef::check(document.as_bytes()).expect("sound");
    });
}

#[test]
fn containment_and_paths_are_those_of_a_naive_search() {
    for_seeds(|rng| {
        let (one, other) = (random(rng, 3), random(rng, 2));
        let (document, wanted) = (of(&one), of(&other));
        let expected = contains(&one, &other, true);
        assert_eq!(
            document.as_ref().contains(wanted.as_ref()),
            expected,
            "{one} @> {other}"
        );

        let path: Vec<&str> = (0..rng.below(4)).map(|_| key(rng)).collect();
        let steps: Vec<PathElement<'_>> = path.iter().copied().map(Some).collect();
        let found = document.as_ref().get_path(&steps).map(JsonbRef::to_owned);
        let expected = naive_path(&one, &path).map(of);
        assert_eq!(found, expected, "{one} #> {path:?}");
    });
}

/// A change is what the same change of a tree of another library gives.
#[test]
fn changes_are_those_of_a_naive_tree() {
    for_seeds(|rng| {
        let (one, other) = (random(rng, 3), random(rng, 2));
        if let (Value::Object(one_members), Value::Object(other_members)) = (&one, &other) {
            let mut merged: Map<String, Value> = one_members.clone();
            merged.extend(other_members.clone());
            let concatenated = of(&one).as_ref().concat(of(&other).as_ref()).expect("small");
            assert_eq!(concatenated, of(&Value::Object(merged)));
        }
        let path: Vec<&str> = (0..1 + rng.below(3)).map(|_| key(rng)).collect();
        let steps: Vec<PathElement<'_>> = path.iter().copied().map(Some).collect();
        if let Some(Value::Object(_)) = naive_path(&one, &path[..path.len() - 1]) {
            let mut changed = one.clone();
            let pointer: String = path[..path.len() - 1].iter().map(|step| format!("/{step}")).collect();
            let members = changed
                .pointer_mut(&pointer)
                .and_then(Value::as_object_mut)
                .expect("found above");
            members.insert(path[path.len() - 1].to_owned(), other.clone());
            let set = of(&one).as_ref().set(&steps, of(&other).as_ref(), true).expect("small");
            assert_eq!(set, of(&changed), "{one} {path:?} {other}");
            JsonbRef::check(set.as_bytes()).expect("sound");
        }
    });
}

#[test]
fn equal_documents_have_equal_hashes_and_the_order_is_one() {
    for_seeds(|rng| {
        let documents: Vec<Jsonb> = (0..3).map(|_| of(&random(rng, 2))).collect();
        let [a, b, c] = [0, 1, 2].map(|index: usize| documents[index].as_ref());
        assert_eq!(a.compare(b), b.compare(a).reverse());
        assert_eq!(a == b, a.as_bytes() == b.as_bytes());
        if a == b {
            assert_eq!(a.hash(), b.hash());
        }
        if a.compare(b).is_le() && b.compare(c).is_le() {
            assert!(a.compare(c).is_le(), "{a} {b} {c}");
        }
    });
    let (one, other) = (jsonb(r#"{"a": [1.0, 20]}"#), jsonb(r#"{"a": [1.00, 2e1]}"#));
    assert_eq!(one, other);
    assert_eq!(one.as_ref().hash(), other.as_ref().hash());
    assert_ne!(one.to_string(), other.to_string());
    assert_eq!(jsonb("0.00").as_ref().hash(), jsonb("0").as_ref().hash());
}

#[test]
fn different_documents_seldom_have_equal_hashes() {
    let mut seen = HashMap::new();
    for number in 0..10_000 {
        for text in [
            number.to_string(),
            format!("\"{number}\""),
            format!("[{number}]"),
            format!("{{\"{number}\":0}}"),
        ] {
            let hash = jsonb(&text).as_ref().hash();
            assert!(seen.insert(hash, text).is_none());
        }
    }
}

/// The format is frozen: these bytes lie on disks.
#[test]
fn the_bytes_are_the_format() {
    let document = jsonb(r#"{"bb": [true, null], "a": 1.50, "c": "x"}"#);
    let hex: String = document.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "16",
        "0200",
        "03000000",
        "010000000200000004000000",
        "050000000700000018000000",
        "61",
        "63",
        "6262",
        "13312e3530",
        "1478",
        "15",
        "0100",
        "02000000",
        "0100000002000000",
        "12",
        "10",
    ];
    assert_eq!(hex, expected.concat());
}

#[test]
fn damaged_bytes_are_found_and_never_panic() {
    for_seeds(|rng| {
        let mut bytes = of(&random(rng, 3)).into_bytes();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(3) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] ^= 1 << rng.below(8),
                _ => bytes.insert(at, rng.next_u64() as u8),
            }
        }
        let document = JsonbRef::new(&bytes);
        let text = document.to_string();
        document.hash();
        let _ = document.contains(document);
        let _ = document.compare(document);
        let _ = document.strip_nulls();
        let _ = document.get_path(&[Some("a"), Some("0")]);
        let _ = document.set(&[Some("a"), Some("0")], document, true);
        if JsonbRef::check(&bytes).is_ok() {
            assert_eq!(jsonb(&text), document.to_owned());
        }
    });
}

#[test]
fn depth_has_a_limit_wherever_it_grows() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deepest = jsonb(&nested(DEPTH_MAX));
    let error = Jsonb::parse(&nested(DEPTH_MAX + 1)).expect_err("too deep");
    assert_eq!(error.state().as_str(), "54001");
    assert_eq!(
        check_text(&nested(100_000)).expect_err("too deep").state().as_str(),
        "54001"
    );
    let deepest = deepest.as_ref();
    let outer = Tree::Array(vec![deepest.into()]);
    assert_eq!(outer.encode().expect_err("one more").state().as_str(), "54001");
    let error = jsonb("{}")
        .as_ref()
        .set(&[Some("a")], deepest, true)
        .expect_err("one more");
    assert_eq!(error.state().as_str(), "54001");

    assert_eq!(deepest.to_string(), nested(DEPTH_MAX));
    assert!(deepest.contains(deepest) && deepest == deepest);
    assert_eq!(deepest.strip_nulls().expect("as deep").as_ref(), deepest);
    JsonbRef::check(deepest.as_bytes()).expect("sound");
    deepest.hash();
    let everything = path::Path::parse("$.**").expect("a path");
    let found = everything.query(deepest, path::Evaluation::default()).expect("as deep");
    // In lax mode `.**` gives each level, the innermost one is empty.
    assert_eq!(found.len(), DEPTH_MAX);
}

#[test]
fn trees_refuse_what_no_document_holds() {
    let zero = Tree::from("a\0").encode().expect_err("a zero");
    assert_eq!(zero.state().as_str(), "22P05");
    let members = vec![
        ("a".into(), Tree::from(1)),
        ("b".into(), Tree::Null),
        ("a".into(), Tree::from("x")),
    ];
    assert_eq!(
        Tree::Object(members).encode().expect("small").to_string(),
        r#"{"a": "x", "b": null}"#
    );
}

/// A megabyte of text in, out and searched, within what a test may take.
#[test]
fn large_objects_are_searched_by_halves() {
    let text: Vec<String> = (0..20_000)
        .map(|number| format!("\"key {number}\": [{number}, {{\"n\": {number}}}]"))
        .collect();
    let document = jsonb(&format!("{{{}}}", text.join(",")));
    for number in (0..20_000).step_by(97) {
        let key = format!("key {number}");
        let found = document
            .as_ref()
            .get_path(&[Some(&key), Some("1"), Some("n")])
            .expect(&key);
        assert_eq!(found.to_string(), number.to_string());
    }
}
