//! Keeps daemons running: restarts what ends, more slowly each time it ends early.
//!
//! [`Supervisor`] is a state machine over a [`Launcher`] and the time it is given, so that it
//! is tested without processes.

use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitStatus};
use serde::{Deserialize, Serialize};

/// The first pause before a restart.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A daemon that ran this long counts as healthy: its next pause is the first again.
const HEALTHY: Duration = Duration::from_secs(10);

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The name in logs, unique among the services.
    pub name: String,
    /// The daemon (an applet's name) and its arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

/// Starts processes.
pub trait Launcher {
    /// Starts one and returns at once.
    ///
    /// # Errors
    /// As the system has it.
    fn launch(&mut self, spec: &Spec) -> std::io::Result<Pid>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running { pid: Pid, since: Instant },
    Waiting { until: Instant },
}

#[derive(Debug)]
struct Service {
    spec: Spec,
    state: State,
    pause: Duration,
    restarts: u32,
}

/// A service as `xm` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its name.
    pub name: String,
    /// Its process, when it runs.
    pub pid: Option<i32>,
    /// How long it has been running, in seconds.
    pub seconds: u64,
    /// How often it was started again.
    pub restarts: u32,
}

/// The services, in the order in which they were started.
#[derive(Debug)]
pub struct Supervisor<L> {
    launcher: L,
    services: Vec<Service>,
}

impl<L: Launcher> Supervisor<L> {
    /// No services yet.
    pub fn new(launcher: L) -> Self {
        Self { launcher, services: Vec::new() }
    }

    /// Starts a service and keeps it running. Starting a name twice changes nothing.
    pub fn start(&mut self, spec: Spec, now: Instant) {
        if self.services.iter().any(|s| s.spec.name == spec.name) {
            return;
        }
        let state = State::Waiting { until: now };
        self.services.push(Service { spec, state, pause: FIRST_PAUSE, restarts: 0 });
        self.restart_due(now);
    }

    /// A process ended: if it was a service, plans its restart.
    pub fn exited(&mut self, pid: Pid, how: &str, now: Instant) {
        let found = self.services.iter_mut().find_map(|service| match service.state {
            State::Running { pid: p, since } if p == pid => Some((service, since)),
            _ => None,
        });
        let Some((service, since)) = found else { return };
        if now.saturating_duration_since(since) >= HEALTHY {
            service.pause = FIRST_PAUSE;
        }
        log::warn!("{} {how}; starting it again in {:?}", service.spec.name, service.pause);
        service.wait(now);
    }

    /// Starts every service whose pause is over.
    pub fn restart_due(&mut self, now: Instant) {
        for service in &mut self.services {
            let State::Waiting { until } = service.state else { continue };
            if until > now {
                continue;
            }
            match self.launcher.launch(&service.spec) {
                Ok(pid) => service.state = State::Running { pid, since: now },
                Err(error) => {
                    log::error!("can't start {}: {error}", service.spec.name);
                    service.wait(now);
                }
            }
        }
    }

    /// When the next pause is over.
    pub fn next_restart(&self) -> Option<Instant> {
        self.services
            .iter()
            .filter_map(|service| match service.state {
                State::Waiting { until } => Some(until),
                State::Running { .. } => None,
            })
            .min()
    }

    /// Forgets all services and returns the running ones, the latest started first.
    pub fn give_up(&mut self) -> Vec<(String, Pid)> {
        self.services
            .drain(..)
            .rev()
            .filter_map(|service| match service.state {
                State::Running { pid, .. } => Some((service.spec.name, pid)),
                State::Waiting { .. } => None,
            })
            .collect()
    }

    /// Every service's state.
    pub fn states(&self, now: Instant) -> Vec<ServiceState> {
        self.services
            .iter()
            .map(|service| {
                let (pid, seconds) = match service.state {
                    State::Running { pid, since } => (
                        Some(pid.as_raw_nonzero().get()),
                        now.saturating_duration_since(since).as_secs(),
                    ),
                    State::Waiting { .. } => (None, 0),
                };
                let name = service.spec.name.clone();
                ServiceState { name, pid, seconds, restarts: service.restarts }
            })
            .collect()
    }
}

