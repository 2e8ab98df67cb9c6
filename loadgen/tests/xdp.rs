//! Calls over AF_XDP: engine and control in one network namespace, the measuring client in another,
//! a veth pair between them. Needs to be root; says so and does nothing where it may not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "token-of-the-test";
const SERVER: &str = "10.74.0.1";
const SERVER_V6: &str = "fd74::1";

/// Two namespaces and the programs in them; all gone when dropped.
struct Scene {
    name: String,
    folder: PathBuf,
    children: Vec<Child>,
}

impl Scene {
    /// `None`, with the reason printed, where there can be no namespaces.
    fn new(name: &str, queues: u32) -> Option<Self> {
        let scene = Self {
            name: format!("wgx{}{name}", std::process::id()),
            folder: std::env::temp_dir().join(format!("weirgate-xdp-{}{name}", std::process::id())),
            children: Vec::new(),
        };
        std::fs::create_dir_all(&scene.folder).unwrap();
        let made = ip(&format!("netns add {}", scene.server()));
        if !made.as_ref().is_ok_and(|output| output.status.success()) {
            println!("skipped: no network namespace: {made:?}");
            return None;
        }
        let (server, client) = (scene.server(), scene.client());
        let many = format!("numrxqueues {queues} numtxqueues {queues}");
        for command in [
            format!("netns add {client}"),
            format!("-n {server} link set lo up"),
            format!("-n {client} link set lo up"),
            format!(
                "-n {server} link add sfu {many} type veth peer name load {many} netns {client}"
            ),
            format!("-n {server} address add {SERVER}/24 dev sfu"),
            format!("-n {server} address add {SERVER_V6}/64 dev sfu nodad"),
            format!("-n {client} address add 10.74.0.2/24 dev load"),
            format!("-n {client} address add fd74::2/64 dev load nodad"),
            format!("-n {server} link set sfu up"),
            format!("-n {client} link set load up"),
        ] {
            let output = ip(&command).unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "ip {command}: {said}");
        }
        Some(scene)
    }

    fn server(&self) -> String {
        format!("{}s", self.name)
    }

    fn client(&self) -> String {
        format!("{}c", self.name)
    }

    /// Starts engine and control, listening for media on an address; false, with the reason
    /// printed, where the kernel has no AF_XDP for us.
    fn start(&mut self, cores: &str, media: &str) -> bool {
        let socket = self.folder.join("engine.sock");
        let shared = ["--cores", cores, "--io", "xdp", "--media-listen", media];
        let log = self.folder.join("engine.log");
        let mut engine = self.program(&self.server(), "weirgate-engine");
        engine.arg("--socket").arg(&socket).args(shared);
        engine.stderr(File::create(&log).unwrap());
        self.children.push(engine.spawn().unwrap());
        let start = Instant::now();
        while !socket.exists() {
            assert!(start.elapsed() < PATIENCE, "no engine");
            if self.children[0].try_wait().unwrap().is_some() {
                let why = std::fs::read_to_string(log).unwrap();
                let reasons = ["no AF_XDP", "no eBPF", "lacks CAP_", "forbids it"];
                let is_reason = reasons.iter().any(|reason| why.contains(reason));
                assert!(is_reason, "{why}");
                println!("skipped: {why}");
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut control = self.program(&self.server(), "weirgate-control");
        control.arg("--engine-socket").arg(&socket).args(shared);
        control.args(["--engine-bin", "/bin/false", "--api-token", TOKEN]);
        control.args(["--http-listen", &format!("{SERVER}:8080")]);
        control.stderr(File::create(self.folder.join("control.log")).unwrap());
        self.children.push(control.spawn().unwrap());
        while self
            .get("/readyz")
            .is_none_or(|answer| !answer.starts_with("HTTP/1.1 200"))
        {
            assert!(start.elapsed() < PATIENCE, "no control");
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// A program beside this one, in a namespace, without settings of the tests' surroundings.
    fn program(&self, namespace: &str, name: &str) -> Command {
        let folder = match std::env::var_os("WEIRGATE_BIN_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => {
                let client = PathBuf::from(env!("CARGO_BIN_EXE_weirgate-loadgen"));
                client.parent().unwrap().to_owned()
            }
        };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]);
        command.arg(folder.join(name)).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WEIRGATE_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Asks control, from the client's namespace.
    fn get(&self, path: &str) -> Option<String> {
        let namespace = File::open(format!("/run/netns/{}", self.client())).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {SERVER}\r\nAuthorization: Bearer {TOKEN}\r\n\
             Connection: close\r\n\r\n"
        );
        let asking = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let mut stream = TcpStream::connect((SERVER, 8080)).ok()?;
            stream.write_all(request.as_bytes()).ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        });
        asking.join().unwrap()
    }

    /// The sum of a counter of the engine over its shards.
    fn counter(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").unwrap();
        let start = format!("weirgate_engine_{name}_total{{");
        let lines = metrics.lines().filter(|line| line.starts_with(&start));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Plays a call and holds it to its figures.
    fn play(&self, arguments: &[&str]) {
        let mut client = self.program(&self.client(), "weirgate-loadgen");
        client.args(["livestream", "--quiet", "--json", "-"]);
        client.args(["--server", &format!("http://{SERVER}:8080")]);
        client.env("WEIRGATE_API_TOKEN", TOKEN);
        client.args(["--receivers", "6", "--audio", "--video", "200k"]);
        client.args(["--duration", "2s"]).args(arguments);
        let output = client.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let totals = &report["totals"];
        let expected = totals["expected"].as_u64().unwrap();
        assert!(expected > 6 * 100, "{arguments:?}: {text}");
        for figure in ["lost", "corrupt", "renumbered", "silentFlows"] {
            assert_eq!(totals[figure], 0, "{figure} of {arguments:?}: {text}");
        }
        assert_eq!(
            report["refused"]["notAuthentic"], 0,
            "{arguments:?}: {text}"
        );
        assert_eq!(report["participants"]["joined"], 7, "{arguments:?}: {text}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            // They may have ended by themselves.
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in ["engine.log", "control.log"] {
            if std::thread::panicking() {
                let log = std::fs::read_to_string(self.folder.join(name));
                println!("--- {name}\n{}", log.unwrap_or_default());
            }
        }
        for namespace in [self.server(), self.client()] {
            let _ = ip(&format!("netns delete {namespace}"));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn ip(arguments: &str) -> std::io::Result<Output> {
    Command::new("ip").args(arguments.split(' ')).output()
}

/// Plain and WebRTC, and nearly all by frames.
fn calls(name: &str, queues: u32, cores: &str, media: &str, plain: &str) {
    let Some(mut scene) = Scene::new(name, queues) else {
        return;
    };
    if !scene.start(cores, media) {
        return;
    }
    scene.play(&["--transport", "plain", "--plain-ip", plain]);
    let srtp = ["--srtp", "AEAD_AES_128_GCM"];
    scene.play(&[&["--transport", "plain", "--plain-ip", plain], &srtp[..]].concat());
    scene.play(&["--transport", "webrtc"]);

    let [sent, by_frames] =
        ["io_datagrams_sent", "io_xdp_datagrams_sent"].map(|name| scene.counter(name));
    let [received, as_frames] =
        ["io_datagrams_received", "io_xdp_datagrams_received"].map(|name| scene.counter(name));
    println!("{by_frames} of {sent} sent and {as_frames} of {received} received as frames");
    // Plain transports of another queue's shard, and the first packets to each destination, do not.
    assert!(by_frames > sent * if queues == 1 { 0.9 } else { 0.5 });
    assert!(as_frames > received * if queues == 1 { 0.9 } else { 0.1 });
    for name in ["malformed", "bad_checksums", "not_redirected"] {
        assert_eq!(scene.counter(&format!("io_xdp_{name}")), 0.0, "{name}");
    }
}

#[test]
fn over_ipv4_on_one_shard() {
    calls("a", 1, "0", &format!("{SERVER}:10000"), SERVER);
}

#[test]
fn over_ipv6_on_one_shard() {
    calls("b", 1, "0", &format!("[{SERVER_V6}]:10000"), SERVER_V6);
}

#[test]
fn over_ipv4_on_two_shards_with_a_queue_each() {
    calls("c", 2, "0-1", "0.0.0.0:10000", SERVER);
}
