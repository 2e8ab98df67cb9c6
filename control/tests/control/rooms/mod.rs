//! The signaling's requests and events.

mod call;
mod refusals;
mod resume;

use serde_json::{Value, json};

use crate::support::{media::id, server::Control, signaling::Client};

/// A connected client in room `r`, with the answer of its `join`.
pub(super) async fn join(control: &Control, name: &str) -> (Client, Value) {
    let mut client = Client::connect(control).await;
    let join = json!({ "roomId": "r", "displayName": name });
    let answer = client.ok("join", join).await;
    (client, answer)
}

pub(super) async fn transport(client: &mut Client, direction: &str) -> String {
    let payload = json!({ "direction": direction });
    id(&client.ok("createTransport", payload).await)
}

pub(super) async fn produce(
    client: &mut Client,
    transport: &str,
    kind: &str,
    rtp: Value,
) -> String {
    let payload = json!({
        "transportId": transport, "kind": kind, "rtpParameters": rtp,
        "appData": { "source": kind },
    });
    id(&client.ok("produce", payload).await)
}
