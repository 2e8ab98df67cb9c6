//! ICE-lite of one transport (RFC 8445 section 2.5): which paths passed a check, which of them
//! media takes, and whether consent is fresh (RFC 7675).

use std::time::Duration;

use weirgate_wire::IceState;

use crate::{Path, ShardNo, Timestamp, WebRtcCredentials};

/// How long a path's last USE-CANDIDATE keeps it selected against a nomination of lower priority.
const NOMINATION_FRESH: Duration = Duration::from_secs(3);

/// What a valid check said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check {
    pub(crate) path: Path,
    pub(crate) priority: u32,
    pub(crate) use_candidate: bool,
    /// Renomination's counter (draft-thatcher-ice-renomination), if any.
    pub(crate) nomination: Option<u32>,
    /// Shard whose socket it came by, where that is not the owner.
    pub(crate) landed_on: Option<ShardNo>,
}

/// What a valid check changed.
#[derive(Debug, Default)]
pub(crate) struct CheckOutcome {
    /// The path was not known before, or lands on another shard than before.
    pub(crate) new_landing: bool,
    /// The path that had to go for the new one.
    pub(crate) evicted: Option<CheckedPath>,
    /// State or selected path changed.
    pub(crate) changed: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckedPath {
    pub(crate) path: Path,
    pub(crate) landed_on: Option<ShardNo>,
    priority: u32,
    /// When the path was last named by USE-CANDIDATE, if its last check did so.
    nominated_at: Option<Timestamp>,
    last_check: Timestamp,
}

#[derive(Debug)]
pub(crate) struct IceAgent {
    current: WebRtcCredentials,
    /// Credentials of a restart, until the first check with them.
    next: Option<WebRtcCredentials>,
    state: IceState,
    paths: Vec<CheckedPath>,
    max_paths: usize,
    selected: Option<Path>,
    highest_nomination: Option<u32>,
    nominated: bool,
    last_check: Timestamp,
    consent_timeout: Option<Duration>,
}

impl IceAgent {
    pub(crate) fn new(
        credentials: WebRtcCredentials,
        consent_timeout_s: u32,
        max_paths: usize,
        now: Timestamp,
    ) -> Self {
        Self {
            current: credentials,
            next: None,
            state: IceState::New,
            paths: Vec::with_capacity(max_paths),
            max_paths,
            selected: None,
            highest_nomination: None,
            nominated: false,
            last_check: now,
            consent_timeout: (consent_timeout_s > 0)
                .then(|| Duration::from_secs(u64::from(consent_timeout_s))),
        }
    }

    pub(crate) const fn state(&self) -> IceState {
        self.state
    }

    pub(crate) const fn selected(&self) -> Option<Path> {
        self.selected
    }

    pub(crate) fn paths(&self) -> &[CheckedPath] {
        &self.paths
    }

    /// User name fragments that checks may carry now.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current)
            .chain(&self.next)
            .map(|credentials| credentials.ufrag.as_str())
    }

    /// The password that goes with a user name fragment.
    pub(crate) fn password(&self, ufrag: &str) -> Option<&str> {
        std::iter::once(&self.current)
            .chain(&self.next)
            .find(|credentials| credentials.ufrag == ufrag)
            .map(|credentials| credentials.pwd.as_str())
    }

    /// New credentials; returns the fragment of an earlier restart that no check ever used.
    pub(crate) fn restart(&mut self, credentials: WebRtcCredentials) -> Option<String> {
        self.next.replace(credentials).map(|unused| unused.ufrag)
    }

    /// A check with this fragment passed: if it is that of a restart, the old credentials are
    /// done with; returns the old fragment then.
    pub(crate) fn adopt(&mut self, ufrag: &str) -> Option<String> {
        let next = self.next.take_if(|next| next.ufrag == ufrag)?;
        self.highest_nomination = None;
        for path in &mut self.paths {
            path.nominated_at = None;
        }
        Some(std::mem::replace(&mut self.current, next).ufrag)
    }

