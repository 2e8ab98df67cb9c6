//! One sends, many receive.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Interrupt, Progress};
use crate::api::{Api, Router};
use crate::clock::now_ns;
use crate::harness;
use crate::latency::{self, LatencySink};
use crate::leg::{Leg, Media, lock};
use crate::outcome::{
    Bounds, Cpu, Ending, Feedback, JoinTimes, KindOutcome, Outcome, Own, Participants, Percentiles,
    Refused, Sent as SentTotals, Tally, Verdict,
};
use crate::plain_client::{PlainClient, PlainSetup};
use crate::random;
use crate::receiver::{Receiver, ReceiverConfig};
use crate::rtp_parameters::{RtpCapabilities, SendOptions, receiving, sending};
use crate::sender::{Generator, SenderFeedback, Shape, Stream, StreamConfig};
use crate::srtp_leg::SrtpSuite;
use crate::webrtc_client::{WebRtcClient, WebRtcSetup};

/// Receivers that join at the same time.
const MAX_JOINING: usize = 16;
const MONITOR_INTERVAL: Duration = Duration::from_millis(500);
/// Unanswered probes after which the server counts as dead.
const MAX_FAILED_PROBES: u32 = 3;
/// After the last packet was sent: when nothing has come for so long, nothing is under way.
const QUIET: Duration = Duration::from_secs(1);
/// What has not come by then is lost.
const MAX_DRAIN: Duration = Duration::from_secs(30);

/// How clients are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain transports, with SRTP of that suite or without.
    Plain(Option<SrtpSuite>),
    /// ICE, DTLS and SRTP of that suite, or whichever the server takes.
    WebRtc(Option<SrtpSuite>),
}

/// The scenario.
#[derive(Debug, Clone)]
pub struct Livestream {
    /// How many receive.
    pub receivers: usize,
    /// How everyone is connected.
    pub transport: Transport,
    /// What is sent.
    pub shapes: Vec<Shape>,
    /// For how long.
    pub duration: Duration,
    /// Receivers ask for what is missing.
    pub nack: bool,
    /// Address of plain transports.
    pub ip: IpAddr,
}

