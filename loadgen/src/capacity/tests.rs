//! Searches with runs that are made up.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::bail;

use super::*;
use crate::report::samples;

fn settings() -> SearchSettings {
    SearchSettings::new(Duration::from_secs(9))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

#[test]
fn what_is_found_is_measured_at_parts_of_it() {
    let capacity = samples::found(47, u64::MAX);
    let Found {
        clean, exceeded, ..
    } = capacity.found;
    assert_eq!((clean, exceeded), (Some(46), Some(48)));
    let levels: Vec<(u32, u64)> = capacity
        .levels
        .iter()
        .map(|level| (level.percent, level.load))
        .collect();
    assert_eq!(levels, [(10, 5), (50, 23), (90, 42)]);
    let rate = capacity.packets_per_second.unwrap();
    assert!((rate / (46.0 * 200.0) - 1.0).abs() < 0.05, "{rate}");
    assert_eq!(capacity.derived, None);
}

#[test]
fn where_the_generator_sets_the_limit_more_is_derived_from_cpu_time() {
    let capacity = samples::found(u64::MAX, 47);
    assert_eq!(capacity.found.limit, Limit::Generator);
    let derived = capacity.derived.unwrap();
    assert_eq!(derived.cpu_us_per_packet, 3.0);
    assert_eq!(derived.packets_per_second, derived.cores as f64 * 1e6 / 3.0);
}

#[test]
fn a_server_that_takes_nobody_has_no_capacity() {
    let capacity = samples::found(0, u64::MAX);
    assert_eq!(capacity.found.clean, None);
    assert_eq!(capacity.packets_per_second, None);
    assert!(capacity.levels.is_empty());
    assert!(capacity.stopped.is_none());
}

#[test]
fn a_run_that_the_generator_spoiled_does_not_blame_the_server() {
    let mut outcome = samples::lossy(10, 3);
    outcome.own.socket_drops = 1;
    crate::verdict::judge(&mut outcome);
    assert!(!outcome.failures.is_empty());
    assert_eq!(judge(&outcome).0, Judgement::GeneratorBound);
}

#[test]
fn a_first_trial_that_can_not_run_is_an_error() {
    let run = async |_: Trial| bail!("connection refused");
    let error = block_on(search(settings(), "receivers", run, |_| {})).unwrap_err();
    assert_eq!(error.to_string(), "connection refused");
}

#[test]
fn a_server_that_fails_under_a_load_has_had_too_much_of_it() {
    let run = async |trial: Trial| {
        let mut outcome = samples::clean(trial.load, 3);
        if trial.load > 12 {
            outcome.ending = Ending::ServerFailed("it went quiet".to_owned());
        }
        crate::verdict::judge(&mut outcome);
        Ok(outcome)
    };
    let heard = RefCell::new(Vec::new());
    let capacity = block_on(search(settings(), "receivers", run, |trial| {
        heard.borrow_mut().push(trial.load);
    }));
    let capacity = capacity.unwrap();
    assert_eq!(capacity.found.clean, Some(12));
    assert_eq!(capacity.found.limit, Limit::Server);
    assert_eq!(capacity.trials[1].why, ["the server failed: it went quiet"]);
    assert_eq!(heard.into_inner().len(), capacity.trials.len());
    assert_eq!(capacity.levels.len(), LEVELS.len());
}

#[test]
fn ctrl_c_ends_the_search_with_what_was_found() {
    let run = async |trial: Trial| {
        let mut outcome = samples::clean(trial.load, 3);
        if trial.load > 30 {
            outcome.ending = Ending::Interrupted;
        }
        Ok(outcome)
    };
    let capacity = block_on(search(settings(), "receivers", run, |_| {})).unwrap();
    assert_eq!(capacity.found.clean, Some(20));
    assert_eq!(capacity.found.limit, Limit::Unfinished);
    assert_eq!(capacity.stopped.unwrap(), "at 40 receivers: interrupted");
    assert!(capacity.levels.is_empty());
}

#[test]
fn a_server_that_is_gone_ends_the_search_too() {
    let run = async |trial: Trial| {
        if trial.load > 30 {
            bail!("connection refused");
        }
        Ok(samples::clean(trial.load, 3))
    };
    let capacity = block_on(search(settings(), "receivers", run, |_| {})).unwrap();
    assert_eq!(capacity.found.clean, Some(20));
    let why = capacity.stopped.unwrap();
    assert_eq!(why, "at 40 receivers: connection refused");
}
