//! Reading of a STUN message.

use std::net::{IpAddr, SocketAddr};

use hmac::Mac;

use crate::bytes::{array_at, u16_at, u32_at, u64_at};

use super::attribute::{self, Attributes};
use super::{
    ATTRIBUTE_HEADER_LEN, FINGERPRINT_LEN, HEADER_LEN, INTEGRITY_LEN, MAGIC_COOKIE, fingerprint,
    integrity_mac,
};

/// Class of a message (RFC 8489 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The request succeeded.
    Success,
    /// The request failed.
    Error,
}

/// The role an ICE agent says it has (RFC 8445 section 7.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceRole {
    /// Nominates.
    Controlling,
    /// Follows.
    Controlled,
}

/// A whole and well-formed message. Attributes behind MESSAGE-INTEGRITY, which does not cover
/// them, are ignored but for FINGERPRINT; of an attribute that comes twice the first counts.
#[derive(Debug, Clone, Copy)]
pub struct StunMessage<'a> {
    bytes: &'a [u8],
    /// Where the attributes end that are read: at MESSAGE-INTEGRITY, FINGERPRINT or the end.
    attributes_end: usize,
    integrity_offset: Option<usize>,
    /// Only where it is the last attribute.
    fingerprint_offset: Option<usize>,
}

