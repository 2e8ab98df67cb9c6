//! Starting an engine where none runs.

use std::{
    ffi::OsString,
    io,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::{ConnectError, Connection, LAUNCHER_ARGUMENT};
use crate::settings::{self, Settings};

/// How long a new engine may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// This program, also where its file was replaced meanwhile.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Why no engine could be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program is missing or cannot be run.
    #[error(
        "cannot start the engine {}: {error}; build it or name it with --engine-bin",
        path.display()
    )]
    Program {
        /// What was to be started.
        path: PathBuf,
        /// Why it was not.
        error: io::Error,
    },
    /// The socket's folder cannot be made or written to.
    #[error(
        "cannot use the folder {} for the engine's socket: {error}; \
         name another with --engine-socket",
        path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// It ended right away; it has said why on its own.
    #[error("the engine ended at once ({0}); its message above says why")]
    Ended(ExitStatus),
    /// It runs and does not listen.
    #[error("the engine does not listen on {} after 5 s", .0.display())]
    NotListening(PathBuf),
    /// It listens and the connection failed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl LaunchError {
    /// A setting is at fault: as it stands, no try can end otherwise.
    pub fn is_a_setting(&self) -> bool {
        match self {
            Self::Program { .. } | Self::Folder { .. } => true,
            // The engine's own code for a bad setting.
            Self::Ended(status) => status.code() == Some(2),
            Self::NotListening(_) | Self::Connect(_) => false,
        }
    }
}

/// How to start the engine.
#[derive(Debug, Clone)]
pub struct EngineCommand {
    program: PathBuf,
    socket: PathBuf,
    arguments: Vec<OsString>,
}

impl EngineCommand {
    /// With the flags that the settings hold for the engine.
    pub fn new(settings: &Settings) -> Self {
        let mut arguments: Vec<OsString> = vec!["--socket".into()];
        arguments.push(settings.engine_socket.clone().into());
        let mut flag = |name: &str, value: String| {
            arguments.push(name.into());
            arguments.push(value.into());
        };
        for address in &settings.media_listen {
            flag("--media-listen", address.to_string());
        }
        let (first, last) = settings.plain_ports;
        flag("--plain-ports", format!("{first}-{last}"));
        if let Some(cores) = &settings.cores {
            flag("--cores", cores.clone());
        }
        if let Some(micros) = settings.coalesce_max {
            flag("--coalesce-max", micros.to_string());
        }
        flag("--io", settings.io.name().to_owned());
        if settings.busy_poll > 0 {
            flag("--busy-poll", settings.busy_poll.to_string());
        }
        flag("--log-format", settings.log_format.name().to_owned());
        Self {
            program: settings.engine_bin.clone(),
            socket: settings.engine_socket.clone(),
            arguments,
        }
    }

    /// Connects to the engine, starting one where none runs. The child is given where this call
    /// started it.
    ///
    /// # Errors
    /// [`LaunchError`], one line that says what to do.
    pub async fn connect(&self) -> Result<(Connection, Option<Child>), LaunchError> {
        match Connection::open(&self.socket).await {
            Ok(connection) => return Ok((connection, None)),
            Err(ConnectError::NoEngine) => {}
            Err(error) => return Err(error.into()),
        }
        prepare_folder(&self.socket)?;
        let mut starting = Starting(Some(self.spawn()?));
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match Connection::open(&self.socket).await {
                // Somebody else's engine may have been faster; ours ends by itself then.
                Ok(connection) => return Ok((connection, starting.0.take())),
                Err(ConnectError::NoEngine) => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(status) = starting.ended() {
                return match Connection::open(&self.socket).await {
                    Ok(connection) => Ok((connection, None)),
                    Err(_) => Err(LaunchError::Ended(status)),
                };
            }
            if Instant::now() >= deadline {
                return Err(LaunchError::NotListening(self.socket.clone()));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn spawn(&self) -> Result<Child, LaunchError> {
        let failed = |error| LaunchError::Program {
            path: self.program.clone(),
            error,
        };
        // Told here, since the launcher could only tell by its exit code.
        if self.program.components().count() > 1 {
            std::fs::metadata(&self.program).map_err(failed)?;
        }
        let mut command = Command::new(OWN_PROGRAM);
        // What was set for us goes to the engine by flags. Read once more by the engine, our file
        // would have unknown keys.
        for name in settings::variables() {
            command.env_remove(name);
        }
        // The engine inherits standard error as it is: a pipe through us would break with us.
        command
            .arg(LAUNCHER_ARGUMENT)
            .arg(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .spawn()
            .map_err(failed)
    }
}

/// An engine that does not listen yet, and is of no use to anyone who gives up on it.
struct Starting(Option<Child>);

impl Starting {
    fn ended(&mut self) -> Option<ExitStatus> {
        self.0.as_mut()?.try_wait().ok()?
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // One that has ended already is no error.
            let _ = child.start_kill();
        }
    }
}

/// Makes this process the leader of a new session and then the program named first in
/// `arguments`, so that a signal to our group or terminal does not reach it. Returns only on error.
pub fn run_engine_in_own_session(mut arguments: impl Iterator<Item = OsString>) -> LaunchError {
    let path = PathBuf::from(arguments.next().unwrap_or_default());
    // Fails only where we lead a group already, which a freshly started child never does.
    let _ = rustix::process::setsid();
    let error = std::process::Command::new(&path).args(arguments).exec();
    LaunchError::Program { path, error }
}

/// Makes the socket's folder, for our user only, and checks that files can be made in it.
///
/// # Errors
/// [`LaunchError::Folder`].
pub fn prepare_folder(socket: &Path) -> Result<PathBuf, LaunchError> {
    let path = match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let failed = |error| LaunchError::Folder {
        path: path.clone(),
        error,
    };
    if !path.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(failed)?;
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(&path, access).map_err(|error| failed(error.into()))?;
    Ok(path)
}
