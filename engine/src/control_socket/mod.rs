//! The Unix socket control connects to: one thread accepts, and each connection has one that
//! reads and one that writes. Messages go to the hub through a bounded channel, so a control that
//! floods the engine waits in its socket.

mod outgoing;

use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use weirgate_wire::{FrameDecoder, PROTOCOL_VERSION, ToControl, ToEngine, encode};

pub(crate) use outgoing::Outgoing;

/// Messages of control the hub has not looked at.
pub(crate) const MAX_QUEUED_MESSAGES: usize = 256;
/// How long a connection may take for its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections at a time, greeted or not; more are closed at once.
const MAX_CONNECTIONS: usize = 16;
/// Pause after a failed `accept`, such as for want of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What the hub hears of control.
#[derive(Debug)]
pub(crate) enum ControlInput {
    /// A process of our user said a right hello; the hub welcomes or refuses it.
    Greeted {
        /// Number of the connection, never used again.
        connection: u64,
        /// The process, as it says.
        pid: u32,
        /// The way back.
        outgoing: Outgoing,
    },
    /// A message after the hello.
    Message {
        /// The connection it came by.
        connection: u64,
        /// The message.
        message: ToEngine,
    },
    /// A greeted connection has ended.
    Gone {
        /// The connection.
        connection: u64,
        /// For the log.
        why: String,
    },
    /// A writer that was behind has caught up.
    Drained,
}

/// Accepts connections on a thread of its own until the process ends.
pub(crate) fn listen(listener: UnixListener, hub: Sender<ControlInput>) -> io::Result<()> {
    thread::Builder::new()
        .name("control-accept".to_owned())
        .spawn(move || accept_all(&listener, &hub))?;
    Ok(())
}

fn accept_all(listener: &UnixListener, hub: &Sender<ControlInput>) {
    let open = Arc::new(AtomicUsize::new(0));
    for connection in 1.. {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "can not accept a connection of control");
                thread::sleep(ACCEPT_RETRY);
                continue;
            }
        };
        let place = Place::take(&open);
        if open.load(Ordering::Relaxed) > MAX_CONNECTIONS {
            continue;
        }
        let hub = hub.clone();
        let started = thread::Builder::new()
            .name("control-read".to_owned())
            .spawn(move || {
                let _place = place;
                Connection::serve(connection, stream, &hub);
            });
        if let Err(error) = started {
            tracing::warn!(%error, "no thread for a connection of control");
        }
    }
}

/// Counts a connection while it is open.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The reading side of one connection.
struct Connection {
    number: u64,
    stream: UnixStream,
    decoder: FrameDecoder,
    buffer: Box<[u8]>,
}

impl Connection {
    fn serve(number: u64, stream: UnixStream, hub: &Sender<ControlInput>) {
        let mut connection = Self {
            number,
            stream,
            decoder: FrameDecoder::default(),
            buffer: vec![0; 64 << 10].into_boxed_slice(),
        };
        match connection.greet() {
            Ok(pid) => connection.read_all(pid, hub),
            Err(reason) => {
                tracing::warn!(%reason, "control refused");
                connection.refuse(reason);
            }
        }
    }

    /// Awaits the hello; gives the process id it names.
    fn greet(&mut self) -> Result<u32, String> {
        self.check_peer()?;
        let deadline = Instant::now() + HELLO_TIMEOUT;
        let mut next = || {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("no hello came in time".to_owned());
            }
            let set = self.stream.set_read_timeout(Some(left));
            set.map_err(|error| error.to_string())?;
            self.next_message()
        };
        let hello = next()?;
        let untimed = self.stream.set_read_timeout(None);
        untimed.map_err(|error| error.to_string())?;
        match hello {
            ToEngine::Hello { version, pid } if version == PROTOCOL_VERSION => Ok(pid),
            ToEngine::Hello { version, .. } => Err(format!(
                "control speaks version {version} of the engine socket, this engine version \
                 {PROTOCOL_VERSION}; start programs of one release"
            )),
            _ => Err("the first message has to be a hello".to_owned()),
        }
    }

    /// Only our own user and root may drive the engine, whatever the rights of the socket file.
    fn check_peer(&self) -> Result<(), String> {
        let peer = rustix::net::sockopt::socket_peercred(&self.stream)
            .map_err(|error| format!("who connects can not be found out: {error}"))?;
        let ours = rustix::process::geteuid();
        if peer.uid == ours || peer.uid.is_root() {
            return Ok(());
        }
        Err(format!(
            "user {} may not drive the engine of user {}",
            peer.uid.as_raw(),
            ours.as_raw()
        ))
    }

    fn refuse(mut self, reason: String) {
        use std::io::Write;
        let mut frame = Vec::new();
        if encode(&ToControl::Refused { reason }, &mut frame).is_ok() {
            // A peer that is gone does not miss it.
            let _ = self.stream.set_write_timeout(Some(HELLO_TIMEOUT));
            let _ = self.stream.write_all(&frame);
        }
    }

    fn read_all(mut self, pid: u32, hub: &Sender<ControlInput>) {
        let connection = self.number;
        let outgoing = match Outgoing::start(&self.stream, hub.clone()) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                tracing::error!(%error, "no writer for control");
                return;
            }
        };
        let mut next = Some(ControlInput::Greeted {
            connection,
            pid,
            outgoing,
        });
        // The hub ends when the process does.
        while let Some(input) = next.take()
            && hub.send(input).is_ok()
        {
            next = match self.next_message() {
                Ok(message) => Some(ControlInput::Message {
                    connection,
                    message,
                }),
                Err(why) => {
                    let _ = hub.send(ControlInput::Gone { connection, why });
                    None
                }
            };
        }
    }

    fn next_message(&mut self) -> Result<ToEngine, String> {
        loop {
            match self.decoder.next_message() {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err("the connection was closed".to_owned()),
                Ok(len) => self.decoder.push(&self.buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err("no hello came in time".to_owned());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
