//! `/v1/events`: the event log, live, as a WebSocket or as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{
        FromRequestParts, Query, Request, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{
        HeaderMap,
        header::{ACCEPT, UPGRADE},
    },
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::Shared;
use crate::{
    api::ErrorBody,
    error::{ApiError, ErrorCode},
    events::{Event, MAX_LISTENERS, unix_ms},
    service::Service,
};

/// Events taken out of the log at a time.
const BATCH: usize = 256;

/// A listener that takes nothing for this long is dropped.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
pub(super) struct Since {
    since: Option<String>,
}

/// Events from a number on (default: from now on), as a WebSocket, or as server-sent events with
/// `Accept: text/event-stream`. `events.lost` stands for numbers that are not kept any more.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(("since" = Option<u64>, Query, description = "Number of the last event known")),
    responses(
        (status = 101, description = "one event per text message", body = Event),
        (status = 200, description = "one event per `data`, its number as `id`", body = Event,
            content_type = "text/event-stream"),
        (status = "default", body = ErrorBody)
    )
)]
pub(super) async fn listen(State(service): Shared, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers();
    let is_sse = accepts_sse(headers);
    let query = Query::<Since>::try_from_uri(request.uri());
    let query = query.map_err(|error| ApiError::bad_field("since", error.body_text()))?;
    let since = since(&query.0, headers)?;
    let permit = Arc::clone(&service.listeners).try_acquire_owned();
    let permit = permit.map_err(|_| {
        let message = format!("there are {MAX_LISTENERS} listeners, and no more may be");
        ApiError::new(ErrorCode::OverCapacity, message)
    })?;
    let reader = Reader::new(service, since, permit);
    if is_sse {
        return Ok(as_sse(reader));
    }
    if !headers.contains_key(UPGRADE) {
        return Err(ApiError::new(
            ErrorCode::BadRequest,
            "open a WebSocket, or send Accept: text/event-stream",
        ));
    }
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await;
    let upgrade =
        upgrade.map_err(|error| ApiError::new(ErrorCode::BadRequest, error.body_text()))?;
    Ok(upgrade.on_upgrade(move |socket| by_websocket(socket, reader)))
}

fn accepts_sse(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|it| it.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// The query's number, or the one a browser's `EventSource` comes back with.
fn since(query: &Since, headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let header = headers.get("last-event-id").and_then(|it| it.to_str().ok());
    let Some(text) = query.since.as_deref().or(header) else {
        return Ok(None);
    };
    let number = text.parse();
    number
        .map(Some)
        .map_err(|_| ApiError::bad_field("since", format!("{text:?} is no event number")))
}

/// Reads on in the log.
struct Reader {
    service: Arc<Service>,
    since: u64,
    news: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    fn new(service: Arc<Service>, since: Option<u64>, permit: OwnedSemaphorePermit) -> Self {
        Self {
            news: service.events.watch(),
            since: since.unwrap_or_else(|| service.events.latest()),
            service,
            _permit: permit,
        }
    }

    /// The next events, waiting for them.
    async fn next(&mut self) -> Vec<Event> {
        loop {
            self.news.borrow_and_update();
            let batch = self.service.events.after(self.since, BATCH);
            self.since = batch.next_since;
            let lost = batch.lost.map(|(from, to)| Event {
                seq: to,
                time: unix_ms(),
                ..Event::new("events.lost").with_data(json!({ "from": from, "to": to }))
            });
            let events: Vec<Event> = lost.into_iter().chain(batch.events).collect();
            if !events.is_empty() {
                return events;
            }
            if self.news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

fn as_sse(reader: Reader) -> Response {
    let events = stream::unfold(reader, |mut reader| async {
        let events = reader.next().await;
        Some((stream::iter(events), reader))
    });
    let events = events.flatten().map(|event| {
        let shown = SseEvent::default().id(event.seq.to_string());
        Ok::<_, Infallible>(shown.data(text(&event)))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

async fn by_websocket(mut socket: WebSocket, mut reader: Reader) {
    loop {
        tokio::select! {
            events = reader.next() => {
                for event in events {
                    let message = Message::Text(text(&event).into());
                    let sent = tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        return;
                    }
                }
            }
            // Pings are answered inside; anything else a listener says means nothing.
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

fn text(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default()
}
