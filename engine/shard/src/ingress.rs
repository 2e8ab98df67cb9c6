//! Media in: a datagram of a known flow is opened, found to be some producer's, repaired, kept,
//! and offered to whoever consumes it here and on other shards.

use std::net::SocketAddr;
use std::time::Duration;

use weirgate_congestion::allocator::Reason;
use weirgate_packet::demux::DatagramClass;
use weirgate_packet::rtp::RtpPacket;
use weirgate_srtp::OpenError;
use weirgate_wire::{Event, ExtensionKind, TraceDirection, VideoOrientation};

use crate::clock::ClockMapping;
use crate::counters::Counters;
use crate::history::PacketMeta;
use crate::key_frames::Urgency;
use crate::nack::Arrival;
use crate::rates::CellRates;
use crate::shard::Shard;
use crate::streams::StreamNames;
use crate::ticks::FEEDBACK_INTERVAL;
use crate::transport::{OpenFailure, PlainEnd, StreamRef, Transport, TransportKind};
use crate::{CrossingKind, Datagram, Path, ShardNo, Timestamp, trace};

/// When the loudness of talking sources is told.
const LEVEL_INTERVAL: Duration = Duration::from_millis(200);
/// At least so long is between two changes of a source's orientation that are told.
const ORIENTATION_INTERVAL: Duration = LEVEL_INTERVAL;
/// Bytes of the original sequence number before an RTX payload (RFC 4588 section 4).
const OSN_BYTES: usize = 2;

impl Shard {
    /// A datagram on a socket of a plain transport.
    pub(crate) fn on_plain(
        &mut self,
        now: Timestamp,
        index: u32,
        on_rtcp_socket: bool,
        class: DatagramClass,
        datagram: &mut Datagram<'_>,
    ) {
        let path = datagram.path;
        let Some(transport) = self.transports.get(index as usize) else {
            return;
        };
        if !plain_remote_fits(transport, on_rtcp_socket, path.remote) {
            self.counters.unknown_flow += 1;
            return;
        }
        match class {
            DatagramClass::Rtp if !on_rtcp_socket => self.on_rtp(now, index, datagram),
            DatagramClass::Rtcp => self.on_rtcp(now, index, path, datagram.bytes),
            _ => self.counters.unknown_protocol += 1,
        }
    }

    /// RTP of a transport, still sealed.
    pub(crate) fn on_rtp(&mut self, now: Timestamp, index: u32, datagram: &mut Datagram<'_>) {
        let Datagram {
            path,
            ref mut bytes,
            waited,
        } = *datagram;
        let arrival = now - waited;
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        transport.traffic.received.add(now, bytes.len());
        let len = match transport.open_rtp(bytes) {
            Ok(len) => len,
            Err(failure) => return count_open_failure(failure, transport, &mut self.counters),
        };
        let bytes = &mut bytes[..len];
        let Some(packet) = RtpPacket::parse(bytes) else {
            self.counters.rtp_malformed += 1;
            return;
        };
        self.learn_plain_remote(now, index, path);
        let Some(transport) = self.transports.get_mut(index as usize) else {
            return;
        };
        let names = StreamNames::read(&packet, transport);
        if let (Some(sequence), Some(arrivals)) =
            (names.transport_sequence, &mut transport.arrivals)
        {
            arrivals.received(arrival, sequence);
            if transport.feedback_at == Timestamp::NEVER {
                transport.feedback_at = now + FEEDBACK_INTERVAL;
                self.schedule(index, now + FEEDBACK_INTERVAL);
            }
        }
        let known = self
            .transports
            .get(index as usize)
            .and_then(|t| t.stream(packet.ssrc()));
        let Some(stream) = known.or_else(|| self.resolve_stream(index, &packet, names)) else {
            self.counters.rtp_unknown_stream += 1;
            return;
        };
        if stream.rtx {
            if let Some(transport) = self.transports.get_mut(index as usize) {
                transport.traffic.rtx_received.add(now, len);
            }
            self.on_rtx(now, arrival, stream, bytes);
        } else {
            if let Some(transport) = self.transports.get_mut(index as usize) {
                transport.traffic.rtp_received.add(now, len);
            }
            self.counters.rtp_packets_received += 1;
            self.counters.rtp_bytes_received += len as u64;
            self.on_media(now, arrival, stream, bytes, false);
        }
    }

