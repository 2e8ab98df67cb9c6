//! Plays a scenario: everyone joins, then it is measured, then what is under way is waited for.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::task::JoinHandle;

use super::access::{ServerRoom, SignalingKind};
use super::cast::Cast;
use super::health::{Flowing, Probe};
use super::joining::{Joining, Place};
use super::load::LoadProfile;
use super::measure::Measure;
use super::participant::{Manner, Transport};
use super::processes::{Processes, raise_open_files};
use super::run::{Room, Run};
use super::sampler::{self, Sampler};
use super::traffic::Traffic;
use super::{Interrupt, Progress};
use crate::api::{Api, Router};
use crate::latency;
use crate::leg::lock;
use crate::outcome::{Ending, Outcome};
use crate::random;
use crate::sender::{Generator, Shape};

const TICK: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
/// So many failures in a row, and the others are not tried any more.
const MAX_FAILED_IN_A_ROW: usize = 16;
/// After the last packet was sent: when nothing has come for so long, nothing is under way.
const QUIET: Duration = Duration::from_secs(1);
/// What has not come by then is lost.
const MAX_DRAIN: Duration = Duration::from_secs(30);
/// For all participants to leave.
const MAX_LEAVING: Duration = Duration::from_secs(15);
/// Open files that a participant takes: two sockets and a connection for signaling.
const FILES_PER_PARTICIPANT: u64 = 3;
const OTHER_FILES: u64 = 200;

/// What is played, and how.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Who is there.
    pub cast: Cast,
    /// What those who send send.
    pub traffic: Traffic,
    /// How everyone is connected.
    pub transport: Transport,
    /// How everyone talks to the server.
    pub signaling: SignalingKind,
    /// How long is measured after everyone has joined.
    pub duration: Duration,
    /// How long it goes on after everyone has joined before it is measured.
    pub settle: Duration,
    /// How the load rises and falls in that time.
    pub load: Option<LoadProfile>,
    /// Participants that join per second; as fast as they can where it does not say.
    pub ramp: Option<f64>,
    /// Receivers ask for what is missing.
    pub nack: bool,
    /// Receivers tell the server this estimate, in bit/s.
    pub remb_bps: Option<u64>,
    /// Plain transports beside each receiver that get the same and that nobody reads: load for the
    /// server that costs nothing here.
    pub unread: usize,
    /// Share of those who send that send audio.
    pub audio_share: f64,
    /// Receivers ask for another layer of simulcast every so often.
    pub switch_layers: Option<Duration>,
    /// Address of plain transports.
    pub plain_ip: IpAddr,
    /// Processes under test on this host, beside the data plane that the server names.
    pub pids: Vec<u32>,
}

impl Scenario {
    /// Ten seconds over the HTTP API.
    pub fn new(cast: Cast, transport: Transport, traffic: Traffic) -> Self {
        Self {
            cast,
            traffic,
            transport,
            signaling: SignalingKind::Api,
            duration: Duration::from_secs(10),
            settle: Duration::ZERO,
            load: None,
            ramp: None,
            nack: false,
            remb_bps: None,
            unread: 0,
            audio_share: 1.0,
            switch_layers: None,
            plain_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            pids: Vec::new(),
        }
    }

    /// Fails where options contradict each other, with the names of the flags.
    pub fn check(&self) -> Result<()> {
        self.cast.check()?;
        let shapes = &self.traffic.shapes;
        ensure!(
            !shapes.is_empty(),
            "nothing to send: give --video BITRATE, --audio, or both"
        );
        let has_video = shapes.iter().any(|shape| matches!(shape, Shape::Video(_)));
        if matches!(self.cast, Cast::Audio { .. }) {
            ensure!(!has_video, "--video: the scenario `audio` has none");
        }
        let is_plain = matches!(self.transport, Transport::Plain(_));
        if is_plain && self.signaling == SignalingKind::Socketio {
            bail!("--signaling socketio: rooms have no plain transports");
        }
        if self.traffic.simulcast {
            ensure!(has_video, "--simulcast: there is no video");
            ensure!(
                !is_plain,
                "--simulcast: plain transports have no RIDs to tell layers by"
            );
        }
        ensure!(
            self.switch_layers.is_none() || self.traffic.simulcast,
            "--switch-layers: there is no simulcast"
        );
        ensure!(
            self.switch_layers.is_none_or(|every| !every.is_zero()),
            "--switch-layers: must be above 0"
        );
        ensure!(
            self.ramp.is_none_or(|ramp| ramp > 0.0 && ramp <= 10_000.0),
            "--ramp: must be above 0 and at most 10000 per second"
        );
        ensure!(
            self.unread == 0 || is_plain,
            "--unread: only plain transports can lead to nobody"
        );
        ensure!(
            self.load.is_none() || self.cast.senders() > 1,
            "--load: with one sender there is no share of the senders"
        );
        Ok(())
    }

