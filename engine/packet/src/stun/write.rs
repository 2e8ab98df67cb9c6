//! Writing of binding requests and their answers.

use std::net::{IpAddr, SocketAddr};

use hmac::Mac;

use crate::bytes::SlotWriter;

use super::message::{Class, IceRole};
use super::{
    ATTRIBUTE_HEADER_LEN, FINGERPRINT_LEN, HEADER_LEN, MAGIC_COOKIE, METHOD_BINDING, attribute,
    fingerprint, integrity_mac,
};

/// The longest reason phrase written with an error, in bytes.
const MAX_REASON_LEN: usize = 127;
/// The longest USERNAME, in bytes (RFC 8489 section 14.3).
const MAX_USERNAME_LEN: usize = 508;

/// What a connectivity check says (RFC 8445 section 7.1).
#[derive(Debug, Clone, Copy)]
pub struct BindingRequest<'a> {
    /// Random.
    pub transaction_id: [u8; 12],
    /// The receiver's user name fragment, a colon, the sender's.
    pub username: &'a str,
    /// PRIORITY.
    pub priority: u32,
    /// The sender's role and tie-breaker.
    pub role: (IceRole, u64),
    /// USE-CANDIDATE.
    pub use_candidate: bool,
    /// NOMINATION.
    pub nomination: Option<u32>,
    /// The receiver's ICE password.
    pub password: &'a [u8],
}

/// Writes a binding request with MESSAGE-INTEGRITY and FINGERPRINT; answers its length, `None`
/// where it does not fit or the user name is over 508 bytes.
pub fn write_binding_request(out: &mut [u8], request: &BindingRequest<'_>) -> Option<usize> {
    if request.username.len() > MAX_USERNAME_LEN {
        return None;
    }
    let mut message = MessageWriter::new(out, Class::Request, request.transaction_id)?;
    let (role, tie_breaker) = request.role;
    let role = match role {
        IceRole::Controlling => attribute::ICE_CONTROLLING,
        IceRole::Controlled => attribute::ICE_CONTROLLED,
    };
    message.attribute(attribute::USERNAME, request.username.as_bytes())?;
    message.attribute(role, &tie_breaker.to_be_bytes())?;
    message.attribute(attribute::PRIORITY, &request.priority.to_be_bytes())?;
    if request.use_candidate {
        message.attribute(attribute::USE_CANDIDATE, &[])?;
    }
    if let Some(nomination) = request.nomination {
        message.attribute(attribute::NOMINATION, &nomination.to_be_bytes())?;
    }
    message.integrity(request.password)?;
    message.fingerprint()
}

/// Writes a success answer with the address the request came from, MESSAGE-INTEGRITY and
/// FINGERPRINT; answers its length, `None` where it does not fit.
pub fn write_binding_success(
    out: &mut [u8],
    transaction_id: [u8; 12],
    mapped: SocketAddr,
    password: &[u8],
) -> Option<usize> {
    let mut message = MessageWriter::new(out, Class::Success, transaction_id)?;
    message.xor_mapped_address(transaction_id, mapped)?;
    message.integrity(password)?;
    message.fingerprint()
}

/// Writes an error answer with FINGERPRINT, and MESSAGE-INTEGRITY where there is a password;
/// answers its length. `code` is 300–699; `unknown` are the attribute types of a 420. `None` where
/// it does not fit, the code is none, or the reason is over 127 bytes.
pub fn write_binding_error(
    out: &mut [u8],
    transaction_id: [u8; 12],
    code: u16,
    reason: &str,
    unknown: &[u16],
    password: Option<&[u8]>,
) -> Option<usize> {
    if !(300..=699).contains(&code) || reason.len() > MAX_REASON_LEN {
        return None;
    }
    let mut message = MessageWriter::new(out, Class::Error, transaction_id)?;
    let [class, number] = [(code / 100) as u8, (code % 100) as u8];
    message.attribute_with(attribute::ERROR_CODE, |out| {
        out.put(&[0, 0, class, number])?;
        out.put(reason.as_bytes())
    })?;
    if !unknown.is_empty() {
        message.attribute_with(attribute::UNKNOWN_ATTRIBUTES, |out| {
            unknown
                .iter()
                .try_for_each(|kind| out.put(&kind.to_be_bytes()))
        })?;
    }
    if let Some(password) = password {
        message.integrity(password)?;
    }
    message.fingerprint()
}

