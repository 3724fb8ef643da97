//! Models that are better, the same, and worse in ways that a careless contest would not see, over many seeds.

use super::*;

const TEMPLATES: i64 = 30;

/// About normal, with this deviation: the sum of twelve evenly distributed numbers.
fn normal(random: &mut SeededRng, deviation: f64) -> f64 {
    let sum: f64 = (0..12).map(|_| random.below(1 << 20) as f64 / f64::from(1 << 20)).sum();
    (sum - 6.0) * deviation
}

/// A sample as a model sees it: the logarithms of the truth and of what the incumbent is off by.
struct Seen {
    truth: f64,
    off: f64,
    split: Split,
}

/// Samples of a workload whose incumbent is off by a factor of its own for each template, and by chance. `model` gives the logarithm of its
/// prediction.
fn contest(seed: u64, count: usize, mut model: impl FnMut(&Seen, &mut SeededRng) -> f64) -> Vec<Sample> {
    let mut random = SeededRng::new(seed);
    let biases: Vec<f64> = (0..TEMPLATES).map(|_| normal(&mut random, 2.0)).collect();
    let sample = |at: usize| {
        let queryid = random.below(TEMPLATES as u64) as i64;
        let seen = Seen {
            truth: 4.0 + random.below(1_600) as f64 / 100.0,
            off: biases[queryid as usize] + normal(&mut random, 0.7),
            split: [Split::Time, Split::Template][at % 2],
        };
        Sample {
            queryid,
            at: at as u64,
            actual: seen.truth.exp2(),
            incumbent: (seen.truth + seen.off).exp2(),
            candidate: model(&seen, &mut random).exp2(),
            split: seen.split,
        }
    };
    (0..count).map(sample).collect()
}

/// It corrects most of what the incumbent is off by.
fn better(seen: &Seen, random: &mut SeededRng) -> f64 {
    seen.truth + 0.3 * seen.off + normal(random, 0.3)
}

fn verdict(samples: &[Sample], seed: u64) -> Verdict {
    judge(samples, &Terms::default(), seed).0
}

#[test]
fn a_better_model_is_ready() {
    for seed in 0..20 {
        let (verdict, figures) = judge(&contest(seed, 400, better), &Terms::default(), seed);
        assert_eq!(verdict, Verdict::Ready, "seed {seed}: {figures:?}");
        assert_eq!((figures.samples, figures.excluded, figures.nonsense), (400, 0, 0));
        let split = figures.time.expect("there are samples");
        assert!(
            split.p95.low <= split.p95.point && split.p95.point <= split.p95.high,
            "{split:?}"
        );
        assert!(split.p95.incumbent > split.p95.candidate, "{split:?}");
    }
}

/// The reference: a model that is off as the incumbent is, by chances of its own, is next to never promoted. Once in 40 for one gain, and there
/// are four.
#[test]
fn identical_arms_are_never_promoted() {
    for seed in 0..200 {
        let samples = contest(seed, 200, |seen, random| {
            // The same distribution of errors, independent of the incumbent's.
            let sign = [1.0, -1.0][random.below(2) as usize];
            seen.truth + sign * seen.off + normal(random, 0.05)
        });
        assert_ne!(verdict(&samples, seed), Verdict::Ready, "seed {seed}");
    }
    let same = contest(1, 400, |seen, _| seen.truth + seen.off);
    assert_eq!(verdict(&same, 1), Verdict::Undecided);
    let out_of_time = Terms {
        samples_max: 400,
        ..Terms::default()
    };
    let (verdict, figures) = judge(&same, &out_of_time, 1);
    assert!(matches!(verdict, Verdict::Rejected(reason) if reason.starts_with("not shown to win")));
    let gain = figures.template.expect("there are samples").p95;
    assert_eq!((gain.low, gain.high), (1.0, 1.0));
}

/// Models that must never get through, whatever the draw.
#[test]
fn adversaries_are_never_promoted() {
    type Model = fn(&Seen, &mut SeededRng) -> f64;
    let adversaries: [(&str, Model); 6] = [
        ("inverted: corrects the wrong way", |seen, random| {
            seen.truth + 2.0 * seen.off - (better(seen, random) - seen.truth)
        }),
        ("constant: one number for all", |_, _| 12.0),
        ("stale: the data grew since, 32 times", |seen, random| {
            match seen.split {
                Split::Time => better(seen, random) - 5.0,
                Split::Template => better(seen, random),
            }
        }),
        ("by heart: knows its statements, no others", |seen, random| {
            match seen.split {
                Split::Time => seen.truth,
                Split::Template => seen.truth + seen.off + normal(random, 1.0),
            }
        }),
        ("NaN: good, but for one in twenty", |seen, random| {
            match random.below(20) {
                0 => f64::NAN,
                _ => better(seen, random),
            }
        }),
        ("under: a hundredth of the truth", |seen, _| seen.truth - 100_f64.log2()),
    ];
    for (name, model) in adversaries {
        let mut rejected = 0;
        for seed in 0..30 {
            let verdict = verdict(&contest(seed, 240, model), seed);
            assert_ne!(verdict, Verdict::Ready, "{name}, seed {seed}");
            rejected += u32::from(matches!(verdict, Verdict::Rejected(_)));
        }
        // Of one that knows by heart only one split tells, and not by much.
        assert!(
            rejected >= if name.starts_with("by heart") { 1 } else { 27 },
            "{name}: {rejected}"
        );
    }
}

