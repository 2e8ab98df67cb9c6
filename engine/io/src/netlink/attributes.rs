//! Attributes of netlink messages: length, type, data, each at a multiple of four bytes.

use std::net::IpAddr;

const HEADER_LEN: usize = 4;
/// Flags in an attribute's type.
const TYPE_MASK: u16 = 0x3fff;

/// Goes through a message's attributes; ends at one that is cut.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.rest.first_chunk::<HEADER_LEN>()?;
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK;
        let data = self.rest.get(HEADER_LEN..len)?;
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, data))
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn attribute(&mut self, kind: u16, data: &[u8]) {
        let len = (HEADER_LEN + data.len()) as u16;
        self.bytes(&len.to_ne_bytes());
        self.bytes(&kind.to_ne_bytes());
        self.bytes(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub(super) fn ip(&mut self, kind: u16, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.attribute(kind, &ip.octets()),
            IpAddr::V6(ip) => self.attribute(kind, &ip.octets()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The address in an attribute, by its length.
pub(super) fn ip_of(data: &[u8]) -> Option<IpAddr> {
    match data.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_until_it_is_cut() {
        let mut writer = Writer::new();
        writer.attribute(7, b"abcde");
        writer.ip(1 | 0x8000, [10, 0, 0, 1].into());
        let bytes = writer.as_bytes();
        let all: Vec<_> = Attributes::new(bytes).collect();
        assert_eq!(all, [(7, &b"abcde"[..]), (1, &[10, 0, 0, 1])]);
        for cut in 0..bytes.len() {
            assert!(Attributes::new(&bytes[..cut]).count() < 2);
        }
    }

    #[test]
    fn an_absurd_length_ends_it() {
        assert_eq!(Attributes::new(&[0, 0, 1, 0, 9, 9, 9, 9]).count(), 0);
        assert_eq!(Attributes::new(&[0xff, 0xff, 1, 0, 9, 9]).count(), 0);
    }
}
