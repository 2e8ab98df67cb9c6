//! Dumps: an object as it stands, with the fields of mediasoup's dumps.

use std::net::SocketAddr;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use weirgate_ortc::{
    MediaKind, ProducerType, RtpCapabilities, RtpEncodingParameters, RtpMapping, RtpParameters,
};
use weirgate_wire::{ExtensionIds, ExtensionKind, IceState, LayerReason, Layers, Tuple};

use super::{AppData, RtpStreamDump, TransportTuple, rtp_streams, trace_names};
use crate::{
    ice::{IceCandidate, IceParameters},
    model::{
        Consumer, ConsumerLayers, ConsumerScore, DtlsParameters, DtlsState, Model, Plain, Producer,
        ProducerScore, Router, SrtpParameters, Transport, TransportKind, WebRtc,
    },
    observers::Observers,
};

/// A key with several values.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyValues {
    /// The key.
    pub key: Uuid,
    /// The values.
    pub values: Vec<Uuid>,
}

/// A key with one value.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Uuid,
}

/// An SSRC with the id it belongs to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SsrcValue {
    /// The SSRC.
    pub key: u32,
    /// The id.
    pub value: Uuid,
}

/// mediasoup's `RouterDump`, with the capabilities.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouterDump {
    /// Its id.
    pub id: Uuid,
    /// Its transports.
    pub transport_ids: Vec<Uuid>,
    /// Its RTP observers.
    pub rtp_observer_ids: Vec<Uuid>,
    /// Consumers by producer.
    pub map_producer_id_consumer_ids: Vec<KeyValues>,
    /// Producers by consumer.
    pub map_consumer_id_producer_id: Vec<KeyValue>,
    /// RTP observers by producer.
    pub map_producer_id_observer_ids: Vec<KeyValues>,
    /// None yet.
    pub map_data_producer_id_data_consumer_ids: Vec<KeyValues>,
    /// None yet.
    pub map_data_consumer_id_data_producer_id: Vec<KeyValue>,
    /// What clients load their device with.
    pub rtp_capabilities: RtpCapabilities,
    /// The room whose router it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    /// The caller's.
    #[schema(value_type = Object)]
    pub app_data: serde_json::Value,
}

impl RouterDump {
    /// Of `router`.
    pub fn new(router: &Router, model: &Model, observers: &Observers) -> Self {
        let transports = router.transports.iter();
        let producers: Vec<&Producer> = transports
            .filter_map(|id| model.transports.get(id))
            .flat_map(|transport| &transport.producers)
            .filter_map(|id| model.producers.get(id))
            .collect();
        let pairs = producers.iter().flat_map(|producer| {
            producer.consumers.iter().map(|consumer| KeyValue {
                key: consumer.to_string(),
                value: producer.id,
            })
        });
        Self {
            id: router.id,
            transport_ids: router.transports.clone(),
            rtp_observer_ids: observers.of_router(router.id),
            map_consumer_id_producer_id: pairs.collect(),
            map_producer_id_consumer_ids: producers
                .iter()
                .map(|producer| KeyValues {
                    key: producer.id,
                    values: producer.consumers.clone(),
                })
                .collect(),
            map_producer_id_observer_ids: producers
                .iter()
                .map(|producer| KeyValues {
                    key: producer.id,
                    values: observers.of_producer(producer.id).to_vec(),
                })
                .filter(|listening| !listening.values.is_empty())
                .collect(),
            map_data_producer_id_data_consumer_ids: Vec::new(),
            map_data_consumer_id_data_producer_id: Vec::new(),
            rtp_capabilities: router.record.rtp_capabilities.clone(),
            room_id: router.record.room.clone(),
            app_data: router.record.app_data.clone(),
        }
    }
}

/// Header extension ids the transport's producers use.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecvRtpHeaderExtensions {
    /// MID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid: Option<u8>,
    /// RID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rid: Option<u8>,
    /// RID of the repaired stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rrid: Option<u8>,
    /// Absolute send time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abs_send_time: Option<u8>,
    /// Transport-wide sequence number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_wide_cc01: Option<u8>,
}