    /// Takes note of a valid check.
    pub(crate) fn check(&mut self, now: Timestamp, check: &Check) -> CheckOutcome {
        let before = (self.state, self.selected);
        self.last_check = now;
        let mut outcome = self.remember(now, check);
        let nominates = check.use_candidate || check.nomination.is_some();
        if nominates && self.may_select(now, check) {
            self.selected = Some(check.path);
            self.nominated = true;
        } else if self.selected.is_none() {
            // Before a nomination media may take any checked path (RFC 8445 section 12.1.1).
            self.selected = Some(check.path);
        }
        if let Some(nomination) = check.nomination {
            self.highest_nomination = Some(
                self.highest_nomination
                    .map_or(nomination, |highest| highest.max(nomination)),
            );
        }
        self.state = if self.nominated {
            IceState::Completed
        } else {
            IceState::Connected
        };
        outcome.changed = before != (self.state, self.selected);
        outcome
    }

    /// When consent runs out unless a check comes.
    pub(crate) fn consent_deadline(&self) -> Timestamp {
        match (self.state, self.consent_timeout) {
            (IceState::Connected | IceState::Completed, Some(timeout)) => self.last_check + timeout,
            _ => Timestamp::NEVER,
        }
    }

    /// True where consent ran out just now: sending has to stop.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        if self.consent_deadline() > now {
            return false;
        }
        self.state = IceState::Disconnected;
        true
    }

    /// Regular nomination names one path, aggressive nomination every path: there the highest
    /// priority stays (RFC 8445 appendix B.5 has the history). Renomination's highest counter
    /// wins always.
    fn may_select(&self, now: Timestamp, check: &Check) -> bool {
        if let Some(nomination) = check.nomination {
            return self
                .highest_nomination
                .is_none_or(|highest| nomination >= highest);
        }
        if !self.nominated || self.state == IceState::Disconnected {
            return true;
        }
        let selected = self.selected.and_then(|path| self.find(&path));
        selected.is_none_or(|selected| {
            selected.path == check.path
                || check.priority >= selected.priority
                || selected
                    .nominated_at
                    .is_none_or(|at| now.since(at) > NOMINATION_FRESH)
        })
    }

    fn find(&self, path: &Path) -> Option<&CheckedPath> {
        self.paths.iter().find(|checked| checked.path == *path)
    }

    fn remember(&mut self, now: Timestamp, check: &Check) -> CheckOutcome {
        let entry = CheckedPath {
            path: check.path,
            landed_on: check.landed_on,
            priority: check.priority,
            nominated_at: (check.use_candidate || check.nomination.is_some()).then_some(now),
            last_check: now,
        };
        if let Some(known) = self.paths.iter_mut().find(|known| known.path == check.path) {
            // One that comes straight to its owner, steered there, is still known where it landed
            // before, which has to be told when it goes.
            let new_landing = check.landed_on.is_some() && known.landed_on != check.landed_on;
            *known = CheckedPath {
                landed_on: check.landed_on.or(known.landed_on),
                ..entry
            };
            return CheckOutcome {
                new_landing,
                ..CheckOutcome::default()
            };
        }
        let mut evicted = None;
        if self.paths.len() == self.max_paths {
            let oldest = (0..self.paths.len())
                .filter(|&index| Some(self.paths[index].path) != self.selected)
                .min_by_key(|&index| self.paths[index].last_check);
            evicted = oldest.map(|index| self.paths.swap_remove(index));
        }
        self.paths.push(entry);
        CheckOutcome {
            new_landing: true,
            evicted,
            changed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SocketId;
    use std::net::SocketAddr;

    fn path(port: u16) -> Path {
        Path {
            socket: SocketId(0),
            local: None,
            remote: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + ms * 1000)
    }

    fn credentials(ufrag: &str) -> WebRtcCredentials {
        WebRtcCredentials {
            ufrag: ufrag.to_owned(),
            pwd: format!("{ufrag}-password"),
        }
    }

    fn agent() -> IceAgent {
        IceAgent::new(credentials("00a"), 30, 3, at(0))
    }

    fn check(port: u16, priority: u32, use_candidate: bool, nomination: Option<u32>) -> Check {
        Check {
            path: path(port),
            priority,
            use_candidate,
            nomination,
            landed_on: None,
        }
    }

    #[test]
    fn regular_nomination_moves_from_connected_to_completed() {
        let mut agent = agent();
        assert!(agent.check(at(0), &check(1, 10, false, None)).changed);
        assert_eq!(
            (agent.state(), agent.selected()),
            (IceState::Connected, Some(path(1)))
        );
        agent.check(at(1), &check(2, 5, false, None));
        assert_eq!(agent.selected(), Some(path(1)));
        agent.check(at(2), &check(2, 5, true, None));
        assert_eq!(
            (agent.state(), agent.selected()),
            (IceState::Completed, Some(path(2)))
        );
    }

    #[test]
    fn aggressive_nomination_keeps_the_highest_priority() {
        let mut agent = agent();
        for (ms, port, priority) in [(0, 1, 10), (1, 2, 30), (2, 3, 20), (3, 1, 10)] {
            agent.check(at(ms), &check(port, priority, true, None));
        }
        assert_eq!(agent.selected(), Some(path(2)));
        // The peer gave that path up: it goes on nominating another one.
        agent.check(at(5000), &check(1, 10, true, None));
        assert_eq!(agent.selected(), Some(path(1)));
    }

    #[test]
    fn renomination_follows_the_highest_counter() {
        let mut agent = agent();
        agent.check(at(0), &check(1, 30, true, Some(1)));
        agent.check(at(1), &check(2, 10, true, Some(2)));
        assert_eq!(agent.selected(), Some(path(2)));
        agent.check(at(2), &check(1, 30, true, Some(1)));
        assert_eq!(agent.selected(), Some(path(2)));
    }

    #[test]
    fn old_credentials_stay_good_until_the_new_ones_are_used() {
        let mut agent = agent();
        agent.restart(credentials("00b"));
        assert!(agent.password("00a").is_some() && agent.password("00b").is_some());
        assert_eq!(agent.adopt("00a"), None);
        assert_eq!(agent.adopt("00b"), Some("00a".to_owned()));
        assert!(agent.password("00a").is_none());
    }

    #[test]
    fn where_a_path_landed_is_kept_when_it_is_steered_to_its_owner() {
        let mut agent = agent();
        let landed = Check {
            landed_on: Some(3),
            ..check(1, 10, true, None)
        };
        assert!(agent.check(at(0), &landed).new_landing);
        assert!(!agent.check(at(1), &check(1, 10, true, None)).new_landing);
        let known = agent.paths.iter().map(|known| known.landed_on);
        assert_eq!(known.collect::<Vec<_>>(), [Some(3)]);
    }

    #[test]
    fn consent_expires_and_comes_back_with_a_check() {
        let mut agent = agent();
        agent.check(at(0), &check(1, 10, true, None));
        assert!(!agent.expire(at(29_999)));
        assert!(agent.expire(at(30_000)));
        assert!(!agent.expire(at(30_001)));
        assert_eq!(agent.state(), IceState::Disconnected);
        agent.check(at(31_000), &check(2, 1, true, None));
        assert_eq!(
            (agent.state(), agent.selected()),
            (IceState::Completed, Some(path(2)))
        );
    }

    #[test]
    fn paths_are_bounded_and_the_selected_one_is_never_evicted() {
        let mut agent = agent();
        agent.check(at(0), &check(1, 10, true, None));
        for port in 2..20 {
            agent.check(at(u64::from(port)), &check(port, 1, false, None));
        }
        assert_eq!(agent.paths().len(), 3);
        assert_eq!(agent.selected(), Some(path(1)));
        assert!(agent.find(&path(1)).is_some());
    }
}
