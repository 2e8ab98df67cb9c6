//! Figures have every field that mediasoup 3.27's types name.

use serde_json::{Value, json};

use crate::support::{
    media::{Call, id, simulcast, vp8},
    server::{Control, Host},
};

/// Of mediasoup's `BaseRtpStreamStats`, and what both kinds add; RIDs are only of simulcast.
const STREAM: &[&str] = &[
    "timestamp",
    "ssrc",
    "rtxSsrc",
    "kind",
    "mimeType",
    "packetsLost",
    "fractionLost",
    "jitter",
    "packetsDiscarded",
    "packetsRetransmitted",
    "packetsRepaired",
    "nackCount",
    "nackPacketCount",
    "pliCount",
    "firCount",
    "roundTripTime",
    "rtxPacketsDiscarded",
    "score",
    "type",
    "packetCount",
    "byteCount",
    "bitrate",
];
/// Of `BaseTransportStats`; `sctpState` comes with data channels.
const TRANSPORT: &[&str] = &[
    "type",
    "transportId",
    "timestamp",
    "bytesReceived",
    "recvBitrate",
    "bytesSent",
    "sendBitrate",
    "rtpBytesReceived",
    "rtpRecvBitrate",
    "rtpBytesSent",
    "rtpSendBitrate",
    "rtxBytesReceived",
    "rtxRecvBitrate",
    "rtxBytesSent",
    "rtxSendBitrate",
    "probationBytesSent",
    "probationSendBitrate",
    "availableOutgoingBitrate",
    "availableIncomingBitrate",
    "maxIncomingBitrate",
    "maxOutgoingBitrate",
    "minOutgoingBitrate",
    "rtpPacketLossReceived",
    "rtpPacketLossSent",
];
const WEBRTC: &[&str] = &["iceRole", "iceState", "iceSelectedTuple", "dtlsState"];
const PLAIN: &[&str] = &["rtcpMux", "comedia", "tuple", "rtcpTuple"];

#[track_caller]
fn assert_fields(stat: &Value, fields: &[&[&str]]) {
    for field in fields.concat() {
        assert!(stat.get(field).is_some(), "{field} is missing: {stat}");
    }
}

async fn stats(control: &Control, object: &str) -> Vec<Value> {
    let stats = control.get(&format!("/v1/{object}/stats")).await.ok(200);
    stats.as_array().unwrap().clone()
}

#[tokio::test]
async fn of_streams() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::with(&control, vp8(1000)).await;
    let producer = stats(&control, &format!("producers/{}", call.producer)).await;
    assert_eq!(producer.len(), 1);
    assert_fields(&producer[0], &[STREAM, &["bitrateByLayer"]]);
    assert_eq!(producer[0]["type"], "inbound-rtp");
    assert_eq!(producer[0]["bitrateByLayer"], json!({ "0.1": 1000 }));

    let consumer = stats(&control, &format!("consumers/{}", call.consumer)).await;
    assert_eq!(consumer.len(), 2);
    assert_fields(&consumer[0], &[STREAM]);
    assert_fields(&consumer[1], &[STREAM, &["bitrateByLayer"]]);
    assert_eq!(consumer[0]["type"], "outbound-rtp");
    assert_eq!(consumer[1]["type"], "inbound-rtp");
}

#[tokio::test]
async fn of_simulcast() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::with(&control, simulcast(&["lo", "hi"])).await;
    let producer = stats(&control, &format!("producers/{}", call.producer)).await;
    let rids: Vec<&Value> = producer.iter().map(|stat| &stat["rid"]).collect();
    assert_eq!(rids, ["lo", "hi"]);
    // The engine says that it takes neither now.
    let consumer = stats(&control, &format!("consumers/{}", call.consumer)).await;
    let types: Vec<&Value> = consumer.iter().map(|stat| &stat["type"]).collect();
    assert_eq!(types, ["outbound-rtp"]);
}

#[tokio::test]
async fn of_transports() {
    let host = Host::new();
    let control = host.control(&[]).await;
    let call = Call::new(&control).await;
    let path = format!("/v1/routers/{}/transports", call.router);
    let options = json!({ "type": "plain", "listenIp": "127.0.0.1", "rtcpMux": false });
    let plain = id(&control.post(&path, options).await.ok(201));
    for (transport, own) in [(&call.sending, WEBRTC), (&plain, PLAIN)] {
        for limit in ["max-incoming", "max-outgoing", "min-outgoing"] {
            let path = format!("/v1/transports/{transport}/{limit}-bitrate");
            control
                .post(&path, json!({ "bitrate": 100_000 }))
                .await
                .ok(204);
        }
        let stats = stats(&control, &format!("transports/{transport}")).await;
        assert_eq!(stats.len(), 1);
        assert_fields(&stats[0], &[TRANSPORT, own]);
    }
}