impl RecvRtpHeaderExtensions {
    fn add(&mut self, ids: &ExtensionIds) {
        let take = |known: &mut Option<u8>, kind| *known = known.or(ids.get(kind));
        take(&mut self.mid, ExtensionKind::Mid);
        take(&mut self.rid, ExtensionKind::Rid);
        take(&mut self.rrid, ExtensionKind::RepairedRid);
        take(&mut self.abs_send_time, ExtensionKind::AbsSendTime);
        take(
            &mut self.transport_wide_cc01,
            ExtensionKind::TransportWideCc,
        );
    }
}

/// Which producer a packet belongs to.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RtpListenerDump {
    /// By signaled SSRC.
    pub ssrc_table: Vec<SsrcValue>,
    /// By MID.
    pub mid_table: Vec<KeyValue>,
    /// By RID.
    pub rid_table: Vec<KeyValue>,
}

/// mediasoup's `WebRtcTransportDump` and `PlainTransportDump`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransportDump {
    /// Its id.
    pub id: Uuid,
    /// `webrtc` or `plain`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its router.
    pub router_id: Uuid,
    /// The engine's shard that owns it.
    pub shard: u16,
    /// Its producers.
    pub producer_ids: Vec<Uuid>,
    /// Its consumers.
    pub consumer_ids: Vec<Uuid>,
    /// Consumers by SSRC.
    pub map_ssrc_consumer_id: Vec<SsrcValue>,
    /// Consumers by RTX SSRC.
    pub map_rtx_ssrc_consumer_id: Vec<SsrcValue>,
    /// Ids its producers use.
    pub recv_rtp_header_extensions: RecvRtpHeaderExtensions,
    /// Which producer a packet belongs to.
    pub rtp_listener: RtpListenerDump,
    /// None yet.
    pub data_producer_ids: Vec<Uuid>,
    /// None yet.
    pub data_consumer_ids: Vec<Uuid>,
    /// What is told of in trace events.
    pub trace_event_types: Vec<&'static str>,
    /// The caller's.
    #[schema(value_type = Object)]
    pub app_data: serde_json::Value,
    /// What sets the kinds apart.
    #[serde(flatten)]
    pub own: TransportKindDump,
}

/// What sets the kinds of transports apart.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum TransportKindDump {
    /// WebRTC.
    #[serde(rename_all = "camelCase")]
    WebRtc {
        /// Always `controlled`.
        ice_role: &'static str,
        /// Our credentials.
        ice_parameters: IceParameters,
        /// Where media may be sent to.
        ice_candidates: Vec<IceCandidate>,
        /// State of ICE.
        ice_state: &'static str,
        /// The path in use.
        #[serde(skip_serializing_if = "Option::is_none")]
        ice_selected_tuple: Option<TransportTuple>,
        /// Our fingerprints and role.
        dtls_parameters: DtlsParameters,
        /// State of the DTLS association.
        dtls_state: DtlsState,
        /// The peer's certificate as PEM text, once connected.
        #[serde(skip_serializing_if = "Option::is_none")]
        dtls_remote_cert: Option<String>,
    },
    /// Plain.
    #[serde(rename_all = "camelCase")]
    Plain {
        /// RTP and RTCP share a port.
        rtcp_mux: bool,
        /// The remote address is learned.
        comedia: bool,
        /// RTP.
        tuple: TransportTuple,
        /// RTCP without rtcp-mux.
        #[serde(skip_serializing_if = "Option::is_none")]
        rtcp_tuple: Option<TransportTuple>,
        /// Our key, where SRTP is on.
        #[serde(skip_serializing_if = "Option::is_none")]
        srtp_parameters: Option<SrtpParameters>,
    },
}

/// What of a dump the server knows and the model does not.
pub struct LocalEnd<'a> {
    /// Candidates of every WebRTC transport.
    pub candidates: &'a [IceCandidate],
    /// Our DTLS fingerprints.
    pub dtls: &'a DtlsParameters,
}

