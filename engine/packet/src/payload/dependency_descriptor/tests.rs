use super::*;

#[test]
fn mandatory_fields_and_the_structure_flag() {
    let mut expected = DependencyDescriptor {
        start_of_frame: true,
        end_of_frame: false,
        template_id: 5,
        frame_number: 0x0102,
        has_structure: false,
    };
    assert_eq!(DependencyDescriptor::parse(&[0x85, 1, 2]), Some(expected));
    expected.has_structure = true;
    assert_eq!(
        DependencyDescriptor::parse(&[0x85, 1, 2, 0x80, 0]),
        Some(expected)
    );
    for len in 0..3 {
        assert_eq!(DependencyDescriptor::parse(&[0x85, 1, 2][..len]), None);
    }
}

/// Two temporal layers: a key frame, T0 and T1; both targets protected by one chain.
///
/// In bits after the mandatory fields: flags 10000, id offset 000111, targets 00001, layers 00 01
/// 11, indications SS, SS and -D, references none, 4 and 2, chains 1 of 0–2 (10 of ns(3)), both
/// protected by chain 0 (no bits), chain diffs 0, 4, 2, no resolutions.
const KEY_FRAME: [u8; 11] = [
    0xc7,
    0x00,
    0x10, // first and last packet, template 7, frame 16
    0b1000_0000,
    0b1110_0001,
    0b0001_1110,
    0b1010_1000,
    0b0101_0011,
    0b0100_0101,
    0b0000_0010,
    0b0001_0000,
];

#[test]
fn a_structure_and_the_frames_made_after_it() {
    let mut structure = None;
    let key = FrameDependencies::parse(&KEY_FRAME, &mut structure).unwrap();
    let known = structure.clone().unwrap();
    assert_eq!((known.decode_targets(), known.chains()), (2, 1));
    assert_eq!(known.templates().len(), 3);
    assert_eq!(
        [known.target_layers(0), known.target_layers(1)],
        [(0, 0), (0, 1)]
    );
    assert_eq!(known.protecting_chain(1), Some(0));
    assert_eq!(known.protecting_chain(2), None);
    assert_eq!(key.indications.of(1), Indication::Switch);
    assert_eq!(key.references, References::default());
    assert_eq!(key.active_decode_targets, Some(3));

    let upper = FrameDependencies::parse(&[0xc9, 0, 17], &mut structure).unwrap();
    assert_eq!((upper.spatial, upper.temporal), (0, 1));
    assert_eq!(upper.indications.of(0), Indication::NotPresent);
    assert_eq!(upper.indications.of(1), Indication::Discardable);
    assert_eq!(upper.references.near, 0b10);
    assert_eq!(upper.chain_diffs[0], 2);
    assert_eq!(upper.active_decode_targets, None);

    // Everything of its own: active targets 01, indications S-, references 1 and 300, chain diff 9.
    let own = [
        0xc8,
        0,
        18,
        0b0111_1011,
        0b0000_1000,
        0b0110_0010,
        0b0101_0110,
        0b0000_0100,
        0b1000_0000,
    ];
    let own = FrameDependencies::parse(&own, &mut structure).unwrap();
    assert_eq!(own.active_decode_targets, Some(1));
    assert_eq!(own.indications.of(0), Indication::Switch);
    assert_eq!(own.indications.of(1), Indication::NotPresent);
    assert_eq!((own.references.near, own.references.has_far), (1, true));
    assert_eq!(own.chain_diffs[0], 9);
    assert_eq!(structure.unwrap(), known);
}

#[test]
fn a_descriptor_that_is_cut_changes_nothing() {
    for len in 0..KEY_FRAME.len() {
        let mut structure = None;
        let frame = FrameDependencies::parse(&KEY_FRAME[..len], &mut structure);
        assert_eq!((frame, structure), (None, None), "{len} bytes");
    }
    let mut structure = None;
    assert_eq!(
        FrameDependencies::parse(&[0xc7, 0, 1], &mut structure),
        None
    );
    FrameDependencies::parse(&KEY_FRAME, &mut structure).unwrap();
    let unknown_template = [0xca, 0, 17];
    assert_eq!(
        FrameDependencies::parse(&unknown_template, &mut structure),
        None
    );
}

#[test]
fn a_structure_takes_4_kib_at_most() {
    assert!(size_of::<TemplateStructure>() <= 4 << 10);
}
