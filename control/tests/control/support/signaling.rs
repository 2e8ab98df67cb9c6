//! A Socket.IO v4 client, as small as can be: one namespace, text, WebSocket only.

use std::collections::{HashMap, VecDeque};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use super::{PATIENCE, server::Control};

pub(crate) struct Client {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) id: String,
    next_ack: u64,
    acks: HashMap<u64, Value>,
    events: VecDeque<(String, Value)>,
    is_closed: bool,
}

impl Client {
    pub(crate) async fn connect(control: &Control) -> Self {
        Self::connect_with(control, &[]).await.unwrap()
    }

    pub(crate) async fn connect_with(
        control: &Control,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let url = format!(
            "ws://{}/socket.io/?EIO=4&transport=websocket",
            control.address
        );
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (stream, _) = connect_async(request).await?;
        let mut client = Self {
            stream,
            id: String::new(),
            next_ack: 0,
            acks: HashMap::new(),
            events: VecDeque::new(),
            is_closed: false,
        };
        assert!(client.read().await.unwrap().starts_with('0'));
        client.write("40".to_owned()).await;
        let mut connected = client.read().await.unwrap();
        while connected == "2" {
            client.write("3".to_owned()).await;
            connected = client.read().await.unwrap();
        }
        let sid: Value = serde_json::from_str(connected.strip_prefix("40").unwrap()).unwrap();
        client.id = sid["sid"].as_str().unwrap().to_owned();
        Ok(client)
    }

    /// Sends a request; gives what its acknowledgement says.
    pub(crate) async fn request(&mut self, name: &str, payload: Value) -> Value {
        self.request_with(name, &[payload]).await
    }

    /// The same with any number of arguments.
    pub(crate) async fn request_with(&mut self, name: &str, arguments: &[Value]) -> Value {
        let ack = self.next_ack;
        self.next_ack += 1;
        let mut body = vec![json!(name)];
        body.extend_from_slice(arguments);
        self.write(format!("42{ack}{}", json!(body))).await;
        loop {
            if let Some(answer) = self.acks.remove(&ack) {
                return answer;
            }
            assert!(
                self.take_one().await,
                "the connection ended before the answer"
            );
        }
    }

    /// A request that has to succeed.
    #[track_caller]
    pub(crate) fn ok(
        &mut self,
        name: &str,
        payload: Value,
    ) -> impl Future<Output = Value> + use<'_> {
        let name = name.to_owned();
        async move {
            let answer = self.request(&name, payload).await;
            assert!(answer.get("error").is_none(), "{name}: {answer}");
            answer
        }
    }

    /// A request that has to fail; gives the code and the field.
    pub(crate) async fn refused(&mut self, name: &str, payload: Value) -> (String, Option<String>) {
        let answer = self.request(name, payload).await;
        let error = &answer["error"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let code = text(&error["code"]).unwrap_or_else(|| panic!("{name}: {answer}"));
        assert!(text(&error["message"]).is_some_and(|message| !message.is_empty()));
        (code, text(&error["field"]))
    }

    /// Sends a request many times without waiting in between; gives the answers.
    pub(crate) async fn flood(&mut self, name: &str, count: u64) -> impl Iterator<Item = Value> {
        let (mut to_server, mut from_server) = (&mut self.stream).split();
        let first = self.next_ack;
        self.next_ack += count;
        let sending = async {
            for ack in first..first + count {
                let text = format!("42{ack}{}", json!([name, {}]));
                to_server.send(Message::text(text)).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let receiving = async {
            let mut answers = Vec::new();
            while answers.len() < count as usize {
                let message = timeout(PATIENCE, from_server.next()).await.unwrap();
                if let Some(Ok(Message::Text(text))) = message
                    && let Some(rest) = text.strip_prefix("43")
                {
                    let at = rest.find('[').unwrap();
                    let body: Vec<Value> = serde_json::from_str(&rest[at..]).unwrap();
                    answers.extend(body);
                }
            }
            answers
        };
        tokio::select! {
            answers = receiving => answers.into_iter(),
            () = sending => unreachable!(),
        }
    }

    /// A message that asks for no acknowledgement.
    pub(crate) async fn emit(&mut self, name: &str, payload: Value) {
        self.write(format!("42{}", json!([name, payload]))).await;
    }

    /// The next event of that name; others before it are dropped.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        loop {
            while let Some((known, payload)) = self.events.pop_front() {
                if known == name {
                    return payload;
                }
            }
            assert!(self.take_one().await, "the connection ended before {name}");
        }
    }

    /// Names of the events that have come up to the answer of a request.
    pub(crate) async fn events_so_far(&mut self) -> Vec<String> {
        self.request("no such request", json!({})).await;
        self.events.drain(..).map(|(name, _)| name).collect()
    }

    /// Waits for the end of the connection.
    pub(crate) async fn closed(&mut self) {
        while self.take_one().await {}
    }

    pub(crate) async fn write(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    async fn read(&mut self) -> Option<String> {
        loop {
            let message = timeout(PATIENCE, self.stream.next()).await;
            match message.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    async fn take_one(&mut self) -> bool {
        if self.is_closed {
            return false;
        }
        let Some(text) = self.read().await else {
            self.is_closed = true;
            return false;
        };
        if text == "2" {
            self.write("3".to_owned()).await;
        } else if text.starts_with("41") || text == "1" {
            self.is_closed = true;
            return false;
        } else if let Some(rest) = text.strip_prefix("43") {
            let at = rest.find('[').unwrap();
            let body: Vec<Value> = serde_json::from_str(&rest[at..]).unwrap();
            let answer = body.into_iter().next().unwrap_or(Value::Null);
            self.acks.insert(rest[..at].parse().unwrap(), answer);
        } else if let Some(rest) = text.strip_prefix("42") {
            let mut body: Vec<Value> = serde_json::from_str(rest).unwrap();
            assert_eq!(body.len(), 2, "{rest}");
            let payload = body.pop().unwrap();
            let name = body.pop().unwrap().as_str().unwrap().to_owned();
            self.events.push_back((name, payload));
        }
        true
    }
}
