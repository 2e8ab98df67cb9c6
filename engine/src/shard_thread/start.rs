//! Starting all shards: sockets bound, threads pinned, back ends open.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use core_affinity::CoreId;
use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use weirgate_io::{Backend, Duty, IoKind, IoOptions, Steering, XdpSeat};
use weirgate_shard::{Limits, Shard, ShardConfig, ShardEvent, ShardNo, SocketId};

use super::driver::{Driver, DriverParts};
use super::gathering::Gathering;
use super::{ShardHandle, ShardInput, ShardStatus};
use crate::clock::Clock;
use crate::crossing_net::CrossingNet;
use crate::engine::Ending;
use crate::process;

/// What all shards are started with.
pub(crate) struct CrewPlan {
    /// One CPU per shard.
    pub(crate) cores: Vec<u16>,
    /// Back end of all shards.
    pub(crate) io: IoKind,
    /// What AF_XDP has for each shard; empty with other back ends.
    pub(crate) xdp: Vec<XdpSeat>,
    /// By which flows are brought to their shards, if at all.
    pub(crate) steering: Option<Arc<Steering>>,
    /// How long a wait polls network cards before it sleeps, if at all.
    pub(crate) busy_poll: Option<Duration>,
    /// Sockets a shard may hold.
    pub(crate) max_sockets: u32,
    /// For each media address its sockets, one per shard.
    pub(crate) media: Vec<Vec<UdpSocket>>,
    /// For each media address its quiet sockets, one per shard or none.
    pub(crate) quiet: Vec<Vec<UdpSocket>>,
    pub(crate) clock: Clock,
    /// How long a busy shard lets datagrams gather, at most.
    pub(crate) coalesce_max: Duration,
    /// Where a shard that can not go on says so.
    pub(crate) end: Sender<Ending>,
}

/// The shards at work.
pub(crate) struct Crew {
    pub(crate) handles: Vec<ShardHandle>,
    pub(crate) net: Arc<CrossingNet>,
    pub(crate) events: Receiver<(ShardNo, ShardEvent)>,
    /// The media sockets' addresses, as bound.
    pub(crate) media_listen: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Ends all shards and waits for them; their sockets are closed then.
    pub(crate) fn stop(self) {
        for handle in &self.handles {
            handle.stop();
        }
        for thread in self.threads {
            // One that panicked has ended the process already.
            let _ = thread.join();
        }
    }
}

/// Starts every shard, and waits until each has its back end. The error is for the operator.
pub(crate) fn start(plan: CrewPlan) -> Result<Crew, String> {
    let shards = u16::try_from(plan.cores.len()).map_err(|_| "too many cores".to_owned())?;
    let limits = Limits::default();
    let net = Arc::new(CrossingNet::new(shards, limits.crossing_stock));
    let (hub, events) = unbounded();
    let (ready, started) = bounded(plan.cores.len());
    let locals = media_locals(&plan.media)?;
    let mut media: Vec<_> = plan.media.into_iter().map(Vec::into_iter).collect();
    let mut quiet: Vec<_> = plan.quiet.into_iter().map(Vec::into_iter).collect();
    let mut xdp = plan.xdp.into_iter();
    let mut crew = Crew {
        handles: Vec::new(),
        net: net.clone(),
        events,
        media_listen: locals.clone(),
        threads: Vec::new(),
    };
    for (number, core) in (0..).zip(plan.cores) {
        let (inputs, queue) = unbounded();
        let status = Arc::new(ShardStatus {
            core,
            ..ShardStatus::default()
        });
        let handle = ShardHandle::new(number, status.clone(), inputs, net.clone());
        let seat = Seat {
            number,
            shards,
            core,
            io: plan.io,
            xdp: xdp.next(),
            steering: plan.steering.clone(),
            busy_poll: plan.busy_poll,
            max_sockets: plan.max_sockets,
            sockets: media.iter_mut().filter_map(Iterator::next).collect(),
            quiet: quiet.iter_mut().map(Iterator::next).collect(),
            locals: locals.clone(),
            limits: limits.clone(),
            clock: plan.clock,
            coalesce_max: plan.coalesce_max,
            net: net.clone(),
            inputs: queue,
            hub: hub.clone(),
            status,
            end: plan.end.clone(),
        };
        let ready = ready.clone();
        let thread = thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || seat.work(&ready))
            .map_err(|error| format!("no thread for shard {number}: {error}"))?;
        crew.handles.push(handle);
        crew.threads.push(thread);
    }
    drop(ready);
    for _ in 0..shards {
        let started = started.recv();
        started.map_err(|_| "a shard ended at its start".to_owned())??;
    }
    Ok(crew)
}

