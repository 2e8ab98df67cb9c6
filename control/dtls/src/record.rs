//! DTLS records in a datagram (RFC 6347 section 4.1), looked at before the crypto library sees
//! them: what is no record, or cannot belong to a handshake, must not end one.

use std::ops::Range;

pub(crate) const HEADER_BYTES: usize = 13;
pub(crate) const FRAGMENT_HEADER_BYTES: usize = 12;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const ALERT_LEVEL_FATAL: u8 = 2;
const CLIENT_HELLO: u8 = 1;

/// Longest handshake message taken: a certificate chain's, with much room.
const MAX_MESSAGE_BYTES: usize = 32 << 10;

/// A handshake has about ten messages per side.
const MAX_MESSAGE_SEQUENCE: u16 = 32;

/// One record of a datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) content_type: u8,
    pub(crate) epoch: u16,
    /// Header and body.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    pub(crate) fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }
}

/// The records of `datagram`, up to the first thing that is none.
pub(crate) fn records(datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    ranges(datagram).map(|range| {
        let bytes = &datagram[range];
        Record {
            content_type: bytes[0],
            epoch: u16::from_be_bytes([bytes[3], bytes[4]]),
            bytes,
        }
    })
}

fn ranges(datagram: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = datagram.get(at..)?.first_chunk::<HEADER_BYTES>()?;
        // The version differs between DTLS 1.0 and 1.2, and is 1.0 in many a ClientHello.
        if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&header[0]) || header[1] != 0xFE {
            return None;
        }
        let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let end = at + HEADER_BYTES + len;
        (end <= datagram.len()).then(|| std::mem::replace(&mut at, end)..end)
    })
}

/// One piece of a handshake message (RFC 6347 section 4.2.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment<'a> {
    pub(crate) message_type: u8,
    /// Length of the whole message.
    pub(crate) message_len: usize,
    pub(crate) message_sequence: u16,
    pub(crate) offset: usize,
    pub(crate) body: &'a [u8],
}

/// The fragments of an unencrypted handshake record; `None` where one of them is malformed.
pub(crate) fn fragments(mut body: &[u8]) -> Option<Vec<Fragment<'_>>> {
    let mut fragments = Vec::new();
    while !body.is_empty() {
        let (header, rest) = body.split_first_chunk::<FRAGMENT_HEADER_BYTES>()?;
        let (fragment_body, rest) = rest.split_at_checked(u24(&header[9..12]))?;
        let fragment = Fragment {
            message_type: header[0],
            message_len: u24(&header[1..4]),
            message_sequence: u16::from_be_bytes([header[4], header[5]]),
            offset: u24(&header[6..9]),
            body: fragment_body,
        };
        let is_inside = fragment.offset + fragment.body.len() <= fragment.message_len;
        let is_sane = fragment.message_len <= MAX_MESSAGE_BYTES
            && fragment.message_sequence <= MAX_MESSAGE_SEQUENCE;
        if !is_inside || !is_sane {
            return None;
        }
        fragments.push(fragment);
        body = rest;
    }
    Some(fragments)
}

fn u24(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, &byte| sum << 8 | usize::from(byte))
}

/// What of a datagram may go to the crypto library.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sifted {
    /// The records that may, one after another.
    pub(crate) kept: Vec<u8>,
    /// Description of a fatal alert that nobody authenticated; it is not in `kept`.
    pub(crate) unauthenticated_alert: Option<u8>,
}

/// While a handshake goes on: unencrypted records must be well-formed handshake messages or
/// changes of cipher; encrypted ones are the library's to judge, which drops forged ones silently
/// (RFC 6347 section 4.1.2.7).
pub(crate) fn sift_in_handshake(datagram: &[u8]) -> Sifted {
    let mut sifted = Sifted::default();
    for record in records(datagram) {
        let is_kept = match (record.epoch, record.content_type) {
            (1, _) => true,
            (0, CHANGE_CIPHER_SPEC) => record.body() == [1],
            (0, HANDSHAKE) => fragments(record.body()).is_some_and(|fragments| {
                // A ClientHello is read before (see `hello`), and a repeated one is of no use.
                !fragments.is_empty() && fragments.iter().all(|f| f.message_type != CLIENT_HELLO)
            }),
            (0, ALERT) => {
                if let [ALERT_LEVEL_FATAL, description] = *record.body() {
                    sifted.unauthenticated_alert = Some(description);
                }
                false
            }
            _ => false,
        };
        if is_kept {
            sifted.kept.extend_from_slice(record.bytes);
        }
    }
    sifted
}

