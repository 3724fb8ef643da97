//! What a fingerprint tells apart, and the cache against a plain list.

use aion_base::rng::SeededRng;
use aion_base::subplan::{Predicate, Relation};

use super::*;

fn predicate(column: &str, position: Option<f64>) -> Predicate {
    Predicate {
        column: column.to_owned(),
        comparison: Comparison::Equal,
        position,
    }
}

fn plan(kind: OperatorKind, predicates: Vec<Predicate>) -> SubPlan {
    let relation = |name: &str| Relation {
        name: name.to_owned(),
        rows: Some(10.0),
    };
    SubPlan {
        kind,
        relations: vec![relation("s.a"), relation("s.b")],
        predicates,
        joins: vec![("a.id".to_owned(), "b.id".to_owned())],
        groups: vec!["a.x".to_owned()],
        inputs: vec![Some(1.0)],
        estimated_rows: Some(100.0),
    }
}

#[test]
fn the_order_of_joining_does_not_matter_and_what_is_read_does() {
    let joined = plan(
        OperatorKind::InnerJoin,
        vec![predicate("a.x", Some(0.5)), predicate("b.y", Some(0.25))],
    );
    let same = Fingerprint::of(&joined);
    let mut other = joined.clone();
    other.kind = OperatorKind::Filter;
    other.relations.reverse();
    other.predicates.reverse();
    other.joins = vec![("b.id".to_owned(), "a.id".to_owned())];
    other.inputs = vec![Some(7.0), None];
    // All its literals have a position, so the estimate tells nothing.
    other.estimated_rows = None;
    assert_eq!(Fingerprint::of(&other), same);

    let change = |change: fn(&mut SubPlan)| {
        let mut changed = joined.clone();
        change(&mut changed);
        Fingerprint::of(&changed)
    };
    let changed = [
        change(|plan| plan.kind = OperatorKind::Aggregate),
        change(|plan| plan.kind = OperatorKind::SemiJoin),
        change(|plan| plan.relations[1].name = "s.c".to_owned()),
        change(|plan| plan.relations.push(plan.relations[0].clone())),
        change(|plan| plan.predicates[0].position = Some(0.5 + f64::EPSILON)),
        change(|plan| plan.predicates[0].comparison = Comparison::Less),
        change(|plan| plan.predicates[0].column = "a.xy".to_owned()),
        change(|plan| plan.joins.clear()),
        change(|plan| plan.groups.clear()),
    ];
    assert!(changed.iter().all(|changed| *changed != same), "{changed:?}");
}

#[test]
fn where_a_literal_has_no_position_the_estimate_tells_it() {
    let estimated = |rows| {
        let mut plan = plan(OperatorKind::Scan, vec![predicate("a.name", None)]);
        plan.estimated_rows = rows;
        Fingerprint::of(&plan)
    };
    assert_eq!(estimated(Some(100.0)), estimated(Some(100.1)));
    assert_ne!(estimated(Some(100.0)), estimated(Some(110.0)));
    assert_ne!(estimated(Some(0.0)), estimated(None));
    assert_eq!(estimated(Some(f64::NAN)), estimated(None));
}

#[test]
fn observations_that_disagree_give_no_answer_until_they_agree() {
    let mut feedback = Feedback::new(8, 10);
    let at = Fingerprint(1);
    feedback.observe(at, 100.0, 1);
    feedback.observe(at, 300.0, 1);
    let both = Observed {
        rows: 300.0,
        low: 100.0,
        high: 300.0,
    };
    assert_eq!(feedback.get(at, 1), Some(both));
    feedback.observe(at, 900.0, 1);
    assert_eq!(feedback.get(at, 1), None);
    // The first two leave.
    feedback.observe(at, 900.0, 1);
    feedback.observe(at, 900.0, 1);
    feedback.observe(at, 901.0, 1);
    assert_eq!(feedback.get(at, 1).map(|observed| observed.rows), Some(901.0));
}

#[test]
fn an_observation_ages_with_the_data() {
    let mut feedback = Feedback::new(8, 10);
    let at = Fingerprint(1);
    feedback.observe(at, 5.0, 100);
    for (version, is_known) in [
        (89, false),
        (90, true),
        (100, true),
        (110, true),
        (111, false),
        (u64::MAX, false),
    ] {
        assert_eq!(feedback.get(at, version).is_some(), is_known, "{version}");
    }
    // An old one that disagrees is forgotten with its age.
    feedback.observe(at, 5_000.0, 105);
    assert_eq!(feedback.get(at, 105), None);
    assert_eq!(feedback.get(at, 112).map(|observed| observed.low), Some(5_000.0));
}

#[test]
fn nonsense_is_not_kept() {
    let mut feedback = Feedback::new(8, 10);
    for rows in [f64::NAN, f64::INFINITY, -1.0] {
        feedback.observe(Fingerprint(1), rows, 1);
    }
    assert!(feedback.is_empty());
    let mut none = Feedback::new(0, 10);
    none.observe(Fingerprint(1), 1.0, 1);
    assert_eq!((none.len(), none.get(Fingerprint(1), 1)), (0, None));
}

/// The reference: a list in the order of use.
#[derive(Default)]
struct Naive {
    list: Vec<(u64, Vec<(f64, u64)>)>,
}

impl Naive {
    fn observe(&mut self, capacity: usize, key: u64, rows: f64, version: u64) {
        let found = self.list.iter().position(|(one, _)| *one == key);
        let mut entry = found.map_or((key, Vec::new()), |at| self.list.remove(at));
        entry.1.push((rows, version));
        self.list.push(entry);
        if self.list.len() > capacity {
            self.list.remove(0);
        }
    }

    fn get(&mut self, age_max: u64, key: u64, version: u64) -> Option<f64> {
        let at = self.list.iter().position(|(one, _)| *one == key)?;
        let entry = self.list.remove(at);
        let last = entry.1.iter().rev().take(KEPT);
        let fresh: Vec<f64> = last
            .filter(|one| one.1.abs_diff(version) <= age_max)
            .map(|one| one.0)
            .collect();
        self.list.push(entry);
        let most = fresh.iter().copied().fold(1.0, f64::max);
        let agree = fresh.iter().all(|rows| rows.max(1.0) * DISAGREE >= most);
        fresh.first().copied().filter(|_| agree)
    }
}

#[test]
fn it_answers_like_a_list() {
    for seed in 0..50 {
        let mut random = SeededRng::new(seed);
        let (capacity, age_max) = (1 + random.below(12), random.below(6));
        let mut feedback = Feedback::new(capacity as usize, age_max);
        let mut naive = Naive::default();
        let (mut version, mut answers) = (10, 0);
        for step in 0..2_000 {
            version += random.below(4) / 3;
            let key = random.below(16);
            if random.chance(1, 2) {
                let rows = [0.0, 1.0, 3.0, 4.0, 5.0, 17.0][random.below(6) as usize];
                let counted = version - random.below(5);
                feedback.observe(Fingerprint(key), rows, counted);
                naive.observe(capacity as usize, key, rows, counted);
            } else {
                let found = feedback.get(Fingerprint(key), version).map(|observed| observed.rows);
                assert_eq!(found, naive.get(age_max, key, version), "seed {seed} step {step}");
                answers += u32::from(found.is_some());
            }
            assert_eq!(feedback.len(), naive.list.len(), "seed {seed} step {step}");
            assert_eq!(feedback.by_use.len(), naive.list.len(), "seed {seed} step {step}");
        }
        assert!(answers > 0, "seed {seed}");
    }
}