    /// How participants differ from what they do by default, to be shown.
    pub(super) fn manners(&self) -> Vec<(&'static str, String)> {
        let ramp = self.ramp.map(|ramp| ("ramp", format!("{ramp} joins/s")));
        let nack = self.nack.then(|| ("NACK", "yes".to_owned()));
        let remb = self.remb_bps.map(|bps| ("REMB", format!("{bps} bit/s")));
        let settle = (!self.settle.is_zero())
            .then(|| ("settling", format!("{} s", self.settle.as_secs_f64())));
        let switches = self.switch_layers.map(|every| {
            let seconds = every.as_secs_f64();
            ("other layers", format!("every {seconds} s"))
        });
        let unread = (self.unread > 0).then(|| {
            let text = format!("{} beside each receiver", self.unread);
            ("unread transports", text)
        });
        let audio = (self.audio_share < 1.0).then(|| {
            let text = format!("of {:.0} % of the senders", self.audio_share * 100.0);
            ("audio", text)
        });
        [settle, ramp, nack, remb, switches, unread, audio]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Plays it. An error means that it could not begin; what went wrong later is in the outcome.
    pub async fn run(
        &self,
        api: &Api,
        interrupt: &Interrupt,
        progress: &dyn Progress,
    ) -> Result<Outcome> {
        self.check()?;
        let (allowed, participants) = (raise_open_files(), self.cast.participants() as u64);
        let needed = participants * (FILES_PER_PARTICIPANT + self.unread as u64) + OTHER_FILES;
        ensure!(
            needed <= allowed,
            "{participants} participants take up to {needed} open files, the limit is {allowed} \
             (ulimit -Hn)"
        );
        let mut rooms = Vec::new();
        let opened = self.open_rooms(api, &mut rooms).await;
        let result = match opened {
            Ok(()) => self.play(api, &rooms, interrupt, progress).await,
            Err(error) => Err(error),
        };
        // What is left behind goes on being sent to, and would reach whoever has the ports next.
        if !matches!(&result, Ok((_, true))) {
            close_rooms(api, &rooms).await;
        }
        result.map(|(outcome, _)| outcome)
    }

    /// Rooms are kept in `opened` even where a later one could not be made.
    async fn open_rooms(&self, api: &Api, opened: &mut Vec<(Place, usize, usize)>) -> Result<()> {
        let run: [u8; 4] = random::bytes()?;
        let run = u32::from_be_bytes(run);
        for (number, plan) in self.cast.rooms().into_iter().enumerate() {
            let at_server = match self.signaling {
                SignalingKind::Api => ServerRoom::Router(Arc::new(self.router(api).await?)),
                SignalingKind::Socketio => ServerRoom::Name(format!("loadgen-{run:08x}-{number}")),
            };
            let place = Place {
                room: Arc::new(Room::new()),
                at_server,
            };
            opened.push((place, plan.senders, plan.receivers));
        }
        Ok(())
    }

    /// A router with what the clients take of what it can carry.
    async fn router(&self, api: &Api) -> Result<Router> {
        let mut router = api.create_router().await?;
        if matches!(self.transport, Transport::Plain(_)) {
            router.rtp_capabilities.leave_out_transport_cc();
        }
        Ok(router)
    }

    /// The outcome, and whether the server is gone, so that nobody need say good-bye.
    async fn play(
        &self,
        api: &Api,
        places: &[(Place, usize, usize)],
        interrupt: &Interrupt,
        progress: &dyn Progress,
    ) -> Result<(Outcome, bool)> {
        let manner = Manner {
            transport: self.transport,
            ip: self.plain_ip,
            nack: self.nack,
            remb_bps: self.remb_bps,
            unread: self.unread,
            audio_share: self.audio_share,
        };
        let generator = Generator::start()?;
        if let Some(load) = &self.load {
            generator.set_share(load.first_share());
        }
        let run = Arc::new(Run::new(
            api.clone(),
            self.traffic.clone(),
            manner,
            self.switch_layers,
            generator,
            self.cast.participants(),
        ));
        let processes = Processes::find(api, &self.pids).await;
        let began = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let sampler = Sampler::new(&run, &processes, self.load.clone());
        let mut watch = Watch {
            scenario: self,
            probe: Probe::start(api),
            flowing: Flowing::new(),
            is_server_gone: false,
            sampler,
            recent: latency::histogram(),
            run: &run,
            processes: &processes,
            interrupt,
            progress,
        };
        let bringing = bring(Arc::clone(&run), places.to_vec(), self.ramp);
        let joined = watch.until_all_joined(bringing).await;
        let (joining, mut ending) = match joined {
            Ok(joined) => joined,
            Err(error) => return Err(error),
        };
        if ending.is_none() {
            ending = watch.until_settled().await;
        }
        if ending.is_none() {
            // Latencies of the time before are forgotten: they show what joining costs.
            run.latency.clear();
        }
        let measure = Measure::begin(&run, &processes);
        let joining = Churning::start(self.cast, joining, places);
        let ending = match ending {
            Some(ending) => ending,
            None => watch.until_measured().await,
        };
        let measured = measure.end(&run, &processes);
        run.end_streams();
        let has_drained = watch.drain().await;
        // What came since the last one may have come within less than a sample takes.
        tokio::time::sleep(sampler::SHORTEST).await;
        watch.sample(false);
        let is_gone = watch.is_server_gone;
        let samples = watch.sampler.samples();
        let outcome = measured.outcome(self, &run, began, samples, has_drained, ending);
        run.end(is_gone);
        joining.end(MAX_LEAVING).await;
        Ok((outcome, is_gone))
    }
}

/// Brings everyone in, in a task of its own.
fn bring(
    run: Arc<Run>,
    places: Vec<(Place, usize, usize)>,
    ramp: Option<f64>,
) -> JoinHandle<(Joining, Result<()>)> {
    let mut joining = Joining::new(run, ramp);
    tokio::spawn(async move {
        let brought = joining.bring(&places).await;
        (joining, brought)
    })
}

/// Those who come and go while it is measured, where the scenario has them.
enum Churning {
    Nobody(Joining),
    Some(JoinHandle<Joining>),
}

impl Churning {
    fn start(cast: Cast, mut joining: Joining, places: &[(Place, usize, usize)]) -> Self {
        let Cast::Churn {
            joins_per_second,
            stay,
            ..
        } = cast
        else {
            return Self::Nobody(joining);
        };
        let Some((place, _, _)) = places.first().cloned() else {
            return Self::Nobody(joining);
        };
        Self::Some(tokio::spawn(async move {
            joining.churn(&place, joins_per_second, stay).await;
            joining
        }))
    }

