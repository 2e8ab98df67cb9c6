//! The server's built-in signaling: Socket.IO v4 over a WebSocket, in the little that rooms need.

mod packet;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

use crate::api::Api;
use crate::leg::lock;
use packet::Packet;

const TIMEOUT: Duration = Duration::from_secs(10);

type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// One connection to the rooms of a server.
pub struct Signaling {
    outgoing: mpsc::UnboundedSender<Message>,
    waiting: Waiting,
    next_ack: u64,
    events: mpsc::UnboundedReceiver<(String, Value)>,
    task: JoinHandle<()>,
}

impl Signaling {
    /// Connects to the server whose HTTP address is `base`, such as `http://127.0.0.1:8080`.
    pub async fn connect(base: &str) -> Result<Self> {
        Self::connect_with(base, None).await
    }

    /// Connects to the server of an API, with the same trust in its certificate.
    pub async fn connect_to(api: &Api) -> Result<Self> {
        Self::connect_with(api.base(), Some(api.tls())).await
    }

    async fn connect_with(base: &str, tls: Option<Arc<ClientConfig>>) -> Result<Self> {
        let url = format!(
            "{}/socket.io/?EIO=4&transport=websocket",
            base.replacen("http", "ws", 1)
        );
        let connecting = async {
            let connector = tls.map(Connector::Rustls);
            let connect = connect_async_tls_with_config(&url, None, true, connector);
            let (mut socket, _) = connect.await.with_context(|| url.clone())?;
            shake_hands(&mut socket).await?;
            anyhow::Ok(socket)
        };
        let socket = tokio::time::timeout(TIMEOUT, connecting)
            .await
            .with_context(|| format!("{url} did not answer within {TIMEOUT:?}"))??;
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (event_sender, events) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        let task = tokio::spawn(pump(socket, queue, Arc::clone(&waiting), event_sender));
        Ok(Self {
            outgoing,
            waiting,
            next_ack: 0,
            events,
            task,
        })
    }

    /// Sends a request and gives the answer; an answer with `error` is one.
    pub async fn request<T: DeserializeOwned>(&mut self, event: &str, data: &Value) -> Result<T> {
        let id = self.next_ack;
        self.next_ack += 1;
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).insert(id, sender);
        let text = Packet::Event {
            id: Some(id),
            event: event.to_owned(),
            data: data.clone(),
        };
        self.outgoing
            .send(Message::text(text.encode()))
            .ok()
            .context("the signaling connection is closed")?;
        let answer = tokio::time::timeout(TIMEOUT, answer)
            .await
            .with_context(|| format!("no answer to `{event}` within {TIMEOUT:?}"))?
            .ok()
            .with_context(|| {
                format!("the signaling connection closed before `{event}` was answered")
            })?;
        if let Some(error) = answer.get("error") {
            let code = error["code"].as_str().unwrap_or_default();
            bail!(
                "`{event}`: {code}: {}",
                error["message"].as_str().unwrap_or_default()
            );
        }
        serde_json::from_value(answer).with_context(|| format!("answer to `{event}`"))
    }

    /// The next event of the server; `None` when the connection is closed.
    pub async fn next_event(&mut self) -> Option<(String, Value)> {
        self.events.recv().await
    }

    /// From now on the server's events are dropped.
    pub fn ignore_events(&mut self) {
        self.events.close();
    }

    /// Closes the connection without leaving the room.
    pub async fn close(self) {
        drop(self.outgoing);
        let _ = self.task.await;
    }
}

async fn shake_hands(socket: &mut WebSocket) -> Result<()> {
    loop {
        match next_packet(socket).await? {
            Packet::Open => {
                let connect = Packet::Connect { data: json!({}) };
                socket.send(Message::text(connect.encode())).await?;
            }
            Packet::Ping => socket.send(Message::text(Packet::Pong.encode())).await?,
            Packet::Connect { .. } => return Ok(()),
            Packet::ConnectError { data } => bail!("the server refuses the connection: {data}"),
            other => bail!("unexpected {other:?} while connecting"),
        }
    }
}

async fn next_packet(socket: &mut WebSocket) -> Result<Packet> {
    loop {
        match socket
            .next()
            .await
            .context("the server closed the connection")??
        {
            Message::Text(text) => return Packet::decode(&text),
            Message::Close(_) => bail!("the server closed the connection"),
            // WebSocket's own pings are answered by the package.
            _ => {}
        }
    }
}

async fn pump(
    mut socket: WebSocket,
    mut queue: mpsc::UnboundedReceiver<Message>,
    waiting: Waiting,
    events: mpsc::UnboundedSender<(String, Value)>,
) {
    loop {
        tokio::select! {
            message = queue.recv() => {
                let Some(message) = message else { break };
                if socket.send(message).await.is_err() {
                    break;
                }
            }
            packet = next_packet(&mut socket) => match packet {
                Ok(Packet::Ping) => {
                    if socket.send(Message::text(Packet::Pong.encode())).await.is_err() {
                        break;
                    }
                }
                Ok(Packet::Event { event, data, .. }) => {
                    // Nobody may be interested.
                    let _ = events.send((event, data));
                }
                Ok(Packet::Ack { id, data }) => {
                    if let Some(sender) = lock(&waiting).remove(&id) {
                        let _ = sender.send(data);
                    }
                }
                Ok(Packet::Disconnect) | Err(_) => break,
                Ok(_) => {}
            }
        }
    }
    // Drops the senders, so that those who wait hear of the end.
    lock(&waiting).clear();
    let _ = socket.close(None).await;
}
