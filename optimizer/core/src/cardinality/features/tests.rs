//! Rows of features against numbers that another program computed from the header, and against whatever a planner may say.

use aion_base::rng::SeededRng;
use aion_base::subplan::Relation;

use super::*;

fn predicate(column: &str, comparison: Comparison, position: Option<f64>) -> Predicate {
    Predicate {
        column: column.to_owned(),
        comparison,
        position,
    }
}

fn relation(name: &str, rows: Option<f64>) -> Relation {
    Relation {
        name: name.to_owned(),
        rows,
    }
}

fn join() -> SubPlan {
    SubPlan {
        kind: OperatorKind::InnerJoin,
        relations: vec![relation("s.posts", Some(1_023.0)), relation("s.users", Some(255.0))],
        predicates: vec![
            predicate("posts.score", Comparison::Greater, Some(0.25)),
            predicate("posts.score", Comparison::Less, Some(0.75)),
            predicate("users.name", Comparison::Like, None),
        ],
        joins: vec![("posts.owner".to_owned(), "users.id".to_owned())],
        groups: Vec::new(),
        inputs: vec![Some(63.0), Some(3.0)],
        estimated_rows: Some(15.0),
    }
}

/// The contract with other languages.
#[test]
fn a_join_slot_by_slot() {
    let found = features(&join());
    let mut wanted = [0.0_f32; FEATURES];
    wanted[0] = 4.0 / 16.0;
    wanted[1] = 1.0;
    wanted[2] = 6.0 / 16.0;
    wanted[3] = 2.0 / 16.0;
    wanted[4] = 8.0 / 16.0;
    wanted[6] = 18.0 / 16.0;
    wanted[7] = 10.0 / 16.0;
    wanted[11] = 1.0;
    wanted[16] = 0.5;
    wanted[17] = 0.25;
    wanted[21] = 0.25;
    wanted[22] = 0.25;
    wanted[24] = 0.25;
    wanted[27] = 1.0 / 16.0;
    wanted[28] = 0.5;
    wanted[29] = 0.5;
    wanted[30] = 0.25;
    assert_eq!(found[..31], wanted[..31]);
    assert_eq!(found[31..], BUCKETS_OF_JOIN);
}

/// Computed by `python3` from the header of [`super`], not by this code.
const BUCKETS_OF_JOIN: [f32; 17] = [
    2.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, -1.0, 0.0,
];

/// Numbers that are not round, bit for bit.
#[test]
fn an_aggregate_as_another_program_computes_it() {
    let plan = SubPlan {
        kind: OperatorKind::Aggregate,
        relations: vec![
            relation("s.a", Some(12_345.0)),
            relation("s.b", Some(777.0)),
            relation("s.c", None),
        ],
        predicates: vec![
            predicate("a.x", Comparison::Equal, Some(0.1)),
            predicate("a.y", Comparison::Less, Some(0.7)),
            predicate("a.y", Comparison::Greater, Some(0.3)),
            predicate("b.z", Comparison::Greater, Some(0.9)),
            predicate("c.w", Comparison::In, None),
            predicate("c.n", Comparison::Null, None),
        ],
        joins: vec![
            ("b.a".to_owned(), "a.id".to_owned()),
            ("a.id".to_owned(), "c.a".to_owned()),
        ],
        groups: vec!["a.x".to_owned(), "c.w".to_owned()],
        inputs: vec![Some(54_321.5), None],
        estimated_rows: Some(99.0),
    };
    assert_eq!(features(&plan), BY_ANOTHER_PROGRAM);
}

/// Computed by a Python program from the header of [`super`].
const BY_ANOTHER_PROGRAM: Features = [
    0.415241, 1.0, 0.9830789, 0.9830789, 0.9830789, 0.25, 1.4497114, 0.84948474, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0,
    0.0, 0.75, 0.5, 0.5, 0.25, 0.0, 0.25, 0.5, 0.25, 0.0, 0.25, 0.0, 0.290241, 0.1, 0.5, 0.5, -1.0, 0.0, -1.0, 1.0,
    0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 2.0, 0.0, 0.0, -2.0, -1.0,
];

#[test]
fn nothing_known_gives_a_finite_row() {
    let found = features(&SubPlan::default());
    let mut wanted = [0.0_f32; FEATURES];
    wanted[15] = 1.0;
    wanted[28] = 1.0;
    wanted[29] = 0.5;
    assert_eq!(found, wanted);
}

#[test]
fn the_order_of_parts_does_not_matter() {
    let mut other = join();
    other.relations.reverse();
    other.predicates.reverse();
    other.inputs.reverse();
    other.joins = vec![("users.id".to_owned(), "posts.owner".to_owned())];
    assert_eq!(features(&other), features(&join()));
}

#[test]
fn a_comparison_that_contradicts_itself_keeps_almost_nothing() {
    let mut empty = join();
    empty.predicates = vec![
        predicate("a", Comparison::Less, Some(0.1)),
        predicate("a", Comparison::Greater, Some(0.9)),
    ];
    let found = features(&empty);
    assert_eq!((found[27], found[28]), (1.0, 1.0 / 65_536.0));
}

#[test]
fn the_logarithm_agrees_with_the_libraries() {
    let mut random = SeededRng::new(11);
    for _ in 0..20_000 {
        let value = f64::from_bits(random.next_u64() >> 1);
        if value.is_normal() {
            assert!(
                (log2(value) - value.log2()).abs() < 1e-12 * value.log2().abs().max(1.0),
                "{value:e}"
            );
        }
    }
    for power in -1_022..=1_023 {
        assert_eq!(log2(2.0_f64.powi(power)), f64::from(power));
    }
    for nonsense in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(log2(nonsense), 0.0);
    }
}

/// Whatever a planner says, every slot is finite and bounded.
#[test]
fn nonsense_gives_finite_slots() {
    const ODD: [f64; 10] = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        -1.0,
        1e300,
        1e-300,
        0.5,
        7.0,
        f64::MAX,
    ];
    const COMPARISONS: [Comparison; 8] = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::Greater,
        Comparison::In,
        Comparison::Like,
        Comparison::Null,
        Comparison::Other,
    ];
    for seed in 0..500 {
        let mut random = SeededRng::new(seed);
        let number = |random: &mut SeededRng| match random.below(4) {
            0 => None,
            _ => Some(ODD[random.below(10) as usize]),
        };
        let most = if seed % 50 == 0 { 300 } else { 6 };
        let plan = SubPlan {
            kind: OperatorKind::Aggregate,
            relations: (0..random.below(most))
                .map(|at| relation(&format!("t{at}"), number(&mut random)))
                .collect(),
            predicates: (0..random.below(most))
                .map(|at| {
                    let comparison = COMPARISONS[random.below(8) as usize];
                    predicate(&format!("c{}", at % 3), comparison, number(&mut random))
                })
                .collect(),
            joins: (0..random.below(most))
                .map(|at| (format!("a{at}"), String::new()))
                .collect(),
            groups: (0..random.below(most)).map(|at| format!("\u{1f980}{at}")).collect(),
            inputs: (0..random.below(most)).map(|_| number(&mut random)).collect(),
            estimated_rows: number(&mut random),
        };
        for (slot, value) in features(&plan).iter().enumerate() {
            let is_bounded = f64::from(*value).abs() <= SLOT_MAX;
            assert!(value.is_finite() && is_bounded, "seed {seed} slot {slot}: {value}");
        }
    }
}
