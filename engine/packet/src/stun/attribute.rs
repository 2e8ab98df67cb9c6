//! Attribute types, and the attributes of a message one after the other.

use crate::bytes::u16_at;

use super::ATTRIBUTE_HEADER_LEN;

pub(super) const MAPPED_ADDRESS: u16 = 0x0001;
pub(super) const USERNAME: u16 = 0x0006;
pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(super) const ERROR_CODE: u16 = 0x0009;
pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
pub(super) const REALM: u16 = 0x0014;
pub(super) const NONCE: u16 = 0x0015;
pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub(super) const PRIORITY: u16 = 0x0024;
pub(super) const USE_CANDIDATE: u16 = 0x0025;
pub(super) const FINGERPRINT: u16 = 0x8028;
pub(super) const ICE_CONTROLLED: u16 = 0x8029;
pub(super) const ICE_CONTROLLING: u16 = 0x802a;
/// Of libwebrtc's renomination (draft-thatcher-ice-renomination); in the optional range.
pub(super) const NOMINATION: u16 = 0xc001;

/// Types from here on may be passed over by who does not know them.
const FIRST_OPTIONAL: u16 = 0x8000;

/// True for a type that must be understood and is not.
pub(super) const fn is_unknown_required(kind: u16) -> bool {
    let known = matches!(
        kind,
        MAPPED_ADDRESS
            | USERNAME
            | MESSAGE_INTEGRITY
            | ERROR_CODE
            | UNKNOWN_ATTRIBUTES
            | REALM
            | NONCE
            | XOR_MAPPED_ADDRESS
            | PRIORITY
            | USE_CANDIDATE
    );
    kind < FIRST_OPTIONAL && !known
}

/// An attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub(super) kind: u16,
    pub(super) value: &'a [u8],
}

/// Splits off the first attribute with its padding.
pub(super) fn split(bytes: &[u8]) -> Option<(Attribute<'_>, &[u8])> {
    let kind = u16_at(bytes, 0)?;
    let len = usize::from(u16_at(bytes, 2)?);
    let (padded, rest) = bytes[ATTRIBUTE_HEADER_LEN..].split_at_checked(len.next_multiple_of(4))?;
    let value = &padded[..len];
    Some((Attribute { kind, value }, rest))
}

/// Yields the attributes of bytes that were found well-formed.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (attribute, rest) = split(self.rest)?;
        self.rest = rest;
        Some(attribute)
    }
}
