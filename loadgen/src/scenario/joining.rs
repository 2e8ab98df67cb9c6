//! Brings participants in, and keeps each going until it leaves.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::access::ServerRoom;
use super::participant::{Participant, Source};
use super::run::{Room, Run};
use crate::clock::now_ns;
use crate::ice::AgentEvent;

/// Participants that join at the same time, where no ramp says how fast.
const MAX_JOINING: usize = 16;
/// The same where a ramp says it: so many slow joins may overlap.
const MAX_JOINING_ON_A_RAMP: usize = 256;

/// Between two looks at whether anybody more is to come.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// A room, here and at the server.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) room: Arc<Room>,
    pub(super) at_server: ServerRoom,
}

/// Somebody who is to come.
struct Newcomer {
    place: Place,
    number: usize,
    sends: bool,
    stay: Option<Duration>,
    /// When it was meant to join; when its turn came, where nothing says so.
    intended_ns: Option<u64>,
}

/// The tasks of all participants.
pub(super) struct Joining {
    run: Arc<Run>,
    /// Between two joins.
    interval: Option<Duration>,
    turns: Arc<Semaphore>,
    tasks: JoinSet<()>,
    next_number: usize,
}

impl Joining {
    /// `ramp` is how many join per second; as fast as they can where it does not say.
    pub(super) fn new(run: Arc<Run>, ramp: Option<f64>) -> Self {
        let turns = if ramp.is_some() {
            MAX_JOINING_ON_A_RAMP
        } else {
            MAX_JOINING
        };
        Self {
            run,
            interval: ramp.map(|per_second| Duration::from_secs_f64(1.0 / per_second)),
            turns: Arc::new(Semaphore::new(turns)),
            tasks: JoinSet::new(),
            next_number: 0,
        }
    }

    /// Those who send first, and when they are there the others, so that these find all of it.
    ///
    /// An error says why nobody who sends could join.
    pub(super) async fn bring(&mut self, places: &[(Place, usize, usize)]) -> Result<()> {
        let mut due = Instant::now();
        for sends in [true, false] {
            for (place, senders, receivers) in places {
                for _ in 0..if sends { *senders } else { *receivers } {
                    let intended_ns = self.wait_for_turn(&mut due).await;
                    if self.run.is_joining_stopped() {
                        return Ok(());
                    }
                    self.start(place, sends, None, intended_ns);
                }
            }
            if sends {
                self.wait_for_senders().await?;
            }
        }
        Ok(())
    }

    /// Others come and go until the run ends, in the first of the places.
    pub(super) async fn churn(&mut self, place: &Place, per_second: f64, stay: Duration) {
        self.turns = Arc::new(Semaphore::new(MAX_JOINING_ON_A_RAMP));
        self.interval = Some(Duration::from_secs_f64(1.0 / per_second));
        let mut due = Instant::now();
        while !self.run.is_joining_stopped() {
            let intended_ns = self.wait_for_turn(&mut due).await;
            self.run.wanted.fetch_add(1, Ordering::Relaxed);
            self.start(place, false, Some(stay), intended_ns);
            // Results of those who have left are not kept.
            while self.tasks.try_join_next().is_some() {}
        }
    }

    /// Until everyone has left; those who take longer than `limit` are dropped.
    pub(super) async fn end(mut self, limit: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(limit, all).await;
    }

    async fn wait_for_turn(&self, due: &mut Instant) -> Option<u64> {
        let interval = self.interval?;
        while Instant::now() < *due && !self.run.is_joining_stopped() {
            tokio::time::sleep_until((*due).min(Instant::now() + MAX_PAUSE)).await;
        }
        *due += interval;
        Some(now_ns())
    }

    fn start(
        &mut self,
        place: &Place,
        sends: bool,
        stay: Option<Duration>,
        intended_ns: Option<u64>,
    ) {
        let newcomer = Newcomer {
            place: place.clone(),
            number: self.next_number,
            sends,
            stay,
            intended_ns,
        };
        self.next_number += 1;
        let (run, turns) = (Arc::clone(&self.run), Arc::clone(&self.turns));
        self.tasks.spawn(participate(run, turns, newcomer));
    }

