//! The incoming direction.

use weirgate_wire::{SrtpKey, SrtpSuite};

use crate::cipher::{Cipher, PacketId, Unauthentic};
use crate::header::{RTCP_CLEAR_LEN, RtpHeader, rtcp_ssrc};
use crate::rollover;
use crate::sources::{RtcpWindow, RtpWindow, Source, Sources};
use crate::{KeyError, MAX_PACKET_BYTES};

/// First packets up to this length are tried with both rollover counters they can have.
const RETRY_BYTES: usize = 2048;

/// Why a packet was not opened. The stream's state is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too short or too long, not version 2, or a header that does not fit.
    #[error("malformed packet")]
    Malformed,
    /// The tag does not fit the packet, whose payload may be garbage now.
    #[error("authentication failed")]
    Authentication,
    /// The index came before, or is too old to tell; the packet is as it was.
    #[error("replayed packet")]
    Replayed,
    /// A new SSRC, and the table is full; the packet is as it was and not authenticated.
    #[error("too many SSRCs")]
    TooManySsrcs,
}

impl From<Unauthentic> for OpenError {
    fn from(_: Unauthentic) -> Self {
        Self::Authentication
    }
}

/// An opened RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedRtp {
    /// Its length without the tag.
    pub len: usize,
    /// Rollover counter and sequence number, 48 bits.
    pub index: u64,
    /// Its SSRC.
    pub ssrc: u32,
}

/// Opens what comes in under one master key.
///
/// Each SSRC has its rollover counter and replay list (1024 RTP packets, 128 SRTCP packets),
/// checked before a packet is authenticated and changed only after. An SSRC's state begins with
/// its first authentic packet, which is the only time memory is allocated.
#[derive(Debug)]
pub struct Opener {
    suite: SrtpSuite,
    cipher: Cipher,
    sources: Sources,
}

impl Opener {
    /// An opener that keeps state of at most `max_ssrcs` SSRCs. None is ever forgotten, since its
    /// packets could then be replayed: a new one is refused where the table is full.
    pub fn new(key: &SrtpKey, max_ssrcs: usize) -> Result<Self, KeyError> {
        Ok(Self {
            suite: key.suite,
            cipher: Cipher::new(key)?,
            sources: Sources::new(max_ssrcs),
        })
    }

    /// The suite of the key.
    pub const fn suite(&self) -> SrtpSuite {
        self.suite
    }

    /// SSRCs that sent something authentic.
    pub const fn ssrc_count(&self) -> usize {
        self.sources.len()
    }

    /// Opens one RTP packet in place.
    #[inline]
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<OpenedRtp, OpenError> {
        let header = RtpHeader::parse(packet).ok_or(OpenError::Malformed)?;
        let shortest = header.len + Cipher::rtp_overhead(self.suite);
        if !(shortest..=MAX_PACKET_BYTES).contains(&packet.len()) {
            return Err(OpenError::Malformed);
        }
        let ssrc = header.ssrc;
        let is_full = self.sources.is_full();
        let window = match self.sources.find(ssrc) {
            Some(Source {
                rtp: Some(window), ..
            }) => window,
            None if is_full => return Err(OpenError::TooManySsrcs),
            _ => return self.open_first_rtp(packet, header),
        };
        let index = rollover::estimate(window.highest(), header.sequence)
            .filter(|&index| window.is_fresh(index))
            .ok_or(OpenError::Replayed)?;
        let id = PacketId { ssrc, index };
        let len = self.cipher.open_rtp(packet, header.len, id)?;
        window.commit(index);
        Ok(OpenedRtp { len, index, ssrc })
    }

    /// Opens the first packet of a stream. Its rollover counter is 0 (RFC 3711 section 3.3.1),
    /// unless the stream began near the end of the sequence numbers and its packets before the
    /// wrap were lost or overtaken: then it is 1, and to insist on 0 would be deaf for good.
    #[cold]
    fn open_first_rtp(
        &mut self,
        packet: &mut [u8],
        header: RtpHeader,
    ) -> Result<OpenedRtp, OpenError> {
        let ssrc = header.ssrc;
        let mut before = [0; RETRY_BYTES];
        let can_be_past_the_wrap = header.sequence < 1 << 15;
        let before = before
            .get_mut(..packet.len())
            .filter(|_| can_be_past_the_wrap);
        let mut index = u64::from(header.sequence);
        let id = PacketId { ssrc, index };
        let opened = match before {
            None => self.cipher.open_rtp(packet, header.len, id),
            Some(before) => {
                before.copy_from_slice(packet);
                self.cipher.open_rtp(packet, header.len, id).or_else(|_| {
                    packet.copy_from_slice(before);
                    index += 1 << 16;
                    let id = PacketId { ssrc, index };
                    self.cipher.open_rtp(packet, header.len, id)
                })
            }
        };
        let len = opened?;
        let source = self.sources.find_or_add(ssrc);
        source.ok_or(OpenError::TooManySsrcs)?.rtp = Some(RtpWindow::starting_at(index));
        Ok(OpenedRtp { len, index, ssrc })
    }

    /// Opens one compound RTCP packet in place and returns its length without index and tag.
    ///
    /// A packet without the E bit is authenticated like any other and taken as it is: only the
    /// holder of the key can have made it.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let shortest = RTCP_CLEAR_LEN + Cipher::rtcp_overhead(self.suite);
        if !(shortest..=MAX_PACKET_BYTES).contains(&packet.len()) {
            return Err(OpenError::Malformed);
        }
        let ssrc = rtcp_ssrc(packet).ok_or(OpenError::Malformed)?;
        let word = self.cipher.srtcp_word(packet).ok_or(OpenError::Malformed)?;
        let index = u64::from(word.index());
        let is_full = self.sources.is_full();
        match self.sources.find(ssrc) {
            Some(Source {
                rtcp: Some(window), ..
            }) if !window.is_fresh(index) => {
                return Err(OpenError::Replayed);
            }
            None if is_full => return Err(OpenError::TooManySsrcs),
            _ => {}
        }
        let len = self.cipher.open_rtcp(packet, ssrc, word)?;
        let source = self.sources.find_or_add(ssrc);
        match &mut source.ok_or(OpenError::TooManySsrcs)?.rtcp {
            Some(window) => window.commit(index),
            empty => *empty = Some(RtcpWindow::starting_at(index)),
        }
        Ok(len)
    }
}