impl Livestream {
    /// One sender of these shapes for ten seconds on loopback.
    pub fn new(receivers: usize, transport: Transport, shapes: Vec<Shape>) -> Self {
        Self {
            receivers,
            transport,
            shapes,
            duration: Duration::from_secs(10),
            nack: false,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// Plays it. An error means that it could not begin; what went wrong later is in the report.
    pub async fn run(
        &self,
        api: &Api,
        interrupt: &Interrupt,
        progress: &dyn Progress,
    ) -> Result<Outcome> {
        let router = api.create_router().await?;
        let result = self.run_on(api, &router, interrupt, progress).await;
        // Everything hangs on the router. Where this fails the server is gone, which is reported.
        let _ = api.close_router(&router.id).await;
        result
    }

    async fn run_on(
        &self,
        api: &Api,
        router: &Router,
        interrupt: &Interrupt,
        progress: &dyn Progress,
    ) -> Result<Outcome> {
        let latency = Latency::new();
        let sender = self.start_sender(api, router).await?;
        let generator = Generator::start()?;
        sender
            .streams
            .iter()
            .for_each(|sent| generator.add(Arc::clone(&sent.stream)));
        let mut audience = Audience::default();
        audience
            .join(self, api, router, &sender, &latency, interrupt, progress)
            .await?;

        let cpu = CpuTimes::begin(api).await;
        let begin = Instant::now();
        let received_before = audience.tally(&sender).received;
        let ending = self
            .watch(api, &sender, &audience, &latency, interrupt, progress)
            .await;
        let measured = begin.elapsed();
        let cpu_used = cpu.map(|cpu| cpu.end());
        let forwarded = audience
            .tally(&sender)
            .received
            .saturating_sub(received_before);

        let generator_report = generator.stop()?;
        let has_drained = audience.drain(&sender).await;
        let ports: Vec<u16> = audience.ports();
        let all = latency.all();
        let outcome = Outcome {
            scenario: "livestream".to_owned(),
            settings: vec![("receivers".to_owned(), self.receivers.to_string())],
            server: api.base().to_owned(),
            transport: self.transport_name(),
            signaling: "api".to_owned(),
            started_unix_ms: 0,
            seconds: measured.as_secs_f64(),
            participants: Participants {
                wanted: self.receivers,
                joined: audience.members.len(),
                left: 0,
                failed: audience.failures.len(),
                failures: audience.failures.clone(),
            },
            sent: SentTotals {
                packets: sender
                    .streams
                    .iter()
                    .map(|sent| sent.stream.packets())
                    .sum(),
                ..SentTotals::default()
            },
            totals: audience.tally(&sender),
            by_kind: latency.by_kind(),
            latency: Percentiles::of_any(&all),
            join: JoinTimes {
                joined: None,
                first_packet: audience.times(|flow| flow.first_packet_ns),
                first_key_frame: audience.times(|flow| flow.first_key_frame_ns),
            },
            refused: Refused {
                not_authentic: audience.not_authentic(),
                ..Refused::default()
            },
            feedback: Feedback::default(),
            timeline: Vec::new(),
            trains: Vec::new(),
            cpu: cpu_used.flatten().map(|ns| Cpu {
                us_per_packet: ns as f64 / 1000.0 / forwarded.max(1) as f64,
                ..Cpu::default()
            }),
            own: Own {
                lateness: Percentiles::of_any(&generator_report.lateness_ns),
                backlog: !has_drained,
                socket_drops: harness::socket_drops(&ports),
                send_failures: sender.send_failures(),
                ..Own::default()
            },
            ending,
            bounds: Bounds::default(),
            verdict: Verdict::Passed,
            failures: Vec::new(),
            inconclusive: Vec::new(),
        };
        audience.close().await;
        sender.end.close().await;
        Ok(outcome)
    }

    fn transport_name(&self) -> String {
        match self.transport {
            Transport::Plain(None) => "plain".to_owned(),
            Transport::Plain(Some(suite)) => format!("plain {suite}"),
            Transport::WebRtc(None) => "webrtc".to_owned(),
            Transport::WebRtc(Some(suite)) => format!("webrtc {suite}"),
        }
    }

    async fn connect<M: Media>(
        &self,
        api: &Api,
        router: &Router,
        media: Arc<Mutex<M>>,
    ) -> Result<End> {
        Ok(match self.transport {
            Transport::Plain(suite) => {
                let setup = PlainSetup::new(self.ip, suite);
                End::Plain(PlainClient::connect(api, &router.id, setup, media).await?)
            }
            Transport::WebRtc(suite) => {
                let mut setup = WebRtcSetup::new()?;
                if let Some(suite) = suite {
                    setup.suites = vec![suite];
                }
                End::WebRtc(Box::new(
                    WebRtcClient::connect(api, &router.id, &setup, media).await?,
                ))
            }
        })
    }

    async fn start_sender(&self, api: &Api, router: &Router) -> Result<Sender> {
        let feedback = Arc::new(Mutex::new(SenderFeedback::new()));
        let end = self
            .connect(api, router, Arc::clone(&feedback))
            .await
            .context("the sender")?;
        let mut streams = Vec::new();
        for (number, &shape) in (0..).zip(&self.shapes) {
            let options = SendOptions {
                stream: number,
                mid: &number.to_string(),
                webrtc: matches!(self.transport, Transport::WebRtc(_)),
                shape,
            };
            let (parameters, config) = sending(&router.rtp_capabilities, &options)?;
            let kind = if matches!(shape, Shape::Audio(_)) {
                "audio"
            } else {
                "video"
            };
            let producer = api.produce(end.id(), kind, &parameters).await?;
            let stream = Stream::new(config, Arc::clone(end.leg().outbound()));
            lock(&feedback).add(Arc::clone(&stream));
            streams.push(Sent {
                producer: producer.id,
                stream,
            });
        }
        Ok(Sender { end, streams })
    }

    async fn watch(
        &self,
        api: &Api,
        sender: &Sender,
        audience: &Audience,
        latency: &Latency,
        interrupt: &Interrupt,
        progress: &dyn Progress,
    ) -> Ending {
        let begin = Instant::now();
        let mut failed_probes = 0;
        loop {
            let left = self.duration.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Ending::Completed;
            }
            tokio::time::sleep(left.min(MONITOR_INTERVAL)).await;
            if interrupt.is_set() {
                return Ending::Interrupted;
            }
            progress.running(
                begin.elapsed(),
                self.duration,
                &audience.tally(sender),
                latency.p99(),
            );
            let alive = tokio::time::timeout(
                MONITOR_INTERVAL * 2,
                api.request(reqwest::Method::GET, "/livez", None),
            );
            let failure = match alive.await {
                Ok(Ok((status, _))) if status.is_success() => {
                    failed_probes = 0;
                    continue;
                }
                Ok(Ok((status, _))) => format!("/livez answers {status}"),
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "/livez does not answer".to_owned(),
            };
            failed_probes += 1;
            if failed_probes == MAX_FAILED_PROBES {
                return Ending::ServerFailed(failure);
            }
        }
    }
}

enum End {
    Plain(PlainClient),
    WebRtc(Box<WebRtcClient>),
}

impl End {
    fn id(&self) -> &str {
        match self {
            Self::Plain(client) => &client.id,
            Self::WebRtc(client) => &client.id,
        }
    }

