//! Starts the servers under test on ports of their own, for tests and comparisons, and ends them
//! whatever happens.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::api::Api;

/// Ports of one server: HTTP, media, then the plain ones. All lie below the ports that Linux
/// hands out by itself.
const FIRST_PORT: u16 = 28_000;
const PORTS_PER_SLOT: u16 = 400;
const SLOTS: u16 = 11;
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// What differs between servers under test.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// `--io`.
    pub io: String,
    /// `--cores`.
    pub cores: String,
    /// Where HTTP and media listen.
    pub address: Ipv4Addr,
    /// Token of the API; control wants one where `address` is not loopback.
    pub api_token: Option<String>,
    /// HTTPS with the certificate and key of this PEM file.
    pub tls: Option<PathBuf>,
    /// More flags for control.
    pub control_flags: Vec<String>,
}

impl ServerOptions {
    /// A back end and cores, on loopback.
    pub fn new(io: &str, cores: &str) -> Self {
        Self {
            io: io.to_owned(),
            cores: cores.to_owned(),
            address: Ipv4Addr::LOCALHOST,
            api_token: None,
            tls: None,
            control_flags: Vec::new(),
        }
    }
}

impl ServerOptions {
    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// A running pair of engine and control in a folder of their own.
pub struct Server {
    api: Api,
    engine: Child,
    control: Option<Child>,
    folder: PathBuf,
    media: SocketAddr,
    _slot: PortSlot,
}

impl Server {
    /// Starts both and waits until they are ready.
    pub async fn start(options: &ServerOptions) -> Result<Self> {
        let slot = PortSlot::take()?;
        let folder = std::env::temp_dir().join(format!(
            "weirgate-test-{}-{}",
            std::process::id(),
            slot.first_port
        ));
        // Left over only by a run that was killed and had the same process id.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let socket = folder.join("run").join("engine.sock");
        let media = SocketAddr::from((options.address, slot.first_port + 1));
        let plain = format!(
            "{}-{}",
            slot.first_port + 2,
            slot.first_port + PORTS_PER_SLOT - 1
        );
        let shared = [
            ("--media-listen", media.to_string()),
            ("--plain-ports", plain),
            ("--cores", options.cores.clone()),
            ("--io", options.io.clone()),
        ];

        let mut engine = program("weirgate-engine")?;
        engine.arg("--socket").arg(&socket);
        let http = SocketAddr::from((options.address, slot.first_port));
        let mut control = program("weirgate-control")?;
        // An engine that dies is a failure here, not a reason for another one.
        control.arg("--engine-bin").arg("/bin/false");
        control
            .arg("--engine-socket")
            .arg(&socket)
            .arg("--http-listen")
            .arg(http.to_string());
        if let Some(token) = &options.api_token {
            control.args(["--api-token", token]);
        }
        if let Some(pem) = &options.tls {
            control.arg("--tls-cert").arg(pem).arg("--tls-key").arg(pem);
        }
        control.args(&options.control_flags);
        for (flag, value) in &shared {
            engine.arg(flag).arg(value);
            control.arg(flag).arg(value);
        }
        let engine = spawn(engine, &folder, "engine")?;
        let mut server = Self {
            api: Api::with_trust(
                &format!("{}://{http}", options.scheme()),
                options.api_token.clone(),
                // Made for the test, by nobody whom the host trusts.
                options.tls.is_some(),
            )?,
            control: None,
            engine,
            folder,
            media,
            _slot: slot,
        };
        server.wait_for_socket(&socket).await?;
        server.control = Some(spawn(control, &server.folder, "control")?);
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The HTTP API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The media address.
    pub fn media(&self) -> SocketAddr {
        self.media
    }

    /// Process id of the engine.
    pub fn engine_pid(&self) -> u32 {
        self.engine.id()
    }

    /// Process id of control.
    pub fn control_pid(&self) -> Option<u32> {
        self.control.as_ref().map(Child::id)
    }

    /// What both have logged.
    pub fn logs(&self) -> String {
        ["engine", "control"]
            .map(|name| {
                let path = self.folder.join(format!("{name}.log"));
                format!(
                    "--- {name}\n{}",
                    fs::read_to_string(path).unwrap_or_default()
                )
            })
            .concat()
    }

    /// Fails where one of both has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        let engine = self.engine.try_wait()?.map(|status| ("engine", status));
        let control = self
            .control
            .as_mut()
            .map(Child::try_wait)
            .transpose()?
            .flatten();
        if let Some((name, status)) = engine.or(control.map(|status| ("control", status))) {
            bail!("{name} ended: {status}\n{}", self.logs());
        }
        Ok(())
    }

