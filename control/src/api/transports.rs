//! Transports.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AppData, parse_value, refuse_unbuilt};
use crate::{
    error::{ApiError, ErrorCode},
    ice::{IceCandidate, IceParameters},
    model::{DtlsParameters, DtlsRole, SrtpParameters},
    settings::IceServer,
};

/// Body of `POST /v1/routers/ID/transports`, told apart by `type`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum TransportOptions {
    /// ICE and DTLS.
    WebRtc(Box<WebRtcTransportOptions>),
    /// RTP or SRTP to and from a given address.
    Plain(Box<PlainTransportOptions>),
}

impl TransportOptions {
    /// Reads the body.
    ///
    /// # Errors
    /// `bad_request` or `unsupported`, naming the field.
    pub fn parse(mut body: Value) -> Result<Self, ApiError> {
        let Some(object) = body.as_object_mut() else {
            return Err(ApiError::new(ErrorCode::BadRequest, "not a JSON object"));
        };
        let kind = match object.remove("type") {
            Some(Value::String(kind)) => kind,
            Some(_) => return Err(ApiError::bad_field("type", "must be a string")),
            None => return Err(ApiError::bad_field("type", "is missing")),
        };
        match kind.as_str() {
            "webrtc" => {
                let options: WebRtcTransportOptions = parse_value(body)?;
                options.check()?;
                Ok(Self::WebRtc(Box::new(options)))
            }
            "plain" => {
                let options: PlainTransportOptions = parse_value(body)?;
                options.check()?;
                Ok(Self::Plain(Box::new(options)))
            }
            "pipe" | "direct" => {
                let message = format!("type: {kind} transports are not supported yet");
                let mut error = ApiError::unsupported("type");
                error.message = message;
                Err(error)
            }
            other => Err(ApiError::bad_field(
                "type",
                format!("{other:?} is not one of webrtc, plain, pipe, direct"),
            )),
        }
    }
}

/// mediasoup's `WebRtcTransportOptions`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebRtcTransportOptions {
    /// UDP candidates; default true.
    pub enable_udp: Option<bool>,
    /// TCP candidates; taken, and none are given yet.
    pub enable_tcp: Option<bool>,
    /// Of no effect while there is UDP only.
    pub prefer_udp: Option<bool>,
    /// Of no effect while there is UDP only.
    pub prefer_tcp: Option<bool>,
    /// Seconds without a consent check until the peer counts as gone; 0 turns that off; default 30.
    pub ice_consent_timeout: Option<u8>,
    /// bit/s the estimate starts at; default 600000.
    pub initial_available_outgoing_bitrate: Option<u32>,
    /// The caller's.
    #[schema(value_type = Option<Object>)]
    pub app_data: Option<AppData>,
    /// Not built yet.
    #[schema(value_type = Option<bool>)]
    pub enable_sctp: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub max_send_message_size: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub max_receive_message_size: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub sctp_send_buffer_size: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub sctp_per_stream_send_queue_limit: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub sctp_max_receiver_window_buffer_size: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub sctp_default_stream_buffered_amount_low_threshold: Option<Value>,
    /// Not built: all WebRTC transports share the media port.
    #[schema(value_type = Option<Vec<Object>>)]
    pub listen_infos: Option<Value>,
    /// Not built: all WebRTC transports share the media port.
    #[schema(value_type = Option<Vec<Object>>)]
    pub listen_ips: Option<Value>,
    /// Not built: all WebRTC transports share the media port.
    #[schema(value_type = Option<u16>)]
    pub port: Option<Value>,
    /// Not built: all WebRTC transports share the media port.
    #[schema(value_type = Option<Object>)]
    pub web_rtc_server: Option<Value>,
}

impl WebRtcTransportOptions {
    fn check(&self) -> Result<(), ApiError> {
        refuse_unbuilt(&[
            ("enableSctp", &self.enable_sctp),
            ("maxSendMessageSize", &self.max_send_message_size),
            ("maxReceiveMessageSize", &self.max_receive_message_size),
            ("sctpSendBufferSize", &self.sctp_send_buffer_size),
            (
                "sctpPerStreamSendQueueLimit",
                &self.sctp_per_stream_send_queue_limit,
            ),
            (
                "sctpMaxReceiverWindowBufferSize",
                &self.sctp_max_receiver_window_buffer_size,
            ),
            (
                "sctpDefaultStreamBufferedAmountLowThreshold",
                &self.sctp_default_stream_buffered_amount_low_threshold,
            ),
            ("listenInfos", &self.listen_infos),
            ("listenIps", &self.listen_ips),
            ("port", &self.port),
            ("webRtcServer", &self.web_rtc_server),
        ])?;
        match (self.enable_udp, self.enable_tcp.unwrap_or(false)) {
            (Some(false), true) => Err(ApiError::unsupported("enableTcp")),
            (Some(false), false) => Err(ApiError::bad_field(
                "enableUdp",
                "a transport needs UDP or TCP",
            )),
            _ => Ok(()),
        }
    }
}

