//! A browser-like receiver: takes what its link brings, reports arrivals, asks for what is
//! missing, and counts the frames a decoder could show.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use uuid::Uuid;
use weirgate_packet::rtcp::{ReportBlock, RtcpPacket, RtcpWriter, packets};

use super::camera::Mark;
use super::{AUDIO_PT, OUT_PT, OUT_RTX_PT, Peer, Received};

const FEEDBACK_US: u64 = 50_000;
const REPORT_US: u64 = 1_000_000;
const NACK_US: u64 = 20_000;
/// A packet is asked for when it is found missing, and after so long again, in steps of `NACK_US`: as
/// a browser that knows of no round trip.
const RETRY_US: u64 = 100_000;
const MAX_NACKS: u8 = 8;
/// How fast the time for which pictures are held back changes: a tenth of what passes.
const HOLD_DIVISOR: u64 = 10;
/// In the playout-delay extension times are multiples of 10 ms.
const HOLD_UNIT_US: u64 = 10_000;
/// Without a picture for so long a browser asks for a key frame.
const STUCK_US: u64 = 3_000_000;
/// Frames whose mean length tells what a freeze is.
const FREEZE_FRAMES: usize = 30;

/// A frame that could be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub at_us: u64,
    pub captured_us: u64,
    pub stream: u8,
    /// For how long after it could have come it was held back, if it came in time.
    pub held_us: u64,
}

/// A frame in the making.
#[derive(Debug)]
struct Frame {
    packets: BTreeSet<u16>,
    count: u16,
    key: bool,
    captured_us: u64,
    needs: u32,
    /// When its first packet came.
    begun_us: u64,
    /// Least and most playout delay that came with it.
    playout_delay: Option<(u16, u16)>,
}

#[derive(Debug, Default)]
struct Missing {
    asked: u8,
    next_us: u64,
}

pub struct Receiver {
    pub peer: Peer,
    pub transport: Uuid,
    pub consumer: Uuid,
    pub ssrc: u32,
    pub shown: Vec<Shown>,
    pub media_bytes: u64,
    pub rtx_bytes: u64,
    pub probe_bytes: u64,
    pub media_packets: u64,
    /// Times at which audio came.
    pub audio_us: Vec<u64>,
    /// SSRCs of what came, by payload type.
    pub streams: BTreeMap<u8, u32>,
    /// `(time, bytes)` of media of that stream.
    pub arrivals: Vec<(u64, u8, usize)>,
    pub duplicates: u64,
    highest: Option<u64>,
    received: BTreeSet<u64>,
    missing: BTreeMap<u64, Missing>,
    pub given_up: u64,
    /// Packets found missing, repaired or not.
    pub found_missing: u64,
    frames: BTreeMap<(u8, u32), Frame>,
    last_shown: Option<(u8, u32)>,
    /// Frames shown of late, of the stream that is shown.
    decoded: BTreeSet<(u8, u32)>,
    wide: BTreeMap<u64, u64>,
    wide_highest: u64,
    wide_reported: Option<u64>,
    feedback_count: u8,
    feedback_us: u64,
    report_us: u64,
    nack_us: u64,
    pli_us: u64,
    reported: (u64, u64),
    /// Middle of the NTP time of the last sender report, and when it came.
    sender_report: Option<(u32, u64)>,
    /// Least playout delay told last.
    pub least_hold_us: u64,
    held_us: u64,
}

impl Receiver {
    pub fn new(peer: Peer, transport: Uuid, consumer: Uuid, ssrc: u32) -> Self {
        Self {
            peer,
            transport,
            consumer,
            ssrc,
            shown: Vec::new(),
            media_bytes: 0,
            rtx_bytes: 0,
            probe_bytes: 0,
            media_packets: 0,
            audio_us: Vec::new(),
            streams: BTreeMap::new(),
            arrivals: Vec::new(),
            duplicates: 0,
            highest: None,
            received: BTreeSet::new(),
            missing: BTreeMap::new(),
            given_up: 0,
            found_missing: 0,
            frames: BTreeMap::new(),
            last_shown: None,
            decoded: BTreeSet::new(),
            wide: BTreeMap::new(),
            wide_highest: 1 << 16,
            wide_reported: None,
            feedback_count: 0,
            feedback_us: 0,
            report_us: 0,
            nack_us: 0,
            pli_us: 0,
            reported: (0, 0),
            sender_report: None,
            least_hold_us: 0,
            held_us: 0,
        }
    }

