//! Where frames for a destination go: asked of the kernel by a thread of its own, read by shards
//! without waiting.
//!
//! A shard that has a new destination sends by its sockets and asks. From the answer on it writes
//! frames. Every now and then a way goes back to the sockets for a moment, so that the kernel sees
//! the neighbour in use, verifies it, and follows what changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::frame;
use super::locals::Locals;
use crate::netlink::{Events, Happening, Netlink};
use crate::rights::{self, Duty};

/// Destinations a shard knows at most; more go by the sockets.
const MAX_WAYS: usize = 65_536;
/// Questions waiting for the thread; one more is asked again with the next packet.
const MAX_QUESTIONS: usize = 4_096;
/// How long a way stays without being verified.
const VERIFIED_FOR: Duration = Duration::from_secs(30);
/// How long it goes by the sockets then, and between two looks for a neighbour.
const PAUSE: Duration = Duration::from_millis(50);
/// How long after a look that found nothing the next one is; doubled each time up to `VERIFIED_FOR`.
const FIRST_PATIENCE: Duration = PAUSE;
/// How often the thread looks what has happened.
const TICK: Duration = Duration::from_millis(200);

/// Names a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) to: IpAddr,
    /// The link of a link-local destination, else 0.
    pub(super) link: u32,
    /// `None` where the kernel may choose.
    pub(super) from: Option<IpAddr>,
}

/// A destination as frames need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    /// Index among the interfaces of the set-up.
    pub(super) interface: usize,
    pub(super) mac: [u8; 6],
    /// Bytes of the longest IP packet.
    pub(super) mtu: u16,
}

/// What the thread and one shard share of a way.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// MAC in the lower 48 bits, MTU above; one of the constants below where there is none.
    hop: AtomicU64,
    interface: AtomicU32,
    /// What the kernel chose as source, where it could.
    source: OnceLock<IpAddr>,
    used: AtomicBool,
}

/// Not known, or not one of ours: by the sockets.
const BY_SOCKETS: u64 = 0;
/// Nobody has used it, and the thread has forgotten it: to be asked for anew.
const FORGOTTEN: u64 = u64::MAX;

impl Way {
    fn set(&self, hop: Option<Hop>) {
        let Some(hop) = hop else {
            self.hop.store(BY_SOCKETS, Ordering::Release);
            return;
        };
        let [a, b, c, d, e, f] = hop.mac;
        let [g, h] = hop.mtu.to_be_bytes();
        // A change of the interface is seen with the hop, which is withdrawn in between.
        if self.interface.load(Ordering::Relaxed) != hop.interface as u32 {
            self.hop.store(BY_SOCKETS, Ordering::Release);
            self.interface
                .store(hop.interface as u32, Ordering::Release);
        }
        let bits = u64::from_be_bytes([g, h, a, b, c, d, e, f]);
        self.hop.store(bits, Ordering::Release);
    }

    fn hop(&self) -> Option<Hop> {
        let bits = self.hop.load(Ordering::Acquire);
        if bits == BY_SOCKETS || bits == FORGOTTEN {
            return None;
        }
        let [g, h, mac @ ..] = bits.to_be_bytes();
        Some(Hop {
            interface: self.interface.load(Ordering::Acquire) as usize,
            mac,
            mtu: u16::from_be_bytes([g, h]),
        })
    }

    fn is_forgotten(&self) -> bool {
        self.hop.load(Ordering::Relaxed) == FORGOTTEN
    }
}

/// The ways of one shard.
#[derive(Debug)]
pub(super) struct Ways {
    known: HashMap<Key, Arc<Way>>,
    questions: SyncSender<(Key, Arc<Way>)>,
}

/// A way in use.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) hop: Hop,
    /// The kernel's choice of a source, if it made one.
    pub(super) source: Option<IpAddr>,
}

impl Ways {
    pub(super) fn new(asker: &Asker) -> Self {
        Self {
            known: HashMap::new(),
            questions: asker.questions.clone(),
        }
    }

