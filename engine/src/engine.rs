//! The parts of the engine put together, and taken apart in order.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, bounded};
use weirgate_io::{Duty, IoKind, Probe, Steering, XdpOptions, XdpSeat};

use crate::clock::Clock;
use crate::config::Config;
use crate::control_socket;
use crate::hub::{EngineFacts, Hub, HubInputs};
use crate::lock::{MediaPortLocks, SocketLock};
use crate::process;
use crate::shard_thread::{self, CrewPlan};

/// Sockets a shard may hold beside one for every port of plain transports: media sockets, and
/// plain transports with ports given by control.
const SPARE_SOCKETS: u32 = 1_024;

/// Why the engine ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// By a signal, or by control.
    Asked,
    /// Something is broken; one line for the operator.
    Failed(String),
}

/// Runs the engine until it is to end.
pub(crate) fn run(config: &Config) -> Result<(), RunError> {
    let clock = Clock::start();
    let lock = SocketLock::claim(&config.socket)?;
    let _ports = MediaPortLocks::claim(&config.media_listen)?;
    let mut probe = weirgate_io::probe(config.io).map_err(RunError::Setting)?;
    let media = bind_media(config)?;
    let quiet = bind_quiet(&media, probe.kind);
    poll_busily(config, media.iter().chain(&quiet), &mut probe)?;
    let xdp = match probe.kind {
        IoKind::Xdp => set_up_xdp(config, &mut probe)?,
        IoKind::Uring | IoKind::Mmsg => Vec::new(),
    };
    let steering = set_up_steering(config, &media, &quiet, &mut probe);
    let (end, ended) = ending()?;
    let (first, last) = config.plain_ports;
    let crew = shard_thread::start(CrewPlan {
        cores: config.cores.clone(),
        io: probe.kind,
        xdp,
        steering,
        busy_poll: config.busy_poll,
        max_sockets: u32::from(last - first) + 1 + SPARE_SOCKETS,
        media,
        quiet,
        clock,
        coalesce_max: config.coalesce_max,
        end,
    })?;
    process::give_up_rights(Duty::BindSockets);
    let (to_hub, control) = bounded(control_socket::MAX_QUEUED_MESSAGES);
    let facts = facts(config, &probe, &crew.media_listen, clock)?;
    announce(config, &facts);
    let hub = Hub::new(facts, crew.handles.clone(), crew.net.clone());
    let socket = lock.listen()?;
    let listening = socket
        .listener()
        .and_then(|listener| control_socket::listen(listener, to_hub));
    listening.map_err(|error| format!("can not listen for control: {error}"))?;

    let (ending, outgoing) = hub.run(&HubInputs {
        control,
        shards: crew.events.clone(),
        end: ended,
    });
    if let Some(outgoing) = outgoing {
        outgoing.finish();
    }
    match ending {
        Ending::Asked => {
            crew.stop();
            tracing::info!("the engine ends");
            Ok(())
        }
        // The other shards may be as broken; the end of the process closes all sockets.
        Ending::Failed(why) => Err(why.into()),
    }
}

/// Why the engine does not run, or no longer: one line for the operator.
#[derive(Debug)]
pub(crate) enum RunError {
    /// A setting that can not be had on this host: it has to be changed.
    Setting(String),
    /// Starting again may help.
    Other(String),
}