    pub fn remote(&self) -> SocketAddr {
        self.peer.remote
    }

    /// A datagram arrives, still sealed.
    pub fn arrive(&mut self, now_us: u64, bytes: Vec<u8>) {
        let mut bytes = bytes;
        if (192..=223).contains(&bytes[1]) {
            return self.on_rtcp(now_us, &mut bytes);
        }
        let len = bytes.len();
        let opened = self
            .peer
            .opener
            .open_rtp(&mut bytes)
            .expect("authentic RTP");
        bytes.truncate(opened.len);
        let packet = Received::read(&bytes);
        if let Some(sequence) = packet.transport_sequence {
            let extended = extend(self.wide_highest, sequence);
            self.wide_highest = self.wide_highest.max(extended);
            self.wide.insert(extended, now_us);
        }
        self.streams.insert(packet.payload_type, packet.ssrc);
        match packet.payload_type {
            AUDIO_PT => self.audio_us.push(now_us),
            OUT_PT => {
                self.media_bytes += len as u64;
                self.on_media(
                    now_us,
                    packet.sequence,
                    &packet.payload,
                    len,
                    packet.playout_delay,
                );
            }
            OUT_RTX_PT if packet.payload.len() < 2 => self.probe_bytes += len as u64,
            OUT_RTX_PT => {
                let original = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
                let is_missing = self
                    .highest
                    .is_some_and(|highest| self.missing.contains_key(&extend(highest, original)));
                if is_missing {
                    self.rtx_bytes += len as u64;
                } else {
                    self.probe_bytes += len as u64;
                }
                if self.highest.is_some() {
                    self.on_media(
                        now_us,
                        original,
                        &packet.payload[2..],
                        len,
                        packet.playout_delay,
                    );
                }
            }
            _ => self.probe_bytes += len as u64,
        }
    }

    fn on_rtcp(&mut self, now_us: u64, bytes: &mut [u8]) {
        let len = self.peer.opener.open_rtcp(bytes).expect("authentic RTCP");
        for packet in packets(&bytes[..len]) {
            if let RtcpPacket::SenderReport { ssrc, ntp, .. } = packet
                && ssrc == self.ssrc
            {
                self.sender_report = Some(((ntp >> 16) as u32, now_us));
            }
        }
    }

    fn on_media(
        &mut self,
        now_us: u64,
        sequence: u16,
        payload: &[u8],
        len: usize,
        playout_delay: Option<(u16, u16)>,
    ) {
        let highest = *self
            .highest
            .get_or_insert((1 << 16) | u64::from(sequence).wrapping_sub(1));
        let extended = extend(highest, sequence);
        for lost in highest + 1..extended {
            self.missing.insert(lost, Missing::default());
            self.found_missing += 1;
        }
        self.highest = Some(highest.max(extended));
        self.missing.remove(&extended);
        if !self.received.insert(extended) {
            self.duplicates += 1;
            return;
        }
        self.media_packets += 1;
        let mark = Mark::read(payload).expect("a mark");
        self.arrivals.push((now_us, mark.stream, len));
        let frame = self
            .frames
            .entry((mark.stream, mark.frame))
            .or_insert_with(|| Frame {
                packets: BTreeSet::new(),
                count: mark.count,
                key: mark.key,
                captured_us: mark.captured_us,
                needs: mark.needs,
                begun_us: now_us,
                playout_delay: None,
            });
        frame.packets.insert(mark.index);
        if mark.index == 0 {
            frame.playout_delay = playout_delay;
        }
        self.show(now_us);
    }

