//! A server's first message to read. Browsers' ClientHello comes in two datagrams, in any order
//! and number; it is put together and looked at here, so that the crypto library meets one whole,
//! well-formed message and nothing else before our first flight.

use crate::record::{self, FRAGMENT_HEADER_BYTES, Fragment, HEADER_BYTES, Record};

const CLIENT_HELLO: u8 = 1;

/// With two post-quantum key shares it is under 3 KiB.
const MAX_HELLO_BYTES: usize = 8 << 10;

/// Pieces of one ClientHello.
#[derive(Debug, Default)]
pub(crate) struct HelloAssembly {
    body: Vec<u8>,
    /// Which bytes of `body` have come.
    has: Vec<bool>,
}

impl HelloAssembly {
    /// Takes what `record` has of a ClientHello. Gives a datagram with all of it once it is whole
    /// and well-formed; anything else is dropped.
    pub(crate) fn push(&mut self, record: &Record<'_>) -> Option<Vec<u8>> {
        if record.content_type != record::HANDSHAKE || record.epoch != 0 {
            return None;
        }
        for fragment in record::fragments(record.body())? {
            if fragment.message_type == CLIENT_HELLO
                && fragment.message_sequence == 0
                && fragment.message_len <= MAX_HELLO_BYTES
            {
                self.put(&fragment);
            }
        }
        if self.body.is_empty() || self.has.contains(&false) {
            return None;
        }
        let body = std::mem::take(&mut self.body);
        self.has.clear();
        is_well_formed(&body).then(|| whole_datagram(record, &body))
    }

    /// True while nothing of a ClientHello has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    fn put(&mut self, fragment: &Fragment<'_>) {
        // Of another length, it is of another message: the newer one counts.
        if self.body.len() != fragment.message_len {
            self.body = vec![0; fragment.message_len];
            self.has = vec![false; fragment.message_len];
        }
        let range = fragment.offset..fragment.offset + fragment.body.len();
        self.body[range.clone()].copy_from_slice(fragment.body);
        self.has[range].fill(true);
    }
}

/// One record with the whole message, with the version and number of `last`, its last piece.
fn whole_datagram(last: &Record<'_>, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    let record_len = (FRAGMENT_HEADER_BYTES + body.len()) as u16;
    let mut datagram = Vec::with_capacity(HEADER_BYTES + usize::from(record_len));
    datagram.extend_from_slice(&last.bytes[..HEADER_BYTES - 2]);
    datagram.extend_from_slice(&record_len.to_be_bytes());
    datagram.push(CLIENT_HELLO);
    datagram.extend_from_slice(&len[1..]);
    datagram.extend_from_slice(&[0; 5]); // Message sequence and fragment offset.
    datagram.extend_from_slice(&len[1..]);
    datagram.extend_from_slice(body);
    datagram
}

