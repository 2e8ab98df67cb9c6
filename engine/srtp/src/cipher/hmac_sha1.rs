//! HMAC-SHA1 (RFC 2104, RFC 3711 section 4.2.1) over one key many times: both padded keys are
//! hashed once, and a message is compressed where it lies.

use sha1::block_api::compress;
use zeroize::Zeroize;

/// Bytes of an authentication key (RFC 3711 section 5.2).
pub(super) const KEY_LEN: usize = 20;
/// Bytes of an uncut tag.
pub(super) const OUTPUT_LEN: usize = 20;

/// Bytes SHA-1 takes at a time.
pub(super) const BLOCK_LEN: usize = 64;
/// SHA-1's padding: a 1 bit and the length of the message in 8 bytes (FIPS 180-4 section 5.1.1).
const PADDING_LEN: usize = 1 + 8;
/// Bits of what the outer hash is over: the padded key and the inner digest.
pub(super) const OUTER_BITS: u32 = 8 * (BLOCK_LEN + OUTPUT_LEN) as u32;

/// FIPS 180-4 section 5.3.1.
const INITIAL: State = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

/// The hash value between two blocks.
pub(super) type State = [u32; 5];
/// An uncut tag.
pub(crate) type Tag = [u8; OUTPUT_LEN];
/// What SHA-1 takes at a time.
pub(super) type Block = [u8; BLOCK_LEN];

/// A key, as the two hash states that begin each HMAC.
#[derive(Default)]
pub(crate) struct HmacSha1 {
    pub(super) inner: State,
    pub(super) outer: State,
}

/// A message as the inner hash takes it: the whole blocks where they lie, and its end, padded.
pub(crate) struct Message<'a> {
    pub(super) blocks: &'a [Block],
    end: [Block; 2],
    end_count: usize,
}

impl HmacSha1 {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        let start = |pad: u8| {
            let mut block = [pad; BLOCK_LEN];
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            let mut state = INITIAL;
            compress(&mut state, &[block]);
            block.zeroize();
            state
        };
        Self {
            inner: start(0x36),
            outer: start(0x5c),
        }
    }

    /// Becomes a copy of `other`.
    pub(crate) const fn copy_from(&mut self, other: &Self) {
        self.inner = other.inner;
        self.outer = other.outer;
    }

    /// The tag of `message` followed by the `SUFFIX_LEN` bytes of `suffix` (0 to 4).
    #[inline]
    pub(super) fn tag<const SUFFIX_LEN: usize>(
        &self,
        message: &[u8],
        suffix: [u8; SUFFIX_LEN],
    ) -> Tag {
        self.tag_message(&Message::new(message, suffix))
    }

    /// The tag of `message`.
    #[inline]
    pub(crate) fn tag_message(&self, message: &Message<'_>) -> Tag {
        let mut state = self.inner;
        compress(&mut state, message.blocks);
        compress(&mut state, message.end());

        let mut block = [0; BLOCK_LEN];
        block[..OUTPUT_LEN].copy_from_slice(&to_bytes(state));
        block[OUTPUT_LEN] = 0x80;
        block[BLOCK_LEN - 8..].copy_from_slice(&u64::from(OUTER_BITS).to_be_bytes());
        let mut state = self.outer;
        compress(&mut state, &[block]);
        to_bytes(state)
    }
}

impl<'a> Message<'a> {
    /// The message of `bytes` and the `SUFFIX_LEN` bytes of `suffix` (0 to 4).
    #[inline]
    pub(crate) fn new<const SUFFIX_LEN: usize>(bytes: &'a [u8], suffix: [u8; SUFFIX_LEN]) -> Self {
        const { assert!(SUFFIX_LEN <= 4) }
        let (blocks, rest) = bytes.as_chunks::<BLOCK_LEN>();
        let mut end = [[0; BLOCK_LEN]; 2];
        let padded = end.as_flattened_mut();
        let len = rest.len() + SUFFIX_LEN;
        padded[..rest.len()].copy_from_slice(rest);
        padded[rest.len()..len].copy_from_slice(&suffix);
        padded[len] = 0x80;
        let end_count = Self::blocks_of(bytes.len() + SUFFIX_LEN) - blocks.len();
        let bits = 8 * (BLOCK_LEN + bytes.len() + SUFFIX_LEN) as u64;
        padded[end_count * BLOCK_LEN - 8..end_count * BLOCK_LEN]
            .copy_from_slice(&bits.to_be_bytes());
        Self {
            blocks,
            end,
            end_count,
        }
    }

    /// The end of the message: one block, or two.
    #[inline]
    pub(super) fn end(&self) -> &[Block] {
        &self.end[..self.end_count]
    }

    /// Blocks in all.
    #[inline]
    pub(super) const fn block_count(&self) -> usize {
        self.blocks.len() + self.end_count
    }

    /// Blocks of a message of `len` bytes, its suffix included.
    #[inline]
    pub(super) const fn blocks_of(len: usize) -> usize {
        (len + PADDING_LEN).div_ceil(BLOCK_LEN)
    }
}

impl Drop for HmacSha1 {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// A digest.
pub(super) fn to_bytes(state: State) -> Tag {
    let mut bytes = [0; OUTPUT_LEN];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(state) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::test_support::hex;

    /// A shorter key is the same as one that ends in zeros.
    fn hmac(key: &[u8]) -> HmacSha1 {
        let mut padded = [0; KEY_LEN];
        padded[..key.len()].copy_from_slice(key);
        HmacSha1::new(&padded)
    }

    #[test]
    fn rfc_2202_section_3() {
        let cases: [(&[u8], &[u8], &str); 4] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b617318655057264e28bc0b6fb378c8ef146be00",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
            ),
            (
                &[0x0c; 20],
                b"Test With Truncation",
                "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
            ),
        ];
        for (key, message, tag) in cases {
            assert_eq!(hmac(key).tag(message, [])[..], hex(tag));
        }
    }

    #[test]
    fn a_suffix_is_the_end_of_the_message_at_every_length() {
        let hmac = hmac(b"key");
        let message: Vec<u8> = (0..200).collect();
        for len in 4..message.len() {
            let (body, suffix) = message[..len].split_last_chunk::<4>().unwrap();
            let whole = hmac.tag(&message[..len], []);
            assert_eq!(hmac.tag(body, *suffix), whole, "{len} bytes");
        }
    }
}
