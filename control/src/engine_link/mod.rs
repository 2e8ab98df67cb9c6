//! The line to the engine: requests with their answers, events, DTLS datagrams.
//!
//! Everything that comes from the engine is handled by one task, in the order it was sent: what is
//! to be done with an answer runs there, before the next event is looked at. So an object is in
//! the model before the first event about it, also where the caller has gone away meanwhile.

mod connection;
mod launch;

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Timeout, timeout},
};
use uuid::Uuid;
use weirgate_wire::{Answer, Refusal, Request, ToEngine};

pub use connection::{ConnectError, Connection, Snapshot};
pub use launch::{EngineCommand, LaunchError, prepare_folder, run_engine_in_own_session};

use crate::error::{ApiError, ErrorCode};

/// Requests that may wait for their answers at a time.
const MAX_PENDING: usize = 16_384;

/// An engine that answers nothing for this long is as good as away.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Argument that makes this program the engine's launcher.
pub const LAUNCHER_ARGUMENT: &str = "--run-engine-in-own-session";

/// Resolves when `commit` has run.
type Waiting<T> = Timeout<oneshot::Receiver<Result<T, ApiError>>>;

/// A request on its way; dropping it changes nothing but that nobody hears of the answer.
#[must_use = "the engine's refusal would go unnoticed"]
pub enum Pending<T> {
    /// The engine has it.
    Waiting(Pin<Box<Waiting<T>>>),
    /// It was not sent; for this reason.
    NotSent(Option<ApiError>),
}

impl<T> Future for Pending<T> {
    type Output = Result<T, ApiError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Waiting(waiting) => waiting.as_mut().poll(cx).map(|result| match result {
                Ok(Ok(result)) => result,
                // The link was lost, or nothing came for too long.
                Ok(Err(_)) | Err(_) => Err(ApiError::engine_unavailable()),
            }),
            Self::NotSent(error) => {
                let error = error.take().unwrap_or_else(ApiError::engine_unavailable);
                Poll::Ready(Err(error))
            }
        }
    }
}

type OnAnswer = Box<dyn FnOnce(Result<Answer, Refusal>) + Send>;

/// Sends to the engine while there is a connection. Cheap to clone.
#[derive(Clone, Default)]
pub struct EngineLink {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    next_id: u64,
    sender: Option<mpsc::UnboundedSender<ToEngine>>,
    pending: HashMap<u64, OnAnswer>,
}

impl EngineLink {
    /// Sends `body` at once and in order. `commit` makes something of the answer, in the order of
    /// the engine's messages and even where the returned future is dropped; it is not called where
    /// the engine refuses or goes away.
    ///
    /// Callers may hold the state's lock; `commit` may take it.
    pub fn request<T, F>(&self, body: Request, commit: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(Answer) -> Result<T, ApiError> + Send + 'static,
    {
        let (done, waiting) = oneshot::channel();
        let started = self.start(
            body,
            Box::new(move |answer| {
                let result = answer.map_err(ApiError::from).and_then(commit);
                // The caller may be gone.
                let _ = done.send(result);
            }),
        );
        match started {
            Ok(()) => Pending::Waiting(Box::pin(timeout(ANSWER_TIMEOUT, waiting))),
            Err(error) => Pending::NotSent(Some(error)),
        }
    }

    /// Sends `body` and only logs where it is refused.
    pub fn notify(&self, body: Request) {
        let started = self.start(
            body,
            Box::new(|answer| {
                if let Err(refusal) = answer {
                    tracing::warn!(%refusal, "the engine refused a request");
                }
            }),
        );
        if let Err(error) = started {
            tracing::debug!(%error, "a request for the engine was dropped");
        }
    }

    /// Sends DTLS records to a transport's peer, one datagram each.
    pub fn send_dtls(&self, transport: Uuid, datagrams: Vec<Vec<u8>>) {
        let shared = self.lock();
        if let Some(sender) = &shared.sender {
            // Without a connection the peer sends its flight again.
            let _ = sender.send(ToEngine::SendDtls {
                transport,
                datagrams,
            });
        }
    }

    /// True while there is a connection.
    pub fn is_connected(&self) -> bool {
        self.lock().sender.is_some()
    }

    fn start(&self, body: Request, on_answer: OnAnswer) -> Result<(), ApiError> {
        let mut shared = self.lock();
        if shared.pending.len() >= MAX_PENDING {
            return Err(ApiError::new(
                ErrorCode::OverCapacity,
                "too many requests wait for the engine",
            ));
        }
        let id = shared.next_id;
        let sent = match &shared.sender {
            Some(sender) => sender.send(ToEngine::Request { id, body }).is_ok(),
            None => false,
        };
        if !sent {
            return Err(ApiError::engine_unavailable());
        }
        shared.next_id += 1;
        shared.pending.insert(id, on_answer);
        Ok(())
    }

    fn attach(&self, sender: mpsc::UnboundedSender<ToEngine>) {
        self.lock().sender = Some(sender);
    }

    /// Every waiting request ends as `engine_unavailable`.
    fn detach(&self) {
        let pending = {
            let mut shared = self.lock();
            shared.sender = None;
            std::mem::take(&mut shared.pending)
        };
        // Outside of the lock: a dropped closure may hold anything.
        drop(pending);
    }

    fn answer(&self, id: u64, body: Result<Answer, Refusal>) {
        let on_answer = self.lock().pending.remove(&id);
        match on_answer {
            Some(on_answer) => on_answer(body),
            None => tracing::warn!(id, "the engine answered a request that nobody waits for"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer of another kind than the request has.
pub fn unexpected_answer(answer: &Answer) -> ApiError {
    tracing::error!(?answer, "the engine answered something else than asked");
    ApiError::new(
        ErrorCode::EngineUnavailable,
        "the engine answered something else than asked",
    )
}