impl TransportDump {
    /// Of `transport`.
    pub fn new(transport: &Transport, model: &Model, local: &LocalEnd<'_>) -> Self {
        let consumers = transport.consumers.iter();
        let consumers: Vec<&Consumer> =
            consumers.filter_map(|id| model.consumers.get(id)).collect();
        let mut extensions = RecvRtpHeaderExtensions::default();
        let mut listener = RtpListenerDump::default();
        for producer in transport
            .producers
            .iter()
            .filter_map(|id| model.producers.get(id))
        {
            extensions.add(&producer.config.extensions);
            listen_for(producer, &mut listener);
        }
        let by_ssrc = |ssrc: u32, value: Uuid| SsrcValue { key: ssrc, value };
        Self {
            id: transport.id,
            kind: transport.type_name(),
            router_id: transport.router,
            shard: transport.shard,
            producer_ids: transport.producers.clone(),
            consumer_ids: transport.consumers.clone(),
            map_ssrc_consumer_id: consumers
                .iter()
                .map(|it| by_ssrc(it.config.ssrc, it.id))
                .collect(),
            map_rtx_ssrc_consumer_id: consumers
                .iter()
                .filter_map(|it| it.config.rtx_ssrc.map(|ssrc| by_ssrc(ssrc, it.id)))
                .collect(),
            recv_rtp_header_extensions: extensions,
            rtp_listener: listener,
            data_producer_ids: Vec::new(),
            data_consumer_ids: Vec::new(),
            trace_event_types: trace_names(transport.trace),
            app_data: transport.record.app_data.clone(),
            own: match &transport.record.kind {
                TransportKind::WebRtc(webrtc) => webrtc_dump(webrtc, local),
                TransportKind::Plain(plain) => plain_dump(plain),
            },
        }
    }
}

fn listen_for(producer: &Producer, listener: &mut RtpListenerDump) {
    let value = producer.id;
    if let Some(mid) = &producer.config.mid {
        let key = mid.clone();
        listener.mid_table.push(KeyValue { key, value });
    }
    for encoding in &producer.config.encodings {
        for key in [encoding.ssrc, encoding.rtx_ssrc].into_iter().flatten() {
            listener.ssrc_table.push(SsrcValue { key, value });
        }
        if let Some(rid) = &encoding.rid {
            let key = rid.clone();
            listener.rid_table.push(KeyValue { key, value });
        }
    }
}

fn webrtc_dump(webrtc: &WebRtc, local: &LocalEnd<'_>) -> TransportKindDump {
    TransportKindDump::WebRtc {
        ice_role: "controlled",
        ice_parameters: webrtc.ice.clone(),
        ice_candidates: local.candidates.to_vec(),
        ice_state: ice_state_name(webrtc.ice_state),
        ice_selected_tuple: webrtc.tuple.as_ref().map(selected_tuple),
        dtls_parameters: DtlsParameters {
            role: webrtc.local_role.unwrap_or_default(),
            fingerprints: local.dtls.fingerprints.clone(),
        },
        dtls_state: webrtc.dtls_state,
        dtls_remote_cert: webrtc.remote_cert.clone(),
    }
}

fn plain_dump(plain: &Plain) -> TransportKindDump {
    TransportKindDump::Plain {
        rtcp_mux: plain.rtcp_mux,
        comedia: plain.comedia,
        tuple: plain_tuple(plain),
        rtcp_tuple: plain_rtcp_tuple(plain),
        srtp_parameters: plain.srtp.clone(),
    }
}

/// RTP addresses of a plain transport.
pub fn plain_tuple(plain: &Plain) -> TransportTuple {
    tuple(
        plain.local,
        plain.remote,
        plain.announced_address.as_deref(),
    )
}

/// RTCP addresses of a plain transport without rtcp-mux.
pub fn plain_rtcp_tuple(plain: &Plain) -> Option<TransportTuple> {
    plain.rtcp_local?;
    Some(tuple(
        plain.rtcp_local,
        plain.rtcp_remote,
        plain.rtcp_announced_address.as_deref(),
    ))
}