    async fn wait_for_senders(&self) -> Result<()> {
        let wanted = self.next_number;
        while !self.run.is_joining_stopped() {
            let (joined, failed) = (self.run.joined(), self.run.failed());
            if joined + failed >= wanted {
                let nobody =
                    || anyhow!("nobody who sends could join: {}", self.run.first_failure());
                return if joined > 0 { Ok(()) } else { Err(nobody()) };
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

async fn participate(run: Arc<Run>, turns: Arc<Semaphore>, newcomer: Newcomer) {
    let Ok(turn) = turns.acquire().await else {
        return;
    };
    if run.is_joining_stopped() {
        return;
    }
    let number = newcomer.number;
    let began_ns = newcomer.intended_ns.unwrap_or_else(now_ns);
    let entered = Participant::enter(&run, &newcomer.place, number, began_ns).await;
    let mut participant = match entered {
        Ok(participant) => participant,
        Err(error) => return run.note_failure(format!("participant {number}: {error:#}")),
    };
    run.crowd.add(number, Arc::clone(&participant.member));
    let room = Arc::clone(&newcomer.place.room);
    if newcomer.sends {
        match participant.send(&run).await {
            Ok(sources) => room.sources.send_modify(|all| all.extend(sources)),
            Err(error) => {
                run.note_failure(format!("participant {number}: {error:#}"));
                run.crowd.forget(number);
                return participant.leave(run.is_server_alive()).await;
            }
        }
    }
    let mut sources = room.sources.subscribe();
    let found = sources.borrow_and_update().clone();
    take(&run, &mut participant, &found).await;
    run.note_joined(participant.began_ns());
    participant.has_joined();
    drop(turn);
    stay(&run, &mut participant, sources, newcomer.stay).await;
    participant.leave(run.is_server_alive()).await;
}

async fn take(run: &Run, participant: &mut Participant, sources: &[Source]) {
    if let Err(error) = participant.take(run, sources).await {
        let number = participant.number();
        run.note_failure(format!("participant {number}: {error:#}"));
    }
    participant
        .member
        .taken_up_to
        .store(sources.len(), Ordering::Relaxed);
}

/// Until the run ends, or the participant's time has come.
async fn stay(
    run: &Run,
    participant: &mut Participant,
    mut sources: tokio::sync::watch::Receiver<Vec<Source>>,
    stay: Option<Duration>,
) {
    let mut ending = run.ending.subscribe();
    let leaves_at = stay.map(|stay| Instant::now() + stay);
    let switches = run.switch_layers;
    let mut switch_at = switches.map(|every| Instant::now() + every);
    let mut round = 0;
    loop {
        tokio::select! {
            () = ended(&mut ending) => return,
            () = at(leaves_at) => return run.crowd.remove(participant.number()),
            changed = sources.changed() => {
                if changed.is_err() {
                    return;
                }
                let found = sources.borrow_and_update().clone();
                take(run, participant, &found).await;
            }
            () = at(switch_at) => {
                switch_at = switches.map(|every| Instant::now() + every);
                if let Err(error) = participant.switch_layers(round).await {
                    let number = participant.number();
                    run.note_failure(format!("participant {number}: {error:#}"));
                }
                round += 1;
            }
            event = participant.event() => {
                let number = participant.number();
                match event {
                    AgentEvent::Nominated(_) => {}
                    AgentEvent::ConsentLost => run.note_failure(format!(
                        "participant {number}: the server no longer answers ICE consent checks"
                    )),
                    AgentEvent::Refused(code) => run.note_failure(format!(
                        "participant {number}: the server refuses ICE consent checks with {code}"
                    )),
                }
            }
        }
    }
}

async fn ended(ending: &mut tokio::sync::watch::Receiver<bool>) {
    // Ends too where the run is gone.
    let _ = ending.wait_for(|ends| *ends).await.map(|_| ());
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
