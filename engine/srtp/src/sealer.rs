//! The outgoing direction.

use weirgate_wire::{SrtpKey, SrtpSuite};

use crate::cipher::{Cipher, PacketId};
use crate::header::{RTCP_CLEAR_LEN, rtcp_ssrc};
use crate::rollover::INDEX_LIMIT;
use crate::{KeyError, MAX_PACKET_BYTES, TagBatch};

const RTP_FIXED_LEN: usize = 12;
/// SRTCP indices have 31 bits (RFC 3711 section 3.4).
const RTCP_INDEX_LIMIT: u32 = 1 << 31;

/// Seals what leaves under one master key.
///
/// RTP has no state here: the caller numbers packets and must never seal two different ones with
/// the same SSRC and index. RTCP is numbered by the one counter inside.
#[derive(Debug)]
pub struct Sealer {
    suite: SrtpSuite,
    cipher: Cipher,
    next_rtcp_index: u32,
}

impl Sealer {
    /// A sealer whose first SRTCP index is 0.
    pub fn new(key: &SrtpKey) -> Result<Self, KeyError> {
        Self::with_rtcp_index(key, 0)
    }

    /// A sealer that goes on with `first_index`, past every SRTCP index the key may have sealed
    /// before.
    pub fn with_rtcp_index(key: &SrtpKey, first_index: u32) -> Result<Self, KeyError> {
        Ok(Self {
            suite: key.suite,
            cipher: Cipher::new(key)?,
            next_rtcp_index: first_index.min(RTCP_INDEX_LIMIT),
        })
    }

    /// The suite of the key.
    pub const fn suite(&self) -> SrtpSuite {
        self.suite
    }

    /// Bytes by which [`Self::seal_rtp`] makes a packet longer.
    pub const fn rtp_overhead(&self) -> usize {
        Cipher::rtp_overhead(self.suite)
    }

    /// Bytes by which [`Self::seal_rtcp`] makes a packet longer.
    pub const fn rtcp_overhead(&self) -> usize {
        Cipher::rtcp_overhead(self.suite)
    }

    /// The SRTCP index of the next [`Self::seal_rtcp`]; 2^31 where there is none left.
    pub const fn next_rtcp_index(&self) -> u32 {
        self.next_rtcp_index
    }

    /// Seals the RTP packet `packet[..len]`, whose header with CSRCs and extension has
    /// `header_len` bytes, and returns its new length. `index` is the rollover counter and the
    /// packet's sequence number, 48 bits in all (RFC 3711 section 3.3.1).
    ///
    /// `None`, and the packet as it was, where `packet` has no room for [`Self::rtp_overhead`]
    /// more, lengths do not fit each other or [`MAX_PACKET_BYTES`], or `index` has other low bits
    /// than the packet or more than 48.
    #[inline]
    pub fn seal_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
        index: u64,
    ) -> Option<usize> {
        let id = self.packet_id(packet, header_len, len, index)?;
        self.cipher.seal_rtp(packet, header_len, len, id)
    }

    /// Like [`Self::seal_rtp`], for a packet that leaves together with others: where its tag is an
    /// HMAC it may be left to `batch`, and the packet must not be sent before
    /// [`TagBatch::finish`]. `offset` is where `packet` begins in the arena that is given there.
    #[inline]
    pub fn seal_rtp_in_batch(
        &self,
        packet: &mut [u8],
        header_len: usize,
        len: usize,
        index: u64,
        offset: usize,
        batch: &mut TagBatch,
    ) -> Option<usize> {
        let id = self.packet_id(packet, header_len, len, index)?;
        match &self.cipher {
            Cipher::Cm(cm) if batch.has_room() => {
                let untagged = cm.encrypt_rtp(packet, header_len, len, id)?;
                batch.push(offset, len, untagged);
                Some(len + self.rtp_overhead())
            }
            cipher => cipher.seal_rtp(packet, header_len, len, id),
        }
    }

    /// Seals the compound RTCP packet `packet[..len]` under the next index and returns its new
    /// length.
    ///
    /// `None`, and the packet as it was, where `packet` has no room for [`Self::rtcp_overhead`]
    /// more, `len` is under 8 or does not fit [`MAX_PACKET_BYTES`], the version is not 2, or all
    /// indices are used up.
    pub fn seal_rtcp(&mut self, packet: &mut [u8], len: usize) -> Option<usize> {
        let lengths_fit = RTCP_CLEAR_LEN <= len && len <= MAX_PACKET_BYTES - self.rtcp_overhead();
        let index = self.next_rtcp_index;
        if !lengths_fit || index >= RTCP_INDEX_LIMIT {
            return None;
        }
        let ssrc = rtcp_ssrc(packet)?;
        let sealed = self.cipher.seal_rtcp(packet, len, ssrc, index)?;
        self.next_rtcp_index += 1;
        Some(sealed)
    }

    /// What the nonce of an RTP packet is made of, where all about it fits.
    #[inline]
    fn packet_id(
        &self,
        packet: &[u8],
        header_len: usize,
        len: usize,
        index: u64,
    ) -> Option<PacketId> {
        let fixed = packet.first_chunk::<RTP_FIXED_LEN>()?;
        let sequence = u16::from_be_bytes([fixed[2], fixed[3]]);
        let ssrc = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
        let lengths_fit = RTP_FIXED_LEN <= header_len
            && header_len <= len
            && len <= MAX_PACKET_BYTES - self.rtp_overhead();
        let index_fits = index as u16 == sequence && index < INDEX_LIMIT;
        (lengths_fit && index_fits).then_some(PacketId { ssrc, index })
    }
}