/// A path both ends of which are known.
pub fn selected_tuple(known: &Tuple) -> TransportTuple {
    tuple(Some(known.local), Some(known.remote), None)
}

fn tuple(
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    announced: Option<&str>,
) -> TransportTuple {
    let bound = local.map(|it| it.ip().to_string()).unwrap_or_default();
    let shown = announced.map_or(bound, str::to_owned);
    TransportTuple {
        local_ip: shown.clone(),
        local_address: shown,
        local_port: local.map_or(0, |it| it.port()),
        remote_ip: remote.map(|it| it.ip().to_string()),
        remote_port: remote.map(|it| it.port()),
        protocol: "udp",
    }
}

/// mediasoup's name of an ICE state.
pub const fn ice_state_name(state: IceState) -> &'static str {
    match state {
        IceState::New => "new",
        IceState::Connected => "connected",
        IceState::Completed => "completed",
        IceState::Disconnected => "disconnected",
    }
}

/// mediasoup's `ProducerDump`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProducerDump {
    /// Its id.
    pub id: Uuid,
    /// Its transport.
    pub transport_id: Uuid,
    /// Its router.
    pub router_id: Uuid,
    /// Audio or video.
    pub kind: MediaKind,
    /// mediasoup's type.
    #[serde(rename = "type")]
    pub producer_type: ProducerType,
    /// What its endpoint sends.
    pub rtp_parameters: RtpParameters,
    /// Which of the router's payload types stands for each of its own.
    pub rtp_mapping: RtpMapping,
    /// The same in the router's numbers.
    pub consumable_rtp_parameters: RtpParameters,
    /// Those of its streams of which something has come.
    pub rtp_streams: Vec<RtpStreamDump>,
    /// Its consumers.
    pub consumer_ids: Vec<Uuid>,
    /// Scores by encoding.
    pub score: Vec<ProducerScore>,
    /// What is told of in trace events.
    pub trace_event_types: Vec<&'static str>,
    /// Paused or not.
    pub paused: bool,
    /// The caller's.
    #[schema(value_type = Object)]
    pub app_data: serde_json::Value,
}

impl ProducerDump {
    /// Of `producer`.
    pub fn new(producer: &Producer) -> Self {
        let record = producer.record.clone();
        Self {
            id: producer.id,
            transport_id: producer.transport,
            router_id: producer.router,
            kind: record.kind,
            producer_type: record.producer_type,
            rtp_parameters: record.rtp_parameters,
            rtp_mapping: record.rtp_mapping,
            consumable_rtp_parameters: record.consumable_rtp_parameters,
            rtp_streams: rtp_streams::of_producer(producer),
            consumer_ids: producer.consumers.clone(),
            score: producer.scores.clone(),
            trace_event_types: trace_names(producer.trace),
            paused: producer.config.paused,
            app_data: record.app_data,
        }
    }
}

