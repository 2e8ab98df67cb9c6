//! `weirgate-loadgen`: plays a scenario against a server and says what came of it.

mod args;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use weirgate_loadgen::capacity::{self, Capacity, CapacityArgs, Trial};
use weirgate_loadgen::outcome::{Outcome, Verdict};
use weirgate_loadgen::scenario::Interrupt;
use weirgate_loadgen::{link, report, verdict};

use args::{Args, Command, Play};

/// A bound was broken, or the server did wrong.
const EXIT_FAILED: u8 = 1;
/// Nothing could be measured.
const EXIT_NOT_RUN: u8 = 2;
/// This program was itself the bottleneck, and no bound was broken.
const EXIT_INCONCLUSIVE: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.command {
        Command::Play(asked) if args.capacity.find_capacity => find(&args, asked).await,
        Command::Play(asked) => play(&args, asked).await,
        Command::Link(link) => link::run(link, args.json.as_deref(), args.quiet)
            .await
            .map(|()| Verdict::Passed),
    };
    match result {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::from(EXIT_FAILED),
        Ok(Verdict::Inconclusive) => ExitCode::from(EXIT_INCONCLUSIVE),
        Err(error) => {
            eprintln!("weirgate-loadgen: {error:#}");
            ExitCode::from(EXIT_NOT_RUN)
        }
    }
}

/// One run.
async fn play(args: &Args, asked: &Play) -> Result<Verdict> {
    let api = args.api()?;
    let scenario = asked.scenario(&args.pids)?;
    let interrupt = interrupt_on_ctrl_c()?;
    let progress = report::progress(args.quiet);
    let mut outcome = scenario.run(&api, &interrupt, &*progress).await?;
    drop(progress);
    outcome.bounds = args.bounds();
    verdict::judge(&mut outcome);
    write_json(args, &outcome)?;
    write_report(args, || report::run_html(&outcome))?;
    print(args, || report::run_text(&outcome));
    // A broken bound is told whoever broke it.
    if !outcome.failures.is_empty() {
        return Ok(Verdict::Failed);
    }
    Ok(outcome.verdict)
}

/// Runs until the server's capacity is known.
async fn find(args: &Args, asked: &Play) -> Result<Verdict> {
    let api = args.api()?;
    let scenario = asked.scenario(&args.pids)?;
    ensure!(
        scenario.load.is_none(),
        "--load: a search for a capacity has loads of its own"
    );
    let interrupt = interrupt_on_ctrl_c()?;
    let progress = report::progress(args.quiet);
    let settings = args.capacity.settings(scenario.duration)?;
    let bounds = CapacityArgs::bounds(args.bounds());
    let unit = scenario.cast.load_unit();
    let run = async |trial: Trial| -> Result<Outcome> {
        let scenario = args::at_load(&scenario, trial)?;
        let mut outcome = scenario.run(&api, &interrupt, &*progress).await?;
        outcome.bounds = bounds;
        verdict::judge(&mut outcome);
        Ok(outcome)
    };
    let found: Capacity = capacity::search(settings, unit, run, |trial| {
        progress.line(&report::trial_line(trial, unit));
    })
    .await?;
    drop(progress);
    write_json(args, &found)?;
    write_report(args, || report::capacity_html(&found))?;
    print(args, || report::capacity_text(&found));
    Ok(found.verdict())
}

/// The table gives way to JSON on standard output.
fn print(args: &Args, text: impl FnOnce() -> String) {
    if !args.json_to_stdout() {
        print!("{}", text());
    }
}

fn write_json(args: &Args, figures: &impl Serialize) -> Result<()> {
    let Some(path) = &args.json else {
        return Ok(());
    };
    let text = report::json(figures)?;
    if args.json_to_stdout() {
        print!("{text}");
        return Ok(());
    }
    write(path, &text)
}

fn write_report(args: &Args, html: impl FnOnce() -> Result<String>) -> Result<()> {
    match &args.report {
        Some(path) => write(path, &html()?),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("can not write {}", path.display()))
}

/// The first Ctrl-C or SIGTERM ends the run with its figures, the second ends the program.
fn interrupt_on_ctrl_c() -> Result<Interrupt> {
    let interrupt = Interrupt::default();
    let asked = interrupt.clone();
    let mut terminate = signal(SignalKind::terminate()).context("no signal handler")?;
    let mut ctrl_c = signal(SignalKind::interrupt()).context("no signal handler")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = ctrl_c.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked.is_set() {
                std::process::exit(130);
            }
            asked.set();
        }
    });
    Ok(interrupt)
}
