//! What one engine claims for itself: the socket for control, and the media ports.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};

use crate::engine::RunError;

/// The right to listen on a socket's path. The lock file stays at the end, because removing it
/// would let two engines lock two files of one name.
#[derive(Debug)]
pub(crate) struct SocketLock {
    path: PathBuf,
    _lock: File,
}

impl SocketLock {
    /// Locks `path`, making its folder where it is missing. The error is one line that says what
    /// to do: a setting's but where another engine has the socket, which may end.
    pub(crate) fn claim(path: &Path) -> Result<Self, RunError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        prepare_folder(folder).map_err(RunError::Setting)?;
        let mut lock = open_lock(path).map_err(RunError::Setting)?;
        take(&mut lock, path)?;
        // Before anything else is started, so that control does not meet what can not answer.
        remove_stale(path).map_err(RunError::Setting)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Makes the socket. It is there only while the engine can answer.
    pub(crate) fn listen(self) -> Result<EngineSocket, String> {
        let shown = self.path.display();
        let listener = UnixListener::bind(&self.path)
            .map_err(|error| format!("can not listen on {shown}: {error}"))?;
        std::fs::set_permissions(&self.path, Permissions::from_mode(0o600))
            .map_err(|error| format!("can not protect {shown}: {error}"))?;
        Ok(EngineSocket {
            listener,
            lock: self,
        })
    }
}

/// The socket control connects to, removed on drop.
#[derive(Debug)]
pub(crate) struct EngineSocket {
    listener: UnixListener,
    lock: SocketLock,
}

impl EngineSocket {
    /// A handle to accept from.
    pub(crate) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for EngineSocket {
    fn drop(&mut self) {
        // If it is gone already, all is as it should be.
        let _ = std::fs::remove_file(&self.lock.path);
    }
}

/// Makes the folder (0700) where it is missing, and refuses one that others could put a socket
/// of their own into.
fn prepare_folder(folder: &Path) -> Result<(), String> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let shown = folder.display();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| {
            format!("can not make the socket folder {shown}: {error}; choose another by --socket")
        })?;
    let facts = folder
        .metadata()
        .map_err(|error| format!("can not look at the socket folder {shown}: {error}"))?;
    let ours = rustix::process::geteuid().as_raw();
    let open = facts.mode() & WRITABLE_BY_OTHERS != 0 && facts.mode() & STICKY == 0;
    if open || (facts.uid() != ours && facts.uid() != 0) {
        return Err(format!(
            "the socket folder {shown} is not ours alone (owner {}, mode {:o}); \
             choose another by --socket, or make it 0700",
            facts.uid(),
            facts.mode() & 0o7777
        ));
    }
    Ok(())
}

fn open_lock(socket: &Path) -> Result<File, String> {
    let path = lock_path(socket);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| {
            let shown = path.display();
            format!("can not open the lock {shown}: {error}; choose another folder by --socket")
        })
}

fn lock_path(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn take(file: &mut File, socket: &Path) -> Result<(), String> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let pid = holder.trim();
            let pid = if pid.is_empty() { "unknown" } else { pid };
            return Err(format!(
                "another weirgate-engine (pid {pid}) has the socket {}; \
                 stop that one, or choose another by --socket",
                socket.display()
            ));
        }
        Err(TryLockError::Error(error)) => {
            let path = lock_path(socket);
            return Err(format!("can not lock {}: {error}", path.display()));
        }
    }
    // Only for the message above; a lock without a pid in it locks as well.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(())
}

/// Removes the socket of an engine that died; we hold its lock, so nobody listens there.
fn remove_stale(path: &Path) -> Result<(), String> {
    let shown = path.display();
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("can not look at {shown}: {error}")),
        Ok(facts) if facts.file_type().is_socket() => std::fs::remove_file(path)
            .map_err(|error| format!("can not remove the stale socket {shown}: {error}")),
        Ok(_) => Err(format!(
            "{shown} exists and is not a socket; remove it, or choose another path by --socket"
        )),
    }
}

/// The media ports of this engine. SO_REUSEPORT would let a second engine of the same user share
/// the traffic silently; a name in the abstract namespace can be bound once, belongs to the same
/// network namespace as the ports, and goes with the process however it ends.
#[derive(Debug)]
pub(crate) struct MediaPortLocks {
    _names: Vec<UnixListener>,
}

impl MediaPortLocks {
    /// Claims the port of every address. The error is one line that says what to do.
    pub(crate) fn claim(addresses: &[SocketAddr]) -> Result<Self, String> {
        let mut ports: Vec<u16> = addresses.iter().map(SocketAddr::port).collect();
        ports.sort_unstable();
        ports.dedup();
        let names: Result<Vec<_>, String> = ports.into_iter().map(claim_port).collect();
        Ok(Self { _names: names? })
    }
}

fn claim_port(port: u16) -> Result<UnixListener, String> {
    let claimed = UnixAddr::from_abstract_name(format!("weirgate-engine/media/{port}"))
        .and_then(|name| UnixListener::bind_addr(&name));
    claimed.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another weirgate-engine has the media port {port}; \
             stop that one, or choose another by --media-listen"
        ),
        _ => format!("can not claim the media port {port}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting_refused(path: &Path) -> String {
        match SocketLock::claim(path).unwrap_err() {
            RunError::Setting(why) => why,
            RunError::Other(why) => panic!("no setting: {why}"),
        }
    }

    #[test]
    fn a_socket_is_claimed_once_and_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/engine.sock");
        let socket = SocketLock::claim(&path).unwrap().listen().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);

        let RunError::Other(refused) = SocketLock::claim(&path).unwrap_err() else {
            panic!("starting again helps once that one has ended");
        };
        let pid = format!("(pid {})", std::process::id());
        assert!(
            refused.contains(&pid) && refused.contains("--socket"),
            "{refused}"
        );
        drop(socket);
        assert!(!path.exists());
        SocketLock::claim(&path).unwrap();
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(SocketLock::claim(&path).unwrap().listen().unwrap());

        std::fs::write(&path, "precious").unwrap();
        let refused = setting_refused(&path);
        assert!(refused.contains("not a socket"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_folder_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let refused = setting_refused(&folder.path().join("engine.sock"));
        assert!(refused.contains("mode 777"), "{refused}");
    }

    #[test]
    fn a_media_port_is_claimed_once_whatever_the_address() {
        // Claims are by name, so that no port has to be free for this.
        let v4 = SocketAddr::from(([127, 0, 0, 1], 9));
        let both = [v4, SocketAddr::from(([0; 16], 9))];
        let locks = MediaPortLocks::claim(&both).unwrap();
        let refused = MediaPortLocks::claim(&[v4]).unwrap_err();
        assert!(refused.contains("media port 9") && refused.contains("--media-listen"));
        drop(locks);
        MediaPortLocks::claim(&[v4]).unwrap();
    }
}
