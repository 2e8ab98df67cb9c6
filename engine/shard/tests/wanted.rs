//! What nobody takes of a producer, its sender is told, over shards too.

mod sim;

use sim::call::{Call, RATES_BPS};
use sim::link::LinkConfig;
use sim::*;
use uuid::Uuid;
use weirgate_shard::CommandBody;
use weirgate_wire::{Event, Layers, ObjectKind};

fn set_paused(call: &mut Call, receiver: usize, paused: bool) {
    let id = call.receivers[receiver].consumer;
    let kind = ObjectKind::Consumer;
    call.sim
        .command(0, CommandBody::SetPaused { kind, id, paused });
}

fn prefer(call: &mut Call, receiver: usize, spatial: u8) {
    let id = call.receivers[receiver].consumer;
    let layers = Some(Layers {
        spatial,
        temporal: 0,
    });
    call.sim
        .command(0, CommandBody::SetPreferredLayers { id, layers });
}

#[test]
fn an_unwatched_camera_is_told_to_stop_and_a_watched_one_at_once_to_go_on() {
    let mut call = Call::new(&RATES_BPS);
    call.run_ms(4_000);
    assert_eq!(call.wanted(), [None]);
    let link = call.link(LinkConfig::default());
    let receiver = call.receiver(link);
    assert_eq!(call.wanted(), [None, Some(2)], "without delay");
    set_paused(&mut call, receiver, true);
    call.run_ms(1_000);
    set_paused(&mut call, receiver, false);
    call.run_ms(4_000);
    assert_eq!(call.wanted().len(), 2, "a moment is no time");
    prefer(&mut call, receiver, 0);
    call.run_ms(4_000);
    assert_eq!(call.wanted().last(), Some(&Some(0)));
    prefer(&mut call, receiver, 1);
    assert_eq!(call.wanted().last(), Some(&Some(1)));
    let (kind, id) = (ObjectKind::Consumer, call.receivers[receiver].consumer);
    call.sim.command(0, CommandBody::Close { kind, id });
    call.run_ms(4_000);
    assert_eq!(call.wanted().last(), Some(&None));
}

#[test]
fn a_layer_that_fits_nowhere_is_not_wanted_until_it_may() {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(LinkConfig {
        rate_bps: 250_000,
        ..LinkConfig::default()
    });
    call.receiver(link);
    call.run_ms(15_000);
    assert_eq!(call.wanted().last(), Some(&Some(1)));
    call.links[link].config.rate_bps = 4_000_000;
    for _ in 0..30 {
        call.run_ms(500);
        call.camera.streams[2].active = call.wanted().last() == Some(&Some(2));
    }
    let last = call.receivers[0].shown.last();
    assert_eq!(last.map(|shown| shown.stream), Some(2));
}

#[test]
fn a_layer_that_comes_back_is_taken_from_its_first_key_frame_on() {
    let mut call = Call::new(&RATES_BPS);
    let link = call.link(LinkConfig::default());
    let receiver = call.receiver(link);
    call.run_ms(10_000);
    let shown = |call: &Call| call.receivers[receiver].shown.last().map(|it| it.stream);
    assert_eq!(shown(&call), Some(2));
    prefer(&mut call, receiver, 0);
    call.run_ms(4_000);
    let switch = |call: &mut Call, active| {
        for stream in &mut call.camera.streams[1..] {
            stream.active = active;
        }
    };
    switch(&mut call, false);
    call.run_ms(4_000);
    let requests = |call: &Call| {
        call.camera
            .streams
            .iter()
            .map(|it| it.requests)
            .sum::<u32>()
    };
    let before = requests(&call);
    prefer(&mut call, receiver, 2);
    switch(&mut call, true);
    call.run_ms(400);
    assert_eq!(shown(&call), Some(2));
    assert_eq!(requests(&call), before, "a key frame came unasked");
}

#[test]
fn what_other_shards_want_counts_until_they_want_it_no_more() {
    let mut sim = Sim::new(2);
    let sender = Peer::new(addr(1), &key(1));
    let send = sim.plain(0, 1, sender.remote, Some(key(1)));
    let producer = video_producer(1);
    let source = sim.producer(0, send, producer.clone());
    sim.relay(0, 1, source, &producer);
    let transport = sim.plain(1, 2, addr(2), Some(key(2)));
    let consumer = video_consumer(2, &producer);
    sim.consumer(1, transport, consumer.clone());
    sim.advance_ms(10_000);
    let told = |sim: &Sim| -> Vec<Option<u8>> {
        let spatial = |event: &Event| match event {
            Event::ProducerWanted { spatial, .. } => Some(*spatial),
            _ => None,
        };
        sim.events.iter().filter_map(spatial).collect()
    };
    assert_eq!(told(&sim), [], "it is wanted from the start");
    let (kind, id) = (ObjectKind::Consumer, consumer.id);
    sim.command(1, CommandBody::Close { kind, id });
    sim.advance_ms(4_000);
    assert_eq!(told(&sim), [None]);
    let mut again = consumer;
    again.ssrc += 100;
    again.rtx_ssrc = None;
    sim.consumer(1, transport, again);
    assert_eq!(told(&sim), [None, Some(0)]);
    // Its shard takes nothing any more, whatever it said last.
    let id = Uuid::from_u128(0xD000_0000 + 2);
    let relay = CommandBody::Relay {
        producer: producer.id,
        to: 1,
        on: false,
    };
    sim.command(1, CommandBody::Close { kind, id });
    sim.command(0, relay);
    sim.advance_ms(4_000);
    assert_eq!(told(&sim), [None, Some(0), None]);
    // The next one there begins from nothing.
    let kind = ObjectKind::Producer;
    let id = producer.id;
    sim.command(1, CommandBody::Close { kind, id });
    sim.relay(0, 1, source, &producer);
    let mut first = video_consumer(3, &producer);
    first.rtx_ssrc = None;
    sim.consumer(1, transport, first);
    assert_eq!(told(&sim), [None, Some(0), None, Some(0)], "without delay");
}