    fn leg(&self) -> &Leg {
        match self {
            Self::Plain(client) => &client.leg,
            Self::WebRtc(client) => &client.leg,
        }
    }

    async fn close(self) {
        match self {
            Self::Plain(client) => client.leg.close().await,
            Self::WebRtc(client) => client.close().await,
        }
    }
}

struct Sent {
    producer: String,
    stream: Arc<Stream>,
}

struct Sender {
    end: End,
    streams: Vec<Sent>,
}

impl Sender {
    fn sent_by(&self, stream: u32) -> u64 {
        let found = self
            .streams
            .iter()
            .find(|sent| sent.stream.config().stream == stream);
        found.map_or(0, |sent| sent.stream.packets())
    }

    fn send_failures(&self) -> u64 {
        self.end
            .leg()
            .outbound()
            .counters()
            .send_failures
            .load(Ordering::Relaxed)
    }
}

/// Latencies by kind.
struct Latency {
    video: LatencySink,
    audio: LatencySink,
}

impl Latency {
    fn new() -> Self {
        Self {
            video: latency::sink(),
            audio: latency::sink(),
        }
    }

    fn of(&self, shape: Shape) -> LatencySink {
        Arc::clone(if matches!(shape, Shape::Audio(_)) {
            &self.audio
        } else {
            &self.video
        })
    }

    fn p99(&self) -> Duration {
        let sinks = [&self.video, &self.audio];
        let ns = sinks
            .map(|sink| lock(sink).value_at_quantile(0.99))
            .into_iter()
            .max();
        Duration::from_nanos(ns.unwrap_or_default())
    }

    fn all(&self) -> hdrhistogram::Histogram<u64> {
        let mut all = lock(&self.video).clone();
        // Fails only where the bounds differ.
        let _ = all.add(&*lock(&self.audio));
        all
    }