/// After a handshake only encrypted records count.
pub(crate) fn sift_when_connected(datagram: &[u8]) -> Vec<u8> {
    let encrypted = records(datagram).filter(|record| record.epoch == 1);
    encrypted.flat_map(|record| record.bytes).copied().collect()
}

/// Gives the unencrypted records of `datagram` the sequence numbers from `next` on, so that one
/// sent again is no replay to the receiver. Encrypted ones are bound to theirs.
pub(crate) fn renumber_unencrypted(datagram: &mut [u8], next: &mut u64) {
    for range in ranges(datagram).collect::<Vec<_>>() {
        let record = &mut datagram[range];
        if record[3..5] == [0, 0] {
            record[5..11].copy_from_slice(&next.to_be_bytes()[2..]);
            *next += 1;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(content_type: u8, epoch: u16, sequence: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content_type, 0xFE, 0xFD];
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&sequence.to_be_bytes()[2..]);
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    pub(crate) fn fragment(
        message_type: u8,
        sequence: u16,
        whole: &[u8],
        part: Range<usize>,
    ) -> Vec<u8> {
        let mut bytes = vec![message_type];
        bytes.extend_from_slice(&(whole.len() as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&(part.start as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&(part.len() as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&whole[part]);
        bytes
    }

    #[test]
    fn records_end_at_the_first_thing_that_is_none() {
        let mut datagram = record(22, 0, 1, b"one");
        datagram.extend(record(20, 0, 2, b"\x01"));
        assert_eq!(records(&datagram).count(), 2);
        datagram.extend_from_slice(b"\x16\xFE\xFD");
        assert_eq!(records(&datagram).count(), 2);
        for cut in 0..record(22, 0, 1, b"one").len() {
            assert_eq!(records(&datagram[..cut]).count(), 0);
        }
    }

    #[test]
    fn a_handshake_lets_only_its_own_records_in() {
        let message = fragment(2, 0, &[7; 40], 0..40);
        let good = [
            record(22, 0, 1, &message),
            record(20, 0, 2, &[1]),
            record(22, 1, 0, b"encrypted"),
        ]
        .concat();
        let bad = [
            record(22, 0, 3, &message[..20]),
            record(22, 0, 3, &[]),
            record(22, 0, 3, &fragment(1, 0, &[7; 40], 0..40)),
            record(20, 0, 4, &[2]),
            record(23, 0, 5, b"early data"),
            record(22, 2, 6, &message),
            record(21, 0, 7, &[1, 0]),
        ]
        .concat();
        let sifted = sift_in_handshake(&[&bad[..], &good].concat());
        assert_eq!(sifted.kept, good);
        assert_eq!(sifted.unauthenticated_alert, None);
    }

    #[test]
    fn a_fatal_alert_without_proof_is_told_apart() {
        let sifted = sift_in_handshake(&record(21, 0, 0, &[2, 40]));
        assert!(sifted.kept.is_empty());
        assert_eq!(sifted.unauthenticated_alert, Some(40));
    }

    #[test]
    fn an_over_long_message_is_no_fragment() {
        let mut bytes = fragment(11, 1, &[0; 20], 0..20);
        bytes[1] = 1; // Now claims a message of more than 64 KiB.
        assert!(fragments(&bytes).is_none());
    }

    #[test]
    fn only_unencrypted_records_are_renumbered() {
        let mut datagram = [
            record(22, 0, 0, b"a"),
            record(22, 1, 0, b"b"),
            record(20, 0, 1, b"\x01"),
        ]
        .concat();
        let mut next = 5;
        renumber_unencrypted(&mut datagram, &mut next);
        let expected = [
            record(22, 0, 5, b"a"),
            record(22, 1, 0, b"b"),
            record(20, 0, 6, b"\x01"),
        ];
        assert_eq!(datagram, expected.concat());
        assert_eq!(next, 7);
    }
}
