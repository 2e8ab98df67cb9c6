//! What lies between sender and receiver: loopback, or a veth pair between two network namespaces
//! that go with the processes in them.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd as _;
use std::process::{Command, id};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use nix::sched::{CloneFlags, setns, unshare};
use serde::Serialize;

/// The sender's end of the pair.
pub(crate) const SENDER_INTERFACE: &str = "floor-tx";
const RECEIVER_INTERFACE: &str = "floor-rx";

/// What packets cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Link {
    /// The loopback interface.
    Loopback,
    /// A veth pair between two network namespaces; to be root is needed.
    Veth,
}

impl Link {
    /// As in `--link`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Veth => "veth",
        }
    }

    /// Where the sender is.
    pub(crate) const fn sender_ip(self) -> IpAddr {
        IpAddr::V4(match self {
            Self::Loopback => Ipv4Addr::LOCALHOST,
            Self::Veth => Ipv4Addr::new(10, 73, 0, 1),
        })
    }

    /// Where the receiver is.
    pub(crate) const fn receiver_ip(self) -> IpAddr {
        IpAddr::V4(match self {
            Self::Loopback => Ipv4Addr::LOCALHOST,
            Self::Veth => Ipv4Addr::new(10, 73, 0, 2),
        })
    }

    /// Makes the link. This process is at the sender's end then, and `start` runs at the receiver's.
    /// No other thread may run yet.
    pub(crate) fn make<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        if self == Self::Loopback {
            return start();
        }
        let receivers = new_namespace()?;
        run("ip link set lo up")?;
        let senders = new_namespace()?;
        let peer = format!("/proc/{}/fd/{}", id(), receivers.as_raw_fd());
        run(&format!(
            "ip link add {SENDER_INTERFACE} type veth peer name {RECEIVER_INTERFACE} netns {peer}"
        ))?;
        bring_up(SENDER_INTERFACE, self.sender_ip())?;
        setns(&receivers, CloneFlags::CLONE_NEWNET)?;
        let started = bring_up(RECEIVER_INTERFACE, self.receiver_ip()).and_then(|()| start());
        setns(&senders, CloneFlags::CLONE_NEWNET)?;
        started
    }
}

fn bring_up(interface: &str, ip: IpAddr) -> Result<()> {
    run(&format!("ip address add {ip}/24 dev {interface}"))?;
    run(&format!("ip link set {interface} up"))
}

/// A network namespace this process is in from now on.
fn new_namespace() -> Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)
        .context("making a network namespace (--link veth needs to be root)")?;
    Ok(File::open("/proc/self/ns/net")?)
}

fn run(command: &str) -> Result<()> {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program)
        .args(words)
        .output()
        .with_context(|| format!("starting {program} (from the package iproute2)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {said}");
    Ok(())
}
