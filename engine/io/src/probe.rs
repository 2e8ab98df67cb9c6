//! Which back end this machine can have.

use std::fmt;
use std::str::FromStr;

use crate::socket::{joining_known, segmentation_offload_known, try_set};
use crate::uring::{self, Trouble};

/// What the operator asked for (`--io`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IoChoice {
    /// The best that works; never AF_XDP, as that goes past the kernel's firewall.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    /// recvmmsg and sendmmsg.
    Mmsg,
    /// AF_XDP.
    Xdp,
}

impl FromStr for IoChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "uring" => Ok(Self::Uring),
            "mmsg" => Ok(Self::Mmsg),
            "xdp" => Ok(Self::Xdp),
            _ => Err(format!(
                "`{text}` is no I/O back end; allowed are auto, uring, mmsg, xdp"
            )),
        }
    }
}

/// A back end there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IoKind {
    /// io_uring.
    Uring,
    /// recvmmsg and sendmmsg.
    Mmsg,
    /// AF_XDP, and sockets for what it can not carry.
    Xdp,
}

impl IoKind {
    /// As in `--io`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Mmsg => "mmsg",
            Self::Xdp => "xdp",
        }
    }
}

impl fmt::Display for IoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The back end to open.
    pub kind: IoKind,
    /// Why, in a sentence for the log.
    pub reason: String,
    /// Abilities of the kernel: `io_uring`, `udp_gso`, `udp_gro`, `so_reuseport`, `so_rxq_ovfl`.
    pub kernel: Vec<String>,
}

/// Chooses a back end, trying out what it needs.
///
/// # Errors
/// A sentence for the operator, where what was asked for can not be had.
pub fn probe(choice: IoChoice) -> Result<Probe, String> {
    let trial = uring::try_out();
    let (kind, reason) = decide(choice, &trial)?;
    Ok(Probe {
        kind,
        reason,
        kernel: abilities(trial.is_ok()),
    })
}

fn decide(choice: IoChoice, trial: &Result<(), Trouble>) -> Result<(IoKind, String), String> {
    match (choice, trial) {
        (IoChoice::Mmsg, _) => Ok((IoKind::Mmsg, "asked for".into())),
        // Setting it up tells whether it can be had, and says more.
        (IoChoice::Xdp, _) => Ok((IoKind::Xdp, "asked for".into())),
        (IoChoice::Uring, Ok(())) => Ok((IoKind::Uring, "asked for, and works".into())),
        (IoChoice::Uring, Err(trouble)) => Err(format!(
            "the I/O back end `uring` can not be had: {trouble}; {}, or use mmsg",
            trouble.advice()
        )),
        (_, Ok(())) => Ok((
            IoKind::Uring,
            "io_uring with multishot receive works here".into(),
        )),
        (_, Err(trouble)) => Ok((IoKind::Mmsg, format!("no io_uring: {trouble}"))),
    }
}

fn abilities(io_uring: bool) -> Vec<String> {
    let option = |level, name| {
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)
            .is_ok_and(|socket| try_set(&socket, level, name, 1))
    };
    let found = [
        ("io_uring", io_uring),
        ("udp_gso", segmentation_offload_known()),
        ("udp_gro", joining_known()),
        ("so_reuseport", option(libc::SOL_SOCKET, libc::SO_REUSEPORT)),
        ("so_rxq_ovfl", option(libc::SOL_SOCKET, libc::SO_RXQ_OVFL)),
    ];
    let found = found.into_iter().filter(|(_, found)| *found);
    found.map(|(name, _)| name.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_by_name() {
        assert_eq!("auto".parse(), Ok(IoChoice::Auto));
        assert_eq!("uring".parse(), Ok(IoChoice::Uring));
        assert_eq!("mmsg".parse(), Ok(IoChoice::Mmsg));
        assert_eq!("xdp".parse(), Ok(IoChoice::Xdp));
        let error = "Uring".parse::<IoChoice>().unwrap_err();
        assert!(
            error.contains("`Uring`") && error.contains("mmsg"),
            "{error}"
        );
    }

    #[test]
    fn xdp_is_only_for_those_who_ask() {
        assert_eq!(probe(IoChoice::Xdp).unwrap().kind, IoKind::Xdp);
        assert_ne!(probe(IoChoice::Auto).unwrap().kind, IoKind::Xdp);
    }

    #[test]
    fn mmsg_is_always_there() {
        let found = probe(IoChoice::Mmsg).unwrap();
        assert_eq!(found.kind, IoKind::Mmsg);
        assert!(found.kernel.contains(&"so_reuseport".to_owned()));
    }

    #[test]
    fn where_io_uring_is_forbidden_auto_does_without_and_uring_says_what_to_do() {
        let forbidden = Err(Trouble::new("setting up a ring", libc::EPERM));
        let (kind, reason) = decide(IoChoice::Auto, &forbidden).unwrap();
        assert_eq!(kind, IoKind::Mmsg);
        assert!(reason.contains("io_uring"), "{reason}");
        let error = decide(IoChoice::Uring, &forbidden).unwrap_err();
        assert!(error.contains("kernel.io_uring_disabled"), "{error}");
        assert!(error.contains("mmsg"), "{error}");
    }

    #[test]
    fn old_kernels_are_told_from_forbidden_ones() {
        let old = Err(Trouble::new("setting up a ring", libc::EINVAL));
        let error = decide(IoChoice::Uring, &old).unwrap_err();
        assert!(error.contains("6.1"), "{error}");
    }
}
