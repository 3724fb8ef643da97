//! Each tier answers in its turn, in one call, and none of them can spoil the answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use aion_base::subplan::Relation;

use super::*;

fn scan(table: &str, rows: Option<f64>, estimated: Option<f64>) -> SubPlan {
    SubPlan {
        kind: OperatorKind::Scan,
        relations: vec![Relation {
            name: table.to_owned(),
            rows,
        }],
        estimated_rows: estimated,
        ..SubPlan::default()
    }
}

fn query() -> Vec<SubPlan> {
    vec![
        scan("s.a", Some(1_000.0), Some(10.0)),
        scan("s.b", Some(1_000.0), Some(20.0)),
        scan("s.c", Some(1_000.0), None),
    ]
}

fn stack(model: impl Model + 'static) -> Stack {
    let rows: Vec<Features> = query().iter().map(features).collect();
    Stack {
        feedback: None,
        data_version: 1,
        model: Some(Limited {
            model: Arc::new(model),
            training: TrainingRange::of(&rows).map(Arc::new),
            spread_max: SPREAD_MAX,
        }),
    }
}

fn shown(answers: &Answers) -> Vec<(Option<f64>, Source)> {
    let rows = |answer: &Answer| answer.estimate.map(|estimate| estimate.rows);
    answers
        .answers
        .iter()
        .map(|answer| (rows(answer), answer.source))
        .collect()
}

#[test]
fn the_classical_estimate_is_kept_within_bounds() {
    let plans = [
        scan("s.a", Some(10.0), Some(1e9)),
        scan("s.a", None, Some(1e9)),
        scan("s.a", Some(0.0), Some(7.0)),
        scan("s.a", Some(10.0), Some(f64::NAN)),
        scan("s.a", Some(10.0), None),
    ];
    let rows: Vec<_> = Classical
        .estimate(&plans)
        .into_iter()
        .map(|one| one.map(|one| one.rows))
        .collect();
    assert_eq!(rows, [Some(21.0), Some(1e9), Some(7.0), None, None]);
}

#[test]
fn all_sub_plans_of_a_query_are_one_call() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let stack = stack(move |rows: &[Features]| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(vec![[0.0, 1.0, 2.0]; rows.len()])
    });
    let answers = stack.answers(&query());
    let wanted = [
        (Some(20.0), Source::Model),
        (Some(40.0), Source::Model),
        (None, Source::Classical),
    ];
    assert_eq!(shown(&answers), wanted);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(stack.estimate(&[]), []);
    assert_eq!(stack.estimate(&query()[2..]), [None]);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "nothing to ask");
}

#[test]
fn what_was_seen_is_not_asked_of_the_model() {
    let mut feedback = Feedback::new(8, 1);
    for plan in &query()[1..] {
        feedback.observe(Fingerprint::of(plan), 777.0, 1);
    }
    let mut stack = stack(|rows: &[Features]| {
        assert_eq!(rows.len(), 1);
        Ok(vec![[1.0, 1.0, 1.0]])
    });
    stack.feedback = Some(Arc::new(Mutex::new(feedback)));
    let wanted = [
        (Some(20.0), Source::Model),
        (Some(777.0), Source::Feedback),
        (Some(777.0), Source::Feedback),
    ];
    assert_eq!(shown(&stack.answers(&query())), wanted);
}

#[test]
fn a_model_that_fails_leaves_the_classical_estimate() {
    type Failing = fn(&[Features]) -> Result<Vec<[f32; 3]>>;
    let failing: [Failing; 4] = [
        |_| Err(Error::internal("no run time")),
        |_| Ok(Vec::new()),
        |rows| Ok(vec![[0.0; 3]; rows.len() + 1]),
        |rows| Ok(vec![[f32::NAN, 0.0, f32::INFINITY]; rows.len()]),
    ];
    for (at, model) in failing.into_iter().enumerate() {
        let answers = stack(model).answers(&query());
        let wanted = [
            (Some(10.0), Source::Classical),
            (Some(20.0), Source::Classical),
            (None, Source::Classical),
        ];
        assert_eq!(shown(&answers), wanted, "model {at}");
        // What is no number is the model's matter; it did not fail.
        assert_eq!(answers.model_error.is_some(), at < 3, "model {at}");
    }
}

#[test]
fn an_input_unlike_the_training_is_taken_at_its_worst() {
    let stack = stack(|rows: &[Features]| Ok(vec![[-3.0, -2.0, -1.0]; rows.len()]));
    let mut unlike = scan("s.new", Some(1e9), Some(1e6));
    unlike.kind = OperatorKind::InnerJoin;
    unlike.relations.extend(scan("s.other", Some(1e9), None).relations);
    let answers = stack.answers(&[unlike, query().remove(0)]);
    assert_eq!(
        shown(&answers),
        [(Some(1e6), Source::Extrapolated), (Some(2.5), Source::Model)]
    );
    let untrained = Stack {
        model: stack.model.map(|limited| Limited {
            training: None,
            ..limited
        }),
        feedback: None,
        data_version: 1,
    };
    assert_eq!(
        shown(&untrained.answers(&query()[..1])),
        [(Some(10.0), Source::Extrapolated)]
    );
}

#[test]
fn bounds_follow_the_tables() {
    let high = |plan: &SubPlan| bounds(plan).high;
    assert_eq!(high(&scan("s.a", Some(10.0), None)), 21.0);
    assert_eq!(high(&scan("s.a", None, None)), f64::INFINITY);
    assert_eq!(high(&SubPlan::default()), f64::INFINITY);
    let mut join = scan("s.a", Some(10.0), None);
    join.kind = OperatorKind::OuterJoin;
    join.relations.push(join.relations[0].clone());
    assert_eq!(high(&join), 441.0);
}
