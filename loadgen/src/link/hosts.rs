//! The two ends: a TUN device each, with its addresses, in its network namespace.

use std::net::IpAddr;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use tun_rs::{DeviceBuilder, SyncDevice};

/// The kernel puts the first free number for `%d`.
const DEVICE_NAMES: &str = "weirgate%d";
/// Packets the kernel keeps for us until they are read. The link's own queue is to be the one that
/// counts.
const DEVICE_QUEUE: &str = "4000";

/// What is wanted of one end.
#[derive(Debug, Clone)]
pub struct EndConfig {
    /// Name of the network namespace; `None`: the one this process is in.
    pub namespace: Option<String>,
    /// Addresses of the device.
    pub addresses: Vec<Address>,
}

/// An address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Length of the prefix in bits.
    pub prefix: u8,
}

impl std::str::FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (ip, prefix) = text.split_once('/').context("must be ADDRESS/PREFIX")?;
        let ip: IpAddr = ip.parse().context("no IP address")?;
        let prefix: u8 = prefix.parse().context("no length of a prefix")?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        ensure!(prefix <= most, "a prefix has {most} bits at most");
        Ok(Self { ip, prefix })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// One end as it is.
#[derive(Debug, Clone, Serialize)]
pub struct End {
    /// Name of the network namespace; `None`: ours.
    pub namespace: Option<String>,
    /// Name of the device.
    pub device: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl End {
    /// Packets that the kernel dropped as we did not read them in time.
    pub fn kernel_dropped(&self) -> Option<u64> {
        let words = ["-j", "-s", "link", "show", "dev", &self.device];
        let text = ip(self.namespace.as_deref(), &words).ok()?;
        let links: serde_json::Value = serde_json::from_str(&text).ok()?;
        links[0]["stats64"]["tx"]["dropped"].as_u64()
    }
}

/// The namespaces that were made go with this; the devices go with their descriptors.
#[derive(Debug)]
pub struct Hosts {
    /// The near end.
    pub near: End,
    /// The far end.
    pub far: End,
    made: Vec<String>,
}

impl Hosts {
    /// Sets both ends up. `create`: the namespaces named are made, with a loopback device and a
    /// default route through the link.
    pub fn set_up(
        near: &EndConfig,
        far: &EndConfig,
        create: bool,
        mtu: u16,
    ) -> Result<(Self, [SyncDevice; 2])> {
        ensure!(
            near.namespace != far.namespace,
            "both ends are in the same network namespace"
        );
        let devices = [open_device()?, open_device()?];
        let end = |config: &EndConfig, device: &SyncDevice| -> Result<End> {
            Ok(End {
                namespace: config.namespace.clone(),
                device: device.name()?,
                addresses: config.addresses.iter().map(|address| address.ip).collect(),
            })
        };
        let mut hosts = Self {
            near: end(near, &devices[0])?,
            far: end(far, &devices[1])?,
            made: Vec::new(),
        };
        if create {
            hosts.create(near)?;
            hosts.create(far)?;
        }
        set_up_device(&hosts.near, &near.addresses, mtu)?;
        set_up_device(&hosts.far, &far.addresses, mtu)?;
        for (end, other) in [(&hosts.near, &hosts.far), (&hosts.far, &hosts.near)] {
            if create && end.namespace.is_some() {
                add_default_routes(end, other)?;
            }
        }
        Ok((hosts, devices))
    }

    fn create(&mut self, config: &EndConfig) -> Result<()> {
        let Some(name) = &config.namespace else {
            return Ok(());
        };
        ip(None, &["netns", "add", name])
            .with_context(|| format!("can not make the network namespace {name}"))?;
        self.made.push(name.clone());
        ip(Some(name), &["link", "set", "lo", "up"])?;
        Ok(())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.made {
            if let Err(error) = ip(None, &["netns", "delete", name]) {
                eprintln!("weirgate-loadgen: the network namespace {name} stays: {error:#}");
            }
        }
    }
}

fn open_device() -> Result<SyncDevice> {
    let open = || -> std::io::Result<SyncDevice> {
        let device = DeviceBuilder::new()
            .name(DEVICE_NAMES)
            .inherit_enable_state()
            .build_sync()?;
        device.set_nonblocking(true)?;
        Ok(device)
    };
    open().map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("a link needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN")
        }
        std::io::ErrorKind::NotFound => anyhow::anyhow!("no /dev/net/tun here"),
        _ => anyhow::Error::new(error).context("can not make a TUN device"),
    })
}

fn set_up_device(end: &End, addresses: &[Address], mtu: u16) -> Result<()> {
    let namespace = end.namespace.as_deref();
    let device = end.device.as_str();
    if let Some(namespace) = namespace {
        ip(None, &["link", "set", device, "netns", namespace])
            .with_context(|| format!("the network namespace {namespace}"))?;
    }
    let mtu = mtu.to_string();
    // No link-local address, so that all packets are those of the users.
    for words in [
        &["mtu", &mtu, "txqueuelen", DEVICE_QUEUE][..],
        &["addrgenmode", "none"],
        &["up"],
    ] {
        ip(namespace, &[&["link", "set", device], words].concat())?;
    }
    for address in addresses {
        let text = address.to_string();
        let mut words = vec!["address", "add", &text, "dev", device];
        if address.ip.is_ipv6() {
            // Nobody else is on this link.
            words.push("nodad");
        }
        ip(namespace, &words)?;
    }
    Ok(())
}

fn add_default_routes(end: &End, other: &End) -> Result<()> {
    for is_ipv4 in [true, false] {
        let through = other.addresses.iter().find(|ip| ip.is_ipv4() == is_ipv4);
        if let Some(through) = through {
            let through = through.to_string();
            let words = [
                "route",
                "add",
                "default",
                "via",
                &through,
                "dev",
                &end.device,
            ];
            ip(end.namespace.as_deref(), &words)?;
        }
    }
    Ok(())
}

/// Runs iproute2's `ip`; gives what it printed.
fn ip(namespace: Option<&str>, words: &[&str]) -> Result<String> {
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-n", namespace]);
    }
    let output = command
        .args(words)
        .output()
        .context("can not run `ip` (of iproute2)")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ip {}: {}", words.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        assert_eq!(
            "10.1.2.3/30".parse::<Address>().unwrap().to_string(),
            "10.1.2.3/30"
        );
        assert!("fd00::1/64".parse::<Address>().is_ok());
        for text in ["10.1.2.3", "10.1.2.3/33", "10.1.2/8", "fd00::1/129", "x/8"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
