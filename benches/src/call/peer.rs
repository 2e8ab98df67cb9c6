//! The far ends of a call: they seal what they send.

use std::net::{IpAddr, SocketAddr};

use weirgate_packet::rtp::{ExtensionForm, RtpWriter};
use weirgate_shard::{Path, SocketId};
use weirgate_srtp::{Sealer, SrtpKey};
use weirgate_wire::MediaKind;

use super::parameters::{
    ABS_SEND_TIME_ID, AUDIO_LEVEL_ID, MID_ID, PAYLOAD_TYPE, TRANSPORT_CC_ID, sender_ssrc,
};
use super::scenario::{Leg, Scenario};

/// Longer than any index and tag.
const OVERHEAD_BYTES: usize = 32;

/// Packets that come together by one path, each in memory of its own.
#[derive(Debug, Clone)]
pub struct Burst {
    pub(super) path: Path,
    pub(super) packets: Vec<Vec<u8>>,
}

/// The far end of one transport.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) path: Path,
    sealer: Option<Sealer>,
}

impl Peer {
    /// `number` is the transport's.
    pub(super) fn new(number: usize, leg: Leg, key: Option<&SrtpKey>) -> Self {
        Self {
            path: path(number, leg),
            sealer: key.map(|key| Sealer::new(key).unwrap()),
        }
    }

    /// One RTCP compound, sealed.
    pub(super) fn rtcp(&mut self, write: impl FnOnce(&mut [u8]) -> usize) -> Burst {
        let mut bytes = vec![0; 1500];
        let len = write(&mut bytes);
        let sealed = match &mut self.sealer {
            Some(sealer) => sealer.seal_rtcp(&mut bytes, len).unwrap(),
            None => len,
        };
        bytes.truncate(sealed);
        Burst {
            path: self.path,
            packets: vec![bytes],
        }
    }

    /// One datagram as it is.
    pub(super) fn datagram(&self, bytes: Vec<u8>) -> Burst {
        Burst {
            path: self.path,
            packets: vec![bytes],
        }
    }
}

/// A stream on its way to the shard.
#[derive(Debug)]
pub(super) struct Stream {
    ssrc: u32,
    next_sequence: u64,
    timestamp: u32,
    transport_sequence: u16,
}

impl Stream {
    pub(super) const fn new(sender: usize) -> Self {
        Self {
            ssrc: sender_ssrc(sender),
            next_sequence: 1,
            timestamp: 0,
            transport_sequence: 0,
        }
    }

    /// A frame or an audio packet. The first frame is a key frame.
    pub(super) fn burst(&mut self, scenario: &Scenario, peer: &Peer) -> Burst {
        let key_frame = self.timestamp == 0;
        self.timestamp += scenario.timestamp_step();
        let packets = (0..scenario.burst())
            .map(|number| self.packet(scenario, peer, number, key_frame))
            .collect();
        Burst {
            path: peer.path,
            packets,
        }
    }

    fn packet(
        &mut self,
        scenario: &Scenario,
        peer: &Peer,
        number: usize,
        key_frame: bool,
    ) -> Vec<u8> {
        let index = self.next_sequence;
        self.next_sequence += 1;
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let mut bytes = vec![0; scenario.packet_bytes() + OVERHEAD_BYTES];
        let slot = &mut bytes[..scenario.packet_bytes()];
        let marker = number + 1 == scenario.burst();
        let form = ExtensionForm::OneByte;
        let (sequence, timestamp) = (index as u16, self.timestamp);
        let mut writer = RtpWriter::new(
            slot,
            marker,
            PAYLOAD_TYPE,
            sequence,
            timestamp,
            self.ssrc,
            form,
        )
        .unwrap();
        writer.extension(MID_ID, b"0").unwrap();
        writer
            .extension(ABS_SEND_TIME_ID, &[0x12, 0x34, 0x56])
            .unwrap();
        let transport_sequence = self.transport_sequence.to_be_bytes();
        writer
            .extension(TRANSPORT_CC_ID, &transport_sequence)
            .unwrap();
        if scenario.kind == MediaKind::Audio {
            writer.extension(AUDIO_LEVEL_ID, &[0x80 | 30]).unwrap();
        }
        let payload = payload(scenario, number == 0, key_frame);
        // Whatever room the header leaves.
        let fits = (0..=payload.len())
            .rev()
            .find(|&len| writer.payload(&payload[..len]).is_some());
        assert!(fits > Some(0));
        let written = writer.finish();
        let len = match &peer.sealer {
            Some(sealer) => sealer
                .seal_rtp(&mut bytes, written.header_len, written.len, index)
                .unwrap(),
            None => written.len,
        };
        bytes.truncate(len);
        bytes
    }
}

/// A VP8 descriptor with S set at the begin of a frame and the frame's first byte; or opus.
fn payload(scenario: &Scenario, first: bool, key_frame: bool) -> Vec<u8> {
    let mut payload: Vec<u8> = (0..scenario.packet_bytes()).map(|at| at as u8).collect();
    if scenario.kind == MediaKind::Video {
        payload[0] = if first { 0x10 } else { 0 };
        payload[1] = u8::from(!key_frame);
    }
    payload
}

/// WebRTC transports share the media socket, plain ones have one each.
pub(super) fn path(number: usize, leg: Leg) -> Path {
    let [_, _, high, low] = (number as u32).to_be_bytes();
    let remote = SocketAddr::from(([198, 51, 100 + high, low], 40_000));
    match leg {
        Leg::WebRtc => Path {
            socket: SocketId(0),
            local: Some([10, 0, 0, 1].into()),
            remote,
        },
        Leg::Plain => Path {
            socket: SocketId(1 + number as u32),
            local: None,
            remote,
        },
    }
}

/// Number of the transport whose far end a path of [`path`] leads to.
pub(super) fn number(path: &Path) -> usize {
    match path.remote.ip() {
        IpAddr::V4(ip) => {
            let [_, _, high, low] = ip.octets();
            usize::from(high - 100) << 8 | usize::from(low)
        }
        IpAddr::V6(_) => usize::MAX,
    }
}