    /// Shows every frame that is whole and goes on from the last one, or is a key frame; one that
    /// leaves out another only when its time has come.
    fn show(&mut self, now_us: u64) {
        loop {
            let held_us = self.held_us;
            let mut oldest = [u32::MAX; 256];
            let next = self.frames.iter().find(|((stream, number), frame)| {
                let oldest = &mut oldest[usize::from(*stream)];
                *oldest = (*oldest).min(*number);
                let is_due = *oldest == *number || now_us >= frame.begun_us + held_us;
                let is_whole = frame.packets.len() == usize::from(frame.count);
                let is_newer = self
                    .last_shown
                    .is_none_or(|last| last.0 != *stream || last.1 < *number);
                let follows = self.last_shown.is_some_and(|last| last.0 == *stream)
                    && self.decoded.contains(&(*stream, frame.needs));
                is_whole && is_newer && is_due && (follows || frame.key)
            });
            let Some((&(stream, number), frame)) = next else {
                return;
            };
            if let Some((least, most)) = frame.playout_delay {
                assert!(least <= most && most > 50, "not for games: {least} {most}");
                self.least_hold_us = u64::from(least) * HOLD_UNIT_US;
            }
            let (captured_us, last_us) = (
                frame.captured_us,
                self.shown.last().map(|last| last.captured_us),
            );
            let step_us = captured_us.saturating_sub(last_us.unwrap_or(captured_us)) / HOLD_DIVISOR;
            let (least_us, most_us) =
                (self.held_us.saturating_sub(step_us), self.held_us + step_us);
            self.held_us = self.least_hold_us.clamp(least_us, most_us);
            self.last_shown = Some((stream, number));
            self.decoded.insert((stream, number));
            self.decoded
                .retain(|&(of, n)| of == stream && n + 16 > number);
            self.shown.push(Shown {
                at_us: now_us,
                captured_us,
                stream,
                held_us: self.held_us,
            });
            self.frames
                .retain(|&(other, n), _| other != stream || n > number);
            self.frames.retain(|&(_, n), _| n + 90 > number);
        }
    }

    /// RTCP due now, in the clear.
    pub fn tick(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        self.show(now_us);
        if now_us >= self.feedback_us {
            self.feedback_us = now_us + FEEDBACK_US;
            out.extend(self.feedback());
        }
        let is_tick = now_us >= self.nack_us;
        if is_tick {
            self.nack_us = now_us + NACK_US;
        }
        out.extend(self.nacks(now_us, is_tick));
        if now_us >= self.report_us {
            self.report_us = now_us + REPORT_US;
            out.extend(self.report(now_us));
        }
        let is_stuck = !self.frames.is_empty()
            && self
                .shown
                .last()
                .is_none_or(|shown| now_us - shown.at_us > STUCK_US);
        if is_stuck && self.highest.is_some() && now_us >= self.pli_us {
            self.pli_us = now_us + 1_000_000;
            out.extend(rtcp(|writer| writer.pli(1, self.ssrc)));
        }
        out
    }

    fn feedback(&mut self) -> Option<Vec<u8>> {
        let (&first, &first_us) = self.wide.first_key_value()?;
        // What came late is reported with all that came after it; what is missing before is lost.
        let start = self.wide_reported.unwrap_or(first).min(first);
        let base_time = first_us / 64_000;
        let mut previous_us = base_time * 64_000;
        let end = self.wide_highest + 1;
        let statuses: Vec<Option<i32>> = (start..end)
            .map(|sequence| {
                let at_us = *self.wide.get(&sequence)?;
                let delta = (at_us as i64 - previous_us as i64).div_euclid(250);
                previous_us = previous_us.saturating_add_signed(delta * 250);
                Some(delta as i32)
            })
            .collect();
        let count = self.feedback_count;
        self.feedback_count = count.wrapping_add(1);
        self.wide_reported = Some(end);
        self.wide.clear();
        rtcp(|writer| {
            writer.transport_feedback(
                1,
                self.ssrc,
                start as u16,
                (base_time & 0xff_ffff) as i32,
                count,
                statuses.iter().copied(),
            ) > 0
        })
    }

