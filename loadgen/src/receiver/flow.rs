//! One stream as it arrives: authenticity, order, loss, latency.

use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtp::header::Header;
use rtp::packet::Packet as RtpPacket;

use super::missing::{Due, Missing};
use super::run::{Place, Runs};
use super::window::Arrival;
use crate::clock::{NS_PER_S, ntp_short, ntp_time};
use crate::latency::LatencySink;
use crate::leg::lock;
use crate::marker::{Marker, PayloadFormat};

/// What is expected of a flow.
#[derive(Debug, Clone)]
pub struct FlowConfig {
    /// SSRC.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
    /// Timestamp units per second.
    pub clock_rate: u32,
    /// Payload type and SSRC of retransmissions.
    pub rtx: Option<(u8, u32)>,
    /// MID and the id of its header extension, where the server must write it.
    pub mid: Option<(u8, String)>,
    /// How payloads begin.
    pub format: PayloadFormat,
    /// Marker numbers of the streams it may carry: one, or the layers of simulcast, of which a server
    /// forwards one at a time.
    pub streams: Vec<u32>,
    /// Id of the transport-wide sequence number's header extension.
    pub transport_cc_id: Option<u8>,
    /// When the flow was asked for; times to the first packet count from there.
    pub asked_ns: u64,
    /// Where latencies go.
    pub latency: LatencySink,
}

/// A sender report as it came.
#[derive(Debug, Clone, Copy)]
pub struct SenderReportSeen {
    /// When it came.
    pub arrival_ns: u64,
    /// Its NTP time.
    pub ntp_time: u64,
    /// Its RTP time.
    pub rtp_time: u32,
    /// Packets it says were sent.
    pub packet_count: u32,
    /// Payload bytes it says were sent.
    pub octet_count: u32,
    /// Packets received when it came, without RTX.
    pub received_packets: u64,
}

/// What came of a flow.
#[derive(Debug, Clone, Default)]
pub struct FlowStats {
    /// Marker number of the stream it carries, of the latest with simulcast.
    pub stream: u32,
    /// It carries video.
    pub is_video: bool,
    /// When it was asked for.
    pub asked_ns: u64,
    /// Media packets, whatever they were, without RTX.
    pub packets: u64,
    /// Bytes of those on the wire.
    pub wire_bytes: u64,
    /// Payload bytes of those, for comparison with sender reports.
    pub payload_bytes: u64,
    /// Different packets of the stream, repaired ones included.
    pub unique: u64,
    /// Missing between the first packet and the highest one so far.
    pub missing: u64,
    /// One above the highest index seen of the stream it carries.
    pub end_index: u64,
    /// Switches from one layer of simulcast to another.
    pub layer_switches: u64,
    /// Came again, without RTX.
    pub duplicates: u64,
    /// Came after a later one, without RTX.
    pub reordered: u64,
    /// Payload without marker, of another stream, or with a wrong checksum.
    pub corrupt: u64,
    /// RTP sequence number that does not follow the stream's.
    pub renumbered: u64,
    /// RTP timestamp that does not follow the stream's.
    pub wrong_timestamps: u64,
    /// Payload type or MID that is not the negotiated one.
    pub wrong_headers: u64,
    /// RTX packets.
    pub rtx_packets: u64,
    /// Packets that came by RTX and had not come before.
    pub repaired: u64,
    /// Packets asked for by NACK.
    pub nacked: u64,
    /// Key frames asked for by PLI, as packets were given up.
    pub key_frame_requests: u64,
    /// Key frames whose first packet came.
    pub key_frames: u64,
    /// It carries video, and the first packet that came began no key frame.
    pub is_headless: bool,
    /// From the request to the first packet, in ns.
    pub first_packet_ns: Option<u64>,
    /// From the request to the first packet of a key frame, in ns.
    pub first_key_frame_ns: Option<u64>,
    /// The latest sender report.
    pub sender_report: Option<SenderReportSeen>,
    /// How many there were.
    pub sender_reports: u64,
    /// Latest media packet's RTP timestamp and arrival.
    pub latest: Option<(u32, u64)>,
}

impl FlowStats {
    /// Packets that are missing of those from the first one seen up to `end`, exclusive, of the
    /// stream it carries; without any, all of them.
    pub fn lost(&self, end: u64) -> u64 {
        self.missing + end.saturating_sub(self.end_index)
    }
}

