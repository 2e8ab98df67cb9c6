//! CPU time and memory of processes on this host, this program's too.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::{IpAddr, ToSocketAddrs as _, UdpSocket};
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

use crate::api::Api;
use crate::outcome::{Cpu, ProcessCpu};

/// Threads that the kernel runs for io_uring have names that begin so.
const KERNEL_THREAD: &str = "iou-";

/// The processes under test.
#[derive(Debug, Clone, Default)]
pub(super) struct Processes {
    pids: Vec<u32>,
}

/// CPU time of each thread so far.
#[derive(Debug, Clone, Default)]
pub(super) struct CpuTimes {
    /// By process and thread: its name and its time in ns.
    threads: HashMap<(u32, u32), (String, u64)>,
}

impl Processes {
    /// The server's data plane, where that runs on this host, and those that are named.
    pub(super) async fn find(api: &Api, named: &[u32]) -> Self {
        let mut pids = named.to_vec();
        if is_this_host(api.base())
            && let Ok(info) = api.get::<serde_json::Value>("/v1/engine").await
            && let Some(pid) = info["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
            && !pids.contains(&pid)
        {
            pids.push(pid);
        }
        pids.retain(|pid| fs::metadata(format!("/proc/{pid}/task")).is_ok());
        Self { pids }
    }

    pub(super) fn times(&self) -> CpuTimes {
        let mut threads = HashMap::new();
        for &pid in &self.pids {
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
                continue;
            };
            for task in tasks.flatten() {
                // A thread may end in between.
                let read = |file: &str| fs::read_to_string(task.path().join(file)).ok();
                let (Some(name), Some(times)) = (read("comm"), read("schedstat")) else {
                    continue;
                };
                let on_cpu = times.split(' ').next().and_then(|text| text.parse().ok());
                let thread = task.file_name().to_string_lossy().parse();
                if let (Some(ns), Ok(thread)) = (on_cpu, thread) {
                    threads.insert((pid, thread), (name.trim().to_owned(), ns));
                }
            }
        }
        CpuTimes { threads }
    }

    /// What was used between two times, over so many received packets; `None` where no process is
    /// seen.
    pub(super) fn used(
        &self,
        before: &CpuTimes,
        after: &CpuTimes,
        elapsed: Duration,
        packets: u64,
    ) -> Option<Cpu> {
        if self.pids.is_empty() {
            return None;
        }
        let processes: Vec<_> = self
            .pids
            .iter()
            .map(|&pid| process_cpu(pid, before, after))
            .collect();
        let seconds = after.seconds_since(before);
        Some(Cpu {
            us_per_packet: seconds * 1e6 / packets.max(1) as f64,
            cores: seconds / elapsed.as_secs_f64().max(0.001),
            processes,
        })
    }

    /// Of all of them; `None` where none is seen.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        let sizes = self.pids.iter().filter_map(|&pid| resident_bytes(pid));
        self.are_seen().then(|| sizes.sum())
    }

    pub(super) fn are_seen(&self) -> bool {
        !self.pids.is_empty()
    }
}

impl CpuTimes {
    /// Of all threads of all processes.
    pub(super) fn seconds_since(&self, before: &Self) -> f64 {
        let used = self.threads.keys().map(|key| self.used(before, key));
        used.sum::<u64>() as f64 / 1e9
    }

    fn used(&self, before: &Self, key: &(u32, u32)) -> u64 {
        let at = |times: &Self| times.threads.get(key).map_or(0, |(_, ns)| *ns);
        at(self).saturating_sub(at(before))
    }
}

fn process_cpu(pid: u32, before: &CpuTimes, after: &CpuTimes) -> ProcessCpu {
    let mut seconds = 0.0;
    let mut kernel_threads: BTreeMap<String, f64> = BTreeMap::new();
    for (key, (name, _)) in after.threads.iter().filter(|((of, _), _)| *of == pid) {
        let used = after.used(before, key) as f64 / 1e9;
        if name.starts_with(KERNEL_THREAD) {
            *kernel_threads.entry(name.clone()).or_default() += used;
        } else {
            seconds += used;
        }
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    ProcessCpu {
        pid,
        name: name.trim().to_owned(),
        seconds,
        kernel_threads,
        resident_bytes: resident_bytes(pid).unwrap_or_default(),
    }
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kib * 1024)
}

/// CPU time of this program so far, in s.
pub(super) fn own_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return 0.0;
    };
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Cores this program may use.
pub(super) fn own_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Lets this program open as many files as the host allows, and says how many that are.
pub(super) fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return u64::MAX;
    };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

/// Datagrams the kernel has dropped at UDP sockets of this host, as they were full, by local port.
pub(super) fn socket_drops() -> HashMap<u16, u64> {
    let mut drops = HashMap::new();
    for table in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let mut fields = line.split_whitespace();
            let port = fields.nth(1).and_then(|local| {
                let (_, port) = local.rsplit_once(':')?;
                u16::from_str_radix(port, 16).ok()
            });
            let count = fields.last().and_then(|field| field.parse::<u64>().ok());
            if let (Some(port), Some(count)) = (port, count) {
                *drops.entry(port).or_default() += count;
            }
        }
    }
    drops
}

/// Whether the host of a URL is this one.
fn is_this_host(base: &str) -> bool {
    let Some(url) = reqwest::Url::parse(base).ok() else {
        return false;
    };
    let Some(host) = url.host_str().map(|host| host.trim_matches(['[', ']'])) else {
        return false;
    };
    let addresses: Vec<IpAddr> = (host, 0)
        .to_socket_addrs()
        .map(|found| found.map(|address| address.ip()).collect())
        .unwrap_or_default();
    // Only an address of our own can be bound.
    addresses.iter().any(|&ip| UdpSocket::bind((ip, 0)).is_ok())
}
