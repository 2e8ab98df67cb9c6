//! Does one piece of work a given number of times, for `benches/instructions` to count the
//! instructions of. Everything that is prepared is the same for every number of turns, so the
//! difference of two runs is the work alone.
//!
//! `weirgate-counted list` prints each work's name, its turns and its unit, with tabs between;
//! `weirgate-counted run NAME TURNS MAX_TURNS` prints the units done.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is for a script"
)]

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use weirgate_benches::work;

fn main() -> ExitCode {
    match obey() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weirgate-counted: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn obey() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => list(),
        ["run", name, turns, max_turns] => run(name, turns.parse()?, max_turns.parse()?)?,
        _ => bail!("usage: weirgate-counted list | run NAME TURNS MAX_TURNS"),
    }
    Ok(())
}

fn list() {
    for entry in work::all() {
        println!("{}\t{}\t{}", entry.name, entry.turns, entry.unit);
    }
}

fn run(name: &str, turns: usize, max_turns: usize) -> Result<()> {
    ensure!(turns <= max_turns, "more turns than the most");
    let entries = work::all();
    let entry = entries.iter().find(|entry| entry.name == name);
    let mut work = (entry.with_context(|| format!("no work {name}"))?.make)();
    work.prepare(max_turns);
    println!("{}", work.run(turns));
    Ok(())
}
