//! What a run gave, as plain data: filled by the runner, rendered, searched and stored by others.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Everything that is known of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Name of the scenario, such as `livestream`.
    pub scenario: String,
    /// What it was asked to do, in the order in which it is to be shown: `("video", "1.5M")`.
    pub settings: Vec<(String, String)>,
    /// The server's address.
    pub server: String,
    /// How clients were connected, such as `webrtc`, `webrtc AEAD_AES_128_GCM` or `plain`.
    pub transport: String,
    /// How clients talked to the server: `api` or `socketio`.
    pub signaling: String,
    /// When the run began, in ms since the Unix epoch.
    pub started_unix_ms: u64,
    /// How long was measured after everyone had joined, in s.
    pub seconds: f64,
    /// Who came.
    pub participants: Participants,
    /// Packets sent by all senders, once each.
    pub sent: Sent,
    /// What came of all flows, and of those by kind, `audio` and `video`.
    pub totals: Tally,
    /// By kind.
    pub by_kind: BTreeMap<String, KindOutcome>,
    /// Arrival minus intended send time of every kind, in ms; `None` where nothing came.
    pub latency: Option<Percentiles>,
    /// Times from the beginning of a join.
    pub join: JoinTimes,
    /// What the clients' sockets and SRTP did not take.
    pub refused: Refused,
    /// What the server told its senders by RTCP.
    pub feedback: Feedback,
    /// What was measured, second by second, from the first join to the end.
    pub timeline: Vec<Second>,
    /// The steps of the load, where it was to rise and fall.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// Received trains: how many datagrams of one flow the kernel handed over together.
    pub trains: Vec<Trains>,
    /// CPU time of the processes under test, where they run on this host.
    pub cpu: Option<Cpu>,
    /// The generator's own doing.
    pub own: Own,
    /// How it ended.
    pub ending: Ending,
    /// What it had to keep to.
    pub bounds: Bounds,
    /// What comes of all that.
    pub verdict: Verdict,
    /// Why it failed, in sentences; empty where every bound was kept and the server did no wrong.
    pub failures: Vec<String>,
    /// Why the figures say more about this program than about the server; empty where they do not.
    pub inconclusive: Vec<String>,
}

impl Outcome {
    /// Different packets that all receivers together got per second of the measured time.
    pub fn received_per_second(&self) -> f64 {
        self.per_second(self.totals.received, |second| second.received_packets)
    }

    /// Bits that all receivers together got per second of the measured time.
    pub fn received_bitrate(&self) -> f64 {
        self.per_second(self.totals.wire_bytes, |second| second.wire_bytes) * 8.0
    }

    /// By the timeline, or by the total where there is none.
    fn per_second(&self, total: u64, of: impl Fn(&Second) -> u64) -> f64 {
        let measured = || self.timeline.iter().filter(|second| second.measured);
        let seconds: f64 = measured().map(|second| second.length_s).sum();
        if seconds > 0.0 {
            measured().map(of).sum::<u64>() as f64 / seconds
        } else if self.seconds > 0.1 {
            total as f64 / self.seconds
        } else {
            // It ended before it was measured.
            0.0
        }
    }
}

/// Who came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Participants {
    /// Asked for.
    pub wanted: usize,
    /// Could join.
    pub joined: usize,
    /// Left on purpose while the run went on.
    pub left: usize,
    /// Why the others could not join, or were thrown out; one sentence each, the first hundred.
    pub failures: Vec<String>,
    /// How many there were.
    pub failed: usize,
}

/// What senders sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// Streams, each layer of simulcast for itself.
    pub streams: u64,
    /// Packets without retransmissions.
    pub packets: u64,
    /// Payload bytes of those.
    pub payload_bytes: u64,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Key frames.
    pub key_frames: u64,
}

