//! What a server may carry beyond what it could be given.

use serde::Serialize;

use crate::outcome::Outcome;

/// A capacity by CPU time: packets per second at which the server would use all of the cores that
/// it is allowed, if each packet went on costing what it did at the highest clean load.
///
/// An estimate: cost per packet falls while trains grow, and rises when caches overflow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Derived {
    /// `cores` / `cpu_us_per_packet`.
    pub packets_per_second: f64,
    /// CPU time of the processes under test per packet received, at the highest clean load, in µs.
    pub cpu_us_per_packet: f64,
    /// Cores that the busiest of those processes is allowed.
    pub cores: usize,
}

/// From that run; `None` where the server's CPU time can not be seen.
pub(super) fn derived(outcome: &Outcome) -> Option<Derived> {
    let cpu = outcome.cpu.as_ref()?;
    let busiest = cpu
        .processes
        .iter()
        .max_by(|a, b| a.seconds.total_cmp(&b.seconds))?;
    by_cpu(cpu.us_per_packet, allowed_cores(busiest.pid)?)
}

fn by_cpu(cpu_us_per_packet: f64, cores: usize) -> Option<Derived> {
    (cpu_us_per_packet > 0.0).then(|| Derived {
        packets_per_second: cores as f64 * 1e6 / cpu_us_per_packet,
        cpu_us_per_packet,
        cores,
    })
}

/// Cores that a process on this host may run on.
fn allowed_cores(pid: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    cores_in(list.trim())
}

/// How many a list such as `0-3,8` names.
fn cores_in(list: &str) -> Option<usize> {
    list.split(',')
        .map(|part| match part.split_once('-') {
            Some((first, last)) => {
                let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
                (last >= first).then(|| last - first + 1)
            }
            None => part.parse::<usize>().ok().map(|_| 1),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_counted() {
        assert_eq!(cores_in("0"), Some(1));
        assert_eq!(cores_in("0-3,8"), Some(5));
        assert_eq!(cores_in("3-0"), None);
        assert_eq!(cores_in(""), None);
    }

    #[test]
    fn we_are_allowed_some_cores() {
        assert!(allowed_cores(std::process::id()).unwrap() > 0);
    }

    #[test]
    fn ten_microseconds_a_packet_are_a_hundred_thousand_a_second_and_core() {
        let derived = by_cpu(10.0, 2).unwrap();
        assert_eq!(derived.packets_per_second, 200_000.0);
        assert_eq!(by_cpu(0.0, 2), None);
    }
}
