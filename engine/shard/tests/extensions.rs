//! Header extensions: what each kind becomes on the way from a producer's leg to a consumer's.

// A packet that can not be written is a broken test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod sim;

use std::time::Duration;

use sim::*;
use weirgate_packet::rtp::{ExtensionForm, RtpPacket, RtpWriter};
use weirgate_wire::{Event, ExtensionIds, ExtensionKind, VideoOrientation};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// As it came, under the id of the consumer's leg.
    Carried,
    /// Of the consumer's leg itself.
    Written,
    /// Ends here: it names streams and layers of the producer's leg.
    Ends,
}

/// Every kind with what a producer sends in it.
const TABLE: [(ExtensionKind, &[u8], Fate); ExtensionKind::COUNT] = [
    (ExtensionKind::Mid, b"1", Fate::Written),
    (ExtensionKind::Rid, b"hi", Fate::Ends),
    (ExtensionKind::RepairedRid, b"hi", Fate::Ends),
    (ExtensionKind::AbsSendTime, &[1, 2, 3], Fate::Written),
    (ExtensionKind::TransportWideCc, &[0xff, 0xfe], Fate::Written),
    (ExtensionKind::AudioLevel, &[0x85], Fate::Carried),
    (ExtensionKind::VideoOrientation, &[0x0b], Fate::Carried),
    // Too short to be believed: the payload tells what the packet is.
    (ExtensionKind::DependencyDescriptor, &[0xc0], Fate::Ends),
    (ExtensionKind::TimeOffset, &[0, 4, 5], Fate::Carried),
    (
        ExtensionKind::AbsCaptureTime,
        &[1, 2, 3, 4, 5, 6, 7, 8],
        Fate::Carried,
    ),
    (ExtensionKind::PlayoutDelay, &[0, 0x10, 0x20], Fate::Carried),
];

/// Ids counted up, or down.
fn ids(id_of: impl Fn(u8) -> u8) -> ExtensionIds {
    let mut ids = ExtensionIds::default();
    for (number, kind) in (1..).zip(ExtensionKind::ALL) {
        ids.set(kind, id_of(number));
    }
    ids
}

/// A packet with all extensions that `ids` has.
fn packet(sequence: u16, ids: &ExtensionIds, form: ExtensionForm) -> Vec<u8> {
    let mut bytes = [0; 500];
    let timestamp = u32::from(sequence) * 3_000;
    let mut writer =
        RtpWriter::new(&mut bytes, true, PT, sequence, timestamp, MEDIA_SSRC, form).unwrap();
    for (kind, data, _) in TABLE {
        if let Some(id) = ids.get(kind) {
            writer.extension(id, data).unwrap();
        }
    }
    writer
        .payload(&vp8_payload(sequence == 0, sequence))
        .unwrap();
    let len = writer.finish().len;
    bytes[..len].to_vec()
}

/// What a consumer with those ids gets: id and data of each extension.
fn forwarded(
    own: ExtensionIds,
    consumers: ExtensionIds,
    form: ExtensionForm,
) -> Vec<(u8, Vec<u8>)> {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let mut producer = video_producer(1);
    producer.extensions = own;
    sim.producer(0, send, producer.clone());
    let transport = sim.plain(0, 2, addr(2), None);
    let mut consumer = video_consumer(2, &producer);
    consumer.extensions = consumers;
    sim.consumer(0, transport, consumer);
    let sealed = sender.seal(&packet(0, &own, form));
    sim.deliver(0, plain_path(1, addr(1)), &sealed);
    let sent = sim.take_sent_to(addr(2));
    let media = sent.iter().find(|sent| sent.bytes[1] & 0x7f == OUT_PT);
    let packet = RtpPacket::parse(&media.expect("the packet").bytes).unwrap();
    let extensions = packet.extensions();
    extensions.map(|(id, data)| (id, data.to_vec())).collect()
}

