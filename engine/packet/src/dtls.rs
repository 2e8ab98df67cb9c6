//! The outside of DTLS records (RFC 6347 section 4.1, RFC 9147 section 4): enough to know what may
//! be passed on. Handshakes are control's.

use crate::bytes::{u16_at, u24_at};

/// Type, version, epoch, sequence number, length.
const RECORD_HEADER_LEN: usize = 13;
/// Type, length, message sequence, fragment offset, fragment length.
const HANDSHAKE_HEADER_LEN: usize = 12;
/// ChangeCipherSpec (20) to heartbeat (24), and ACK (26). Records with a connection id (25) have
/// a header of their own, and nobody negotiates one here.
const CONTENT_TYPES: [u8; 6] = [20, 21, 22, 23, 24, 26];
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// The first byte of every DTLS version number.
const VERSION_MAJOR: u8 = 0xfe;
/// The most that a record's ciphertext may have (RFC 6347 section 4.1).
const MAX_RECORD_LEN: usize = (1 << 14) + 2048;
/// Record number encryption needs that much ciphertext (RFC 9147 section 4.2.3).
const MIN_UNIFIED_LEN: usize = 16;
/// Version, random, length of the session id.
const SESSION_ID_OFFSET: usize = 34;
const MAX_SESSION_ID_LEN: u8 = 32;

/// True where the datagram is a row of DTLS records whose lengths add up to its own.
pub fn is_dtls_records(bytes: &[u8]) -> bool {
    all_parts(bytes, |rest| match rest.first()? {
        0x20..=0x3f => unified_record(rest),
        _ => plain_record(rest).map(|(_, rest)| rest),
    })
}

/// True where the datagram has nothing but unencrypted records with fragments of a ClientHello,
/// the first or later ones.
pub fn is_client_hello(bytes: &[u8]) -> bool {
    all_parts(bytes, |rest| {
        let (record, rest) = plain_record(rest)?;
        let valid = record.content_type == HANDSHAKE
            && record.epoch == 0
            && all_parts(record.body, client_hello_fragment);
        valid.then_some(rest)
    })
}

struct Record<'a> {
    content_type: u8,
    epoch: u16,
    body: &'a [u8],
}

/// Cuts `bytes` from the front by `cut`, which answers what is left; true where that comes out
/// even, with one part at least.
fn all_parts(bytes: &[u8], cut: impl Fn(&[u8]) -> Option<&[u8]>) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match cut(rest) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    !bytes.is_empty()
}

/// Splits off a record of DTLS 1.2 or a DTLSPlaintext of 1.3.
fn plain_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (header, rest) = bytes.split_at_checked(RECORD_HEADER_LEN)?;
    let len = usize::from(u16_at(header, 11)?);
    let valid = CONTENT_TYPES.contains(&header[0])
        && header[1] == VERSION_MAJOR
        && (1..=MAX_RECORD_LEN).contains(&len);
    let (body, rest) = rest.split_at_checked(len).filter(|_| valid)?;
    let record = Record {
        content_type: header[0],
        epoch: u16_at(header, 3)?,
        body,
    };
    Some((record, rest))
}

/// Splits off a DTLSCiphertext with the unified header `001CSLEE` of 1.3 and answers what follows.
fn unified_record(bytes: &[u8]) -> Option<&[u8]> {
    let first = *bytes.first()?;
    let has_connection_id = first & 0x10 != 0;
    let sequence_len = if first & 0x08 != 0 { 2 } else { 1 };
    let has_length = first & 0x04 != 0;
    if has_connection_id {
        return None;
    }
    let mut header_len = 1 + sequence_len;
    let mut len = bytes.len().checked_sub(header_len)?;
    if has_length {
        len = usize::from(u16_at(bytes, header_len)?);
        header_len += 2;
    }
    if !(MIN_UNIFIED_LEN..=MAX_RECORD_LEN).contains(&len) {
        return None;
    }
    bytes.get(header_len + len..)
}

/// Checks a handshake fragment of type ClientHello and answers what follows.
fn client_hello_fragment(bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_at_checked(HANDSHAKE_HEADER_LEN)?;
    let message_len = u24_at(header, 1)?;
    let offset = u24_at(header, 6)?;
    let len = u24_at(header, 9)?;
    let (body, rest) = rest.split_at_checked(len as usize)?;
    let valid = header[0] == CLIENT_HELLO
        && len > 0
        && offset + len <= message_len
        && (offset > 0 || is_hello_start(body));
    valid.then_some(rest)
}