impl<'a> StunMessage<'a> {
    /// `None` where the bytes are not exactly one well-formed message with the magic cookie.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let body = bytes.get(HEADER_LEN..)?;
        let len = usize::from(u16_at(bytes, 2)?);
        let valid = bytes[0] & 0xc0 == 0
            && len == body.len()
            && len.is_multiple_of(4)
            && array_at(bytes, 4) == Some(MAGIC_COOKIE);
        if !valid {
            return None;
        }
        let mut message = Self {
            bytes,
            attributes_end: bytes.len(),
            integrity_offset: None,
            fingerprint_offset: None,
        };
        let mut rest = body;
        while !rest.is_empty() {
            let offset = bytes.len() - rest.len();
            let (attribute, after) = attribute::split(rest)?;
            rest = after;
            message.note(attribute, offset, rest.is_empty())?;
        }
        Some(message)
    }

    /// The class.
    pub const fn class(&self) -> Class {
        // RFC 8489 figure 3: the class bits lie between those of the method.
        match (self.bytes[0] & 0x01, self.bytes[1] & 0x10) {
            (0, 0) => Class::Request,
            (0, _) => Class::Indication,
            (_, 0) => Class::Success,
            _ => Class::Error,
        }
    }

    /// The method; [`super::METHOD_BINDING`] is the only one ICE uses.
    pub const fn method(&self) -> u16 {
        let kind = u16::from_be_bytes([self.bytes[0], self.bytes[1]]);
        kind & 0x000f | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2
    }

    /// The transaction id.
    pub fn transaction_id(&self) -> [u8; 12] {
        array_at(self.bytes, 8).unwrap_or_default()
    }

    /// USERNAME, where it is UTF-8.
    pub fn username(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value(attribute::USERNAME)?).ok()
    }

    /// True where MESSAGE-INTEGRITY is there and was made with `password` (short-term
    /// credentials). The comparison takes the same time for every wrong value.
    pub fn verify_integrity(&self, password: &[u8]) -> bool {
        let Some(offset) = self.integrity_offset else {
            return false;
        };
        let value = offset + ATTRIBUTE_HEADER_LEN;
        let Some(expected) = self.bytes.get(value..value + INTEGRITY_LEN) else {
            return false;
        };
        integrity_mac(&self.bytes[..offset], password)
            .is_some_and(|mac| mac.verify_slice(expected).is_ok())
    }

    /// True where FINGERPRINT is there, the last attribute, and right.
    pub fn verify_fingerprint(&self) -> bool {
        self.fingerprint_offset.is_some_and(|offset| {
            let expected = array_at(self.bytes, offset + ATTRIBUTE_HEADER_LEN);
            expected == Some(fingerprint(&self.bytes[..offset]))
        })
    }

    /// True where USE-CANDIDATE is there.
    pub fn use_candidate(&self) -> bool {
        self.value(attribute::USE_CANDIDATE).is_some()
    }

    /// The value of NOMINATION (0xC001): the highest nominates.
    pub fn nomination(&self) -> Option<u32> {
        exact(self.value(attribute::NOMINATION)?, u32_at)
    }

    /// PRIORITY.
    pub fn priority(&self) -> Option<u32> {
        exact(self.value(attribute::PRIORITY)?, u32_at)
    }

    /// The sender's role and tie-breaker.
    pub fn role(&self) -> Option<(IceRole, u64)> {
        self.attributes().find_map(|attribute| {
            let role = match attribute.kind {
                attribute::ICE_CONTROLLING => IceRole::Controlling,
                attribute::ICE_CONTROLLED => IceRole::Controlled,
                _ => return None,
            };
            Some((role, exact(attribute.value, u64_at)?))
        })
    }

    /// The attribute types that would have to be understood and are not (RFC 8489 section 6.3.1).
    pub fn unknown_required(&self) -> UnknownRequired {
        let mut unknown = UnknownRequired::default();
        self.attributes()
            .map(|attribute| attribute.kind)
            .filter(|kind| attribute::is_unknown_required(*kind))
            .for_each(|kind| unknown.add(kind));
        unknown
    }

    /// ERROR-CODE, 300–699.
    pub fn error_code(&self) -> Option<u16> {
        let value = self.value(attribute::ERROR_CODE)?;
        let (class, number) = (value.get(2)? & 0x07, *value.get(3)?);
        ((3..=6).contains(&class) && number < 100)
            .then_some(u16::from(class) * 100 + u16::from(number))
    }

    /// XOR-MAPPED-ADDRESS.
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        let value = self.value(attribute::XOR_MAPPED_ADDRESS)?;
        // Cookie and transaction id lie one behind the other, as the mask wants them.
        let mask: [u8; 16] = array_at(self.bytes, 4)?;
        let port = u16_at(value, 2)? ^ u16::from_be_bytes([mask[0], mask[1]]);
        let address = value.get(4..)?;
        let ip = match (*value.get(1)?, address.len()) {
            (1, 4) => IpAddr::from(unmask::<4>(address, &mask)),
            (2, 16) => IpAddr::from(unmask::<16>(address, &mask)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    /// Notes where integrity and fingerprint lie; `None` where one of them has a wrong length.
    fn note(
        &mut self,
        attribute: attribute::Attribute<'_>,
        offset: usize,
        is_last: bool,
    ) -> Option<()> {
        let ended = self.attributes_end < self.bytes.len();
        match attribute.kind {
            attribute::MESSAGE_INTEGRITY if !ended => {
                if attribute.value.len() != INTEGRITY_LEN {
                    return None;
                }
                self.integrity_offset = Some(offset);
                self.attributes_end = offset;
            }
            attribute::FINGERPRINT => {
                if attribute.value.len() != FINGERPRINT_LEN {
                    return None;
                }
                if is_last {
                    self.fingerprint_offset = Some(offset);
                }
                self.attributes_end = self.attributes_end.min(offset);
            }
            _ => {}
        }
        Some(())
    }

    fn attributes(&self) -> Attributes<'a> {
        Attributes {
            rest: &self.bytes[HEADER_LEN..self.attributes_end],
        }
    }

    fn value(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes()
            .find(|attribute| attribute.kind == kind)
            .map(|attribute| attribute.value)
    }
}

/// Types of attributes that were not understood, each once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnknownRequired {
    types: [u16; Self::MAX],
    len: usize,
}

impl UnknownRequired {
    /// How many are kept; more are of no use to who sent them.
    pub const MAX: usize = 8;

    /// True where all was understood.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The types, in the order of the message.
    pub fn as_slice(&self) -> &[u16] {
        &self.types[..self.len]
    }

    fn add(&mut self, kind: u16) {
        if self.len < Self::MAX && !self.as_slice().contains(&kind) {
            self.types[self.len] = kind;
            self.len += 1;
        }
    }
}

/// Reads a value that must have the length of what is read.
fn exact<T>(value: &[u8], read: impl Fn(&[u8], usize) -> Option<T>) -> Option<T> {
    (value.len() == size_of::<T>())
        .then(|| read(value, 0))
        .flatten()
}

fn unmask<const N: usize>(address: &[u8], mask: &[u8; 16]) -> [u8; N] {
    std::array::from_fn(|index| address.get(index).copied().unwrap_or(0) ^ mask[index])
}