/// What came of all flows together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Flows.
    pub flows: u64,
    /// Flows that no packet came by.
    pub silent_flows: u64,
    /// Flows of video whose first packet began no key frame, so that no decoder could start.
    pub headless_flows: u64,
    /// Packets expected: from each flow's first to the last one sent.
    pub expected: u64,
    /// Different packets received.
    pub received: u64,
    /// Missing.
    pub lost: u64,
    /// Came more than once.
    pub duplicates: u64,
    /// Overtaken by a later one.
    pub reordered: u64,
    /// Payload changed or of another stream.
    pub corrupt: u64,
    /// RTP sequence numbers that do not follow the stream.
    pub renumbered: u64,
    /// RTP timestamps that do not follow the stream.
    pub wrong_timestamps: u64,
    /// Payload type or MID other than negotiated.
    pub wrong_headers: u64,
    /// Switches from one layer of simulcast to another.
    pub layer_switches: u64,
    /// Retransmissions and probes received.
    pub rtx_packets: u64,
    /// Losses repaired by those.
    pub repaired: u64,
    /// Bytes received, RTP headers and SRTP tags included, without UDP and IP.
    pub wire_bytes: u64,
    /// Key frames begun.
    pub key_frames: u64,
}

impl Tally {
    /// Lost part of what was expected, 0.0 to 1.0.
    pub fn loss(&self) -> f64 {
        self.lost as f64 / self.expected.max(1) as f64
    }

    /// RTX packets as a part of all received, 0.0 to 1.0.
    pub fn rtx_share(&self) -> f64 {
        let all = self.received + self.duplicates - self.repaired.min(self.received);
        self.rtx_packets as f64 / (all + self.rtx_packets).max(1) as f64
    }
}

/// Audio or video.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KindOutcome {
    /// What came of its flows.
    pub tally: Tally,
    /// Arrival minus intended send time, in ms; `None` where nothing came.
    pub latency: Option<Percentiles>,
    /// The same as a curve for plots: `(quantile, ms)`, rising, up to the largest.
    pub latency_curve: Vec<(f64, f64)>,
}

/// Percentiles, in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// 50th.
    pub p50: f64,
    /// 90th.
    pub p90: f64,
    /// 99th.
    pub p99: f64,
    /// 99.9th.
    pub p999: f64,
    /// 99.99th.
    pub p9999: f64,
    /// The largest.
    pub max: f64,
}

impl Percentiles {
    /// Of a histogram of nanoseconds; all 0 where that is empty.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        Self {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max() as f64 / 1e6,
        }
    }

    /// Of a histogram of nanoseconds that has values.
    pub fn of_any(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self::of(histogram))
    }
}

/// Times from the beginning of a participant's join, in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinTimes {
    /// Until it was connected and had asked for everything.
    pub joined: Option<Percentiles>,
    /// Until the first packet of each flow.
    pub first_packet: Option<Percentiles>,
    /// Until the first key frame of each video flow.
    pub first_key_frame: Option<Percentiles>,
}

/// Datagrams that were no media for a flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Failed SRTP authentication.
    pub not_authentic: u64,
    /// Authentic, but neither RTP nor RTCP that can be parsed; or of an unknown kind.
    pub malformed: u64,
    /// From an address that is not the server's.
    pub foreign: u64,
    /// Came before there were keys.
    pub unkeyed: u64,
    /// With an SSRC that no flow has.
    pub unknown_ssrc: u64,
}

/// What the server told its senders by RTCP, and the receivers the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Feedback {
    /// PLI and FIR messages to senders.
    pub key_frame_requests: u64,
    /// Packets that senders were asked for again.
    pub nacked_by_server: u64,
    /// transport-cc messages to senders.
    pub transport_cc_from_server: u64,
    /// Packets that receivers asked for again.
    pub nacked_by_receivers: u64,
    /// Key frames that receivers asked for as packets were given up.
    #[serde(default)]
    pub key_frame_requests_by_receivers: u64,
    /// transport-cc messages by receivers.
    pub transport_cc_by_receivers: u64,
    /// The lowest of the latest REMB values that senders were told, in bit/s.
    pub remb_bps: Option<u64>,
}

/// One second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Second {
    /// Its end, in s from the beginning of the run.
    pub at_s: f64,
    /// Its length, in s; the last one may be shorter.
    pub length_s: f64,
    /// It lies in the measured time, after everyone had joined.
    pub measured: bool,
    /// Participants who were there at its end.
    pub participants: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Different packets received.
    pub received_packets: u64,
    /// Bytes received.
    pub wire_bytes: u64,
    /// Packets found missing, less those that came after all.
    pub lost: i64,
    /// Retransmissions and probes received.
    pub rtx_packets: u64,
    /// Latency of the packets that came in it, in ms, over all kinds.
    pub latency: Option<Percentiles>,
    /// Mean datagrams per received train; 0 where nothing came.
    pub train_length: f64,
    /// CPU of the processes under test, in cores; `None` where they can not be seen.
    pub server_cores: Option<f64>,
    /// This program's CPU, in cores.
    pub own_cores: f64,
}