/// Checks version and length of the session id, as far as they are there.
fn is_hello_start(body: &[u8]) -> bool {
    body.first() == Some(&VERSION_MAJOR)
        && body
            .get(SESSION_ID_OFFSET)
            .is_none_or(|len| *len <= MAX_SESSION_ID_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content_type: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1];
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn fragment(message_type: u8, message_len: u8, offset: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![message_type, 0, 0, message_len, 0, 0, 0, 0, offset, 0, 0];
        bytes.push(body.len() as u8);
        bytes.extend_from_slice(body);
        bytes
    }

    fn hello() -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.resize(60, 0);
        body
    }

    #[test]
    fn a_client_hello_whole_or_in_fragments() {
        let hello = hello();
        let whole = record(22, 0, &fragment(1, 60, 0, &hello));
        let first = record(22, 0, &fragment(1, 60, 0, &hello[..40]));
        let second = record(22, 0, &fragment(1, 60, 40, &hello[40..]));
        let both = [first.clone(), second.clone()].concat();
        for bytes in [whole, first, second, both] {
            assert!(is_client_hello(&bytes));
            assert!(is_dtls_records(&bytes));
            for len in 0..bytes.len() {
                let cut_between_records = is_dtls_records(&bytes[..len]);
                assert_eq!(is_client_hello(&bytes[..len]), cut_between_records);
            }
        }
    }

    #[test]
    fn other_messages_are_no_client_hello() {
        let hello = hello();
        let server_hello = record(22, 0, &fragment(2, 60, 0, &hello));
        let encrypted = record(22, 1, &fragment(1, 60, 0, &hello));
        let application_data = record(23, 0, &fragment(1, 60, 0, &hello));
        for bytes in [server_hello, encrypted, application_data] {
            assert!(is_dtls_records(&bytes));
            assert!(!is_client_hello(&bytes));
        }
    }

    #[test]
    fn a_malformed_client_hello() {
        let hello = hello();
        let beyond_its_message = record(22, 0, &fragment(1, 60, 21, &hello[20..]));
        let empty = record(22, 0, &fragment(1, 60, 0, &[]));
        let mut other_version = hello.clone();
        other_version[0] = 3;
        let other_version = record(22, 0, &fragment(1, 60, 0, &other_version));
        let mut long_session = hello.clone();
        long_session[34] = 33;
        let long_session = record(22, 0, &fragment(1, 60, 0, &long_session));
        let mut junk_behind = fragment(1, 60, 0, &hello);
        junk_behind.push(0);
        let junk_behind = record(22, 0, &junk_behind);
        for bytes in [
            beyond_its_message,
            empty,
            other_version,
            long_session,
            junk_behind,
        ] {
            assert!(!is_client_hello(&bytes));
        }
    }

    #[test]
    fn records_add_up_to_the_datagram() {
        let alert = record(21, 1, &[1, 0]);
        assert!(is_dtls_records(&alert));
        assert!(is_dtls_records(&[alert.clone(), alert.clone()].concat()));
        assert!(!is_dtls_records(&[]));
        assert!(!is_dtls_records(&[&alert[..], &[21]].concat()));
        assert!(!is_dtls_records(&alert[..alert.len() - 1]));
        let mut bytes = alert.clone();
        bytes[0] = 25;
        assert!(!is_dtls_records(&bytes));
        let mut bytes = alert;
        bytes[1] = 3;
        assert!(!is_dtls_records(&bytes));
        assert!(!is_dtls_records(&record(21, 0, &[])));
    }

    #[test]
    fn unified_headers() {
        let body = [7; 16];
        let to_the_end = [&[0x28, 0, 1][..], &body].concat();
        let short_sequence = [&[0x20, 1][..], &body].concat();
        let with_length = [&[0x2c, 0, 1, 0, 16][..], &body].concat();
        assert!(is_dtls_records(&to_the_end));
        assert!(is_dtls_records(&short_sequence));
        assert!(is_dtls_records(&[with_length.clone(), to_the_end].concat()));
        assert!(!is_dtls_records(&with_length[..20]), "ciphertext is cut");
        let with_connection_id = [&[0x38, 0, 1][..], &body].concat();
        assert!(!is_dtls_records(&with_connection_id));
    }
}