#[test]
fn too_few_samples_decide_nothing() {
    assert_eq!(verdict(&[], 1), Verdict::Undecided);
    assert_eq!(verdict(&contest(1, 199, better), 1), Verdict::Undecided);
    assert_eq!(verdict(&contest(1, 400, better), 1), Verdict::Ready);
    let mut one_split = contest(1, 400, better);
    for sample in &mut one_split[40..] {
        sample.split = Split::Time;
    }
    assert_eq!(verdict(&one_split, 1), Verdict::Undecided);
    let mut few_templates = contest(1, 400, better);
    for sample in &mut few_templates {
        sample.queryid %= 4;
    }
    assert_eq!(verdict(&few_templates, 1), Verdict::Undecided);
    // Nor for the worse.
    assert_eq!(verdict(&contest(1, 100, |_, _| 0.0), 1), Verdict::Undecided);
}

#[test]
fn one_prediction_that_is_no_number_rejects_at_once() {
    for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        let mut samples = contest(1, 400, better);
        samples[399].candidate = nonsense;
        for samples in [&samples[..], &samples[390..]] {
            let (verdict, figures) = judge(samples, &Terms::default(), 1);
            assert!(
                matches!(verdict, Verdict::Rejected(reason) if reason.contains("no number")),
                "{nonsense}"
            );
            assert_eq!(figures.nonsense, 1);
        }
    }
}

/// An incumbent that says nothing is no incumbent to win against.
#[test]
fn a_sample_without_an_incumbent_or_a_truth_does_not_count() {
    let mut samples = contest(1, 400, better);
    for sample in &mut samples[..150] {
        sample.incumbent = f64::NAN;
    }
    for sample in &mut samples[150..201] {
        sample.actual = f64::INFINITY;
    }
    let (verdict, figures) = judge(&samples, &Terms::default(), 1);
    assert_eq!((figures.samples, figures.excluded), (199, 201));
    assert_eq!(verdict, Verdict::Undecided);
}

#[test]
fn it_says_where_the_incumbent_is_better() {
    let mut samples = contest(3, 400, better);
    for sample in &mut samples {
        match sample.queryid {
            7 => sample.candidate = sample.incumbent.max(1.0) * 1_024.0,
            9 => (sample.incumbent, sample.candidate) = (sample.actual, sample.actual * 2.0),
            _ => {}
        }
    }
    let figures = figures(&samples, 3);
    let worst = figures.worst.expect("statements have samples");
    assert_eq!((worst.queryid, figures.incumbent_better[0]), (7, worst));
    assert!(worst.ratio < 0.01 && worst.samples >= WORST_MIN, "{worst:?}");
    let nine = figures.incumbent_better.iter().find(|template| template.queryid == 9);
    assert!(nine.is_some_and(|nine| (nine.ratio - 0.5).abs() < 1e-9), "{nine:?}");
    assert!(figures.incumbent_better.iter().all(|template| template.ratio < 1.0));
}

#[test]
fn the_same_samples_and_seed_give_the_same_figures() {
    let samples = contest(5, 300, better);
    assert_eq!(figures(&samples, 7), figures(&samples, 7));
    assert_ne!(figures(&samples, 7), figures(&samples, 8));
    // Rows are whole; of fractions, reading JSON may lose the last bit.
    let whole = |sample: &Sample| Sample {
        actual: sample.actual.round(),
        incumbent: sample.incumbent.round(),
        candidate: sample.candidate.round(),
        ..*sample
    };
    let whole: Vec<Sample> = samples.iter().map(whole).collect();
    let json = serde_json::to_string(&whole).expect("samples are JSON");
    let read: Vec<Sample> = serde_json::from_str(&json).expect("it was written");
    assert_eq!(figures(&read, 7), figures(&whole, 7));
    let mut nonsense = samples[0];
    nonsense.candidate = f64::NAN;
    let json = serde_json::to_string(&nonsense).expect("a sample is JSON");
    let read: Sample = serde_json::from_str(&json).expect("it was written");
    assert!(json.contains("\"candidate\":null") && read.candidate.is_nan(), "{json}");
}

/// Weighted quantiles against a list where each sample is written as often as it counts.
#[test]
fn weighted_quantiles_are_those_of_the_list() {
    for seed in 0..300 {
        let mut random = SeededRng::new(seed);
        let errors: Vec<f64> = (0..1 + random.below(60))
            .map(|_| 1.0 + random.below(9) as f64)
            .collect();
        let weights: Vec<u32> = errors.iter().map(|_| random.below(4) as u32).collect();
        let repeated = errors
            .iter()
            .zip(&weights)
            .flat_map(|(error, weight)| vec![*error; *weight as usize]);
        let mut list: Vec<f64> = repeated.collect();
        list.sort_unstable_by(f64::total_cmp);
        let at = |per_cent: usize| list.get((list.len() * per_cent).div_ceil(100).max(1) - 1).copied();
        let wanted = at(50).and_then(|half| Some([half, at(95)?]));
        assert_eq!(
            Ranked::new(errors.into_iter()).quantiles(&weights),
            wanted,
            "seed {seed}"
        );
    }
}