/// A step of the load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// Share of the senders that sent.
    pub share: f64,
    /// How long it lasted, in s.
    pub seconds: f64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets sent, times those who were to get them, per second.
    pub expected_per_second: f64,
    /// Different packets received per second.
    pub received_per_second: f64,
    /// bit/s received.
    pub received_bps: f64,
    /// Of sockets that nobody reads, where there are any.
    pub unread: Option<UnreadPhase>,
    /// Latency of what came, in ms.
    pub latency: Option<Percentiles>,
    /// By kind, `audio` and `video`.
    pub by_kind: BTreeMap<String, KindPhase>,
    /// How long it took until half a second was normal: in each tenth of it 95 % of what was sent
    /// came, and 99 % of that within 100 ms. `None` where that never was so.
    pub normal_after_ms: Option<f64>,
    /// CPU of the processes under test, in cores.
    pub server_cores: Option<f64>,
    /// This program's CPU, in cores.
    pub own_cores: f64,
    /// Resident memory of the processes under test at its end, in bytes.
    pub resident_bytes: Option<u64>,
}

/// Sockets that nobody reads in a step of the load: datagrams per second, of any kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadPhase {
    /// Packets sent, times the sockets that were to get them.
    pub expected_per_second: f64,
    /// Datagrams that came, by the kernel's count.
    pub came_per_second: f64,
}

/// Audio or video in a step of the load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KindPhase {
    /// Packets sent, times those who were to get them.
    pub expected: u64,
    /// Different packets received.
    pub received: u64,
    /// Missing before one that came.
    pub lost: u64,
    /// Latency of what came, in ms.
    pub latency: Option<Percentiles>,
}

impl KindPhase {
    /// Lost part of what came or is missing before it, 0.0 to 1.0.
    pub fn loss(&self) -> f64 {
        self.lost as f64 / (self.received + self.lost).max(1) as f64
    }
}

/// Trains of one length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trains {
    /// Datagrams handed over together.
    pub length: u32,
    /// How many such trains.
    pub count: u64,
}

/// CPU time of the processes under test over the measured time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cpu {
    /// Of all threads of all processes, per packet that our receivers got, in µs.
    pub us_per_packet: f64,
    /// The same, in cores.
    pub cores: f64,
    /// Each process.
    pub processes: Vec<ProcessCpu>,
}

/// One process under test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessCpu {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// CPU time of its own threads, in s.
    pub seconds: f64,
    /// CPU time of threads that the kernel runs for it (io_uring's `iou-sqp`, `iou-wrk`), by name,
    /// in s; not part of `seconds`, and part of the sums.
    pub kernel_threads: BTreeMap<String, f64>,
    /// Resident memory at the end, in bytes.
    pub resident_bytes: u64,
}

/// The generator's own doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Own {
    /// CPU time over the measured time as a part of what it was allowed, 0.0 to 1.0.
    pub cpu_share: f64,
    /// Cores it was allowed.
    pub cores: usize,
    /// Actual minus intended send time, in ms.
    pub lateness: Option<Percentiles>,
    /// From the kernel's receive timestamp until a packet was read, in ms: not part of latencies.
    pub read_delay: Option<Percentiles>,
    /// Datagrams lost at its own sockets because they were full.
    pub socket_drops: u64,
    /// Datagrams the kernel did not take from it.
    pub send_failures: u64,
    /// Packets still came long after the last was sent.
    pub backlog: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "how", content = "why")]
pub enum Ending {
    /// After its whole time.
    Completed,
    /// By Ctrl-C.
    Interrupted,
    /// The server refused, died or no longer answered; says what was asked and what came.
    ServerFailed(String),
}

/// What a run must keep to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bounds {
    /// Lost part of what was expected, 0.0 to 1.0.
    pub max_loss: Option<f64>,
    /// 99th percentile of the latency of every kind, in ms.
    pub max_p99_ms: Option<f64>,
}

/// What comes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Every bound was kept, and the server did no wrong.
    Passed,
    /// A bound was broken, or the server did wrong.
    Failed,
    /// The generator was itself the bottleneck; nothing can be said of the server.
    Inconclusive,
}
