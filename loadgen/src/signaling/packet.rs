//! Engine.IO v4 and Socket.IO v5 packets as text; no binary, no other namespace than `/`.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// A packet of either layer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Packet {
    /// Engine.IO `open`.
    Open,
    /// Engine.IO `ping`.
    Ping,
    /// Engine.IO `pong`.
    Pong,
    /// Socket.IO `CONNECT`.
    Connect { data: Value },
    /// Socket.IO `CONNECT_ERROR`.
    ConnectError { data: Value },
    /// Socket.IO `DISCONNECT`, or Engine.IO `close`.
    Disconnect,
    /// Socket.IO `EVENT` with one argument at most.
    Event {
        id: Option<u64>,
        event: String,
        data: Value,
    },
    /// Socket.IO `ACK` with one argument at most.
    Ack { id: u64, data: Value },
}

impl Packet {
    pub(super) fn encode(&self) -> String {
        let id_text = |id: &Option<u64>| id.map(|id| id.to_string()).unwrap_or_default();
        match self {
            Self::Open => "0".to_owned(),
            Self::Ping => "2".to_owned(),
            Self::Pong => "3".to_owned(),
            Self::Connect { data } => format!("40{data}"),
            Self::ConnectError { data } => format!("44{data}"),
            Self::Disconnect => "41".to_owned(),
            Self::Event { id, event, data } => format!("42{}{}", id_text(id), json!([event, data])),
            Self::Ack { id, data } => format!("43{id}{}", json!([data])),
        }
    }

    pub(super) fn decode(text: &str) -> Result<Self> {
        let (kind, rest) = text.split_at_checked(1).context("empty packet")?;
        match kind {
            "0" => return Ok(Self::Open),
            "1" => return Ok(Self::Disconnect),
            "2" => return Ok(Self::Ping),
            "3" => return Ok(Self::Pong),
            "4" => {}
            _ => bail!("unknown Engine.IO packet `{kind}`"),
        }
        let (kind, rest) = rest.split_at_checked(1).context("empty message")?;
        let digits = rest
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(rest.len());
        let id = rest[..digits].parse::<u64>().ok();
        let body = &rest[digits..];
        let data = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(body)?
        };
        Ok(match kind {
            "0" => Self::Connect { data },
            "1" => Self::Disconnect,
            "2" => Self::Event {
                id,
                event: data[0].as_str().context("event without name")?.to_owned(),
                data: data[1].clone(),
            },
            "3" => Self::Ack {
                id: id.context("acknowledgement without id")?,
                data: data[0].clone(),
            },
            "4" => Self::ConnectError { data },
            _ => bail!("unknown Socket.IO packet `{kind}`"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_read_as_they_were_written() {
        let packets = [
            Packet::Ping,
            Packet::Connect {
                data: json!({"sid": "x"}),
            },
            Packet::Event {
                id: Some(12),
                event: "join".into(),
                data: json!({"roomId": "a"}),
            },
            Packet::Event {
                id: None,
                event: "peerLeft".into(),
                data: json!({"peerId": "9"}),
            },
            Packet::Ack {
                id: 12,
                data: json!({}),
            },
            Packet::Disconnect,
        ];
        for packet in packets {
            assert_eq!(Packet::decode(&packet.encode()).unwrap(), packet);
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in ["", "9", "4", "49", "43[]", "42{}", "42["] {
            assert!(Packet::decode(text).is_err(), "{text}");
        }
    }
}
