//! Whether the server is there: asked by HTTP, and seen by what it forwards.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::leg::lock;

const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Unanswered probes after which the server counts as dead.
const MAX_FAILED_PROBES: u32 = 3;
/// With nothing received for so long while something is sent, the server counts as stalled.
const MAX_SILENCE: Duration = Duration::from_secs(5);

/// Asks the server now and then.
pub(super) struct Probe {
    failure: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

impl Probe {
    pub(super) fn start(api: &Api) -> Self {
        let failure = Arc::new(Mutex::new(None));
        let task = tokio::spawn(probe(api.clone(), Arc::clone(&failure)));
        Self { failure, task }
    }

    /// Why the server counts as dead.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn probe(api: Api, failure: Arc<Mutex<Option<String>>>) {
    let mut failed = 0;
    loop {
        tokio::time::sleep(PROBE_INTERVAL).await;
        let asked = api.request(Method::GET, "/livez", None);
        let why = match tokio::time::timeout(PROBE_TIMEOUT, asked).await {
            // Servers that are not ours may not know the question, and are there.
            Ok(Ok((status, _))) if status.is_success() || status == StatusCode::NOT_FOUND => {
                failed = 0;
                continue;
            }
            Ok(Ok((status, body))) => format!("GET /livez: {status}: {body}"),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("GET /livez: no answer within {PROBE_TIMEOUT:?}"),
        };
        failed += 1;
        if failed == MAX_FAILED_PROBES {
            *lock(&failure) = Some(why);
            return;
        }
    }
}

/// Notices where nothing comes any more.
pub(super) struct Flowing {
    received: u64,
    sent: u64,
    since: Instant,
}

impl Flowing {
    pub(super) fn new() -> Self {
        Self {
            received: 0,
            sent: 0,
            since: Instant::now(),
        }
    }

    /// Why the server counts as stalled, given what was sent and received so far.
    pub(super) fn check(&mut self, sent: u64, received: u64) -> Option<String> {
        if received > self.received || sent == self.sent {
            *self = Self {
                received,
                sent,
                since: Instant::now(),
            };
            return None;
        }
        let silence = self.since.elapsed();
        (silence > MAX_SILENCE).then(|| {
            format!(
                "no packet came for {} s, while {} were sent",
                silence.as_secs(),
                sent - self.sent
            )
        })
    }
}