    /// The way to a destination; `None` where the sockets are to be used, and [`Self::ask`].
    pub(super) fn way(&self, key: &Key) -> Option<Open> {
        let way = self.known.get(key)?;
        // Looked at first: writing would take the line from the other side each time.
        if !way.used.load(Ordering::Relaxed) {
            way.used.store(true, Ordering::Relaxed);
        }
        Some(Open {
            hop: way.hop()?,
            source: way.source.get().copied(),
        })
    }

    /// Has the thread look for a way, unless it does already.
    pub(super) fn ask(&mut self, key: Key) {
        let known = self.known.get(&key);
        if known.is_some_and(|way| !way.is_forgotten()) {
            return;
        }
        if self.known.len() >= MAX_WAYS {
            self.known.retain(|_, way| !way.is_forgotten());
            if self.known.len() >= MAX_WAYS {
                return;
            }
        }
        let way = Arc::new(Way::default());
        if self.questions.try_send((key, way.clone())).is_ok() {
            self.known.insert(key, way);
        }
    }
}

/// Where shards ask. The thread ends when all of them are gone.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    questions: SyncSender<(Key, Arc<Way>)>,
}

/// An interface that frames may leave by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exit {
    /// The kernel's number.
    pub(super) index: u32,
    pub(super) mtu: u32,
}

/// Starts the thread. It also keeps `locals` up to date.
pub(super) fn start(exits: Vec<Exit>, locals: Locals) -> io::Result<Asker> {
    let (questions, asked) = sync_channel(MAX_QUESTIONS);
    let mut finder = Finder {
        // Before anything is asked, so that no change is missed.
        events: Events::open()?,
        netlink: Netlink::open()?,
        exits,
        locals,
        entries: Vec::new(),
    };
    thread::Builder::new()
        .name("xdp-routes".to_owned())
        .spawn(move || {
            // It only asks; where nothing can be given up there was nothing to begin with.
            let _ = rights::give_up_rights(Duty::None);
            finder.run(&asked);
        })?;
    Ok(Asker { questions })
}

/// The thread.
struct Finder {
    netlink: Netlink,
    events: Events,
    exits: Vec<Exit>,
    locals: Locals,
    entries: Vec<Entry>,
}

struct Entry {
    key: Key,
    way: Arc<Way>,
    /// Interface and address of the neighbour frames go to.
    neighbour: Option<(u32, IpAddr)>,
    mac: Option<[u8; 6]>,
    due: Instant,
    patience: Duration,
}

impl Finder {
    fn run(&mut self, asked: &Receiver<(Key, Arc<Way>)>) {
        let mut next_tick = Instant::now();
        loop {
            let now = Instant::now();
            let due = self.entries.iter().map(|entry| entry.due).min();
            let until = due.map_or(next_tick, |due| due.min(next_tick));
            match asked.recv_timeout(until.saturating_duration_since(now)) {
                Ok((key, way)) => {
                    let mut entry = Entry::new(key, way, now);
                    self.look(&mut entry, now);
                    self.entries.push(entry);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                self.take_events(now);
            }
            self.do_due(now);
        }
    }

    /// Makes due what an event may have changed.
    fn take_events(&mut self, now: Instant) {
        let mut address = false;
        let mut all = false;
        let entries = &mut self.entries;
        self.events.take(|happening| match happening {
            Happening::Address => (address, all) = (true, true),
            Happening::Way => all = true,
            Happening::Much => (address, all) = (true, true),
            Happening::Neighbour(neighbour) => {
                let of = Some((neighbour.interface, neighbour.ip));
                for entry in entries.iter_mut().filter(|entry| entry.neighbour == of) {
                    if entry.mac != neighbour.mac {
                        entry.changed(now);
                    }
                }
            }
        });
        if address {
            // Where asking fails the addresses known so far stay.
            let _ = self.locals.refresh(&mut self.netlink);
        }
        if all {
            self.entries.iter_mut().for_each(|entry| entry.changed(now));
        }
    }

    fn do_due(&mut self, now: Instant) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain_mut(|entry| {
            if entry.due > now {
                return true;
            }
            if entry.way.hop().is_none() || entry.mac.is_none() {
                if entry.patience >= VERIFIED_FOR && !entry.way.used.swap(false, Ordering::Relaxed)
                {
                    entry.way.hop.store(FORGOTTEN, Ordering::Release);
                    return false;
                }
                self.look(entry, now);
                return true;
            }
            if !entry.way.used.swap(false, Ordering::Relaxed) {
                entry.way.hop.store(FORGOTTEN, Ordering::Release);
                return false;
            }
            entry.way.set(None);
            entry.due = now + PAUSE;
            true
        });
        self.entries = entries;
    }