impl From<String> for RunError {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

/// A channel whose other end says that the process is to end, fed by signals as well.
fn ending() -> Result<(Sender<Ending>, Receiver<Ending>), String> {
    // One is enough; more senders than room find the end asked for already.
    let (end, ended) = bounded(1);
    let asked = end.clone();
    process::on_termination(move || {
        let _ = asked.try_send(Ending::Asked);
    })
    .map_err(|error| format!("can not listen for signals: {error}"))?;
    Ok((end, ended))
}

/// Binds every media address for every shard. Of the default addresses those a host does not
/// have, such as IPv6 where that is off, are left out.
fn bind_media(config: &Config) -> Result<Vec<Vec<UdpSocket>>, RunError> {
    let mut media = Vec::new();
    let mut failed = Vec::new();
    for &address in &config.media_listen {
        match weirgate_io::bind_media(address, config.cores.len()) {
            Ok(sockets) => media.push(sockets),
            Err(error) if config.media_listen_chosen || is_taken(&error) => {
                let why = format!("{error} by --media-listen");
                return Err(match error.kind() {
                    ErrorKind::AddrNotAvailable => RunError::Setting(why),
                    _ => RunError::Other(why),
                });
            }
            Err(error) => failed.push(error.to_string()),
        }
    }
    if media.is_empty() {
        return Err(failed.join("; ").into());
    }
    for error in failed {
        tracing::warn!(%error, "a default media address is left out");
    }
    Ok(media)
}

/// For each media address a socket more per shard, by which no media come; none where they can not be had.
/// Frames of AF_XDP are not sorted, and wake all the same.
fn bind_quiet(media: &[Vec<UdpSocket>], io: IoKind) -> Vec<Vec<UdpSocket>> {
    let bind = |sockets: &Vec<UdpSocket>| match io {
        IoKind::Xdp => Vec::new(),
        IoKind::Uring | IoKind::Mmsg => weirgate_io::bind_quiet(sockets).unwrap_or_else(|error| {
            tracing::info!(%error, "media and feedback come by the same socket");
            Vec::new()
        }),
    };
    media.iter().map(bind).collect()
}

/// Has flows steered to their shards, where there are several and it can be had.
fn set_up_steering(
    config: &Config,
    media: &[Vec<UdpSocket>],
    quiet: &[Vec<UdpSocket>],
    probe: &mut Probe,
) -> Option<Arc<Steering>> {
    if config.cores.len() < 2 || !config.steering {
        return None;
    }
    match Steering::set_up(media, quiet) {
        Ok(steering) => {
            probe.kernel.push("reuseport_ebpf".to_owned());
            Some(Arc::new(steering))
        }
        Err(why) => {
            tracing::info!(why, "shards hand over flows that the kernel can not steer");
            None
        }
    }
}

/// Sets AF_XDP up for all shards; what it will do becomes the reason that is shown.
fn set_up_xdp(config: &Config, probe: &mut Probe) -> Result<Vec<XdpSeat>, RunError> {
    let shards = u16::try_from(config.cores.len()).map_err(|_| "too many cores".to_owned())?;
    let set_up = weirgate_io::set_up_xdp(&XdpOptions {
        interfaces: config.xdp_interfaces.clone(),
        listen: config.media_listen.clone(),
        shards,
    })
    .map_err(|error| {
        let why =
            format!("the I/O back end `xdp` can not be had: {error} (--io auto does without)");
        RunError::Setting(why)
    })?;
    probe.reason = set_up.summary;
    Ok(set_up.seats)
}

fn is_taken(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::AddrInUse
}

/// Sets media sockets up for busy polling where that is asked for; the shards see to their waits.
fn poll_busily<'a>(
    config: &Config,
    media: impl Iterator<Item = &'a Vec<UdpSocket>>,
    probe: &mut Probe,
) -> Result<(), RunError> {
    let Some(time) = config.busy_poll else {
        return Ok(());
    };
    for socket in media.flatten() {
        weirgate_io::poll_busily(socket, time)
            .map_err(|error| RunError::Setting(format!("--busy-poll: {error}")))?;
    }
    let micros = time.as_micros();
    probe.reason += &format!("; busy polling for {micros} microseconds");
    Ok(())
}

fn facts(
    config: &Config,
    probe: &Probe,
    media_listen: &[std::net::SocketAddr],
    clock: Clock,
) -> Result<EngineFacts, String> {
    let mut epoch = [0; 8];
    getrandom::fill(&mut epoch).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(EngineFacts {
        epoch: u64::from_ne_bytes(epoch),
        io: probe.kind.name().to_owned(),
        io_reason: probe.reason.clone(),
        kernel: probe.kernel.clone(),
        media_listen: media_listen.to_vec(),
        plain_ports: config.plain_ports,
        busy_poll: config.busy_poll,
        clock,
    })
}

fn announce(config: &Config, facts: &EngineFacts) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        socket = %config.socket.display(),
        media_listen = ?facts.media_listen,
        plain_ports = ?facts.plain_ports,
        cores = ?config.cores,
        io = facts.io,
        io_reason = facts.io_reason,
        kernel = ?facts.kernel,
        "the engine runs"
    );
}
