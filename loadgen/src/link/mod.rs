//! A network link in user space: two TUN devices in two network namespaces, and rate, delay, queue
//! and loss between them. For hosts whose kernel has no netem, and for tests that need the same
//! harm again.
//!
//! [`Direction`] is the link proper, without I/O and without a clock. [`Driver`] moves packets
//! between it and the devices, which [`Hosts`] sets up.

mod args;
mod direction;
mod driver;
mod fate;
mod figures;
mod hosts;
mod plan;
mod settings;

pub use args::LinkArgs;
pub use direction::Direction;
pub use driver::{Driver, DriverOptions, Event};
pub use figures::{Counts, Figures};
pub use hosts::{Address, End, EndConfig, Hosts};
pub use plan::{Both, Plan, Step};
pub use settings::{Bursts, Change, Reorder, Settings};

mod show;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use show::Show;

/// Runs a link until Ctrl-C, TERM or the duration asked for, and prints what it did.
///
/// `json`: file for the last figures; `quiet`: no figures while it runs.
pub async fn run(args: &LinkArgs, json: Option<&Path>, quiet: bool) -> Result<()> {
    let (plan, options) = (args.plan()?, args.options()?);
    // Before anything is set up, so that nothing stays however soon one comes.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let (near, far) = args.ends();
    let (hosts, devices) = Hosts::set_up(&near, &far, args.create, args.mtu)?;
    let (driver, mut events) = Driver::start(plan, options, devices)?;
    let show = Show::new(args.json_lines, quiet);
    show.ready(&hosts);
    let end = tokio::time::sleep(args.duration.unwrap_or(Duration::MAX));
    tokio::pin!(end);
    let mut changes = read_changes(args.commands);
    loop {
        tokio::select! {
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
            () = &mut end => break,
            Some(change) = changes.recv() => driver.change(change),
            event = events.recv() => match event {
                Some(event) => show.event(&event),
                // Its thread has ended, and `stop` says why.
                None => break,
            },
        }
    }
    let dropped = [&hosts.far, &hosts.near].map(End::kernel_dropped);
    let mut figures = driver.stop()?;
    for (figures, dropped) in figures.iter_mut().zip(dropped) {
        figures.kernel_dropped = dropped;
    }
    show.end(&figures);
    if let Some(path) = json {
        std::fs::write(path, show::both_as_json(&figures).to_string())
            .with_context(|| format!("can not write {}", path.display()))?;
    }
    Ok(())
}

/// Changes from the lines of standard input, where that is asked for.
fn read_changes(wanted: bool) -> UnboundedReceiver<Both> {
    let (changes, received) = unbounded_channel();
    if wanted {
        // A thread of its own: the program may end while it waits for a line.
        std::thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                match line.parse() {
                    Ok(change) => {
                        if changes.send(change).is_err() {
                            return;
                        }
                    }
                    Err(error) => eprintln!("weirgate-loadgen: {line}: {error:#}"),
                }
            }
        });
    }
    received
}
