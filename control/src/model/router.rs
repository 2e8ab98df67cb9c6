//! A router: the room in which producers and consumers meet.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use weirgate_ortc::RtpCapabilities;

/// A router.
#[derive(Debug, Clone)]
pub struct Router {
    /// Its id.
    pub id: Uuid,
    /// What the engine keeps for us.
    pub record: RouterRecord,
    /// In order of creation.
    pub transports: Vec<Uuid>,
}

/// What the engine keeps of a router for us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RouterRecord {
    /// Codecs and header extensions, with their preferred numbers.
    pub rtp_capabilities: RtpCapabilities,
    /// The caller's.
    pub app_data: Value,
    /// The room of the built-in signaling whose router this is.
    pub room: Option<String>,
}