    async fn wait_for_socket(&mut self, socket: &Path) -> Result<()> {
        let start = Instant::now();
        while !socket.exists() {
            if let Some(status) = self.engine.try_wait()? {
                bail!("engine ended: {status}\n{}", self.logs());
            }
            if start.elapsed() > READY_TIMEOUT {
                bail!("no engine socket after {READY_TIMEOUT:?}\n{}", self.logs());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            self.check_alive()?;
            let answer = self
                .api
                .request(reqwest::Method::GET, "/readyz", None)
                .await;
            if answer.is_ok_and(|(status, _)| status.is_success()) {
                return Ok(());
            }
            if start.elapsed() > READY_TIMEOUT {
                bail!("not ready after {READY_TIMEOUT:?}\n{}", self.logs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let was_alive = self.check_alive();
        for child in self.control.iter_mut().chain([&mut self.engine]) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            match was_alive {
                Ok(()) => eprintln!("{}", self.logs()),
                Err(error) => eprintln!("{error:#}"),
            }
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Resident memory of a process in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line
        .trim()
        .trim_end_matches(" kB")
        .trim()
        .parse()
        .context("VmRSS")?;
    Ok(kib * 1024)
}

/// A range of ports no other test of this host uses, as long as this lives.
struct PortSlot {
    first_port: u16,
    _lock: File,
}

impl PortSlot {
    fn take() -> Result<Self> {
        for slot in 0..SLOTS {
            let path = std::env::temp_dir().join(format!("weirgate-test-ports-{slot}.lock"));
            let file = File::options().create(true).append(true).open(&path)?;
            let first_port = FIRST_PORT + slot * PORTS_PER_SLOT;
            let is_free = file.try_lock().is_ok()
                // Others than tests may use the ports as well.
                && std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, first_port)).is_ok()
                && std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, first_port + 1)).is_ok();
            if is_free {
                return Ok(Self {
                    first_port,
                    _lock: file,
                });
            }
        }
        bail!("all {SLOTS} port ranges for tests are taken")
    }
}

/// A program of this workspace: in `WEIRGATE_BIN_DIR`, else beside this one.
fn program(name: &str) -> Result<Command> {
    let folder = match std::env::var_os("WEIRGATE_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let own = std::env::current_exe()?;
            // Tests are in `deps` of the folder the programs are in.
            let folder = own.parent().context("program without folder")?;
            let is_deps = folder.file_name().is_some_and(|name| name == "deps");
            if is_deps {
                folder.parent().unwrap_or(folder)
            } else {
                folder
            }
            .to_owned()
        }
    };
    let path = folder.join(name);
    if !path.is_file() {
        bail!(
            "{} is missing: build it with `cargo build -p {name}`",
            path.display()
        );
    }
    // Ends it with the thread that started it, even where that is killed.
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig").arg("KILL").arg("--").arg(path);
    Ok(command)
}

fn spawn(mut command: Command, folder: &Path, name: &str) -> Result<Child> {
    let log = File::create(folder.join(format!("{name}.log")))?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .env_remove("WEIRGATE_API_TOKEN")
        .spawn()
        .with_context(|| format!("can not start {:?}", command.get_program()))
}
