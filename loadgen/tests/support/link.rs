//! A running `weirgate-loadgen link` with namespaces of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_weirgate-loadgen");

/// Why there can be no link here, said once; tests return then.
pub fn is_missing() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let is_missing = !is_root || std::fs::File::open("/dev/net/tun").is_err();
    if is_missing {
        eprintln!("SKIPPED: a link needs root and /dev/net/tun");
    }
    is_missing
}

/// Ends with TERM where it is not [`Link::stop`]ped.
pub struct Link {
    child: Child,
    lines: BufReader<ChildStdout>,
    pub ready: Value,
    pub namespace: String,
    /// On the near end, which is this network namespace.
    pub near: Ipv4Addr,
    pub far: Ipv4Addr,
}

impl Link {
    /// Starts one between here and a new namespace.
    pub fn start(flags: &[&str]) -> Self {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id() as u16;
        let [high, low] = (process.wrapping_mul(61).wrapping_add(number)).to_be_bytes();
        let (near, far) = (
            Ipv4Addr::new(10, 215, high, (low & 63) * 4 + 1),
            Ipv4Addr::new(10, 215, high, (low & 63) * 4 + 2),
        );
        let namespace = format!("weirgate-{process}-{number}");
        let mut child = Command::new(PROGRAM)
            .args(["link", "--create", "--json-lines", "--far", &namespace])
            .args(["--near-address", &format!("{near}/30")])
            .args(["--far-address", &format!("{far}/30")])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let ready = next(&mut lines).expect("the link did not start");
        assert_eq!(ready["event"], "ready", "{ready}");
        Self {
            child,
            lines,
            ready,
            namespace,
            near,
            far,
        }
    }

    /// A program that is to run on the far end.
    pub fn on_far_end(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    /// A line for one started with `--commands`.
    pub fn command(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
    }

    /// The next event of that name.
    pub fn event(&mut self, name: &str) -> Value {
        loop {
            let event = next(&mut self.lines).unwrap_or_else(|| panic!("no event {name}"));
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Ends it as Ctrl-C does; gives its last figures.
    pub fn stop(mut self) -> Value {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let end = self.event("end");
        assert!(self.child.wait().unwrap().success());
        end
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

fn next(lines: &mut BufReader<ChildStdout>) -> Option<Value> {
    let mut line = String::new();
    let len = lines.read_line(&mut line).unwrap();
    (len > 0).then(|| serde_json::from_str(&line).unwrap())
}

/// Standard output of a command that must succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{said}");
    text
}
