//! What a selector makes of seeded streams, frame by frame, held as text: a change of behaviour
//! shows as a change of these.

// A trace that can not be written is a broken test.
#![allow(clippy::unwrap_used)]

mod model;

use std::fmt::Write;

use model::call::{Call, Way};
use model::decoder::Received;
use model::encoder::{Between, Structure};
use weirgate_packet::payload::{vp8::Vp8Descriptor, vp9::Vp9Descriptor};
use weirgate_wire::Codec;

/// One line per picture: the source's number, then layers of its frames with their outgoing
/// sequence numbers (`!` where the marker bit is), then what the payload says.
fn trace(call: &Call) -> String {
    let mut text = String::new();
    let mut picture = None;
    let mut frame = None;
    for received in call.receiver.packets.values() {
        let truth = &received.packet.frame;
        if received.place.is_filler {
            write!(text, " filler {}", received.place.sequence).unwrap();
            continue;
        }
        if picture.replace(truth.picture) != Some(truth.picture) {
            let stream = truth.picture >> 24;
            let number = truth.picture & 0xff_ffff;
            write!(text, "\n{stream}:{number:<3} {}", numbers(received)).unwrap();
        }
        if frame.replace(truth.id) != Some(truth.id) {
            let key = if truth.references.is_empty() { "*" } else { "" };
            write!(text, " S{}T{}{key}", truth.spatial, truth.temporal).unwrap();
        }
        let end = if received.place.marker { "!" } else { "" };
        write!(text, " {}{end}", received.place.sequence).unwrap();
    }
    text
}

fn numbers(received: &Received) -> String {
    let (id, tl0) = match received.codec {
        Codec::Vp8 => {
            let descriptor = Vp8Descriptor::parse(&received.payload).unwrap();
            (descriptor.picture_id, descriptor.tl0_pic_idx)
        }
        Codec::Vp9 => {
            let descriptor = Vp9Descriptor::parse(&received.payload).unwrap();
            (descriptor.picture_id, descriptor.tl0_pic_idx)
        }
        _ => return String::new(),
    };
    let id = id.map_or(0, |id| id.value);
    format!("id {id:<5} tl0 {:<3}", tl0.unwrap_or(0))
}

/// Up, down, temporal down and up, a pause.
fn play(structures: &[Structure], way: Way) -> String {
    let mut call = Call::new(structures, 42, true);
    call.way = way;
    let streams = structures.len() as u8;
    let target = |call: &mut Call, spatial: u8, temporal: u8| {
        let encoding = if streams > 1 { spatial } else { 0 };
        call.target(encoding, spatial, temporal);
    };
    for (spatial, temporal, pictures) in [(0, 0, 6), (2, 2, 14), (1, 2, 10), (1, 0, 8), (2, 1, 10)]
    {
        target(&mut call, spatial, temporal);
        call.pictures(pictures);
    }
    call.selector.set_target(None);
    call.pictures(3);
    target(&mut call, 0, 2);
    call.pictures(8);
    call.finish();
    call.assert_sound();
    trace(&call)
}

fn clean(structures: &[Structure]) -> String {
    play(structures, Way::default())
}

#[test]
fn vp8_simulcast() {
    let structure = Structure::new(Codec::Vp8, 1, 3, Between::Never);
    insta::assert_snapshot!(clean(&[structure; 3]));
}

#[test]
fn vp9_full_svc() {
    let structure = Structure::new(Codec::Vp9, 3, 3, Between::Always);
    insta::assert_snapshot!(clean(&[structure]));
}

#[test]
fn vp9_k_svc() {
    let structure = Structure::new(Codec::Vp9, 3, 3, Between::KeyPictures);
    insta::assert_snapshot!(clean(&[structure]));
}

#[test]
fn av1_full_svc() {
    let structure = Structure::new(Codec::Av1, 3, 3, Between::Always);
    insta::assert_snapshot!(clean(&[structure]));
}

#[test]
fn vp9_full_svc_with_losses() {
    let structure = Structure::new(Codec::Vp9, 3, 3, Between::Always);
    let way = Way {
        lost: 2,
        late: 4,
        swapped: 4,
    };
    insta::assert_snapshot!(play(&[structure], way));
}