pub(super) struct Flow {
    config: FlowConfig,
    stats: FlowStats,
    runs: Runs,
    missing: Missing,
    next_key_frame_request_ns: u64,
    highest_sequence: Option<u64>,
    first_sequence: u64,
    transit: Option<i64>,
    jitter: f64,
    /// `(expected, received)` at the last reception report.
    reported: (u64, u64),
}

impl Flow {
    pub(super) fn new(config: FlowConfig) -> Self {
        Self {
            stats: FlowStats {
                stream: config.streams.first().copied().unwrap_or_default(),
                is_video: config.format == PayloadFormat::Vp8,
                asked_ns: config.asked_ns,
                ..FlowStats::default()
            },
            runs: Runs::new(config.clock_rate),
            config,
            missing: Missing::default(),
            next_key_frame_request_ns: 0,
            highest_sequence: None,
            first_sequence: 0,
            transit: None,
            jitter: 0.0,
            reported: (0, 0),
        }
    }

    pub(super) fn stats(&self) -> &FlowStats {
        &self.stats
    }

    pub(super) fn on_media(&mut self, packet: &RtpPacket, wire_len: usize, arrival_ns: u64) {
        let header = &packet.header;
        self.stats.packets += 1;
        self.stats.wire_bytes += wire_len as u64;
        self.stats.payload_bytes += packet.payload.len() as u64;
        self.stats.latest = Some((header.timestamp, arrival_ns));
        let is_mid_wrong = self.config.mid.as_ref().is_some_and(|(id, mid)| {
            header
                .get_extension(*id)
                .is_none_or(|value| value != mid.as_bytes())
        });
        if header.payload_type != self.config.payload_type || is_mid_wrong {
            self.stats.wrong_headers += 1;
        }
        let sequence = self.note_sequence(header.sequence_number, arrival_ns);
        self.missing.arrived(sequence);
        self.note_jitter(header.timestamp, arrival_ns);
        match self.on_payload(&packet.payload, sequence, header, arrival_ns) {
            Some(Arrival::Late) => self.stats.reordered += 1,
            Some(Arrival::Duplicate | Arrival::TooOld) => self.stats.duplicates += 1,
            Some(Arrival::Newest) | None => {}
        }
    }

    /// RFC 4588: the payload begins with the original sequence number.
    pub(super) fn on_rtx(&mut self, packet: &RtpPacket, arrival_ns: u64) {
        self.stats.rtx_packets += 1;
        if self
            .config
            .rtx
            .is_none_or(|(payload_type, _)| payload_type != packet.header.payload_type)
        {
            self.stats.wrong_headers += 1;
        }
        let Some((original, payload)) = packet.payload.split_first_chunk::<2>() else {
            // Padding only: a probe.
            return;
        };
        let sequence = self.extend(u16::from_be_bytes(*original));
        self.missing.arrived(sequence);
        match self.on_payload(payload, sequence, &packet.header, arrival_ns) {
            Some(Arrival::Newest | Arrival::Late) => self.stats.repaired += 1,
            // A probe of the path, or sent again although it had come.
            Some(Arrival::Duplicate | Arrival::TooOld) | None => {}
        }
    }

    pub(super) fn on_sender_report(&mut self, report: &SenderReport, arrival_ns: u64) {
        self.stats.sender_reports += 1;
        self.stats.sender_report = Some(SenderReportSeen {
            arrival_ns,
            ntp_time: report.ntp_time,
            rtp_time: report.rtp_time,
            packet_count: report.packet_count,
            octet_count: report.octet_count,
            received_packets: self.stats.packets,
        });
    }

    /// Whether there is something to ask for, now or later.
    pub(super) fn is_missing_any(&self) -> bool {
        !self.missing.is_empty()
    }

    /// What is to be done about missing packets; `asks` says whether any may be asked for. Pictures
    /// are given up at most once a second.
    pub(super) fn take_due(&mut self, now_ns: u64, asks: bool) -> Due {
        let mut due = self.missing.take_due(now_ns, asks);
        self.stats.nacked += due.asked.len() as u64;
        due.gave_up &= self.stats.is_video && now_ns >= self.next_key_frame_request_ns;
        if due.gave_up {
            self.next_key_frame_request_ns = now_ns + NS_PER_S;
            self.stats.key_frame_requests += 1;
        }
        due
    }