    /// An RTX packet: the original is restored in place (RFC 4588 section 4).
    fn on_rtx(&mut self, now: Timestamp, arrival: Timestamp, stream: StreamRef, bytes: &mut [u8]) {
        let Some(source) = self.sources.get_mut(stream.source as usize) else {
            return;
        };
        let Some(packet) = RtpPacket::parse(bytes) else {
            return;
        };
        let payload_type = source
            .rtx_codec(packet.payload_type())
            .map(|codec| codec.payload_type);
        let encoding = source.encodings.get_mut(usize::from(stream.encoding));
        let inbound = encoding.and_then(|encoding| encoding.inbound.as_mut());
        let (Some(payload_type), Some(inbound)) = (payload_type, inbound) else {
            self.counters.rtp_unknown_stream += 1;
            return;
        };
        // An RTX packet without payload is a bandwidth probe.
        let Some(&original) = packet.payload().first_chunk::<OSN_BYTES>() else {
            return;
        };
        inbound.retransmitted += 1;
        let header_len = packet.header_len();
        let ssrc = inbound.ssrc;
        bytes.copy_within(..header_len, OSN_BYTES);
        let restored = &mut bytes[OSN_BYTES..];
        restored[1] = (restored[1] & 0x80) | payload_type;
        restored[2..4].copy_from_slice(&original);
        restored[8..12].copy_from_slice(&ssrc.to_be_bytes());
        self.on_media(
            now,
            arrival,
            StreamRef {
                ssrc,
                rtx: false,
                ..stream
            },
            restored,
            true,
        );
    }

    /// A media packet in the clear on its producer's shard.
    fn on_media(
        &mut self,
        now: Timestamp,
        arrival: Timestamp,
        stream: StreamRef,
        bytes: &mut [u8],
        by_rtx: bool,
    ) {
        let Some(source) = self.sources.get_mut(stream.source as usize) else {
            return;
        };
        let Some(packet) = RtpPacket::parse(bytes) else {
            return;
        };
        let extensions = source.config.extensions;
        let index = usize::from(stream.encoding);
        let Some(encoding) = source.encodings.get_mut(index) else {
            return;
        };
        let sequence = encoding.extend(packet.ssrc(), packet.sequence());
        let meta = source.meta(index, &packet, sequence, arrival);
        let is_audio = source.is_audio();
        let encoding = &mut source.encodings[index];
        if !encoding.history.store(meta, &packet, &extensions) {
            self.counters.rtp_duplicates += 1;
            if let Some(inbound) = &mut encoding.inbound {
                inbound.duplicates += 1;
                inbound.rtx_duplicates += u64::from(by_rtx);
            }
            return;
        }
        let is_back = encoding.heard(now);
        encoding.count(now, &meta, packet.payload().len());
        self.counters.rtx_packets_repaired += u64::from(by_rtx);
        let mut ask_at = Timestamp::NEVER;
        let mut gave_up = false;
        if let Some(inbound) = &mut encoding.inbound {
            let verdict = inbound.received(arrival, sequence, &packet, bytes.len(), by_rtx);
            inbound.key_frames += u64::from(meta.layers.begins_key_frame());
            gave_up = verdict == Arrival::GaveUp;
            ask_at = inbound
                .nack
                .as_ref()
                .map_or(Timestamp::NEVER, |nack| nack.next_ask());
        }
        if meta.layers.begins_key_frame() {
            encoding.key_frames.came(now);
        }
        let transport = source.transport;
        if let Some(info) = trace::received(source, &packet, &meta.layers, stream.encoding, by_rtx)
        {
            self.trace_producer(now, stream.source, TraceDirection::In, info);
        }
        if is_audio {
            self.meter_level(now, stream.source, &packet);
        } else if packet.marker() {
            self.note_orientation(now, stream.source, &packet);
        }
        if let Some(transport) = transport {
            self.schedule(transport, ask_at);
        }
        if gave_up && !is_audio {
            self.want_key_frame(now, stream.source, stream.encoding, Urgency::Now);
        }
        self.cross_media(arrival, stream, bytes, is_audio);
        if is_back {
            self.stream_is_back(now, stream.source, stream.encoding, &meta);
        }
        self.arrive(stream.source, stream.encoding, sequence);
    }

