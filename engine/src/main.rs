//! `weirgate-engine`: the data plane of Weirgate. Pinned shards forward media; control drives them
//! over a Unix socket and may come and go while media goes on.

mod clock;
mod config;
mod control_socket;
mod crossing_net;
mod engine;
mod hub;
mod lock;
mod log;
mod placement;
mod process;
mod shard_thread;

use std::io::Write;
use std::process::ExitCode;

use engine::RunError;

/// Exit code for a setting that has to be changed, as for one that can not be read.
const BAD_SETTING: u8 = 2;

fn main() -> ExitCode {
    let usable_cores = process::usable_cores();
    let config = config::read(
        std::env::args_os(),
        |name| std::env::var_os(name),
        &usable_cores,
    );
    let config = match config {
        Ok(config) => config,
        Err(failure) => return ExitCode::from(failure.report()),
    };
    process::settle();
    let log = match log::start(config.log_format) {
        Ok(log) => log,
        Err(error) => return fail(&format!("no thread for the log: {error}"), 1),
    };
    process::end_on_panic(log.flusher());
    let outcome = engine::run(&config);
    log.flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Setting(why)) => fail(&why, BAD_SETTING),
        Err(RunError::Other(why)) => fail(&why, 1),
    }
}

/// One line on stderr, for people whatever the log's format.
fn fail(why: &str, code: u8) -> ExitCode {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "weirgate-engine: {why}");
    ExitCode::from(code)
}