    /// RFC 3550 appendix A.3.
    pub(super) fn reception_report(&mut self, now_ns: u64) -> Option<ReceptionReport> {
        let highest = self.highest_sequence?;
        let expected = highest + 1 - self.first_sequence;
        let received = self.stats.packets;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, received);
        let expected_now = expected - expected_before;
        let lost_now = expected_now.saturating_sub(received - received_before);
        let (last_sender_report, delay) = match &self.stats.sender_report {
            Some(seen) => {
                let since_ns = now_ns.saturating_sub(seen.arrival_ns);
                (
                    ntp_short(seen.ntp_time),
                    ((since_ns << 16) / NS_PER_S) as u32,
                )
            }
            None => (0, 0),
        };
        Some(ReceptionReport {
            ssrc: self.config.ssrc,
            fraction_lost: ((lost_now << 8) / expected_now.max(1)).min(255) as u8,
            total_lost: expected.saturating_sub(received).min(0x7f_ffff) as u32,
            last_sequence_number: highest as u32,
            jitter: self.jitter as u32,
            last_sender_report,
            delay,
        })
    }

    fn on_payload(
        &mut self,
        payload: &[u8],
        sequence: u64,
        header: &Header,
        arrival_ns: u64,
    ) -> Option<Arrival> {
        let marker_at = self.config.format.skip(payload);
        let marker = marker_at.and_then(|at| Marker::read(payload.get(at..)?).ok());
        let expected = |marker: &Marker| self.config.streams.contains(&marker.stream);
        let Some(marker) = marker.filter(expected) else {
            self.stats.corrupt += 1;
            return None;
        };
        let place = Place {
            sequence,
            timestamp: header.timestamp,
        };
        // A straggler from before the last two switches stays where it was counted as missing.
        let noted = self.runs.note(&marker, place)?;
        if matches!(noted.arrival, Arrival::Duplicate | Arrival::TooOld) {
            return Some(noted.arrival);
        }
        self.stats.renumbered += u64::from(noted.renumbered);
        self.stats.wrong_timestamps += u64::from(noted.wrong_timestamp);
        self.stats.layer_switches += u64::from(noted.switched);
        self.stats.stream = self.runs.stream().unwrap_or(marker.stream);
        self.stats.unique = self.runs.unique();
        self.stats.missing = self.runs.lost();
        self.stats.end_index = self.runs.end();
        let latency = arrival_ns.saturating_sub(marker.intended_ns);
        lock(&self.config.latency).record(latency);
        let since_asked = arrival_ns.saturating_sub(self.config.asked_ns);
        let is_first = self.stats.first_packet_ns.is_none();
        self.stats.first_packet_ns.get_or_insert(since_asked);
        let begins_key_frame = marker.key_frame && begins_frame(self.config.format, payload);
        self.stats.is_headless |= is_first && self.stats.is_video && !begins_key_frame;
        if begins_key_frame {
            self.stats.key_frames += 1;
            self.stats.first_key_frame_ns.get_or_insert(since_asked);
        }
        Some(noted.arrival)
    }

    fn note_sequence(&mut self, sequence: u16, now_ns: u64) -> u64 {
        let extended = self.extend(sequence);
        match self.highest_sequence {
            None => {
                self.highest_sequence = Some(extended);
                self.first_sequence = extended;
            }
            Some(highest) if extended > highest => {
                self.missing.skipped(highest + 1, extended, now_ns);
                self.highest_sequence = Some(extended);
            }
            Some(_) => self.first_sequence = self.first_sequence.min(extended),
        }
        extended
    }

    fn extend(&self, sequence: u16) -> u64 {
        // Starts a cycle up, so that a packet from before the first has a number too.
        let near = self
            .highest_sequence
            .unwrap_or(0x1_0000 + u64::from(sequence));
        near.saturating_add_signed(i64::from(sequence.wrapping_sub(near as u16) as i16))
    }

    /// RFC 3550 appendix A.8.
    fn note_jitter(&mut self, timestamp: u32, arrival_ns: u64) {
        let units = u128::from(arrival_ns) * u128::from(self.config.clock_rate);
        let arrival = (units / u128::from(NS_PER_S)) as u32;
        let transit = i64::from(arrival.wrapping_sub(timestamp));
        if let Some(before) = self.transit.replace(transit) {
            let change = (transit.wrapping_sub(before) as i32).unsigned_abs();
            self.jitter += (f64::from(change) - self.jitter) / 16.0;
        }
    }
}

fn begins_frame(format: PayloadFormat, payload: &[u8]) -> bool {
    match format {
        PayloadFormat::Opus => true,
        PayloadFormat::Vp8 => payload.first().is_some_and(|first| first & 0x10 != 0),
    }
}