    /// Asks the kernel and tells the shard.
    fn look(&mut self, entry: &mut Entry, now: Instant) {
        let hop = self.find(entry);
        entry.way.set(hop);
        if hop.is_some() {
            entry.patience = FIRST_PATIENCE;
            entry.due = now + VERIFIED_FOR;
        } else {
            entry.due = now + entry.patience;
            entry.patience = (entry.patience * 2).min(VERIFIED_FOR);
        }
    }

    fn find(&mut self, entry: &mut Entry) -> Option<Hop> {
        entry.mac = None;
        entry.neighbour = None;
        let Key { to, link, from } = entry.key;
        let route = self.netlink.route(to, from, link).ok()??;
        entry.neighbour = Some((route.interface, route.next_hop));
        let at = |exit: &Exit| exit.index == route.interface;
        let interface = self.exits.iter().position(at)?;
        let mac = self
            .netlink
            .neighbour(route.interface, route.next_hop)
            .ok()??;
        entry.mac = Some(mac);
        if let Some(source) = route.source {
            // The choice made first stays until the way is forgotten.
            let _ = entry.way.source.set(source);
        }
        let device = self.exits[interface].mtu;
        let mtu = route.mtu.map_or(device, |mtu| mtu.min(device));
        Some(Hop {
            interface,
            mac,
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX - 1),
        })
        .filter(|hop| usize::from(hop.mtu) > frame::overhead(to))
    }
}

impl Entry {
    fn new(key: Key, way: Arc<Way>, now: Instant) -> Self {
        Self {
            key,
            way,
            neighbour: None,
            mac: None,
            due: now,
            patience: FIRST_PATIENCE,
        }
    }

    /// Is looked at anew, at once.
    fn changed(&mut self, now: Instant) {
        self.mac = None;
        self.patience = FIRST_PATIENCE;
        self.due = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u8) -> Key {
        Key {
            to: [10, 0, 0, last].into(),
            link: 0,
            from: None,
        }
    }

    #[test]
    fn a_hop_is_read_as_it_was_set() {
        let way = Way::default();
        assert_eq!(way.hop(), None);
        let hop = Hop {
            interface: 3,
            mac: [0, 1, 2, 3, 4, 0xff],
            mtu: 1500,
        };
        way.set(Some(hop));
        assert_eq!(way.hop(), Some(hop));
        way.set(None);
        assert_eq!(way.hop(), None);
    }

    #[test]
    fn a_new_destination_is_asked_for_once_and_goes_by_the_sockets() {
        let (questions, asked) = sync_channel(1);
        let mut ways = Ways::new(&Asker { questions });
        for last in [1, 1, 2] {
            // There is room for one question.
            assert!(ways.way(&key(last)).is_none());
            ways.ask(key(last));
        }
        let (asked_for, way) = asked.try_recv().unwrap();
        assert_eq!(asked_for, key(1));
        assert!(asked.try_recv().is_err());
        let hop = Hop {
            interface: 0,
            mac: [2; 6],
            mtu: 1400,
        };
        way.set(Some(hop));
        assert_eq!(ways.way(&key(1)).map(|open| open.hop), Some(hop));
        assert!(way.used.load(Ordering::Relaxed));

        ways.ask(key(2));
        assert_eq!(asked.try_recv().unwrap().0, key(2), "asked again");

        way.hop.store(FORGOTTEN, Ordering::Relaxed);
        assert!(ways.way(&key(1)).is_none());
        ways.ask(key(1));
        assert_eq!(asked.try_recv().unwrap().0, key(1), "asked anew");
    }
}
