//! STUN as ICE uses it (RFC 8489, RFC 8445): binding requests read, their answers written.

mod attribute;
mod message;
mod write;

#[cfg(test)]
mod tests;

pub use message::{Class, IceRole, StunMessage, UnknownRequired};
pub use write::{
    BindingRequest, write_binding_error, write_binding_request, write_binding_success,
};

use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Method of binding requests and their answers.
pub const METHOD_BINDING: u16 = 1;

const HEADER_LEN: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Type and length of an attribute.
const ATTRIBUTE_HEADER_LEN: usize = 4;
const INTEGRITY_LEN: usize = 20;
const FINGERPRINT_LEN: usize = 4;
/// The CRC is xored with it (RFC 8489 section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// HMAC-SHA1 over everything before MESSAGE-INTEGRITY, with the length field as if the message
/// ended with that attribute (RFC 8489 section 14.5).
fn integrity_mac(before: &[u8], password: &[u8]) -> Option<Hmac<Sha1>> {
    let covered = before.len() + ATTRIBUTE_HEADER_LEN + INTEGRITY_LEN - HEADER_LEN;
    let (kind, rest) = before.split_at_checked(2)?;
    let mut mac = Hmac::<Sha1>::new_from_slice(password).ok()?;
    mac.update(kind);
    mac.update(&u16::try_from(covered).ok()?.to_be_bytes());
    mac.update(rest.get(2..)?);
    Some(mac)
}

/// FINGERPRINT over everything before it; the length field there counts it already.
fn fingerprint(before: &[u8]) -> [u8; FINGERPRINT_LEN] {
    (crc32fast::hash(before) ^ FINGERPRINT_XOR).to_be_bytes()
}
