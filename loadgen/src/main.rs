//! `weirgate-loadgen`: plays a scenario against a server and says what came of it.

mod args;
mod progress;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use weirgate_loadgen::api::Api;
use weirgate_loadgen::link;
use weirgate_loadgen::outcome::Verdict;
use weirgate_loadgen::scenario::{Interrupt, Progress, Silent};
use weirgate_loadgen::verdict;

use args::{Args, Command, Scenario};
use progress::Bar;

/// A bound was broken, or the server did wrong.
const EXIT_FAILED: u8 = 1;
/// Nothing could be measured.
const EXIT_NOT_RUN: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.command {
        Command::Scenario(scenario) => play(&args, scenario).await,
        Command::Link(link) => link::run(link, args.json.as_deref(), args.quiet)
            .await
            .map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            eprintln!("weirgate-loadgen: {error:#}");
            ExitCode::from(EXIT_NOT_RUN)
        }
    }
}

async fn play(args: &Args, scenario: &Scenario) -> Result<bool> {
    let api = Api::new(&args.server, args.token.clone())?;
    let interrupt = interrupt_on_ctrl_c();
    let bar;
    let progress: &dyn Progress = if args.quiet {
        &Silent
    } else {
        bar = Bar::new();
        &bar
    };
    let mut outcome = match scenario {
        Scenario::Livestream(livestream) => {
            livestream
                .scenario()?
                .run(&api, &interrupt, progress)
                .await?
        }
    };
    outcome.bounds = args.bounds();
    verdict::judge(&mut outcome);
    let text = serde_json::to_string_pretty(&outcome)?;
    match &args.json {
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("can not write {}", path.display()))?,
        None => println!("{text}"),
    }
    for failure in &outcome.failures {
        eprintln!("FAILED: {failure}");
    }
    if outcome.verdict == Verdict::Inconclusive {
        for reason in &outcome.inconclusive {
            eprintln!("INCONCLUSIVE: {reason}");
        }
    }
    Ok(outcome.failures.is_empty())
}

/// The first Ctrl-C ends the run with its figures, the second ends the program.
fn interrupt_on_ctrl_c() -> Interrupt {
    let interrupt = Interrupt::default();
    let asked = interrupt.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if asked.is_set() {
                std::process::exit(130);
            }
            asked.set();
        }
    });
    interrupt
}