#[test]
fn each_kind_has_the_id_of_its_leg() {
    let (own, consumers) = (ids(|number| number), ids(|number| 13 - number));
    for form in [ExtensionForm::OneByte, ExtensionForm::TwoByte] {
        let got = forwarded(own, consumers, form);
        for (kind, data, fate) in TABLE {
            let id = consumers.get(kind).unwrap();
            let found = got.iter().find(|(found, _)| *found == id);
            let found = found.map(|(_, data)| data.as_slice());
            match fate {
                Fate::Carried => assert_eq!(found, Some(data), "{kind:?}"),
                Fate::Ends => assert_eq!(found, None, "{kind:?}"),
                Fate::Written => {
                    let own = found.unwrap_or_else(|| panic!("{kind:?} is missing"));
                    assert_ne!(own, data, "{kind:?} is of the other leg");
                }
            }
        }
    }
}

#[test]
fn what_one_leg_has_not_is_left_out() {
    let all = ids(|number| number);
    for (kind, _, fate) in TABLE {
        let mut without = all;
        without.set(kind, 0);
        let id = all.get(kind).unwrap();
        let has = |got: Vec<(u8, Vec<u8>)>| got.iter().any(|(found, _)| *found == id);
        let form = ExtensionForm::OneByte;
        assert!(!has(forwarded(all, without, form)), "{kind:?} not wanted");
        let is_own = fate == Fate::Written;
        assert_eq!(
            has(forwarded(without, all, form)),
            is_own,
            "{kind:?} not sent"
        );
    }
}

#[test]
fn control_is_told_which_way_up_pictures_are_where_that_changes() {
    let mut sim = Sim::new(1);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let mut producer = video_producer(1);
    let kind = ExtensionKind::VideoOrientation;
    let id = 7;
    producer.extensions.set(kind, id);
    sim.producer(0, send, producer.clone());
    // Milliseconds, and what the last packet of a picture has: nothing, as where it is upright.
    let turns: [(u64, Option<u8>); 10] = [
        (0, None),
        (300, Some(0)),
        (600, Some(0b1001)),
        (900, Some(0b1001)),
        // Too soon after the last change, and told later.
        (1_200, Some(0b0110)),
        (1_210, Some(0b0011)),
        (1_500, Some(0b0011)),
        // Turned back at once, and said but once.
        (1_800, Some(0b0110)),
        (1_810, Some(0b0011)),
        (2_100, None),
    ];
    let mut told = Vec::new();
    let mut now_ms = 0;
    for (sequence, (at_ms, data)) in (0..).zip(turns) {
        sim.advance(Duration::from_millis(at_ms - now_ms));
        now_ms = at_ms;
        let extension = data.map(|byte| (id, vec![byte]));
        let packet = picture(sequence, extension);
        sim.deliver(0, plain_path(1, addr(1)), &sender.seal(&packet));
        told.extend(sim.events.drain(..).filter_map(|event| match event {
            Event::ProducerOrientation { orientation, .. } => Some((sequence, orientation)),
            _ => None,
        }));
    }
    let turned = |camera, flip, rotation| VideoOrientation {
        camera,
        flip,
        rotation,
    };
    assert_eq!(
        told,
        [
            (1, turned(false, false, 0)),
            (2, turned(true, false, 90)),
            (4, turned(false, true, 180)),
            (6, turned(false, false, 270)),
            (7, turned(false, true, 180)),
            (9, turned(false, false, 270)),
        ]
    );
}

/// A picture of one packet.
fn picture(sequence: u16, extension: Option<(u8, Vec<u8>)>) -> Vec<u8> {
    let mut bytes = [0; 500];
    let form = ExtensionForm::OneByte;
    let timestamp = u32::from(sequence) * 3_000;
    let mut writer =
        RtpWriter::new(&mut bytes, true, PT, sequence, timestamp, MEDIA_SSRC, form).unwrap();
    if let Some((id, data)) = extension {
        writer.extension(id, &data).unwrap();
    }
    writer
        .payload(&vp8_payload(sequence == 0, sequence))
        .unwrap();
    let len = writer.finish().len;
    bytes[..len].to_vec()
}
