//! For any input: the receiver's numbers have no hole that the input did not have and never
//! repeat, timestamps never go back, picture ids go on, and no frame reaches the decoder without
//! those it refers to, unless they were lost or late on the way to us.

mod model;

use model::call::{Call, Way};
use model::encoder::{Between, Structure};
use proptest::collection::vec;
use proptest::prelude::*;
use weirgate_layers::Offer;
use weirgate_wire::Codec;

#[derive(Debug, Clone)]
enum Step {
    Pictures(usize),
    Target(u8, u8, u8),
    Pause,
    Interrupt,
    Restart(usize),
    Active(usize, bool),
    Layers(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..30usize).prop_map(Step::Pictures),
        6 => (0..3u8, 0..3u8, 0..3u8).prop_map(|(e, s, t)| Step::Target(e, s, t)),
        1 => Just(Step::Pause),
        1 => Just(Step::Interrupt),
        1 => (0..3usize).prop_map(Step::Restart),
        1 => (0..3usize, any::<bool>()).prop_map(|(e, on)| Step::Active(e, on)),
        2 => (1..=3u8).prop_map(Step::Layers),
    ]
}

fn layered() -> impl Strategy<Value = Vec<Structure>> {
    let codec = prop_oneof![Just(Codec::Vp9), Just(Codec::Av1)];
    let between = prop_oneof![
        Just(Between::Always),
        Just(Between::KeyPictures),
        Just(Between::Never)
    ];
    (codec, 1..=3u8, 1..=3u8, between, 0..3u8).prop_map(
        |(codec, spatial, temporal, between, mode)| {
            vec![Structure {
                flexible: mode == 1,
                grouped: mode == 2 && codec == Codec::Vp9,
                ..Structure::new(codec, spatial, temporal, between)
            }]
        },
    )
}

fn simulcast() -> impl Strategy<Value = Vec<Structure>> {
    let codec = prop_oneof![4 => Just(Codec::Vp8), 1 => Just(Codec::H264)];
    (codec, 1..=3usize, 1..=3u8, any::<bool>()).prop_map(
        |(codec, streams, temporal, long_picture_id)| {
            let structure = Structure {
                long_picture_id,
                ..Structure::new(codec, 1, temporal, Between::Never)
            };
            vec![structure; streams]
        },
    )
}

fn any_structures() -> impl Strategy<Value = Vec<Structure>> {
    prop_oneof![layered(), simulcast()]
}

fn play(call: &mut Call, steps: &[Step]) {
    let streams = call.encoders.len();
    call.target(0, 2, 2);
    for step in steps {
        match *step {
            Step::Pictures(count) => call.pictures(count),
            Step::Target(encoding, spatial, temporal) => {
                call.target(encoding % streams as u8, spatial, temporal);
            }
            Step::Pause => call.selector.set_target(None),
            Step::Interrupt => call.selector.interrupt(),
            Step::Restart(encoding) => call.restart(encoding % streams),
            Step::Active(encoding, on) => call.active[encoding % streams] = on,
            Step::Layers(layers) => call.make_layers(layers),
        }
    }
    call.pictures(10);
    call.finish();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn without_loss_there_is_no_seam(
        structures in any_structures(),
        seed: u64,
        takes_layers in prop::bool::weighted(0.9),
        queue_limit in 0..40usize,
        meanwhile in 0..3u8,
        steps in vec(step(), 1..25),
    ) {
        let mut call = Call::new(&structures, seed, takes_layers);
        call.meanwhile = meanwhile;
        call.queue_limit = queue_limit;
        play(&mut call, &steps);
        call.assert_seamless();
    }

    #[test]
    fn loss_and_reordering_do_no_further_harm(
        structures in any_structures(),
        seed: u64,
        queue_limit in 0..40usize,
        lost in 0..15u64,
        late in 0..15u64,
        swapped in 0..15u64,
        steps in vec(step(), 1..25),
    ) {
        let mut call = Call::new(&structures, seed, true);
        call.queue_limit = queue_limit;
        call.way = Way { lost, late, swapped };
        play(&mut call, &steps);
        call.assert_sound();
    }

    /// Small displacement is no loss: frames that came whole reach the decoder with all they need.
    #[test]
    fn reordering_alone_makes_no_frame_undecodable(
        structures in any_structures(),
        seed: u64,
        swapped in 1..30u64,
        targets in vec((0..3u8, 0..3u8, 0..3u8), 1..15),
    ) {
        let mut call = Call::new(&structures, seed, true);
        call.way = Way { swapped, ..Way::default() };
        let streams = structures.len() as u8;
        for (encoding, spatial, temporal) in targets {
            call.target(encoding % streams, spatial, temporal);
            call.pictures(20);
        }
        call.finish();
        call.assert_sound();
        prop_assert_eq!(call.receiver.undecodable(|_| false), Vec::<u32>::new());
    }

    #[test]
    fn any_layers_at_all_are_survived(
        packets in vec((0..3u8, 0..4_000u64, any::<bool>(), vec(any::<u8>(), 0..40), any::<u8>()), 1..300),
    ) {
        let mut readers: [weirgate_layers::LayerReader; 3] = Default::default();
        let mut selector = weirgate_layers::Selector::new(0, true);
        let codecs = [Codec::Vp8, Codec::Vp9, Codec::Av1];
        for (encoding, sequence, entry, bytes, other) in packets {
            let layers = readers[usize::from(encoding)].read(&weirgate_layers::Incoming {
                codec: codecs[usize::from(other % 3)],
                sequence: (1 << 20) + sequence,
                timestamp: u32::from(other) * 100,
                marker: entry,
                payload: &bytes,
                descriptor: (other & 0x80 != 0).then_some(&bytes),
            });
            selector.set_target(Some(weirgate_layers::Target {
                encoding: other % 3,
                layer: weirgate_layers::Layer::new(other >> 2 & 3, other >> 4 & 7),
                meanwhile: other & 7,
            }));
            let sequence = (1 << 20) + sequence;
            if selector.offer(encoding, sequence, entry, &layers).offer != Offer::Skip {
                let place = selector.place(encoding, sequence, 0, &layers, |b| b.timestamp);
                if let Some(place) = place {
                    let mut payload = bytes.clone();
                    weirgate_layers::rewrite(&mut payload, &layers, &place);
                    selector.origin(place.sequence as u16);
                }
            }
        }
    }
}
