//! The real engine in a folder of its own, and a control made of frames.
#![allow(dead_code, reason = "each test program uses a part")]

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use uuid::Uuid;
use weirgate_wire::{
    Answer, Event, FrameDecoder, PROTOCOL_VERSION, Refusal, Request, ToControl, ToEngine, encode,
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_weirgate-engine");
/// Long enough for a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A UDP port of the host that is free and, being below the range the kernel chooses from, stays
/// so.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 15_000 + (std::process::id() * 37 + number) % 15_000;
        let port = u16::try_from(port).unwrap();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// The engine's command, without settings of the tests' own surroundings.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEIRGATE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs an engine that is to refuse its start.
pub(crate) fn run_to_end(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command(arguments).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// A running engine, killed when dropped.
pub(crate) struct Engine {
    pub(crate) child: Child,
    pub(crate) port: u16,
    folder: TempDir,
}

impl Engine {
    /// On loopback, with `arguments` beside.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_logging_to(Stdio::null(), arguments)
    }

    pub(crate) fn start_logging_to(stderr: Stdio, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let child = spawn(folder.path(), port, stderr, arguments);
        let mut engine = Self {
            child,
            port,
            folder,
        };
        engine.await_socket();
        engine
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    /// Another one on the same socket and port, once this one has ended.
    pub(crate) fn start_again(&mut self, arguments: &[&str]) {
        self.child = spawn(self.folder.path(), self.port, Stdio::null(), arguments);
        self.await_socket();
    }

    /// A control that is welcome.
    pub(crate) fn control(&self) -> Control {
        let mut control = self.connect();
        control.hello(PROTOCOL_VERSION);
        match control.next() {
            Some(ToControl::Welcome {
                version,
                epoch,
                pid,
            }) => {
                assert_eq!(version, PROTOCOL_VERSION);
                assert_eq!(pid, self.child.id());
                control.epoch = epoch;
                control
            }
            other => panic!("{other:?}"),
        }
    }

    /// A connection that has said nothing.
    pub(crate) fn connect(&self) -> Control {
        Control::new(UnixStream::connect(self.socket()).unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success());
    }

    /// Awaits the end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the engine goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn await_socket(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the engine ended with {status}");
            }
            assert!(Instant::now() < deadline, "no socket");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, port: u16, stderr: Stdio, arguments: &[&str]) -> Child {
    let socket = folder.join("engine.sock");
    let media = format!("127.0.0.1:{port}");
    let mut command = command(["--media-listen", &media]);
    command.arg("--socket").arg(socket).args(arguments);
    command.stderr(stderr).spawn().unwrap()
}

/// One connection of control.
pub(crate) struct Control {
    stream: UnixStream,
    decoder: FrameDecoder,
    last_request: u64,
    pub(crate) epoch: u64,
    /// What came while an answer was awaited.
    pub(crate) told: Vec<ToControl>,
}

impl Control {
    fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            decoder: FrameDecoder::default(),
            last_request: 0,
            epoch: 0,
            told: Vec::new(),
        }
    }

    pub(crate) fn hello(&mut self, version: u16) {
        let pid = std::process::id();
        self.send(&ToEngine::Hello { version, pid });
    }

    pub(crate) fn send(&mut self, message: &ToEngine) {
        let mut frame = Vec::new();
        encode(message, &mut frame).unwrap();
        self.send_bytes(&frame);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next message; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<ToControl> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.decoder.next_message().unwrap() {
                return Some(message);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(len) => self.decoder.push(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Sends a request and awaits its answer.
    pub(crate) fn request(&mut self, body: Request) -> Result<Answer, Refusal> {
        self.last_request += 1;
        let wanted = self.last_request;
        self.send(&ToEngine::Request { id: wanted, body });
        loop {
            match self.next().expect("an answer before the end") {
                ToControl::Answer { id, body } if id == wanted => return body,
                other => self.told.push(other),
            }
        }
    }

    pub(crate) fn ok(&mut self, body: Request) -> Answer {
        self.request(body).unwrap()
    }

    /// Awaits an event that fits.
    pub(crate) fn event<T>(&mut self, fits: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(ToControl::Event(event)) = self.next()
                && let Some(found) = fits(&event)
            {
                return found;
            }
        }
        panic!("no such event");
    }

    pub(crate) fn create_router(&mut self) -> Uuid {
        let id = Uuid::new_v4();
        let blob = b"router".to_vec();
        self.ok(Request::CreateRouter { id, blob });
        id
    }

    /// A plain transport on loopback with rtcp-mux; its id, shard and port.
    pub(crate) fn create_plain(&mut self, router: Uuid, comedia: bool) -> (Uuid, u16, u16) {
        let id = Uuid::new_v4();
        let ip = Ipv4Addr::LOCALHOST.into();
        let answer = self.ok(Request::CreatePlainTransport {
            id,
            router,
            listen_ip: ip,
            port: None,
            rtcp_listen_ip: ip,
            rtcp_port: None,
            rtcp_mux: true,
            comedia,
            srtp: None,
            blob: b"plain".to_vec(),
        });
        let Answer::PlainTransport { shard, local, .. } = answer else {
            panic!("{answer:?}");
        };
        (id, shard, local.port())
    }
}
