//! A list of steps, run in order, each with its duration; the first failure ends the run.

use std::time::{Duration, Instant};

use anyhow::Result;

/// One step of a run.
pub struct Step<'a> {
    /// Its name in the summary.
    pub name: &'static str,
    /// What it does: whether it passed, or why it could not run.
    pub action: Box<dyn FnOnce() -> Result<bool> + 'a>,
}

impl<'a> Step<'a> {
    /// Names an action.
    pub fn new(name: &'static str, action: impl FnOnce() -> Result<bool> + 'a) -> Self {
        Self {
            name,
            action: Box::new(action),
        }
    }
}

/// What a run came to.
pub struct Outcome {
    /// Whether all steps passed.
    pub passed: bool,
    /// One line per step and a closing line.
    pub summary: String,
}

/// Runs the steps until one fails.
pub fn run(title: &str, steps: Vec<Step<'_>>) -> Outcome {
    let begin = Instant::now();
    let count = steps.len();
    let mut lines = Vec::new();
    let mut failed = None;
    for (index, step) in steps.into_iter().enumerate() {
        if failed.is_some() {
            lines.push(format!("  {:<12} {:>9}  not run", step.name, "-"));
            continue;
        }
        println!("==> {title} {}/{count}: {}", index + 1, step.name);
        let step_begin = Instant::now();
        let passed = (step.action)().unwrap_or_else(|error| {
            eprintln!("{title} {}: {error:#}", step.name);
            false
        });
        let (duration, verdict) = (shown(step_begin.elapsed()), if passed { "ok" } else { "FAILED" });
        println!(
            "<== {title} {}/{count}: {} {verdict} in {duration}",
            index + 1,
            step.name
        );
        lines.push(format!("  {:<12} {duration:>9}  {verdict}", step.name));
        if !passed {
            failed = Some(step.name);
        }
    }
    lines.push(match failed {
        None => format!("{title}: all {count} steps passed in {}", shown(begin.elapsed())),
        Some(name) => format!("{title}: FAILED at {name} after {}", shown(begin.elapsed())),
    });
    Outcome {
        passed: failed.is_none(),
        summary: lines.join("\n"),
    }
}

fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use anyhow::bail;

    use super::*;

    #[test]
    fn all_steps_run_in_order() {
        let ran = RefCell::new(Vec::new());
        let step = |name: &'static str| {
            let ran = &ran;
            Step::new(name, move || {
                ran.borrow_mut().push(name);
                Ok(true)
            })
        };
        let outcome = run("test", vec![step("a"), step("b")]);
        assert!(outcome.passed);
        assert_eq!(*ran.borrow(), ["a", "b"]);
        assert!(outcome.summary.contains("all 2 steps passed"), "{}", outcome.summary);
    }

    #[test]
    fn the_first_failure_ends_the_run() {
        let outcome = run(
            "test",
            vec![
                Step::new("good", || Ok(true)),
                Step::new("bad", || Ok(false)),
                Step::new("late", || unreachable!("a step after a failure")),
            ],
        );
        assert!(!outcome.passed);
        assert!(outcome.summary.contains("FAILED at bad"), "{}", outcome.summary);
        assert!(
            outcome
                .summary
                .lines()
                .any(|line| line.contains("late") && line.ends_with("not run"))
        );
    }

    #[test]
    fn a_step_that_cannot_run_has_failed() {
        assert!(!run("test", vec![Step::new("broken", || bail!("no such tool"))]).passed);
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(shown(Duration::from_millis(1240)), "1.2 s");
        assert_eq!(shown(Duration::from_secs(185)), "3 min 05 s");
    }
}