/// mediasoup's `ConsumerDump`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerDump {
    /// Its id.
    pub id: Uuid,
    /// What it takes.
    pub producer_id: Uuid,
    /// Its transport.
    pub transport_id: Uuid,
    /// Its router.
    pub router_id: Uuid,
    /// Audio or video.
    pub kind: MediaKind,
    /// mediasoup's type.
    #[serde(rename = "type")]
    pub consumer_type: &'static str,
    /// What its endpoint receives.
    pub rtp_parameters: RtpParameters,
    /// Its stream.
    pub rtp_stream: Option<RtpStreamDump>,
    /// The producer's encodings in the router's numbers.
    pub consumable_rtp_encodings: Vec<RtpEncodingParameters>,
    /// Payload types it forwards.
    pub supported_codec_payload_types: Vec<u8>,
    /// What is told of in trace events.
    pub trace_event_types: Vec<&'static str>,
    /// Paused or not.
    pub paused: bool,
    /// Its producer is paused or not.
    pub producer_paused: bool,
    /// 1 to 255.
    pub priority: u8,
    /// As known now.
    pub score: ConsumerScore,
    /// Layers wanted at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_layers: Option<ConsumerLayers>,
    /// Layers now sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_layers: Option<ConsumerLayers>,
    /// Layers that it is to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_layers: Option<ConsumerLayers>,
    /// Why it has its layers: `bandwidth`, `preferred`, `awaiting-key-frame`, `source-absent` or
    /// `paused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_reason: Option<&'static str>,
    /// −1 where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_spatial_layer: Option<i16>,
    /// −1 where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_spatial_layer: Option<i16>,
    /// −1 where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_spatial_layer: Option<i16>,
    /// −1 where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_temporal_layer: Option<i16>,
    /// −1 where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_temporal_layer: Option<i16>,
    /// −1 where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_temporal_layer: Option<i16>,
    /// The caller's.
    #[schema(value_type = Object)]
    pub app_data: serde_json::Value,
}

impl ConsumerDump {
    /// Of `consumer` of `producer`, without what only the engine knows.
    pub fn new(consumer: &Consumer, producer: &Producer) -> Self {
        let has_layers = consumer.has_layers();
        let part = |layers: Option<Layers>, pick: fn(Layers) -> u8| {
            has_layers.then(|| layers.map_or(-1, |layers| i16::from(pick(layers))))
        };
        let (preferred, current) = (consumer.config.preferred_layers, consumer.current_layers);
        let record = consumer.record.clone();
        let codecs = consumer.config.codecs.iter();
        Self {
            id: consumer.id,
            producer_id: producer.id,
            transport_id: consumer.transport,
            router_id: consumer.router,
            kind: record.kind,
            consumer_type: consumer.type_name(),
            rtp_stream: rtp_streams::of_consumer(consumer),
            rtp_parameters: record.rtp_parameters,
            consumable_rtp_encodings: producer.record.consumable_rtp_parameters.encodings.clone(),
            supported_codec_payload_types: codecs.map(|codec| codec.payload_type).collect(),
            trace_event_types: trace_names(consumer.trace),
            paused: consumer.config.paused,
            producer_paused: producer.config.paused,
            priority: consumer.config.priority,
            score: consumer.score(producer),
            preferred_layers: preferred.map(ConsumerLayers::from),
            current_layers: current.map(ConsumerLayers::from),
            target_layers: None,
            layer_reason: None,
            preferred_spatial_layer: part(preferred, |it| it.spatial),
            target_spatial_layer: part(None, |it| it.spatial),
            current_spatial_layer: part(current, |it| it.spatial),
            preferred_temporal_layer: part(preferred, |it| it.temporal),
            target_temporal_layer: part(None, |it| it.temporal),
            current_temporal_layer: part(current, |it| it.temporal),
            app_data: record.app_data,
        }
    }
}

impl ConsumerDump {
    /// With what the engine says of its layers.
    pub fn with_layers(mut self, target: Option<Layers>, reason: LayerReason) -> Self {
        self.target_layers = target.map(ConsumerLayers::from);
        self.layer_reason = Some(layer_reason_name(reason));
        if let Some(target) = target.filter(|_| self.target_spatial_layer.is_some()) {
            self.target_spatial_layer = Some(target.spatial.into());
            self.target_temporal_layer = Some(target.temporal.into());
        }
        self
    }
}

/// The contract's name of a reason.
const fn layer_reason_name(reason: LayerReason) -> &'static str {
    match reason {
        LayerReason::Bandwidth => "bandwidth",
        LayerReason::Preferred => "preferred",
        LayerReason::AwaitingKeyFrame => "awaiting-key-frame",
        LayerReason::SourceAbsent => "source-absent",
        LayerReason::Paused => "paused",
    }
}

/// The caller's data as it is kept; none given: an empty object.
pub fn app_data(given: Option<AppData>) -> serde_json::Value {
    serde_json::Value::Object(given.unwrap_or_default())
}
