//! What a server may carry beyond what it could be given.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::outcome::Outcome;

/// A thread that used a smaller part of the CPU time of the busiest one carries no load.
const MIN_SHARE: f64 = 0.1;

/// A capacity by CPU time: packets per second at which the server would use all of the cores that
/// its busy threads can, if each packet went on costing what it did at the highest clean load.
///
/// An estimate: cost per packet falls while trains grow, and rises when caches overflow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Derived {
    /// `cores` / `cpu_us_per_packet`.
    pub packets_per_second: f64,
    /// CPU time of the processes under test per packet received, at the highest clean load, in µs.
    pub cpu_us_per_packet: f64,
    /// Cores that the busy threads of the busiest of those processes can use at the same time.
    pub cores: usize,
}

/// From that run; `None` where the server's CPU time can not be seen.
pub(super) fn derived(outcome: &Outcome) -> Option<Derived> {
    let cpu = outcome.cpu.as_ref()?;
    let busiest = cpu
        .processes
        .iter()
        .max_by(|a, b| a.seconds.total_cmp(&b.seconds))?;
    by_cpu(cpu.us_per_packet, usable_cores(&threads_of(busiest.pid)?))
}

fn by_cpu(cpu_us_per_packet: f64, cores: usize) -> Option<Derived> {
    (cpu_us_per_packet > 0.0 && cores > 0).then(|| Derived {
        packets_per_second: cores as f64 * 1e6 / cpu_us_per_packet,
        cpu_us_per_packet,
        cores,
    })
}

/// A thread of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Thread {
    /// CPU time since its start.
    ticks: u64,
    /// Where it may run.
    cores: BTreeSet<usize>,
}

/// Threads that are pinned to the same core share it; one that is not pinned uses one at a time.
fn usable_cores(threads: &[Thread]) -> usize {
    let most = threads.iter().map(|thread| thread.ticks).max();
    let least = most.unwrap_or_default() as f64 * MIN_SHARE;
    let busy: Vec<&Thread> = threads
        .iter()
        .filter(|thread| thread.ticks as f64 >= least)
        .collect();
    let cores: BTreeSet<usize> = busy
        .iter()
        .flat_map(|thread| &thread.cores)
        .copied()
        .collect();
    cores.len().min(busy.len())
}

/// Of a process on this host.
fn threads_of(pid: u32) -> Option<Vec<Thread>> {
    let folders = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let threads = folders.flatten().filter_map(|folder| {
        let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).ok();
        let status = read("status")?;
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Some(Thread {
            ticks: ticks_in(&read("stat")?)?,
            cores: cores_in(list.trim())?,
        })
    });
    Some(threads.collect())
}

/// User and system time by proc_pid_stat(5). The name before them may hold anything but ends in
/// the last parenthesis.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Those that a list such as `0-3,8` names.
fn cores_in(list: &str) -> Option<BTreeSet<usize>> {
    let mut cores = BTreeSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(ticks: u64, list: &str) -> Thread {
        Thread {
            ticks,
            cores: cores_in(list).unwrap(),
        }
    }

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(cores_in("0-2,8"), Some(BTreeSet::from([0, 1, 2, 8])));
        assert_eq!(cores_in("x"), None);
        assert_eq!(cores_in(""), None);
    }

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(ticks_in(stat), Some(300));
        assert_eq!(ticks_in("7 (a) S 1"), None);
    }

    #[test]
    fn pinned_threads_count_by_their_cores_and_others_one_each() {
        let pinned = [thread(900, "0"), thread(850, "1"), thread(5, "0-7")];
        assert_eq!(usable_cores(&pinned), 2);
        assert_eq!(usable_cores(&[thread(900, "0"), thread(850, "0")]), 1);
        assert_eq!(usable_cores(&[thread(900, "0-7"), thread(5, "0-7")]), 1);
        assert_eq!(usable_cores(&[]), 0);
    }

    #[test]
    fn our_own_threads_can_be_seen() {
        assert!(usable_cores(&threads_of(std::process::id()).unwrap()) > 0);
    }

    #[test]
    fn ten_microseconds_a_packet_are_a_hundred_thousand_a_second_and_core() {
        let derived = by_cpu(10.0, 2).unwrap();
        assert_eq!(derived.packets_per_second, 200_000.0);
        assert_eq!(by_cpu(0.0, 2), None);
    }
}
