//! STUN messages (RFC 8489) as far as connectivity checks use them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, Mac};
use sha1::Sha1;

const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: u32 = 0x2112_A442;
const BINDING: u16 = 0x0001;
const HMAC_BYTES: usize = 20;
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Attribute types.
pub mod attribute {
    /// RFC 8489 section 14.3.
    pub const USERNAME: u16 = 0x0006;
    /// RFC 8489 section 14.5.
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    /// RFC 8489 section 14.8.
    pub const ERROR_CODE: u16 = 0x0009;
    /// RFC 8489 section 14.10.
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
    /// RFC 8489 section 14.2.
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    /// RFC 8445 section 16.1.
    pub const PRIORITY: u16 = 0x0024;
    /// RFC 8445 section 16.1.
    pub const USE_CANDIDATE: u16 = 0x0025;
    /// RFC 8489 section 14.7.
    pub const FINGERPRINT: u16 = 0x8028;
    /// RFC 8445 section 16.1.
    pub const ICE_CONTROLLED: u16 = 0x8029;
    /// RFC 8445 section 16.1.
    pub const ICE_CONTROLLING: u16 = 0x802A;
    /// Renomination as libwebrtc has it.
    pub const NOMINATION: u16 = 0xC001;
}

/// Class of a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The good answer.
    Success,
    /// The bad answer.
    Error,
}

impl Class {
    /// The class bits of a binding message's type (RFC 8489 section 5).
    const fn bits(self) -> u16 {
        match self {
            Self::Request => 0x0000,
            Self::Indication => 0x0010,
            Self::Success => 0x0100,
            Self::Error => 0x0110,
        }
    }
}

/// Writes a binding message attribute by attribute; tests write wrong ones with it too.
#[derive(Debug, Clone)]
pub struct MessageBuilder {
    bytes: Vec<u8>,
}

impl MessageBuilder {
    /// A message without attributes.
    pub fn new(class: Class, transaction: [u8; 12]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&(BINDING | class.bits()).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes.extend_from_slice(&transaction);
        Self { bytes }
    }

    /// Adds one attribute, padded.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.push(kind, value);
        self
    }

    /// Adds XOR-MAPPED-ADDRESS.
    #[must_use]
    pub fn mapped_address(mut self, address: SocketAddr) -> Self {
        let mask = self.bytes[4..HEADER_BYTES].to_vec();
        let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
        let (family, plain) = match address.ip() {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (2, ip.octets().to_vec()),
        };
        let mut value = vec![0, family];
        value.extend(port.to_be_bytes());
        value.extend(plain.iter().zip(&mask).map(|(byte, key)| byte ^ key));
        self.push(attribute::XOR_MAPPED_ADDRESS, &value);
        self
    }

    /// Adds MESSAGE-INTEGRITY (SHA-1) by `password`.
    #[must_use]
    pub fn integrity(mut self, password: &str) -> Self {
        // The length in the header counts the attribute itself (RFC 8489 section 14.5).
        self.set_length(4 + HMAC_BYTES);
        let tag = hmac_sha1(password, &self.bytes);
        self.push(attribute::MESSAGE_INTEGRITY, &tag);
        self
    }

    /// Adds FINGERPRINT.
    #[must_use]
    pub fn fingerprint(mut self) -> Self {
        self.set_length(8);
        let sum = crc32fast::hash(&self.bytes) ^ FINGERPRINT_XOR;
        self.push(attribute::FINGERPRINT, &sum.to_be_bytes());
        self
    }

    /// The message.
    pub fn build(self) -> Vec<u8> {
        self.bytes
    }

    fn push(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes
            .extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        let padding = value.len().next_multiple_of(4) - value.len();
        self.bytes.extend(std::iter::repeat_n(0, padding));
        self.set_length(0);
    }

    fn set_length(&mut self, extra: usize) {
        let length = (self.bytes.len() - HEADER_BYTES + extra) as u16;
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

/// Why bytes are not a STUN message that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StunError {
    /// Not STUN, or cut.
    #[error("malformed STUN message")]
    Malformed,
    /// FINGERPRINT is there and wrong.
    #[error("wrong STUN fingerprint")]
    Fingerprint,
}

/// A parsed binding message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its class.
    pub class: Class,
    /// Its transaction.
    pub transaction: [u8; 12],
    attributes: Vec<(u16, Vec<u8>)>,
    /// Everything before MESSAGE-INTEGRITY with the length as it was when that was computed.
    authenticated: Option<Vec<u8>>,
}

impl Message {
    /// Looks like STUN (RFC 7983): first byte 0 to 3.
    pub fn is_stun(bytes: &[u8]) -> bool {
        bytes.len() >= HEADER_BYTES && bytes[0] < 4
    }

