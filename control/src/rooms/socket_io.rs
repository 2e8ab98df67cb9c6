//! The Socket.IO server in front of the rooms.
//!
//! Each connection has one task that handles its requests one after the other, so that they take
//! effect in the order sent. What happens meanwhile reaches the client after the acknowledgement:
//! nothing is told of an object before the client has its id.

use std::{
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Event, SocketRef, TryData},
    handler::ConnectHandler,
    layer::SocketIoLayer,
    socket::DisconnectReason,
};
use tokio::sync::{Notify, mpsc};

use super::{PeerSocket, Session, rate::RateLimit};
use crate::{
    error::{ApiError, ErrorCode},
    http::MAX_BODY_BYTES,
    service::Service,
};

/// Requests of one connection that wait for their turn.
const MAX_WAITING: usize = 2048;

/// A client that joins a large room sends two requests per producer at once.
const BURST: f64 = 3000.0;
const PER_SECOND: f64 = 200.0;

/// Messages to one client that wait to be sent; more means that it does not read.
const MAX_UNSENT: usize = 4096;

/// The layer that answers on `/socket.io`.
pub fn layer(service: &Arc<Service>) -> SocketIoLayer {
    let (layer, io) = SocketIo::builder()
        .max_payload(MAX_BODY_BYTES as u64)
        .ws_max_message_size(MAX_BODY_BYTES)
        .ws_max_frame_size(MAX_BODY_BYTES)
        .max_buffer_size(MAX_UNSENT)
        .build_layer();
    let service = Arc::clone(service);
    // In the middleware, because the client hears of the connection between it and the handler: a
    // request sent at once would find nobody to take it, and be lost without an answer.
    let listen = move |socket: SocketRef| {
        serve(Arc::clone(&service), &socket);
        ready(Ok::<(), Infallible>(()))
    };
    io.ns("/", (|| ready(())).with(listen));
    layer
}

/// A request on its way to the connection's task.
struct Waiting {
    name: String,
    payload: Value,
    ack: AckSender,
}

fn serve(service: Arc<Service>, socket: &SocketRef) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let gone = Arc::new(Notify::new());
    let told = Arc::clone(&gone);
    socket.on_disconnect(move |_: SocketRef, reason: DisconnectReason| {
        tracing::debug!(%reason, "a signaling connection ended");
        told.notify_one();
        ready(())
    });
    socket.on_fallback(
        move |Event(name): Event, TryData(payload): TryData<Value>, ack: AckSender| {
            // No payload at all is no error: some requests have none.
            let payload = payload.unwrap_or(Value::Null);
            let waiting = Waiting { name, payload, ack };
            if let Err(error) = sender.try_send(waiting) {
                let waiting = error.into_inner();
                // Where this cannot be sent either, the client has not read for long.
                let _ = waiting.ack.send(&over_capacity());
            }
            // Only the future would be run beside others: what is done here is done in order.
            ready(())
        },
    );
    let outlet = Arc::new(Outlet {
        id: socket.id.to_string(),
        socket: socket.clone(),
        held: Mutex::new(None),
    });
    tokio::spawn(work(service, outlet, receiver, gone));
}

async fn work(
    service: Arc<Service>,
    outlet: Arc<Outlet>,
    mut receiver: mpsc::Receiver<Waiting>,
    gone: Arc<Notify>,
) {
    service.counters.socket_opened();
    let mut session = Session::new(Arc::clone(&outlet) as _);
    let mut rate = RateLimit::new(BURST, PER_SECOND, Instant::now());
    loop {
        let waiting = tokio::select! {
            biased;
            () = gone.notified() => break,
            waiting = receiver.recv() => match waiting {
                Some(waiting) => waiting,
                None => break,
            },
        };
        if !rate.take(Instant::now()) {
            outlet.answer(waiting.ack, &over_capacity());
            continue;
        }
        outlet.hold();
        let result = service
            .signaling_request(&mut session, &waiting.name, waiting.payload)
            .await;
        service
            .counters
            .signaling_request(result.get("error").is_some());
        outlet.answer(waiting.ack, &result);
        outlet.release();
    }
    service.session_lost(&session);
    service.counters.socket_closed();
}

fn over_capacity() -> Value {
    let error = ApiError::new(
        ErrorCode::OverCapacity,
        "too many requests; wait and try again",
    );
    json!({ "error": error })
}

/// The way to one client.
struct Outlet {
    id: String,
    socket: SocketRef,
    /// What has to wait for the acknowledgement of the request at hand.
    held: Mutex<Option<Vec<(&'static str, Value)>>>,
}

impl Outlet {
    fn hold(&self) {
        *self.lock() = Some(Vec::new());
    }

    fn release(&self) {
        self.flush(&mut self.lock());
    }

    fn flush(&self, held: &mut Option<Vec<(&'static str, Value)>>) {
        for (event, payload) in held.take().into_iter().flatten() {
            self.emit(event, &payload);
        }
    }

    fn emit(&self, event: &str, payload: &Value) {
        if let Err(error) = self.socket.emit(event, payload) {
            tracing::debug!(%error, "a client does not take its messages; it has to resume");
            self.disconnect();
        }
    }

    /// Does nothing where no acknowledgement was asked for.
    fn answer(&self, ack: AckSender, body: &Value) {
        if let Err(error) = ack.send(body) {
            tracing::debug!(%error, "an answer could not be sent; the client has to resume");
            self.disconnect();
        }
    }

    fn disconnect(&self) {
        // One that is gone already is no error.
        let _ = self.socket.clone().disconnect();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<(&'static str, Value)>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeerSocket for Outlet {
    fn id(&self) -> &str {
        &self.id
    }

    fn send(&self, event: &'static str, payload: &Value) {
        let mut held = self.lock();
        match held.as_mut() {
            Some(held) => held.push((event, payload.clone())),
            None => self.emit(event, payload),
        }
    }

    fn close(&self) {
        self.flush(&mut self.lock());
        self.disconnect();
    }
}
