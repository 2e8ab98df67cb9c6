use std::collections::BTreeSet;

use serde_json::json;
use weirgate_ortc::{MediaKind, ProducerType, RtpCapabilities, RtpMapping, RtpParameters};
use weirgate_wire::{
    ConsumerConfig, ConsumerType, ExtensionIds, Feedback, MediaKind as WireKind, ProducerConfig,
};

use super::*;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Two routers (1, 2); in the first two transports (11, 12), a producer (21) on the first and a
/// consumer (31) of it on the second.
fn model() -> Model {
    let mut model = Model::default();
    for number in [1, 2] {
        model.insert_router(Router {
            id: id(number),
            record: RouterRecord {
                rtp_capabilities: RtpCapabilities::default(),
                app_data: json!({}),
                room: None,
            },
            transports: Vec::new(),
        });
    }
    for number in [11, 12] {
        let kind = TransportKind::WebRtc(Box::default());
        let record = TransportRecord::new(kind, json!({}), None);
        let transport = Transport::new(id(number), id(1), 0, record);
        model.insert_transport(transport).unwrap();
    }
    model.insert_producer(producer()).unwrap();
    model.insert_consumer(consumer()).unwrap();
    model
}

fn producer() -> Producer {
    Producer {
        id: id(21),
        transport: id(11),
        router: id(1),
        record: ProducerRecord {
            kind: MediaKind::Audio,
            producer_type: ProducerType::Simple,
            rtp_parameters: RtpParameters::default(),
            rtp_mapping: RtpMapping::default(),
            consumable_rtp_parameters: RtpParameters::default(),
            app_data: json!({}),
        },
        config: ProducerConfig {
            id: id(21),
            kind: WireKind::Audio,
            mid: None,
            cname: String::new(),
            codecs: Vec::new(),
            encodings: Vec::new(),
            extensions: ExtensionIds::default(),
            paused: false,
            key_frame_request_delay_ms: 0,
        },
        trace: Default::default(),
        scores: Vec::new(),
        wanted: None,
        consumers: Vec::new(),
    }
}

fn consumer() -> Consumer {
    Consumer {
        id: id(31),
        transport: id(12),
        router: id(1),
        record: ConsumerRecord {
            kind: MediaKind::Audio,
            rtp_parameters: RtpParameters::default(),
            app_data: json!({}),
        },
        config: ConsumerConfig {
            id: id(31),
            producer: id(21),
            consumer_type: ConsumerType::Simple,
            ssrc: 7,
            rtx_ssrc: Some(8),
            mid: "0".to_owned(),
            codecs: Vec::new(),
            extensions: ExtensionIds::default(),
            feedback: Feedback::default(),
            paused: false,
            preferred_layers: None,
            priority: 1,
            ignore_dtx: false,
        },
        trace: Default::default(),
        score: 10,
        producer_score: None,
        current_layers: None,
    }
}

#[test]
fn a_router_takes_everything_along() {
    let mut model = model();
    let closed = model.close_router(id(1));
    let causes: Vec<_> = closed.transports.iter().map(|(_, cause)| *cause).collect();
    assert_eq!(causes, [Cause::Router, Cause::Router]);
    assert_eq!(closed.producers[0].1, Cause::Transport);
    assert_eq!(closed.consumers[0].1, Cause::Producer);
    assert_eq!(model.routers.len(), 1);
    assert!(model.transports.is_empty() && model.producers.is_empty());
    assert!(model.consumers.is_empty());
}

#[test]
fn a_receiving_transport_leaves_the_producer() {
    let mut model = model();
    let closed = model.close_transport(id(12));
    assert_eq!(closed.transports[0].1, Cause::Asked);
    assert_eq!(closed.consumers[0].1, Cause::Transport);
    assert!(model.producer(id(21)).unwrap().consumers.is_empty());
    assert_eq!(model.router(id(1)).unwrap().transports, [id(11)]);
}

#[test]
fn closing_twice_takes_nothing() {
    let mut model = model();
    assert_eq!(model.close_consumer(id(31)).consumers.len(), 1);
    let again = model.close_consumer(id(31));
    assert!(again.consumers.is_empty());
    assert!(model.transport(id(12)).unwrap().consumers.is_empty());
    assert!(model.producer(id(21)).unwrap().consumers.is_empty());
}

#[test]
fn nothing_is_added_to_what_is_gone() {
    let mut model = model();
    model.close_producer(id(21));
    assert!(model.insert_consumer(consumer()).is_err());
    model.close_transport(id(11));
    assert!(model.insert_producer(producer()).is_err());
}

#[test]
fn ssrcs_in_use_are_known() {
    let model = model();
    let transport = model.transport(id(12)).unwrap();
    let used: Vec<_> = (6..10)
        .filter(|it| model.ssrc_in_use(transport, *it))
        .collect();
    assert_eq!(used, [7, 8]);
}

#[test]
fn no_mid_comes_twice_however_often_the_record_is_read_again() {
    let kind = TransportKind::WebRtc(Box::default());
    let record = TransportRecord::new(kind, json!({}), None);
    let mut transport = Transport::new(id(1), id(2), 0, record);
    let mut written = transport.record.reserved_mids;
    let mut seen = BTreeSet::new();
    for round in 0..500 {
        let (mid, must_write) = transport.take_mid();
        if must_write {
            written = transport.record.reserved_mids;
        }
        assert!(seen.insert(mid));
        if round % 37 == 0 {
            // What a restart leaves is what was written.
            transport.record.reserved_mids = written;
            transport.next_mid = written;
        }
    }
}