/// mediasoup's `PlainTransportOptions`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlainTransportOptions {
    /// Where to listen; default: loopback, a free port of the plain range.
    pub listen_info: Option<ListenInfo>,
    /// Short for `listenInfo.ip`.
    pub listen_ip: Option<ListenIp>,
    /// Short for `listenInfo.port`.
    pub port: Option<u16>,
    /// Where to listen for RTCP without rtcp-mux; default: as for RTP, on another port.
    pub rtcp_listen_info: Option<ListenInfo>,
    /// RTP and RTCP share a port; default true.
    pub rtcp_mux: Option<bool>,
    /// Learn the remote address from the first authentic packet; default false.
    pub comedia: Option<bool>,
    /// SRTP; default false.
    pub enable_srtp: Option<bool>,
    /// Default `AES_CM_128_HMAC_SHA1_80`.
    pub srtp_crypto_suite: Option<String>,
    /// The caller's.
    #[schema(value_type = Option<Object>)]
    pub app_data: Option<AppData>,
    /// Not built yet.
    #[schema(value_type = Option<bool>)]
    pub enable_sctp: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub max_send_message_size: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub max_receive_message_size: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub sctp_send_buffer_size: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub sctp_per_stream_send_queue_limit: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub sctp_max_receiver_window_buffer_size: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    pub sctp_default_stream_buffered_amount_low_threshold: Option<Value>,
}

impl PlainTransportOptions {
    fn check(&self) -> Result<(), ApiError> {
        refuse_unbuilt(&[
            ("enableSctp", &self.enable_sctp),
            ("maxSendMessageSize", &self.max_send_message_size),
            ("maxReceiveMessageSize", &self.max_receive_message_size),
            ("sctpSendBufferSize", &self.sctp_send_buffer_size),
            (
                "sctpPerStreamSendQueueLimit",
                &self.sctp_per_stream_send_queue_limit,
            ),
            (
                "sctpMaxReceiverWindowBufferSize",
                &self.sctp_max_receiver_window_buffer_size,
            ),
            (
                "sctpDefaultStreamBufferedAmountLowThreshold",
                &self.sctp_default_stream_buffered_amount_low_threshold,
            ),
        ])?;
        for (name, info) in [
            ("listenInfo", &self.listen_info),
            ("rtcpListenInfo", &self.rtcp_listen_info),
        ] {
            if let Some(info) = info {
                info.check(name)?;
            }
        }
        if self.listen_info.is_some() && (self.listen_ip.is_some() || self.port.is_some()) {
            return Err(ApiError::bad_field(
                "listenInfo",
                "is given beside listenIp or port, which are short for it",
            ));
        }
        Ok(())
    }
}

/// mediasoup's `TransportListenInfo`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenInfo {
    /// Only `udp` is built; default `udp`.
    #[serde(default)]
    pub protocol: Option<String>,
    /// IP address to bind.
    pub ip: String,
    /// Older name of `announcedAddress`.
    #[serde(default)]
    pub announced_ip: Option<String>,
    /// Shown in the tuple instead of `ip`.
    #[serde(default)]
    pub announced_address: Option<String>,
    /// Port to bind; default: a free one of the plain range.
    #[serde(default)]
    pub port: Option<u16>,
    /// Of no effect without ICE.
    #[serde(default)]
    pub expose_internal_ip: Option<bool>,
    /// Not built yet.
    #[schema(value_type = Option<Object>)]
    #[serde(default)]
    pub port_range: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<Object>)]
    #[serde(default)]
    pub flags: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    #[serde(default)]
    pub send_buffer_size: Option<Value>,
    /// Not built yet.
    #[schema(value_type = Option<u32>)]
    #[serde(default)]
    pub recv_buffer_size: Option<Value>,
}

