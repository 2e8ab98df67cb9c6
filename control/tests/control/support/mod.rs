//! What the tests stand on.

pub(crate) mod fake_engine;
pub(crate) mod http;
pub(crate) mod media;
pub(crate) mod server;
pub(crate) mod signaling;

use std::time::Duration;

/// Longer than anything here takes; only failing tests wait it out.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Looks again and again until `look` gives something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(found) => found,
        Err(_) => panic!("{what} never came"),
    }
}
