//! Serving connections: each has its time for requests, and there are only so many at a time.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
};
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

use super::{Listener, PeerAddress, app};
use crate::service::Service;

/// A connection is closed that waits so long for the whole head of a request, the first or the next one, and a request
/// is refused that waits so long for more of its body. Answers may take as long as they like, and WebSockets are none of
/// HTTP's any more.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// A connection's place among those that may be open, given back with its socket: WebSockets keep theirs.
pub(super) struct Place {
    service: Arc<Service>,
    _permit: OwnedSemaphorePermit,
}

/// Serves until `stop` becomes true, and then what is under way. Connections over `--max-connections` are closed at
/// once.
pub async fn serve(mut listener: Listener, service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let app = app(&service);
    let places = Arc::new(Semaphore::new(service.settings.max_connections));
    let (under_way, mut ended) = mpsc::channel::<Infallible>(1);
    loop {
        let (mut stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        let Some(place) = Place::take(&service, &places) else {
            service.counters.http_connection_refused();
            continue;
        };
        stream.hold(place);
        let (app, stop, under_way) = (app.clone(), stop.clone(), under_way.clone());
        tokio::spawn(async move {
            serve_one(stream, PeerAddress(peer), app, stop).await;
            drop(under_way);
        });
    }
    drop(under_way);
    // Nothing is ever sent: this is the end of the last one that could.
    let _ = ended.recv().await;
}

async fn serve_one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: PeerAddress,
    app: Router,
    mut stop: watch::Receiver<bool>,
) {
    let answer = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let timed = |body| Body::new(TimeoutBody::new(REQUEST_TIME, Box::pin(body)));
        app.clone().oneshot(request.map(timed))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        // An error is the client's, and that is gone.
        _ = connection.as_mut() => return,
        () = stopped(&mut stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error would mean that nobody is there to say so any more.
    let _ = stop.wait_for(|is_set| *is_set).await;
}

impl Place {
    fn take(service: &Arc<Service>, places: &Arc<Semaphore>) -> Option<Self> {
        let permit = Arc::clone(places).try_acquire_owned().ok()?;
        service.counters.http_connection_opened();
        Some(Self {
            service: Arc::clone(service),
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.service.counters.http_connection_closed();
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::{get, post};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::{Instant, sleep},
    };

    use super::*;

    const REQUEST: &[u8] = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
    const SLOW: Duration = Duration::from_secs(100);

    /// The client's end of a connection.
    fn connect() -> DuplexStream {
        let app = Router::new()
            .route("/slow", get(async || sleep(SLOW).await))
            .route("/", post(async |body: String| body));
        let (client, server) = duplex(4096);
        let peer = PeerAddress(SocketAddr::from(([127, 0, 0, 1], 9)));
        let (keep, stop) = watch::channel(false);
        tokio::spawn(async move {
            serve_one(server, peer, app, stop).await;
            drop(keep);
        });
        client
    }

    /// What comes until the server hangs up, and how long that takes.
    async fn rest(client: &mut DuplexStream) -> (String, Duration) {
        let began = Instant::now();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        (text, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_has_its_time() {
        let (_, waited) = rest(&mut connect()).await;
        assert_eq!(waited.as_secs(), REQUEST_TIME.as_secs());
        let (mut reader, mut writer) = tokio::io::split(connect());
        tokio::spawn(async move {
            for byte in REQUEST {
                sleep(Duration::from_secs(5)).await;
                // The server hangs up.
                let _ = writer.write_all(&[*byte]).await;
            }
        });
        let began = Instant::now();
        let _ = reader.read_to_end(&mut Vec::new()).await;
        assert_eq!(began.elapsed().as_secs(), REQUEST_TIME.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_takes_as_long_as_it_likes_and_the_next_request_does_not() {
        let mut client = connect();
        client.write_all(REQUEST).await.unwrap();
        let (answer, waited) = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(waited.as_secs(), (SLOW + REQUEST_TIME).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_refused() {
        let mut client = connect();
        let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbody";
        client.write_all(request).await.unwrap();
        let (answer, waited) = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_eq!(waited.as_secs(), REQUEST_TIME.as_secs());
    }
}
