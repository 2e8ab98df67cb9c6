//! What the machine itself can do: pre-sealed packets to the same kind of sockets the engine has, at
//! the same pace, to a receiver in a process of its own, and the CPU time both take per packet.
//! With the time of a bare seal at that pace added, this is what the engine's figures are compared with.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints its figures"
)]

mod args;
mod cpu;
mod link;
mod measure;
mod receiver;
mod report;
mod seal;
mod sender;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use args::Args;
use measure::Sample;
use receiver::ReceiverProcess;
use report::{Report, SealReport, SendReport};
use seal::SealSample;

fn main() -> ExitCode {
    match obey(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weirgate-floor: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn obey(args: &Args) -> Result<()> {
    if let Some(sockets) = args.receive {
        return receiver::run(sockets, args.link, args.receiver_core()?);
    }
    args.check()?;
    let report = run(args)?;
    match args.json.as_deref() {
        Some("-") => println!("{}", serde_json::to_string_pretty(&report)?),
        Some(path) => {
            fs::write(path, serde_json::to_string_pretty(&report)?)
                .with_context(|| format!("writing {path}"))?;
            report.print();
        }
        None => report.print(),
    }
    Ok(())
}

/// All measurements in turns, so that a neighbour on the machine hits all alike.
fn run(args: &Args) -> Result<Report> {
    let mut receiver = args.link.make(|| ReceiverProcess::start(args))?;
    // After the receiver: it must not inherit the sender's place.
    cpu::pin(args.sender_core()?)?;
    let cases: Vec<_> = args
        .trains
        .iter()
        .flat_map(|&train| args.via.iter().map(move |&via| (via, train)))
        .collect();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); cases.len()];
    let mut seals: Vec<Vec<SealSample>> = vec![Vec::new(); args.suites.len()];
    for round in 0..args.rounds {
        for turn in 0..cases.len() {
            let index = if round % 2 == 0 {
                turn
            } else {
                cases.len() - 1 - turn
            };
            let (via, train) = cases[index];
            samples[index].push(measure::measure(args, via, train, &mut receiver)?);
        }
        for (seals, suite) in seals.iter_mut().zip(&args.suites) {
            seals.push(seal::measure(args, suite.0)?);
        }
    }
    let sends = cases.into_iter().zip(samples);
    Ok(Report::new(
        args,
        sends
            .map(|((via, train), samples)| SendReport::new(via, train, args, samples))
            .collect(),
        args.suites
            .iter()
            .zip(seals)
            .map(|(suite, rounds)| SealReport::new(suite.0, &rounds))
            .collect(),
    ))
}