    fn by_kind(&self) -> BTreeMap<String, KindOutcome> {
        [("video", &self.video), ("audio", &self.audio)]
            .into_iter()
            .filter(|(_, sink)| !lock(sink).is_empty())
            .map(|(kind, sink)| {
                let outcome = KindOutcome {
                    latency: Percentiles::of_any(&lock(sink)),
                    ..KindOutcome::default()
                };
                (kind.to_owned(), outcome)
            })
            .collect()
    }
}

struct Member {
    end: End,
    receiver: Arc<Mutex<Receiver>>,
}

#[derive(Default)]
struct Audience {
    members: Vec<Member>,
    failures: Vec<String>,
}

impl Audience {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different part of the run"
    )]
    async fn join(
        &mut self,
        scenario: &Livestream,
        api: &Api,
        router: &Router,
        sender: &Sender,
        latency: &Latency,
        interrupt: &Interrupt,
        progress: &dyn Progress,
    ) -> Result<()> {
        let wanted: Vec<Wanted> = sender
            .streams
            .iter()
            .map(|sent| Wanted {
                producer: sent.producer.clone(),
                sent: sent.stream.config().clone(),
                latency: latency.of(sent.stream.config().shape),
            })
            .collect();
        let joining = Arc::new(Semaphore::new(MAX_JOINING));
        let mut tasks = JoinSet::new();
        for _ in 0..scenario.receivers {
            let (scenario, api, router) = (scenario.clone(), api.clone(), router.clone());
            let (wanted, joining) = (wanted.clone(), Arc::clone(&joining));
            let interrupt = interrupt.clone();
            tasks.spawn(async move {
                let _permit = joining.acquire().await?;
                if interrupt.is_set() {
                    bail!("interrupted before it joined");
                }
                join_one(&scenario, &api, &router, &wanted).await
            });
        }
        while let Some(joined) = tasks.join_next().await {
            match joined? {
                Ok(member) => self.members.push(member),
                Err(error) => self.failures.push(format!("{error:#}")),
            }
            progress.joining(self.members.len(), scenario.receivers);
        }
        if self.members.is_empty() && scenario.receivers > 0 {
            let first = self.failures.first().cloned().unwrap_or_default();
            bail!(
                "none of {} receivers could join: {first}",
                scenario.receivers
            );
        }
        Ok(())
    }

    fn tally(&self, sender: &Sender) -> Tally {
        let mut tally = Tally::default();
        for member in &self.members {
            for flow in lock(&member.receiver).stats() {
                tally.add(flow, sender.sent_by(flow.stream));
            }
        }
        tally
    }

    fn not_authentic(&self) -> u64 {
        let legs = self
            .members
            .iter()
            .map(|member| member.end.leg().outbound().counters());
        legs.map(|counters| counters.not_authentic.load(Ordering::Relaxed))
            .sum()
    }

    fn ports(&self) -> Vec<u16> {
        let legs = self.members.iter().map(|member| member.end.leg());
        legs.map(|leg| leg.outbound().local_address().port())
            .collect()
    }

    fn times(
        &self,
        of: impl Fn(&crate::receiver::FlowStats) -> Option<u64>,
    ) -> Option<Percentiles> {
        let mut histogram = latency::histogram();
        for member in &self.members {
            lock(&member.receiver)
                .stats()
                .filter_map(&of)
                .for_each(|ns| histogram.saturating_record(ns));
        }
        (!histogram.is_empty()).then(|| Percentiles::of(&histogram))
    }

    /// Waits for what is under way, in our own sockets too: for as long as something still comes.
    /// False where that was no end.
    async fn drain(&self, sender: &Sender) -> bool {
        let end = Instant::now() + MAX_DRAIN;
        let mut received = 0;
        let mut risen = Instant::now();
        while risen.elapsed() < QUIET && Instant::now() < end {
            let tally = self.tally(sender);
            if tally.lost == 0 {
                return true;
            }
            if tally.received > received {
                received = tally.received;
                risen = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        risen.elapsed() >= QUIET
    }

    async fn close(self) {
        for member in self.members {
            member.end.close().await;
        }
    }
}

#[derive(Clone)]
struct Wanted {
    producer: String,
    sent: StreamConfig,
    latency: LatencySink,
}

async fn join_one(
    scenario: &Livestream,
    api: &Api,
    router: &Router,
    wanted: &[Wanted],
) -> Result<Member> {
    let config = ReceiverConfig {
        ssrc: random::ssrc()?,
        nack: scenario.nack,
        discard_every: 0,
    };
    let receiver = Arc::new(Mutex::new(Receiver::new(config)));
    let end = scenario.connect(api, router, Arc::clone(&receiver)).await?;
    let capabilities: &RtpCapabilities = &router.rtp_capabilities;
    for stream in wanted {
        let asked_ns = now_ns();
        // Paused until the flow is known here, so that no first packet goes uncounted.
        let options = json!({"paused": true});
        let consumer = api
            .consume(end.id(), &stream.producer, capabilities, &options)
            .await?;
        let flow = receiving(
            &consumer.rtp_parameters,
            &stream.sent,
            asked_ns,
            Arc::clone(&stream.latency),
        )?;
        lock(&receiver).add(flow);
        let path = format!("/v1/consumers/{}/resume", consumer.id);
        let () = api.post(&path, &json!({})).await?;
    }
    Ok(Member { end, receiver })
}

/// CPU time of the engine, where it runs on this host.
struct CpuTimes {
    pid: u32,
    before_ns: u64,
}

impl CpuTimes {
    async fn begin(api: &Api) -> Option<Self> {
        let pid = harness::engine_info(api).await.ok()?["pid"].as_u64()? as u32;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        if !name.starts_with("weirgate-engine") {
            return None;
        }
        Some(Self {
            pid,
            before_ns: harness::cpu_ns(pid).ok()?,
        })
    }

    /// `None` where the process ended meanwhile.
    fn end(self) -> Option<u64> {
        let after_ns = harness::cpu_ns(self.pid).ok()?;
        (after_ns > self.before_ns).then(|| after_ns - self.before_ns)
    }
}