    /// Until everyone has left.
    async fn end(self, limit: Duration) {
        match self {
            Self::Nobody(joining) => joining.end(limit).await,
            Self::Some(task) => {
                if let Ok(joining) = task.await {
                    joining.end(limit).await;
                }
            }
        }
    }
}

async fn close_rooms(api: &Api, rooms: &[(Place, usize, usize)]) {
    let closing = async {
        for (place, _, _) in rooms {
            if let ServerRoom::Router(router) = &place.at_server {
                // Where this fails the server is gone, which is reported.
                let _ = api.close_router(&router.id).await;
            }
        }
    };
    let _ = tokio::time::timeout(MAX_LEAVING, closing).await;
}

/// Looks on while it is played.
struct Watch<'a> {
    scenario: &'a Scenario,
    probe: Probe,
    flowing: Flowing,
    is_server_gone: bool,
    sampler: Sampler,
    /// Latencies of the measured time, for the progress bar.
    recent: Histogram<u64>,
    run: &'a Arc<Run>,
    processes: &'a Processes,
    interrupt: &'a Interrupt,
    progress: &'a dyn Progress,
}

impl Watch<'_> {
    /// An ending where it ended before all had joined; an error where nobody could.
    async fn until_all_joined(
        &mut self,
        mut bringing: JoinHandle<(Joining, Result<()>)>,
    ) -> Result<(Joining, Option<Ending>)> {
        let mut joining = None;
        let mut ending = None;
        while ending.is_none() {
            tokio::time::sleep(TICK).await;
            let (joined, failed) = (self.run.joined(), self.run.failed());
            let wanted = self.run.wanted.load(Ordering::Relaxed);
            self.progress.joining(joined, wanted);
            self.sample_each_second(false);
            ending = self.early_ending().or_else(|| self.hopeless());
            if joining.is_none() && bringing.is_finished() {
                let (brought, result) = (&mut bringing).await.context("joining")?;
                if let Err(error) = result {
                    self.run.end(true);
                    brought.end(MAX_LEAVING).await;
                    return Err(error);
                }
                joining = Some(brought);
            }
            if joining.is_some() && joined + failed >= wanted && self.run.crowd.is_settled() {
                break;
            }
        }
        let joining = match joining {
            Some(joining) => joining,
            None => {
                self.run.stop_joining();
                (&mut bringing).await.context("joining")?.0
            }
        };
        if ending.is_none() && self.run.joined() < 2 && self.run.failed() > 0 {
            let (failed, first) = (self.run.failed(), self.run.first_failure());
            self.run.end(false);
            joining.end(MAX_LEAVING).await;
            bail!("none of {failed} receivers could join: {first}");
        }
        Ok((joining, ending))
    }

    /// An ending where it ended meanwhile.
    async fn until_settled(&mut self) -> Option<Ending> {
        let begin = Instant::now();
        while begin.elapsed() < self.scenario.settle {
            tokio::time::sleep(TICK).await;
            self.sample_each_second(false);
            let ending = self.early_ending();
            if ending.is_some() {
                return ending;
            }
        }
        None
    }

    async fn until_measured(&mut self) -> Ending {
        // What came while they joined belongs to no measured second.
        self.sample(false);
        let begin = Instant::now();
        let total = self.scenario.duration;
        let mut step = 0;
        loop {
            let left = total.saturating_sub(begin.elapsed());
            if left.is_zero() {
                self.sample(true);
                self.sampler.close_phase();
                return Ending::Completed;
            }
            tokio::time::sleep(left.min(TICK)).await;
            match &self.scenario.load {
                Some(load) => {
                    self.sample(true);
                    let now = load.at(begin.elapsed());
                    if std::mem::replace(&mut step, now) != now {
                        self.sampler.close_phase();
                        self.run.generator.set_share(load.steps()[now].share);
                    }
                }
                None => self.sample_each_second(true),
            }
            let (sent, arrived) = self.sampler.counts();
            let p99 = Duration::from_nanos(self.recent.value_at_quantile(0.99));
            self.progress.running(begin.elapsed(), total, arrived, p99);
            let silence = self.flowing.check(sent, arrived.received);
            let stalled = silence.map(|why| {
                self.is_server_gone = true;
                Ending::ServerFailed(why)
            });
            if let Some(ending) = self.early_ending().or(stalled) {
                self.sample(true);
                return ending;
            }
        }
    }

    /// Waits for what is under way, in our own sockets too: for as long as something still comes.
    /// False where that was no end.
    async fn drain(&mut self) -> bool {
        let end = Instant::now() + MAX_DRAIN;
        let mut received = 0;
        let mut risen = Instant::now();
        while risen.elapsed() < QUIET && Instant::now() < end {
            let tally = self.run.crowd.tally(&self.run.sent());
            if tally.lost == 0 {
                return true;
            }
            if tally.received > received {
                received = tally.received;
                risen = Instant::now();
            }
            tokio::time::sleep(TICK / 4).await;
            self.sample_each_second(false);
        }
        risen.elapsed() >= QUIET
    }

    fn early_ending(&mut self) -> Option<Ending> {
        if self.interrupt.is_set() {
            return Some(Ending::Interrupted);
        }
        let why = self.probe.failure()?;
        self.is_server_gone = true;
        Some(Ending::ServerFailed(why))
    }

    /// Where one after another fails, all others would too.
    fn hopeless(&self) -> Option<Ending> {
        let in_a_row = self.run.failed_in_a_row();
        (in_a_row >= MAX_FAILED_IN_A_ROW).then(|| {
            let latest = self.run.latest_failure();
            Ending::ServerFailed(format!(
                "{in_a_row} joins in a row failed, the latest: {latest}"
            ))
        })
    }

    fn sample_each_second(&mut self, measured: bool) {
        if self.sampler.latest().elapsed() >= SECOND {
            self.sample(measured);
        }
    }

    fn sample(&mut self, measured: bool) {
        self.sampler.sample(self.run, self.processes, measured);
        self.recent = lock(&self.run.latency.video).all();
        latency::add(&mut self.recent, &lock(&self.run.latency.audio).all());
    }
}