impl Service {
    fn wait(&mut self, now: Instant) {
        self.state = State::Waiting { until: now + self.pause };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.restarts = self.restarts.saturating_add(1);
    }
}

/// A wait status in words.
pub fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (_, Some(signal)) => format!("was ended by signal {signal}"),
        _ => "changed its state".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fake {
        launched: Vec<String>,
        refuse: bool,
    }

    impl Launcher for Fake {
        fn launch(&mut self, spec: &Spec) -> std::io::Result<Pid> {
            if self.refuse {
                return Err(std::io::Error::from_raw_os_error(12));
            }
            self.launched.push(spec.name.clone());
            Ok(Pid::from_raw(100 + i32::try_from(self.launched.len()).unwrap()).unwrap())
        }
    }

    fn spec(name: &str) -> Spec {
        Spec { name: name.into(), arguments: vec![], environment: vec![] }
    }

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    #[test]
    fn an_early_end_doubles_the_pause() {
        let start = Instant::now();
        let mut supervisor = Supervisor::new(Fake::default());
        supervisor.start(spec("a"), start);
        supervisor.start(spec("a"), start);
        assert_eq!(supervisor.launcher.launched, ["a"]);

        supervisor.exited(pid(101), "ended", start);
        assert_eq!(supervisor.next_restart(), Some(start + FIRST_PAUSE));
        supervisor.restart_due(start);
        assert_eq!(supervisor.launcher.launched.len(), 1, "the pause isn't over");

        let second = start + FIRST_PAUSE;
        supervisor.restart_due(second);
        supervisor.exited(pid(102), "ended", second);
        assert_eq!(supervisor.next_restart(), Some(second + FIRST_PAUSE * 2));
    }

    #[test]
    fn a_healthy_run_resets_the_pause_and_pauses_are_bounded() {
        let mut now = Instant::now();
        let mut supervisor = Supervisor::new(Fake::default());
        supervisor.start(spec("a"), now);
        for round in 0..12 {
            supervisor.exited(pid(101 + round), "ended", now);
            now = supervisor.next_restart().unwrap();
            supervisor.restart_due(now);
        }
        let last = supervisor.launcher.launched.len();
        supervisor.exited(pid(100 + i32::try_from(last).unwrap()), "ended", now);
        assert_eq!(supervisor.next_restart(), Some(now + LONGEST_PAUSE));

        now += LONGEST_PAUSE;
        supervisor.restart_due(now);
        now += HEALTHY;
        supervisor.exited(pid(101 + i32::try_from(last).unwrap()), "ended", now);
        assert_eq!(supervisor.next_restart(), Some(now + FIRST_PAUSE));
    }

    #[test]
    fn a_failed_launch_is_tried_again() {
        let now = Instant::now();
        let mut supervisor = Supervisor::new(Fake { refuse: true, ..Fake::default() });
        supervisor.start(spec("a"), now);
        supervisor.launcher.refuse = false;
        supervisor.restart_due(now + FIRST_PAUSE);
        assert_eq!(supervisor.launcher.launched, ["a"]);
        assert_eq!(supervisor.states(now + FIRST_PAUSE)[0].restarts, 1);
    }

    #[test]
    fn strangers_are_only_reaped_and_giving_up_reverses() {
        let now = Instant::now();
        let mut supervisor = Supervisor::new(Fake::default());
        supervisor.start(spec("a"), now);
        supervisor.start(spec("b"), now);
        supervisor.exited(pid(999), "ended", now);
        assert_eq!(supervisor.next_restart(), None);
        let names: Vec<String> = supervisor.give_up().into_iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(supervisor.next_restart(), None);
    }
}