    /// A media packet that crossed from its producer's shard.
    pub(crate) fn on_crossed_media(
        &mut self,
        now: Timestamp,
        index: u32,
        encoding_index: u8,
        arrival: Timestamp,
        bytes: &[u8],
    ) {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return;
        };
        let Some(packet) = RtpPacket::parse(bytes) else {
            return;
        };
        let extensions = source.config.extensions;
        let position = usize::from(encoding_index);
        let Some(encoding) = source.encodings.get_mut(position) else {
            return;
        };
        let sequence = encoding.extend(packet.ssrc(), packet.sequence());
        let meta = source.meta(position, &packet, sequence, arrival);
        let encoding = &mut source.encodings[position];
        let is_back = encoding.heard(now);
        encoding.count(now, &meta, packet.payload().len());
        if meta.layers.begins_key_frame() {
            encoding.key_frames.came(now);
        }
        if encoding.history.store(meta, &packet, &extensions) {
            if is_back {
                self.stream_is_back(now, index, encoding_index, &meta);
            }
            self.arrive(index, encoding_index, sequence);
        }
    }

    /// Whoever waits for a stream that stopped takes it from its first packet on, where that fits: it
    /// begins with a key frame, and another would have to be asked for.
    fn stream_is_back(&mut self, now: Timestamp, index: u32, encoding: u8, meta: &PacketMeta) {
        let begins_key_frame = meta.layers.begins_key_frame();
        self.key_frame_is_here(index, encoding, begins_key_frame);
        self.choose_what_was_absent(now, index);
        self.key_frame_is_here(index, encoding, false);
    }

    /// There is more of a source than there was: chooses anew for whoever waits for that.
    fn choose_what_was_absent(&mut self, now: Timestamp, index: u32) {
        let mut position = 0;
        while let Some(source) = self.sources.get(index as usize)
            && let Some(&consumer) = source.consumers.get(position)
        {
            position += 1;
            if let Some(consumer) = self.consumers.get(consumer as usize)
                && consumer.allocation.reason == Reason::SourceAbsent
            {
                self.allocate(now, consumer.transport);
            }
        }
    }

    /// Tells another shard what the layers of a source take, so that its consumers there need not begin
    /// with the lowest one.
    pub(crate) fn cross_rates(&mut self, index: u32, to: ShardNo) {
        let Some(source) = self.sources.get(index as usize) else {
            return;
        };
        for (encoding, stream) in (0u8..).zip(&source.encodings) {
            let kind = CrossingKind::Rates {
                source: source.no,
                encoding,
                heard: stream.last_packet,
            };
            let rates = stream.rates.rates().to_bytes();
            if stream.last_packet > Timestamp::ZERO && !self.port.send(to, kind, &rates) {
                self.counters.crossings_dropped += 1;
            }
        }
    }

    /// Takes what another shard says of a source that comes from there.
    pub(crate) fn on_crossed_rates(
        &mut self,
        now: Timestamp,
        index: u32,
        encoding: u8,
        heard: Timestamp,
        bytes: &[u8],
    ) {
        let source = self.sources.get_mut(index as usize);
        let stream = source.and_then(|it| it.encodings.get_mut(usize::from(encoding)));
        if let Some(stream) = stream
            && let Some(rates) = CellRates::from_bytes(bytes)
        {
            stream.rates.expect(rates);
            stream.last_packet = stream.last_packet.max(heard);
            self.choose_what_was_absent(now, index);
        }
    }

    fn cross_media(&mut self, arrival: Timestamp, stream: StreamRef, bytes: &[u8], audio: bool) {
        let Some(source) = self.sources.get(stream.source as usize) else {
            return;
        };
        if source.config.paused {
            return;
        }
        let kind = CrossingKind::Media {
            source: source.no,
            encoding: stream.encoding,
            arrival,
            audio,
        };
        for &to in &source.relays {
            if self.port.send(to, kind, bytes) {
                self.counters.crossings_sent += 1;
            } else {
                self.counters.crossings_dropped += 1;
            }
        }
    }

    fn meter_level(&mut self, now: Timestamp, index: u32, packet: &RtpPacket<'_>) {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return;
        };
        let Some(id) = source.config.extensions.get(ExtensionKind::AudioLevel) else {
            return;
        };
        let Some((_, data)) = packet.extensions().find(|(found, _)| *found == id) else {
            return;
        };
        if source.config.paused {
            return;
        }
        source.level.add(data);
        if !std::mem::replace(&mut source.level_listed, true) {
            self.talking.push(index);
        }
        if self.levels_at == Timestamp::NEVER {
            self.levels_at = now + LEVEL_INTERVAL;
        }
    }

    /// Tells where the last packet of a picture has it turned some other way than before.
    fn note_orientation(&mut self, now: Timestamp, index: u32, packet: &RtpPacket<'_>) {
        let Some(source) = self.sources.get_mut(index as usize) else {
            return;
        };
        let Some(id) = source
            .config
            .extensions
            .get(ExtensionKind::VideoOrientation)
        else {
            return;
        };
        // Senders may have it in the picture that turns, and in none after it.
        if let Some((_, [byte, ..])) = packet.extensions().find(|(found, _)| *found == id) {
            source.orientation_seen = Some(VideoOrientation::from_byte(*byte));
        }
        let Some(orientation) = source.orientation_seen else {
            return;
        };
        if source.orientation == Some(orientation) || now < source.orientation_at {
            return;
        }
        source.orientation = Some(orientation);
        source.orientation_at = now + ORIENTATION_INTERVAL;
        let producer = source.id();
        self.emit(Event::ProducerOrientation {
            producer,
            orientation,
        });
    }

    /// Tells the loudness of whoever was heard.
    pub(crate) fn report_levels(&mut self, now: Timestamp) {
        let mut levels = Vec::with_capacity(self.talking.len());
        let sources = &mut self.sources;
        self.talking.retain(|&index| {
            let Some(source) = sources.get_mut(index as usize) else {
                return false;
            };
            let level = source.level.take();
            if let Some((dbov, peak_dbov)) = level {
                levels.push(weirgate_wire::AudioLevel {
                    producer: source.id(),
                    dbov,
                    peak_dbov,
                });
            }
            source.level_listed = source.level.was_heard();
            source.level_listed
        });
        self.levels_at = if self.talking.is_empty() {
            Timestamp::NEVER
        } else {
            now + LEVEL_INTERVAL
        };
        if !levels.is_empty() {
            self.emit(Event::AudioLevels(levels));
        }
    }

    /// Takes note of where a stream's timestamps stand on our clock.
    pub(crate) fn set_clock(&mut self, index: u32, encoding: u8, rtp: u32, at: Timestamp) {
        if let Some(source) = self.sources.get_mut(index as usize)
            && let Some(encoding) = source.encodings.get_mut(usize::from(encoding))
        {
            encoding.clock = Some(ClockMapping { rtp, at });
        }
    }

    /// Comedia: the first authentic RTP packet tells where a plain transport's peer is. RTCP does
    /// not, even with rtcp-mux: senders such as ffmpeg send it from a port of its own.
    fn learn_plain_remote(&mut self, now: Timestamp, index: u32, path: Path) {
        if let Some(end) = self.comedia_end(index)
            && end.rtp_remote.is_none()
        {
            end.rtp_remote = Some(path.remote);
            self.on_plain_remote(now, index, path);
        }
    }

    /// Comedia without rtcp-mux: the first authentic RTCP packet tells where RTCP goes.
    pub(crate) fn learn_plain_rtcp_remote(&mut self, now: Timestamp, index: u32, path: Path) {
        if let Some(end) = self.comedia_end(index)
            && end.rtcp.is_some()
            && end.rtcp_remote.is_none()
        {
            end.rtcp_remote = Some(path.remote);
            self.on_plain_remote(now, index, path);
        }
    }

    fn comedia_end(&mut self, index: u32) -> Option<&mut PlainEnd> {
        match &mut self.transports.get_mut(index as usize)?.kind {
            TransportKind::Plain(end) if end.comedia => Some(end),
            _ => None,
        }
    }

    fn on_plain_remote(&mut self, now: Timestamp, index: u32, path: Path) {
        let Some(transport) = self.transports.get(index as usize) else {
            return;
        };
        let event = Event::PlainTuple {
            transport: transport.id,
            tuple: transport.tuple(|_| path.remote),
            rtcp_tuple: transport.rtcp_tuple(),
        };
        self.emit(event);
        self.settle(path.socket, path.remote);
        self.on_sendable(now, index);
    }
}

/// A packet may come from the known remote, or, with comedia, from anywhere until one is known.
fn plain_remote_fits(transport: &Transport, on_rtcp_socket: bool, remote: SocketAddr) -> bool {
    let TransportKind::Plain(end) = &transport.kind else {
        return false;
    };
    let known = if on_rtcp_socket {
        end.rtcp_remote
    } else {
        end.rtp_remote
    };
    known.map_or(end.comedia, |known| known == remote)
}

pub(crate) fn count_open_failure(
    failure: OpenFailure,
    transport: &mut Transport,
    counters: &mut Counters,
) {
    match failure {
        OpenFailure::NoKeys => counters.media_before_keys += 1,
        OpenFailure::Srtp(OpenError::Authentication) => {
            transport.traffic.auth_failures += 1;
            counters.srtp_auth_failures += 1;
        }
        OpenFailure::Srtp(OpenError::Replayed) => {
            transport.traffic.replays += 1;
            counters.srtp_replays += 1;
        }
        OpenFailure::Srtp(OpenError::Malformed) => counters.srtp_malformed += 1,
        OpenFailure::Srtp(OpenError::TooManySsrcs) => counters.ssrcs_refused += 1,
    }
}
