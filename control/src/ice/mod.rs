//! ICE candidates of our side: where clients may send media to (RFC 8445, ICE-lite, UDP hosts).

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::settings::{Announced, is_loopback};

/// Type preference of host candidates (RFC 8445 section 5.1.2.2).
const HOST_PREFERENCE: u32 = 126;

/// Component 1: RTP, with RTCP beside it on the same port.
const COMPONENT: u32 = 1;

/// As mediasoup's `IceCandidate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct IceCandidate {
    /// Equal for candidates of one base.
    pub foundation: String,
    /// Larger is better.
    pub priority: u32,
    /// IP address.
    pub ip: String,
    /// The same, under its newer name.
    pub address: String,
    /// Always `udp`.
    pub protocol: &'static str,
    /// UDP port.
    pub port: u16,
    /// Always `host`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// As mediasoup's `IceParameters`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IceParameters {
    /// User name fragment.
    pub username_fragment: String,
    /// Password.
    pub password: String,
    /// Always true.
    pub ice_lite: bool,
}

/// Candidates for the sockets the engine has bound: the announced addresses where there are any,
/// else every address of the host the sockets can be reached at.
pub fn candidates(
    bound: &[SocketAddr],
    announced: &Announced,
    host: &[IpAddr],
) -> Vec<IceCandidate> {
    let mut seen = BTreeSet::new();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for socket in bound {
        for ip in reachable_at(socket.ip(), announced, host) {
            if seen.insert((ip, socket.port())) {
                addresses.push(SocketAddr::new(ip, socket.port()));
            }
        }
    }
    // Loopback helps only clients on this host, who need it least.
    addresses.sort_by_key(|address| is_loopback(address.ip()));
    addresses
        .into_iter()
        .enumerate()
        .map(|(index, address)| candidate(index, address))
        .collect()
}

/// Addresses of the host's interfaces that are up; link-local IPv6 ones are left out, since a
/// candidate cannot name the link.
pub fn host_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::error!(%error, "cannot list the host's addresses; name one with --announced-address");
        Vec::new()
    });
    let addresses = interfaces.into_iter().map(|interface| interface.ip());
    addresses
        .filter(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect()
}

fn reachable_at(bound: IpAddr, announced: &Announced, host: &[IpAddr]) -> Vec<IpAddr> {
    if !announced.is_empty() {
        let announced = match bound {
            IpAddr::V4(_) => announced.v4.map(IpAddr::V4),
            IpAddr::V6(_) => announced.v6.map(IpAddr::V6),
        };
        return announced.into_iter().collect();
    }
    if !bound.is_unspecified() {
        return vec![bound];
    }
    let same_family = |ip: &&IpAddr| ip.is_ipv4() == bound.is_ipv4();
    host.iter().filter(same_family).copied().collect()
}

fn candidate(index: usize, address: SocketAddr) -> IceCandidate {
    let local_preference = 65_535 - index.min(65_535) as u32;
    IceCandidate {
        foundation: (index + 1).to_string(),
        priority: (HOST_PREFERENCE << 24) + (local_preference << 8) + (256 - COMPONENT),
        ip: address.ip().to_string(),
        address: address.ip().to_string(),
        protocol: "udp",
        port: address.port(),
        kind: "host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(bound: &[&str], announced: Announced, host: &[&str]) -> Vec<String> {
        let bound: Vec<_> = bound.iter().map(|text| text.parse().unwrap()).collect();
        let host: Vec<_> = host.iter().map(|text| text.parse().unwrap()).collect();
        let candidates = candidates(&bound, &announced, &host);
        let shown = |it: &IceCandidate| format!("{} {}", it.address, it.port);
        candidates.iter().map(shown).collect()
    }

    const HOST: [&str; 4] = ["127.0.0.1", "192.0.2.7", "::1", "2001:db8::7"];

    #[test]
    fn every_address_of_the_host_loopback_last() {
        let found = addresses(&["0.0.0.0:1", "[::]:2"], Announced::default(), &HOST);
        assert_eq!(
            found,
            ["192.0.2.7 1", "2001:db8::7 2", "127.0.0.1 1", "::1 2"]
        );
    }

    #[test]
    fn only_the_bound_address() {
        let found = addresses(&["127.0.0.1:1"], Announced::default(), &HOST);
        assert_eq!(found, ["127.0.0.1 1"]);
    }

    #[test]
    fn only_the_announced_addresses_each_for_its_family() {
        let announced = Announced {
            v4: Some("203.0.113.1".parse().unwrap()),
            v6: None,
        };
        let found = addresses(&["0.0.0.0:1", "[::]:2"], announced, &HOST);
        assert_eq!(found, ["203.0.113.1 1"]);
    }

    #[test]
    fn priorities_fall_and_fit_the_standard() {
        let bound = ["0.0.0.0:1".parse().unwrap()];
        let host = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let found = candidates(&bound, &Announced::default(), &host);
        assert_eq!(found[0].priority, 2_130_706_431);
        assert!(found[0].priority > found[1].priority);
        assert_ne!(found[0].foundation, found[1].foundation);
    }
}
