//! What a backend does next, by the states of both ends (`io/xenbus.h`).

use xenctl::xen_abi::io::xenbus::XenbusState;

/// What stands in the store about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// The backend's state; `None` when its folder is gone.
    pub backend: Option<XenbusState>,
    /// The frontend's.
    pub frontend: Option<XenbusState>,
    /// Whether the guest is to keep the device.
    pub online: bool,
    /// Whether rings are served.
    pub connected: bool,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Wait for something to change.
    Wait,
    /// Tell the guest what the device can do.
    Announce,
    /// Serve the guest's new rings.
    Connect,
    /// Serve rings that an earlier daemon served.
    Resume,
    /// Tell the guest that its wish to stop is known; serve on.
    Closing,
    /// Stop serving.
    Close,
    /// The device is gone.
    Leave,
}

/// Decides that.
pub fn next(situation: Situation) -> Step {
    type State = XenbusState;
    let Situation { backend, frontend, online, connected } = situation;
    let Some(backend) = backend else { return Step::Leave };
    let is_closed = backend == State::CLOSED;
    match frontend.unwrap_or(State::CLOSED) {
        _ if backend == State::INITIALISING => Step::Announce,
        State::INITIALISED | State::CONNECTED => match backend {
            _ if connected => Step::Wait,
            State::CONNECTED => Step::Resume,
            State::INIT_WAIT | State::INITIALISED => Step::Connect,
            _ => Step::Wait,
        },
        State::CLOSING if matches!(backend, State::CLOSING | State::CLOSED) => Step::Wait,
        State::CLOSING => Step::Closing,
        State::INITIALISING if is_closed && online && !connected => Step::Announce,
        // It began anew without having said that it ended.
        State::INITIALISING if connected || backend == State::CONNECTED => Step::Close,
        State::INITIALISING if !online && !is_closed => Step::Close,
        State::CLOSED | State::UNKNOWN if connected || !is_closed => Step::Close,
        _ => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type State = XenbusState;

    fn step(backend: State, frontend: State, online: bool, connected: bool) -> Step {
        let (backend, frontend) = (Some(backend), Some(frontend));
        next(Situation { backend, frontend, online, connected })
    }

    #[test]
    fn a_life() {
        assert_eq!(step(State::INITIALISING, State::INITIALISING, true, false), Step::Announce);
        assert_eq!(step(State::INIT_WAIT, State::INITIALISING, true, false), Step::Wait);
        assert_eq!(step(State::INIT_WAIT, State::INITIALISED, true, false), Step::Connect);
        assert_eq!(step(State::CONNECTED, State::INITIALISED, true, true), Step::Wait);
        assert_eq!(step(State::CONNECTED, State::CONNECTED, true, true), Step::Wait);
        assert_eq!(step(State::CONNECTED, State::CLOSING, true, true), Step::Closing);
        assert_eq!(step(State::CLOSING, State::CLOSING, true, true), Step::Wait);
        assert_eq!(step(State::CLOSING, State::CLOSED, true, true), Step::Close);
        assert_eq!(step(State::CLOSED, State::CLOSED, true, false), Step::Wait);
        // The guest's next kernel.
        assert_eq!(step(State::CLOSED, State::INITIALISING, true, false), Step::Announce);
        let gone = Situation { backend: None, frontend: None, online: false, connected: true };
        assert_eq!(next(gone), Step::Leave);
    }

    #[test]
    fn a_daemon_that_starts_again() {
        assert_eq!(step(State::CONNECTED, State::CONNECTED, true, false), Step::Resume);
        assert_eq!(step(State::CONNECTED, State::INITIALISED, true, false), Step::Resume);
        assert_eq!(step(State::CONNECTED, State::CLOSING, true, false), Step::Closing);
        assert_eq!(step(State::CONNECTED, State::CLOSED, true, false), Step::Close);
        assert_eq!(step(State::CONNECTED, State::INITIALISING, true, false), Step::Close);
    }

    #[test]
    fn a_device_that_is_taken_away() {
        // The toolstack makes it closing; a guest that never used it need not agree.
        assert_eq!(step(State::CLOSING, State::CONNECTED, false, true), Step::Wait);
        assert_eq!(step(State::CLOSING, State::INITIALISING, false, false), Step::Close);
        assert_eq!(step(State::CLOSED, State::INITIALISING, false, false), Step::Wait);
        assert_eq!(step(State::CLOSING, State::INITIALISED, false, false), Step::Wait);
    }

    /// Whatever the guest writes, there is always an end to what is done about it at once.
    #[test]
    fn no_situation_keeps_it_busy() {
        let states = (0..=8).map(|state| Some(XenbusState(state))).chain([None]);
        for backend in states.clone().flatten() {
            for frontend in states.clone() {
                for flags in 0..4 {
                    let mut now = Situation {
                        backend: Some(backend),
                        frontend,
                        online: flags & 1 != 0,
                        connected: flags & 2 != 0,
                    };
                    let mut steps = 0;
                    loop {
                        let (state, connected) = match next(now) {
                            Step::Wait | Step::Leave => break,
                            Step::Announce => (State::INIT_WAIT, false),
                            Step::Connect | Step::Resume => (State::CONNECTED, true),
                            Step::Closing => (State::CLOSING, now.connected),
                            Step::Close => (State::CLOSED, false),
                        };
                        (now.backend, now.connected) = (Some(state), connected);
                        steps += 1;
                        assert!(steps < 8, "{now:?}");
                    }
                }
            }
        }
    }
}