/// The shape of RFC 6347 section 4.2.1 and RFC 5246 section 7.4.1.2.
fn is_well_formed(body: &[u8]) -> bool {
    fn parse(mut rest: &[u8]) -> Option<bool> {
        let version = take(&mut rest, 2)?;
        take(&mut rest, 32)?; // Random.
        let session_id = take_vector(&mut rest, 1)?;
        take_vector(&mut rest, 1)?; // Cookie.
        let cipher_suites = take_vector(&mut rest, 2)?;
        let compression_methods = take_vector(&mut rest, 1)?;
        let mut extensions: &[u8] = &[];
        if !rest.is_empty() {
            extensions = take_vector(&mut rest, 2)?;
        }
        while !extensions.is_empty() {
            take(&mut extensions, 2)?;
            take_vector(&mut extensions, 2)?;
        }
        Some(
            version[0] == 0xFE
                && session_id.len() <= 32
                && !cipher_suites.is_empty()
                && cipher_suites.len().is_multiple_of(2)
                && compression_methods.contains(&0)
                && rest.is_empty(),
        )
    }
    parse(body).unwrap_or(false)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

/// A vector whose length is written in `len_bytes` bytes before it.
fn take_vector<'a>(rest: &mut &'a [u8], len_bytes: usize) -> Option<&'a [u8]> {
    let len = take(rest, len_bytes)?;
    let len = len
        .iter()
        .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    take(rest, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{fragment, record};

    fn hello() -> Vec<u8> {
        let mut body = vec![0xFE, 0xFD];
        body.extend_from_slice(&[9; 32]);
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(&[0, 4, 0xC0, 0x2B, 0xC0, 0x2F]);
        body.extend_from_slice(&[1, 0]);
        let extension = [&[0, 21][..], &1400u16.to_be_bytes(), &[0; 1400]].concat();
        body.extend_from_slice(&(extension.len() as u16).to_be_bytes());
        body.extend_from_slice(&extension);
        body
    }

    fn pieces(body: &[u8]) -> [Vec<u8>; 2] {
        [
            record(22, 0, 0, &fragment(1, 0, body, 0..1100)),
            record(22, 0, 1, &fragment(1, 0, body, 1100..body.len())),
        ]
    }

    fn push(assembly: &mut HelloAssembly, datagram: &[u8]) -> Option<Vec<u8>> {
        record::records(datagram).find_map(|record| assembly.push(&record))
    }

    fn is_whole(datagram: &[u8], body: &[u8]) -> bool {
        let record = record::records(datagram).next().unwrap();
        let fragments = record::fragments(record.body()).unwrap();
        datagram.len() == record.bytes.len()
            && fragments.len() == 1
            && (fragments[0].offset, fragments[0].message_len) == (0, body.len())
            && fragments[0].body == body
    }

    #[test]
    fn pieces_fit_together_in_any_order_and_number() {
        let body = hello();
        let pieces = pieces(&body);
        for order in [&[0, 1][..], &[1, 0], &[0, 0, 1], &[1, 1, 0]] {
            let mut assembly = HelloAssembly::default();
            let given: Vec<_> = order
                .iter()
                .map(|&index: &usize| push(&mut assembly, &pieces[index]))
                .collect();
            let (last, before) = given.split_last().unwrap();
            assert!(before.iter().all(Option::is_none));
            assert!(is_whole(last.as_ref().unwrap(), &body));
            assert!(assembly.is_empty());
        }
    }

    #[test]
    fn junk_of_the_same_shape_does_not_stay() {
        let body = hello();
        let [first, second] = pieces(&body);
        let mut assembly = HelloAssembly::default();
        let junk = vec![0xAA; body.len()];
        assert!(
            push(
                &mut assembly,
                &record(22, 0, 0, &fragment(1, 0, &junk, 0..junk.len()))
            )
            .is_none()
        );
        let short = [0xAA; 60];
        assert!(
            push(
                &mut assembly,
                &record(22, 0, 0, &fragment(1, 0, &short, 0..30))
            )
            .is_none()
        );
        assert!(push(&mut assembly, &first).is_none());
        assert!(push(&mut assembly, &second).is_some());
    }

    #[test]
    fn every_cut_is_malformed() {
        let body = hello();
        assert!(is_well_formed(&body));
        for cut in 0..body.len() {
            // A hello may end before its extensions.
            assert!(!is_well_formed(&body[..cut]) || cut == 44, "{cut}");
        }
    }

    #[test]
    fn other_records_are_not_pieces() {
        let body = hello();
        let whole = fragment(1, 0, &body, 0..body.len());
        for bytes in [
            record(23, 0, 0, &whole),
            record(22, 1, 0, &whole),
            record(22, 0, 0, &fragment(1, 1, &body, 0..body.len())),
            record(22, 0, 0, &fragment(2, 0, &body, 0..body.len())),
            record(22, 0, 0, &fragment(1, 0, &[0; 9000], 0..1000)),
        ] {
            let mut assembly = HelloAssembly::default();
            assert!(push(&mut assembly, &bytes).is_none());
            assert!(assembly.is_empty());
        }
    }
}
