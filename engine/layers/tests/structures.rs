//! What selectors do with whole streams of every structure.

mod model;

use model::call::{Call, Way};
use model::encoder::{Between, Structure};
use weirgate_layers::Layer;
use weirgate_wire::Codec;

fn structures() -> Vec<Structure> {
    let mut all = vec![Structure::new(Codec::H264, 1, 1, Between::Never)];
    for temporal in 1..=3 {
        all.push(Structure::new(Codec::Vp8, 1, temporal, Between::Never));
        for codec in [Codec::Vp9, Codec::Av1] {
            all.push(Structure::new(codec, 1, temporal, Between::Always));
            for between in [Between::Always, Between::KeyPictures, Between::Never] {
                all.push(Structure::new(codec, 3, temporal, between));
            }
        }
    }
    all.push(Structure {
        flexible: true,
        ..Structure::new(Codec::Vp9, 3, 3, Between::Always)
    });
    for temporal in 2..=3 {
        for between in [Between::Always, Between::KeyPictures] {
            all.push(Structure {
                grouped: true,
                ..Structure::new(Codec::Vp9, 3, temporal, between)
            });
        }
    }
    all.push(Structure {
        encrypted: true,
        ..Structure::new(Codec::Vp8, 1, 3, Between::Never)
    });
    all.push(Structure {
        long_picture_id: false,
        ..Structure::new(Codec::Vp8, 1, 3, Between::Never)
    });
    all
}

fn is_layered(structure: &Structure) -> bool {
    structure.codec != Codec::H264
}

#[test]
fn every_target_of_every_structure_is_reached_and_can_be_decoded() {
    for structure in structures().into_iter().filter(is_layered) {
        let mut call = Call::new(&[structure], 7, true);
        let mut switches = 0;
        for step in 0..60u32 {
            let spatial = ((step * 7 + step / 5) % u32::from(structure.spatial)) as u8;
            let temporal = ((step * 5 + step / 7) % u32::from(structure.temporal)) as u8;
            call.target(0, spatial, temporal);
            call.pictures(23);
            let layers = call.selector.layers();
            let expected = Layer { spatial, temporal };
            assert_eq!(layers, Some((0, expected)), "{structure:?}, step {step}");
            switches += 1;
        }
        call.finish();
        assert_eq!(switches, 60);
        call.assert_seamless();
    }
}

/// Every picture of the base temporal layer at least, while the key frame for something else is long in
/// coming.
#[test]
fn targets_that_change_all_the_time_stop_no_stream() {
    for structure in structures().into_iter().filter(is_layered) {
        for seed in 0..20 {
            let mut call = Call::new(&[structure], seed, true);
            call.ask_interval_ms = 3_000;
            for step in 0..120u32 {
                let spatial = (step % u32::from(structure.spatial)) as u8;
                let temporal = (step / 3 % u32::from(structure.temporal)) as u8;
                call.meanwhile = temporal;
                call.target(0, spatial, temporal);
                call.pictures(2 + (step + seed as u32) as usize % 2);
            }
            call.finish();
            call.assert_seamless();
            let pictures: Vec<_> = call.receiver.picture_numbers();
            let pauses = pictures
                .windows(2)
                .map(|pair| pair[1].picture - pair[0].picture);
            assert!(pauses.max() <= Some(4), "{structure:?}");
        }
    }
}

/// Chromium does so where it is short of bits, and its receivers show no picture before its end.
#[test]
fn a_picture_without_its_upper_layer_has_an_end_too() {
    for structure in structures().into_iter().filter(|it| it.spatial > 1) {
        for (spatial, temporal) in [(2, 2), (1, 2), (0, 2), (2, 0)] {
            let mut call = Call::new(&[structure], 5, true);
            call.encoders[0].dropped = 30;
            call.target(0, 2, 2);
            call.pictures(10);
            call.target(0, spatial, temporal);
            call.pictures(200);
            // A whole one, to see the end of the last.
            call.encoders[0].dropped = 0;
            call.pictures(1);
            call.finish();
            call.assert_sound();
            call.receiver.assert_markers();
            call.receiver.assert_joints();
            call.receiver.assert_ends();
        }
    }
}

/// One picture had to do without it, before a layer came that does not refer to it.
#[test]
fn a_lower_layer_goes_along_only_where_it_can_be_decoded() {
    let structure = Structure::new(Codec::Vp9, 3, 1, Between::Never);
    let mut call = Call::new(&[structure], 5_233_368_002_972_791_323, true);
    call.queue_limit = 27;
    call.way = Way {
        lost: 8,
        late: 2,
        swapped: 0,
    };
    call.target(0, 2, 2);
    call.pictures(11);
    call.finish();
    call.assert_sound();
}

#[test]
fn only_the_wanted_layers_are_sent() {
    for structure in structures().into_iter().filter(is_layered) {
        for spatial in 0..structure.spatial {
            for temporal in 0..structure.temporal {
                let mut call = Call::new(&[structure], 3, true);
                call.target(0, spatial, temporal);
                call.pictures(40);
                for received in call.receiver.media() {
                    let frame = &received.packet.frame;
                    assert!(frame.temporal <= temporal);
                    assert!(frame.spatial <= spatial);
                    // VP9's lower layers go along.
                    let goes_alone = structure.codec == Codec::Av1
                        && structure.between != Between::Always
                        && received.turn > 60;
                    assert!(!goes_alone || frame.spatial == spatial, "{structure:?}");
                }
            }
        }
    }
}
