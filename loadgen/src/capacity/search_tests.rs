//! The search against simulated servers whose capacity is known.

use std::time::Duration;

use super::*;

/// A server, and the generator that loads it.
struct Simulated {
    /// The highest load it carries.
    capacity: u64,
    /// The highest load the generator can make.
    generator: u64,
    /// Every so many-th trial fails for no reason of either; 0 for none.
    hiccup_every: u32,
    trials: Vec<(Trial, Judgement)>,
}

impl Simulated {
    fn new(capacity: u64) -> Self {
        Self {
            capacity,
            generator: u64::MAX,
            hiccup_every: 0,
            trials: Vec::new(),
        }
    }

    fn judge(&mut self, trial: Trial) -> Judgement {
        let number = self.trials.len() as u32 + 1;
        let has_hiccup = self.hiccup_every > 0 && number.is_multiple_of(self.hiccup_every);
        let judgement = if trial.load > self.generator {
            Judgement::GeneratorBound
        } else if trial.load > self.capacity || has_hiccup {
            Judgement::Exceeded
        } else {
            Judgement::Clean
        };
        self.trials.push((trial, judgement));
        judgement
    }

    fn search(&mut self, settings: SearchSettings) -> Found {
        let mut search = Search::new(settings);
        for _ in 0..200 {
            match search.next() {
                Step::Done(found) => return found,
                Step::Try(trial) => {
                    assert!((1..=settings.max).contains(&trial.load), "{trial:?}");
                    let judgement = self.judge(trial);
                    search.judge(&trial, judgement);
                }
            }
        }
        panic!("no end after 200 trials");
    }
}

fn settings() -> SearchSettings {
    SearchSettings::new(Duration::from_secs(10))
}

#[test]
fn every_capacity_is_found_to_the_precision_asked() {
    for capacity in (1..300).chain([999, 1_000, 12_345, 99_998]) {
        let mut server = Simulated::new(capacity);
        let found = server.search(settings());
        assert_eq!(found.limit, Limit::Server);
        let (clean, exceeded) = (found.clean.unwrap(), found.exceeded.unwrap());
        assert!(
            clean <= capacity && capacity < exceeded,
            "{capacity}: {found:?}"
        );
        let width = exceeded - clean;
        assert!(
            width <= 1 || width as f64 <= 0.05 * exceeded as f64,
            "{found:?}"
        );
        assert!(
            server.trials.len() <= 40,
            "{capacity}: {}",
            server.trials.len()
        );
    }
}

#[test]
fn the_load_found_was_clean_in_most_of_its_full_trials() {
    let mut server = Simulated::new(480);
    let clean = server.search(settings()).clean.unwrap();
    let full = |&&(trial, judgement): &&(Trial, Judgement)| {
        trial.load == clean && trial.is_full && judgement == Judgement::Clean
    };
    assert_eq!(server.trials.iter().filter(full).count(), 2);
}

#[test]
fn a_hiccup_now_and_then_does_not_change_what_is_found() {
    for hiccup_every in 3..12 {
        for capacity in [7, 45, 480, 3_000] {
            let mut noisy = Simulated::new(capacity);
            noisy.hiccup_every = hiccup_every;
            let found = noisy.search(settings());
            assert_eq!(found, Simulated::new(capacity).search(settings()));
        }
    }
}

#[test]
fn a_single_unclean_trial_is_repeated() {
    let mut search = Search::new(settings());
    let Step::Try(trial) = search.next() else {
        panic!("nothing tried");
    };
    search.judge(&trial, Judgement::Exceeded);
    let Step::Try(again) = search.next() else {
        panic!("given up after one trial");
    };
    assert_eq!((again.load, again.is_full), (trial.load, true));
}

#[test]
fn where_the_generator_is_the_bottleneck_it_is_named() {
    let mut server = Simulated::new(5_000);
    server.generator = 700;
    let found = server.search(settings());
    assert_eq!(found.limit, Limit::Generator);
    let clean = found.clean.unwrap();
    assert!((665..=700).contains(&clean), "{clean}");
}

#[test]
fn a_server_that_refuses_from_the_start_has_no_capacity() {
    let mut server = Simulated::new(0);
    let found = server.search(settings());
    assert_eq!((found.clean, found.limit), (None, Limit::Server));
    assert!(server.trials.len() <= 12, "{}", server.trials.len());
}

#[test]
fn a_server_that_carries_all_that_is_allowed_ends_the_search() {
    let mut server = Simulated::new(u64::MAX);
    let settings = SearchSettings {
        max: 50,
        ..settings()
    };
    let found = server.search(settings);
    assert_eq!((found.clean, found.limit), (Some(50), Limit::Max));
}

#[test]
fn a_capacity_below_the_first_load_is_found_too() {
    let mut server = Simulated::new(3);
    let found = server.search(settings());
    assert_eq!((found.clean, found.exceeded), (Some(3), Some(4)));
}

#[test]
fn trials_that_all_differ_do_not_make_a_load_clean() {
    let mut search = Search::new(SearchSettings {
        start: 1,
        ..settings()
    });
    let full = |load| Trial {
        load,
        duration: Duration::from_secs(10),
        is_full: true,
    };
    for judgement in [
        Judgement::Clean,
        Judgement::Exceeded,
        Judgement::GeneratorBound,
    ] {
        search.judge(&full(1), judgement);
    }
    let Step::Done(found) = search.next() else {
        panic!("goes on");
    };
    assert_eq!((found.clean, found.limit), (None, Limit::Generator));
}

#[test]
fn a_short_trial_that_was_luck_is_found_out() {
    let mut search = Search::new(settings());
    let mut tried = Vec::new();
    let found = loop {
        match search.next() {
            Step::Done(found) => break found,
            Step::Try(trial) => {
                // Short trials see the trouble that builds up slowly only above 1000.
                let limit = if trial.is_full { 300 } else { 1_000 };
                let judgement = if trial.load > limit {
                    Judgement::Exceeded
                } else {
                    Judgement::Clean
                };
                tried.push(trial.load);
                search.judge(&trial, judgement);
            }
        }
    };
    let clean = found.clean.unwrap();
    assert!((285..=300).contains(&clean), "{clean} after {tried:?}");
}