impl ListenInfo {
    fn check(&self, name: &str) -> Result<(), ApiError> {
        let inside = |field: &str| format!("{name}.{field}");
        match self.protocol.as_deref() {
            None | Some("udp") => {}
            Some("tcp") => return Err(ApiError::unsupported(inside("protocol"))),
            Some(other) => {
                let message = format!("{other:?} is not udp or tcp");
                return Err(ApiError::bad_field(inside("protocol"), message));
            }
        }
        refuse_unbuilt(&[
            (&inside("portRange"), &self.port_range),
            (&inside("flags"), &self.flags),
            (&inside("sendBufferSize"), &self.send_buffer_size),
            (&inside("recvBufferSize"), &self.recv_buffer_size),
        ])
    }

    /// What the tuple shows instead of the bound address.
    pub fn announced(&self) -> Option<String> {
        self.announced_address
            .clone()
            .or_else(|| self.announced_ip.clone())
    }
}

/// Short for a [`ListenInfo`]: an address, or mediasoup's `TransportListenIp`.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = ListenIp)]
pub struct ListenIp {
    /// IP address to bind.
    pub ip: String,
    /// Shown in the tuple instead of `ip`.
    #[schema(rename = "announcedIp")]
    pub announced_ip: Option<String>,
}

impl<'de> Deserialize<'de> for ListenIp {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Object {
            ip: String,
            announced_ip: Option<String>,
        }

        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = ListenIp;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an IP address or an object with ip and announcedIp")
            }

            fn visit_str<E: de::Error>(self, ip: &str) -> Result<ListenIp, E> {
                Ok(ListenIp {
                    ip: ip.to_owned(),
                    announced_ip: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<ListenIp, A::Error> {
                let object = Object::deserialize(MapAccessDeserializer::new(object))?;
                Ok(ListenIp {
                    ip: object.ip,
                    announced_ip: object.announced_ip,
                })
            }
        }

        reader.deserialize_any(Either)
    }
}

/// A new WebRTC transport: what the client makes its own end from.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebRtcTransportAnswer {
    /// Its id.
    pub id: Uuid,
    /// Our ICE credentials.
    pub ice_parameters: IceParameters,
    /// Where media may be sent to.
    pub ice_candidates: Vec<IceCandidate>,
    /// Our certificate's fingerprints.
    pub dtls_parameters: DtlsParameters,
    /// STUN and TURN servers the operator has set for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ice_servers: Option<Vec<IceServer>>,
}

/// mediasoup's `TransportTuple`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransportTuple {
    /// Older name of `localAddress`.
    pub local_ip: String,
    /// Ours, or what is announced for it.
    pub local_address: String,
    /// Our port.
    pub local_port: u16,
    /// Theirs, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Their port, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_port: Option<u16>,
    /// Always `udp`.
    pub protocol: &'static str,
}

/// A new plain transport.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlainTransportAnswer {
    /// Its id.
    pub id: Uuid,
    /// RTP, and RTCP with rtcp-mux.
    pub tuple: TransportTuple,
    /// RTCP without rtcp-mux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtcp_tuple: Option<TransportTuple>,
    /// Our key, where SRTP is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srtp_parameters: Option<SrtpParameters>,
}

/// A new transport of either kind.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum TransportAnswer {
    /// `type:"webrtc"`.
    WebRtc(WebRtcTransportAnswer),
    /// `type:"plain"`.
    Plain(PlainTransportAnswer),
}

/// Body of `connect` on a WebRTC transport.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebRtcConnect {
    /// The client's.
    pub dtls_parameters: DtlsParameters,
}

/// Body of `connect` on a plain transport.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlainConnect {
    /// Where to send RTP; not with comedia.
    pub ip: Option<String>,
    /// Where to send RTP; not with comedia.
    pub port: Option<u16>,
    /// Where to send RTCP without rtcp-mux.
    pub rtcp_port: Option<u16>,
    /// The peer's key, where SRTP is on.
    pub srtp_parameters: Option<SrtpParameters>,
}

/// Body of `connect`, by the kind of the transport.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum TransportConnect {
    /// On a WebRTC transport.
    WebRtc(WebRtcConnect),
    /// On a plain transport.
    Plain(PlainConnect),
}

/// Answer of `connect`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ConnectAnswer {
    /// On a WebRTC transport.
    #[serde(rename_all = "camelCase")]
    WebRtc {
        /// Our role.
        dtls_local_role: DtlsRole,
    },
    /// On a plain transport.
    #[serde(rename_all = "camelCase")]
    Plain {
        /// RTP.
        tuple: TransportTuple,
        /// RTCP without rtcp-mux.
        #[serde(skip_serializing_if = "Option::is_none")]
        rtcp_tuple: Option<TransportTuple>,
    },
}

/// Answer of `restart-ice`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartIceAnswer {
    /// The new credentials.
    pub ice_parameters: IceParameters,
}
