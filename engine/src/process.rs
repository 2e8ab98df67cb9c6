//! What the engine asks of the operating system for itself.

use std::io;
use std::panic;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use weirgate_io::Duty;

/// Exit code after a panic: control starts a new engine.
const PANIC_EXIT_CODE: i32 = 70;

/// Leaves control's session and makes room for sockets. Called before any other thread runs.
pub(crate) fn settle() {
    // Fails for a leader of a process group, such as a command typed into a shell: that one is to
    // hear of the terminal's signals.
    let _ = rustix::process::setsid();
    // Nobody but our user has business with the files the engine makes.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Every plain transport has a socket. Where it can not be raised, the old limit holds.
    let _ = rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}

/// The CPUs this process may run on, in order.
pub(crate) fn usable_cores() -> Vec<u16> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else {
        return vec![0];
    };
    (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .filter_map(|core| u16::try_from(core).ok())
        .collect()
}

/// Makes the calling thread give up rights that only the start takes.
pub(crate) fn give_up_rights(duty: Duty) {
    if let Err(error) = weirgate_io::give_up_rights(duty) {
        tracing::warn!(%error, "rights that are not needed any more can not be given up");
    }
}

/// Calls `end` on SIGTERM and SIGINT; a second one ends the process at once.
pub(crate) fn on_termination(end: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            give_up_rights(Duty::None);
            let mut signals = signals.forever();
            if let Some(signal) = signals.next() {
                tracing::info!(signal, "asked to end");
                end();
            }
            if let Some(signal) = signals.next() {
                std::process::exit(128 + signal);
            }
        })?;
    Ok(())
}

/// A panic of any thread ends the process: what is left of it can not be trusted to forward, and
/// control starts a new one.
pub(crate) fn end_on_panic(flush_log: impl Fn() + Send + Sync + 'static) {
    panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string);
        tracing::error!(
            thread = thread.name().unwrap_or("unnamed"),
            place = place.as_deref().unwrap_or("unknown"),
            what = panic.payload_as_str().unwrap_or("no message"),
            "panic: the engine ends"
        );
        flush_log();
        std::process::exit(PANIC_EXIT_CODE);
    }));
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::config::LogFormat;
    use crate::log;

    const PANIC_WANTED: &str = "WEIRGATE_TEST_PANIC";

    /// Only does something for the test below, which runs it in a process of its own.
    #[test]
    fn a_thread_panics() {
        if std::env::var_os(PANIC_WANTED).is_none() {
            return;
        }
        let log = log::start(LogFormat::Text).unwrap();
        end_on_panic(log.flusher());
        let shard = std::thread::Builder::new().name("shard-7".to_owned());
        let shard = shard.spawn(|| panic!("the weir broke")).unwrap();
        let _ = shard.join();
        unreachable!("the process has ended");
    }

    #[test]
    fn a_panic_of_any_thread_ends_the_process_with_a_line_that_says_where() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::tests::a_thread_panics"])
            .arg("--nocapture")
            .env(PANIC_WANTED, "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(PANIC_EXIT_CODE), "{stderr}");
        for part in ["shard-7", "the weir broke", "process.rs"] {
            assert!(stderr.contains(part), "{stderr}");
        }
    }
}
