//! Threads that keep to a schedule go before others.

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Above all normal threads, below whatever the host's owner holds for more urgent.
const PRIORITY: u8 = 10;

/// Lets this thread run as soon as it is woken, where this program may. Where it may not, how late
/// it was is told with the figures.
pub(crate) fn become_urgent() {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    if let Ok(priority) = PRIORITY.try_into() {
        let priority = ThreadPriority::Crossplatform(priority);
        let _ = set_thread_priority_and_policy(thread_native_id(), priority, policy);
    }
}