impl SenderReportSeen {
    /// How far the report's NTP time is from when it came, in ms; negative where it is ahead.
    pub fn age_ms(&self) -> f64 {
        let arrival = ntp_time(self.arrival_ns);
        (arrival.wrapping_sub(self.ntp_time) as i64) as f64 * 1000.0 / 4_294_967_296.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marker::FramePosition;
    use bytes::Bytes;

    fn flow() -> Flow {
        Flow::new(FlowConfig {
            ssrc: 1,
            payload_type: 96,
            clock_rate: 90_000,
            rtx: Some((97, 2)),
            mid: None,
            format: PayloadFormat::Vp8,
            streams: vec![5],
            transport_cc_id: None,
            asked_ns: 0,
            latency: crate::latency::sink(),
        })
    }

    fn payload(index: u64) -> Vec<u8> {
        let mut payload = Vec::new();
        let position = FramePosition {
            frame: 0,
            first: index == 0,
            key_frame: true,
            height: 180,
        };
        PayloadFormat::Vp8.write(position, &mut payload);
        let marker = Marker {
            stream: 5,
            index,
            intended_ns: 0,
            frame: 0,
            timestamp: index as u32,
            key_frame: true,
        };
        marker.write(100, &mut payload);
        payload
    }

    fn packet(index: u64) -> RtpPacket {
        RtpPacket {
            header: Header {
                payload_type: 96,
                ssrc: 1,
                // Wraps between index 4 and 5.
                sequence_number: 65_531_u16.wrapping_add(index as u16),
                timestamp: 1000 + index as u32,
                ..Header::default()
            },
            payload: payload(index).into(),
        }
    }

    fn rtx(index: u64) -> RtpPacket {
        let original = packet(index);
        let sequence = original.header.sequence_number.to_be_bytes();
        RtpPacket {
            header: Header {
                payload_type: 97,
                ssrc: 2,
                sequence_number: 9,
                ..original.header
            },
            payload: Bytes::from([&sequence[..], &original.payload].concat()),
        }
    }

    #[test]
    fn loss_repair_doubles_and_order_are_counted_over_the_wrap() {
        let mut flow = flow();
        for index in [0, 1, 3, 2, 3, 6, 8] {
            flow.on_media(&packet(index), 120, 0);
        }
        assert_eq!(flow.take_due(NS_PER_S, true).asked, [65_535, 0, 2]);
        flow.on_rtx(&rtx(5), 0);
        let stats = flow.stats();
        assert_eq!((stats.unique, stats.lost(9), stats.lost(10)), (7, 2, 3));
        assert_eq!(
            (stats.duplicates, stats.reordered, stats.repaired),
            (1, 1, 1)
        );
        assert_eq!(
            (stats.renumbered, stats.wrong_timestamps, stats.corrupt),
            (0, 0, 0)
        );
        assert_eq!((stats.key_frames, stats.wrong_headers), (1, 0));
        let report = flow.reception_report(NS_PER_S).unwrap();
        // The duplicate counts as received, as RFC 3550 has it.
        assert_eq!((report.total_lost, report.fraction_lost), (2, 56));
    }

    #[test]
    fn a_flow_that_does_not_begin_with_a_key_frame_is_noticed() {
        for (first, is_headless) in [(0, false), (1, true)] {
            let mut flow = flow();
            for index in first..4 {
                flow.on_media(&packet(index), 120, 0);
            }
            assert_eq!(flow.stats().is_headless, is_headless);
        }
    }

    #[test]
    fn a_changed_payload_type_timestamp_or_byte_is_noticed() {
        let mut flow = flow();
        flow.on_media(&packet(0), 120, 0);
        let mut wrong = packet(1);
        wrong.header.payload_type = 98;
        flow.on_media(&wrong, 120, 0);
        let mut wrong = packet(2);
        wrong.header.timestamp += 1;
        flow.on_media(&wrong, 120, 0);
        let mut bytes = payload(3);
        bytes[60] ^= 1;
        flow.on_media(
            &RtpPacket {
                payload: bytes.into(),
                ..packet(3)
            },
            120,
            0,
        );
        let stats = flow.stats();
        assert_eq!(
            (stats.wrong_headers, stats.wrong_timestamps, stats.corrupt),
            (1, 1, 1)
        );
        assert_eq!(stats.lost(4), 1);
    }
}