/// Appends attributes; the header's length field is right after each.
struct MessageWriter<'a> {
    out: SlotWriter<'a>,
}

impl<'a> MessageWriter<'a> {
    fn new(out: &'a mut [u8], class: Class, transaction_id: [u8; 12]) -> Option<Self> {
        let class_bits: u16 = match class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        };
        let mut out = SlotWriter::new(out);
        out.put(&(METHOD_BINDING | class_bits).to_be_bytes())?;
        out.put_zeros(2)?;
        out.put(&MAGIC_COOKIE)?;
        out.put(&transaction_id)?;
        Some(Self { out })
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> Option<()> {
        self.attribute_with(kind, |out| out.put(value))
    }

    /// Appends an attribute whose value comes from `value`, and its padding.
    fn attribute_with(
        &mut self,
        kind: u16,
        value: impl FnOnce(&mut SlotWriter<'a>) -> Option<()>,
    ) -> Option<()> {
        let start = self.out.len();
        self.out.put(&kind.to_be_bytes())?;
        self.out.put_zeros(2)?;
        value(&mut self.out)?;
        let len = self.out.len() - start - ATTRIBUTE_HEADER_LEN;
        self.out.put_zeros(len.next_multiple_of(4) - len)?;
        self.out
            .patch(start + 2, &u16::try_from(len).ok()?.to_be_bytes())?;
        self.set_len(self.out.len())
    }

    fn xor_mapped_address(&mut self, transaction_id: [u8; 12], address: SocketAddr) -> Option<()> {
        let mask = || MAGIC_COOKIE.into_iter().chain(transaction_id);
        let port = address.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
        self.attribute_with(attribute::XOR_MAPPED_ADDRESS, |out| {
            let family = if address.is_ipv4() { 1 } else { 2 };
            out.put(&[0, family])?;
            out.put(&port.to_be_bytes())?;
            let mut put_masked = |ip: &[u8]| {
                ip.iter()
                    .zip(mask())
                    .try_for_each(|(a, b)| out.put(&[a ^ b]))
            };
            match address.ip() {
                IpAddr::V4(ip) => put_masked(&ip.octets()),
                IpAddr::V6(ip) => put_masked(&ip.octets()),
            }
        })
    }

    fn integrity(&mut self, password: &[u8]) -> Option<()> {
        let mac = integrity_mac(self.out.written(), password)?;
        self.attribute(attribute::MESSAGE_INTEGRITY, &mac.finalize().into_bytes())
    }

    /// Ends the message and answers its length.
    fn fingerprint(mut self) -> Option<usize> {
        self.set_len(self.out.len() + ATTRIBUTE_HEADER_LEN + FINGERPRINT_LEN)?;
        let value = fingerprint(self.out.written());
        self.attribute(attribute::FINGERPRINT, &value)?;
        Some(self.out.len())
    }

    /// Sets the length field for a message of `len` bytes.
    fn set_len(&mut self, len: usize) -> Option<()> {
        let body = u16::try_from(len - HEADER_LEN).ok()?;
        self.out.patch(2, &body.to_be_bytes())
    }
}

/// Copies the start of a message and adds integrity and fingerprint.
#[cfg(test)]
pub(super) fn sign_attributes(out: &mut [u8], start: &[u8], password: &[u8]) -> Option<usize> {
    let mut out = SlotWriter::new(out);
    out.put(start)?;
    let mut message = MessageWriter { out };
    message.integrity(password)?;
    message.fingerprint()
}