    fn nacks(&mut self, now_us: u64, is_tick: bool) -> Option<Vec<u8>> {
        let mut lost = Vec::new();
        let given_up = &mut self.given_up;
        self.missing.retain(|&sequence, missing| {
            if missing.next_us > now_us || (missing.asked > 0 && !is_tick) {
                return true;
            }
            missing.asked += 1;
            missing.next_us = now_us + RETRY_US;
            if missing.asked > MAX_NACKS {
                *given_up += 1;
                return false;
            }
            lost.push(sequence as u16);
            true
        });
        if lost.is_empty() {
            return None;
        }
        rtcp(|writer| writer.nack(1, self.ssrc, lost.iter().copied()))
    }

    fn report(&mut self, now_us: u64) -> Option<Vec<u8>> {
        let highest = self.highest?;
        let expected = highest - self.received.first().copied().unwrap_or(highest) + 1;
        let received = self.received.len() as u64;
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, received);
        let expected_now = expected.saturating_sub(expected_before);
        let lost_now = expected_now.saturating_sub(received - received_before);
        let block = ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost_now * 256)
                .checked_div(expected_now)
                .unwrap_or(0)
                .min(255) as u8,
            cumulative_lost: expected.saturating_sub(received) as i32,
            highest_sequence: highest as u32,
            jitter: 0,
            last_sr: self.sender_report.map_or(0, |report| report.0),
            delay_since_last_sr: self.sender_report.map_or(0, |report| {
                ((now_us - report.1) * 65_536 / 1_000_000) as u32
            }),
        };
        rtcp(|writer| writer.receiver_report(1, &[block]))
    }

    /// Highest stream shown within a time, and the longest gap between frames.
    pub fn between(&self, from_us: u64, until_us: u64) -> Vec<Shown> {
        self.shown
            .iter()
            .filter(|shown| (from_us..until_us).contains(&shown.at_us))
            .copied()
            .collect()
    }

    pub fn longest_freeze_us(&self, from_us: u64, until_us: u64) -> u64 {
        let mut last_us = from_us;
        let mut longest_us = 0;
        for shown in self.between(from_us, until_us) {
            longest_us = longest_us.max(shown.at_us - last_us);
            last_us = shown.at_us;
        }
        longest_us.max(until_us - last_us)
    }

    /// Time without a new picture beyond what WebRTC calls a freeze (three frames, or one and
    /// 150 ms, of the mean length of the last thirty), with a buffer that plays frames this long after
    /// their capture if it can, and for as long as it is told to hold them back beyond.
    pub fn frozen_us(&self, from_us: u64, until_us: u64, buffer_us: u64) -> u64 {
        let shown = self.between(from_us, until_us);
        let mut played = shown.iter().map(|shown| {
            let in_time_us = shown.captured_us + buffer_us + shown.held_us;
            shown.at_us.max(in_time_us)
        });
        let Some(mut last_us) = played.next() else {
            return until_us - from_us;
        };
        let mut frozen_us = 0;
        let mut gaps_us = std::collections::VecDeque::new();
        for played_us in played {
            let gap_us = played_us.saturating_sub(last_us);
            gaps_us.push_back(gap_us);
            if gaps_us.len() > FREEZE_FRAMES {
                gaps_us.pop_front();
            }
            let mean_us = gaps_us.iter().sum::<u64>() / gaps_us.len() as u64;
            if gap_us > (3 * mean_us).max(mean_us + 150_000) {
                frozen_us += gap_us;
            }
            last_us = last_us.max(played_us);
        }
        frozen_us
    }

    /// Media that arrived within a time.
    pub fn media_bps(&self, from_us: u64, until_us: u64) -> u64 {
        let bytes: usize = self
            .arrivals
            .iter()
            .filter(|(at_us, ..)| (from_us..until_us).contains(at_us))
            .map(|(.., bytes)| bytes)
            .sum();
        bytes as u64 * 8_000_000 / (until_us - from_us)
    }
}

fn extend(highest: u64, sequence: u16) -> u64 {
    let step = sequence.wrapping_sub(highest as u16) as i16;
    highest.saturating_add_signed(i64::from(step))
}

fn rtcp(build: impl FnOnce(&mut RtcpWriter<'_>) -> bool) -> Option<Vec<u8>> {
    let mut bytes = [0; 1_400];
    let mut writer = RtcpWriter::new(&mut bytes);
    let written = build(&mut writer);
    let len = writer.len();
    written.then(|| bytes[..len].to_vec())
}