fn media_locals(media: &[Vec<UdpSocket>]) -> Result<Vec<SocketAddr>, String> {
    let local = |sockets: &Vec<UdpSocket>| {
        let socket = sockets.first().ok_or("a media address has no socket")?;
        socket.local_addr().map_err(|error| error.to_string())
    };
    media.iter().map(local).collect()
}

/// One shard before its thread runs.
struct Seat {
    number: ShardNo,
    shards: u16,
    core: u16,
    io: IoKind,
    xdp: Option<XdpSeat>,
    steering: Option<Arc<Steering>>,
    busy_poll: Option<Duration>,
    max_sockets: u32,
    sockets: Vec<UdpSocket>,
    quiet: Vec<Option<UdpSocket>>,
    locals: Vec<SocketAddr>,
    limits: Limits,
    clock: Clock,
    coalesce_max: Duration,
    net: Arc<CrossingNet>,
    inputs: Receiver<ShardInput>,
    hub: Sender<(ShardNo, ShardEvent)>,
    status: Arc<ShardStatus>,
    end: Sender<Ending>,
}

impl Seat {
    fn work(self, ready: &Sender<Result<(), String>>) {
        let (number, end) = (self.number, self.end.clone());
        let (driver, mut backend) = match self.open() {
            Ok(open) => open,
            Err(error) => {
                let _ = ready.send(Err(format!("shard {number}: {error}")));
                return;
            }
        };
        // From here on this thread touches what comes from the network.
        process::give_up_rights(Duty::None);
        let _ = ready.send(Ok(()));
        if let Err(error) = driver.run(backend.as_mut()) {
            let why = format!("shard {number}: the I/O back end failed: {error}");
            let _ = end.send(Ending::Failed(why));
        }
    }

    fn open(self) -> Result<(Driver, Box<dyn Backend>), String> {
        let core = CoreId {
            id: usize::from(self.core),
        };
        if !core_affinity::set_for_current(core) {
            tracing::warn!(shard = self.number, core = self.core, "can not be pinned");
        }
        let options = IoOptions {
            max_sockets: self.max_sockets,
            busy_poll: self.busy_poll,
            ..IoOptions::default()
        };
        let backend = match self.xdp {
            Some(seat) => weirgate_io::open_xdp(seat, &options),
            None => weirgate_io::open(self.io, &options),
        };
        let mut backend =
            backend.map_err(|error| format!("the I/O back end {} fails: {error}", self.io))?;
        let sockets = self.sockets.into_iter().zip(self.quiet);
        for (id, (socket, quiet)) in (0..).map(SocketId).zip(sockets) {
            let added = backend.add_socket(id, socket);
            let added = added.and_then(|()| match quiet {
                Some(quiet) => backend.add_quiet_socket(id, quiet),
                None => Ok(()),
            });
            added.map_err(|error| format!("can not take a media socket: {error}"))?;
        }
        if let Some(sleeper) = self.net.sleeper(self.number) {
            sleeper.set_waker(backend.waker());
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| format!("no random bytes: {error}"))?;
        let config = ShardConfig {
            shard: self.number,
            shards: self.shards,
            media_locals: self.locals,
            wall_clock_offset: self.clock.wall_clock_offset(),
            seed: u64::from_ne_bytes(seed),
            limits: self.limits,
        };
        let parts = DriverParts {
            number: self.number,
            shards: self.shards,
            shard: Shard::new(config, self.clock.now()),
            clock: self.clock,
            net: self.net,
            steering: self.steering,
            inputs: self.inputs,
            hub: self.hub,
            status: self.status,
            gathering: Gathering::new(self.coalesce_max),
        };
        Ok((Driver::new(parts), backend))
    }
}
