//! Two network namespaces joined by a veth pair, for one test thread, gone with it.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::time::Duration;

use weirgate_io::bind_plain;

/// Long enough for any machine; only waited for where a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Addresses at the back end's end, and at the peers'.
pub(crate) const HERE: [&str; 2] = ["10.71.0.1", "fd71::1"];
pub(crate) const THERE: [&str; 2] = ["10.71.0.2", "fd71::2"];

/// The two namespaces. The thread is in that of the back end.
pub(crate) struct Namespaces {
    here: File,
    there: File,
}

impl Namespaces {
    /// Makes them with interfaces of so many queues: `wa` here, `wb` there. `None`, with the reason
    /// printed, where this may not make any.
    pub(crate) fn new(queues: u32) -> Option<Self> {
        if let Err(error) = xdp_socket() {
            println!("skipped: no AF_XDP sockets: {error}");
            return None;
        }
        let there = match unshared() {
            Ok(there) => there,
            Err(error) => {
                println!("skipped: no network namespaces: {error}");
                return None;
            }
        };
        run("ip link set lo up");
        let here = unshared().unwrap();
        run("ip link set lo up");
        let path = format!("/proc/{}/fd/{}", std::process::id(), there.as_raw_fd());
        let many = format!("numrxqueues {queues} numtxqueues {queues}");
        run(&format!(
            "ip link add wa {many} type veth peer name wb {many}"
        ));
        run(&format!("ip link set wb netns {path}"));
        let namespaces = Self { here, there };
        namespaces.up("wa", HERE);
        namespaces.there(|| namespaces.up("wb", THERE));
        Some(namespaces)
    }

    /// Does something among the peers.
    pub(crate) fn there<T>(&self, work: impl FnOnce() -> T) -> T {
        enter(&self.there);
        let done = work();
        enter(&self.here);
        done
    }

    /// A peer with patient, blocking calls.
    pub(crate) fn peer(&self, ip: &str) -> UdpSocket {
        let ip: IpAddr = ip.parse().unwrap();
        let socket = self.there(|| bind_plain(ip, 0)).unwrap();
        set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 0);
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn up(&self, name: &str, addresses: [&str; 2]) {
        let [v4, v6] = addresses;
        run(&format!("ip address add {v4}/24 dev {name}"));
        run(&format!("ip address add {v6}/64 dev {name} nodad"));
        run(&format!("ip link set {name} up"));
    }
}

/// Runs a command where the thread is.
pub(crate) fn run(command: &str) {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
}

/// The next datagram of a peer, and whom it is from.
pub(crate) fn next(peer: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 65_536];
    let (len, from) = peer.recv_from(&mut bytes).expect("a datagram");
    bytes.truncate(len);
    (bytes, from)
}

/// Sets a socket option std does not have.
pub(crate) fn set_option(socket: &impl AsFd, level: i32, name: i32, value: i32) {
    let fd = socket.as_fd().as_raw_fd();
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: reads four bytes from a live integer.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), len) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Whether the kernel has AF_XDP, and lets us.
fn xdp_socket() -> std::io::Result<()> {
    // SAFETY: no pointers; the descriptor is closed at once.
    unsafe {
        let fd = libc::socket(libc::AF_XDP, libc::SOCK_RAW, 0);
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        libc::close(fd);
    }
    Ok(())
}

/// A new namespace, which the thread is in then.
fn unshared() -> std::io::Result<File> {
    // SAFETY: no pointers; only this thread changes its namespace.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => File::open("/proc/thread-self/ns/net"),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn enter(namespace: &File) {
    // SAFETY: no pointers; only this thread changes its namespace.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