    /// Parses a message; FINGERPRINT is checked where it is.
    pub fn parse(bytes: &[u8]) -> Result<Self, StunError> {
        let (header, mut rest) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(StunError::Malformed)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if length != rest.len() || header[4..8] != MAGIC_COOKIE.to_be_bytes() {
            return Err(StunError::Malformed);
        }
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let class = [
            Class::Request,
            Class::Indication,
            Class::Success,
            Class::Error,
        ]
        .into_iter()
        .find(|class| kind == BINDING | class.bits())
        .ok_or(StunError::Malformed)?;
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&header[8..]);
        let mut message = Self {
            class,
            transaction,
            attributes: Vec::new(),
            authenticated: None,
        };
        while !rest.is_empty() {
            let offset = bytes.len() - rest.len();
            let (prefix, body) = rest.split_first_chunk::<4>().ok_or(StunError::Malformed)?;
            let kind = u16::from_be_bytes([prefix[0], prefix[1]]);
            let len = usize::from(u16::from_be_bytes([prefix[2], prefix[3]]));
            let value = body.get(..len).ok_or(StunError::Malformed)?;
            match kind {
                attribute::MESSAGE_INTEGRITY => {
                    message.authenticated = Some(with_length(&bytes[..offset], 4 + HMAC_BYTES));
                }
                attribute::FINGERPRINT => {
                    let sum = crc32fast::hash(&with_length(&bytes[..offset], 8)) ^ FINGERPRINT_XOR;
                    if value != sum.to_be_bytes() {
                        return Err(StunError::Fingerprint);
                    }
                }
                _ => {}
            }
            message.attributes.push((kind, value.to_vec()));
            rest = body
                .get(len.next_multiple_of(4)..)
                .ok_or(StunError::Malformed)?;
        }
        Ok(message)
    }

    /// The value of the first attribute of that type.
    pub fn get(&self, kind: u16) -> Option<&[u8]> {
        let found = self.attributes.iter().find(|(known, _)| *known == kind)?;
        Some(&found.1)
    }

    /// True where MESSAGE-INTEGRITY is there and made with `password`.
    pub fn is_authentic(&self, password: &str) -> bool {
        let Some(authenticated) = &self.authenticated else {
            return false;
        };
        self.get(attribute::MESSAGE_INTEGRITY) == Some(&hmac_sha1(password, authenticated))
    }

    /// The code of an error answer, such as 487.
    pub fn error_code(&self) -> Option<u16> {
        match self.get(attribute::ERROR_CODE)? {
            &[_, _, class, number, ..] => Some(u16::from(class & 7) * 100 + u16::from(number)),
            _ => None,
        }
    }

    /// The address the server saw.
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        let value = self.get(attribute::XOR_MAPPED_ADDRESS)?;
        let cookie = MAGIC_COOKIE.to_be_bytes();
        let (&[_, family, port_high, port_low], address) = value.split_first_chunk::<4>()?;
        let port = u16::from_be_bytes([port_high ^ cookie[0], port_low ^ cookie[1]]);
        let mask = [&cookie[..], &self.transaction[..]].concat();
        let plain: Vec<u8> = address
            .iter()
            .zip(&mask)
            .map(|(byte, key)| byte ^ key)
            .collect();
        let ip = match family {
            1 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(plain).ok()?)),
            2 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(plain).ok()?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }
}

fn with_length(bytes: &[u8], attribute_bytes: usize) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    let length = (bytes.len() - HEADER_BYTES + attribute_bytes) as u16;
    copy[2..4].copy_from_slice(&length.to_be_bytes());
    copy
}

fn hmac_sha1(password: &str, bytes: &[u8]) -> [u8; HMAC_BYTES] {
    // HMAC takes keys of any length; the constructor's error can not happen.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(password.as_bytes()) else {
        return [0; HMAC_BYTES];
    };
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 section 2.1.
    const REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\x80\x28\x00\x04\xe5\x7a\x3b\xcf";
    /// RFC 5769 section 2.2.
    const RESPONSE: &[u8] = b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\x80\x22\x00\x0btest vector\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\x80\x28\x00\x04\xc0\x7d\x4c\x96";
    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    #[test]
    fn the_vectors_of_rfc_5769_are_authentic() {
        let request = Message::parse(REQUEST).unwrap();
        assert_eq!(request.get(attribute::USERNAME), Some(&b"evtj:h6vY"[..]));
        assert!(request.is_authentic(PASSWORD));
        assert!(!request.is_authentic("VOkJxbRl1RmTxUk/WvJxBT"));
        let response = Message::parse(RESPONSE).unwrap();
        assert!(response.is_authentic(PASSWORD));
        assert_eq!(
            response.mapped_address(),
            Some("192.0.2.1:32853".parse().unwrap())
        );
    }

    #[test]
    fn what_is_built_parses_and_no_cut_or_flip_does() {
        let built = MessageBuilder::new(Class::Request, [7; 12])
            .attribute(attribute::USERNAME, b"abc:de")
            .integrity("secret")
            .fingerprint()
            .build();
        assert!(Message::parse(&built).unwrap().is_authentic("secret"));
        for cut in 0..built.len() {
            assert!(Message::parse(&built[..cut]).is_err(), "cut at {cut}");
        }
        // What follows MESSAGE-INTEGRITY, the fingerprint's 8 bytes, is not authenticated.
        for at in 0..built.len() - 8 {
            let mut changed = built.clone();
            changed[at] ^= 0x10;
            let authentic = Message::parse(&changed).is_ok_and(|m| m.is_authentic("secret"));
            assert!(!authentic, "byte {at}");
        }
    }
}
