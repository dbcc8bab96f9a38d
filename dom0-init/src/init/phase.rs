//! Runs named phases one after the other, timing and reporting each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// One named step of the boot.
pub struct Phase<C> {
    /// What it is called in the log.
    pub name: &'static str,
    /// Does it; the text that it returns goes to the log.
    pub run: fn(&mut C) -> anyhow::Result<String>,
}

/// How a phase went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The phase's name.
    pub name: &'static str,
    /// How long it took.
    pub elapsed: Duration,
    /// What it did, or why it failed.
    pub result: Result<String, String>,
}

/// Runs all phases in order; a failed one doesn't keep the next from running.
pub fn run_all<C>(phases: &[Phase<C>], context: &mut C) -> Vec<Outcome> {
    let begin = Instant::now();
    let outcomes: Vec<Outcome> = phases.iter().map(|phase| run_one(phase, context)).collect();
    let failed = outcomes.iter().filter(|o| o.result.is_err()).count();
    let elapsed = milliseconds(begin.elapsed());
    match failed {
        0 => log::info!("up after {} phases in {elapsed}", outcomes.len()),
        n => log::error!("up in {elapsed}; {n} of {} phases failed", outcomes.len()),
    }
    outcomes
}

fn run_one<C>(phase: &Phase<C>, context: &mut C) -> Outcome {
    let begin = Instant::now();
    let result = match catch_unwind(AssertUnwindSafe(|| (phase.run)(context))) {
        Ok(Ok(summary)) => Ok(summary),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err("internal error; the log has the details (`xm log`)".to_owned()),
    };
    let outcome = Outcome { name: phase.name, elapsed: begin.elapsed(), result };
    log_outcome(&outcome);
    outcome
}

fn log_outcome(outcome: &Outcome) {
    let Outcome { name, elapsed, result } = outcome;
    let elapsed = milliseconds(*elapsed);
    match result {
        Ok(summary) => log::info!("phase {name}: {summary} ({elapsed})"),
        Err(reason) => log::error!("phase {name} FAILED after {elapsed}: {reason}"),
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_phase_does_not_stop_the_next() {
        let phases: &[Phase<Vec<u8>>] = &[
            Phase {
                name: "first",
                run: |seen| {
                    seen.push(1);
                    Ok("one".into())
                },
            },
            Phase { name: "second", run: |_| anyhow::bail!("no disk") },
            Phase { name: "third", run: |_| panic!("a fault of ours") },
            Phase {
                name: "fourth",
                run: |seen| {
                    seen.push(4);
                    Ok(String::new())
                },
            },
        ];
        let mut seen = Vec::new();
        let outcomes = run_all(phases, &mut seen);
        assert_eq!(seen, [1, 4]);
        assert_eq!(outcomes[0].result, Ok("one".into()));
        assert_eq!(outcomes[1].result, Err("no disk".into()));
        assert!(outcomes[2].result.as_ref().unwrap_err().contains("internal error"));
        assert_eq!(outcomes.last().map(|o| o.name), Some("fourth"));
    }
}
