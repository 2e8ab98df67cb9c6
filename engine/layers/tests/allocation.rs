//! Nothing is allocated per packet.

mod model;

use model::encoder::{Between, Encoder, Structure};
use weirgate_layers::{Incoming, Layer, LayerReader, Offer, Selector, Target, rewrite};
use weirgate_wire::Codec;

#[test]
fn reading_choosing_and_numbering_allocate_nothing() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let structure = Structure::new(codec, 3, 3, Between::Always);
        let structure = match codec {
            Codec::Vp8 => Structure {
                spatial: 1,
                ..structure
            },
            _ => structure,
        };
        let mut encoder = Encoder::new(structure, 0, 1);
        let mut reader = LayerReader::default();
        let mut selector = Selector::new(0, true);
        let mut run = |pictures: u64, is_measured: bool| {
            let packets: Vec<_> = (0..pictures)
                .flat_map(|picture| {
                    if picture % 50 == 0 {
                        encoder.request_key_frame();
                    }
                    encoder.picture(picture * 33, 3)
                })
                .collect();
            let mut left = 0;
            let info = allocation_counter::measure(|| {
                for (number, packet) in packets.iter().enumerate() {
                    let layer = Layer::new((number / 40 % 3) as u8, (number / 60 % 3) as u8);
                    selector.set_target(Some(Target {
                        encoding: 0,
                        layer,
                        meanwhile: 0,
                    }));
                    let layers = reader.read(&Incoming {
                        codec,
                        sequence: packet.sequence,
                        timestamp: packet.timestamp,
                        marker: packet.marker,
                        payload: &packet.payload,
                        descriptor: packet.descriptor.as_deref(),
                    });
                    let is_entry = layers.begins_key_frame();
                    let offered = selector.offer(0, packet.sequence, is_entry, &layers);
                    if offered.offer == Offer::Skip {
                        continue;
                    }
                    let place =
                        selector.place(0, packet.sequence, packet.timestamp, &layers, |b| {
                            b.timestamp
                        });
                    if let Some(place) = place {
                        let mut payload = [0; 64];
                        payload[..packet.payload.len()].copy_from_slice(&packet.payload);
                        rewrite(&mut payload, &layers, &place);
                        left += 1;
                    }
                }
            });
            assert!(left > 0);
            assert!(!is_measured || info.count_total == 0, "{codec:?}: {info:?}");
        };
        // The first key frame of a stream may bring a structure to keep.
        run(60, false);
        run(500, true);
    }
}

#[test]
fn states_are_small() {
    assert!(size_of::<Selector>() <= 1_024, "{}", size_of::<Selector>());
    assert!(
        size_of::<LayerReader>() <= 144,
        "{}",
        size_of::<LayerReader>()
    );
    let made = allocation_counter::measure(|| drop(Selector::new(0, true)));
    assert!(made.bytes_total <= 2_048, "{made:?}");
    let whole = allocation_counter::measure(|| drop(Selector::new(0, false)));
    assert_eq!(
        whole.bytes_total, 0,
        "a stream that goes out whole needs nothing more"
    );
}
