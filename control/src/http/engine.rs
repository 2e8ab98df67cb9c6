//! `/v1/engine`.

use std::net::SocketAddr;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use weirgate_wire::EngineInfo;

use super::{Answer, Shared};
use crate::api::ErrorBody;

/// The engine as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EngineView {
    /// Process id.
    pid: u32,
    /// Package version.
    version: String,
    /// Random, one per engine process, in hexadecimal.
    epoch: String,
    /// I/O back end in use: `uring`, `mmsg` or `xdp`.
    io: String,
    /// Why that one.
    io_reason: String,
    /// Kernel abilities found.
    kernel: Vec<String>,
    /// Media sockets, as bound.
    #[schema(value_type = Vec<String>)]
    media_listen: Vec<SocketAddr>,
    /// UDP ports for plain transports.
    plain_ports: PortRange,
    /// ms since the engine started.
    uptime: u64,
    /// Load and objects by shard.
    shards: Vec<ShardView>,
}

/// A range of ports, both ends included.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortRange {
    /// First.
    min: u16,
    /// Last.
    max: u16,
}

/// One shard.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShardView {
    /// Its number.
    shard: u16,
    /// The CPU it is pinned to.
    core: u16,
    /// Part of the last second spent working, 0 to 1.
    load: f32,
    /// Transports it owns.
    transports: u32,
    /// Producers it owns.
    producers: u32,
    /// Consumers it owns.
    consumers: u32,
}

impl EngineView {
    fn new(info: EngineInfo, epoch: u64) -> Self {
        let (min, max) = info.plain_ports;
        let shards = info.shards.into_iter().map(|shard| ShardView {
            shard: shard.shard,
            core: shard.core,
            load: shard.load,
            transports: shard.transports,
            producers: shard.producers,
            consumers: shard.consumers,
        });
        Self {
            pid: info.pid,
            version: info.version,
            epoch: format!("{epoch:016x}"),
            io: info.io,
            io_reason: info.io_reason,
            kernel: info.kernel,
            media_listen: info.media_listen,
            plain_ports: PortRange { min, max },
            uptime: info.uptime_ms,
            shards: shards.collect(),
        }
    }
}

/// The engine: what it runs on and how busy it is.
#[utoipa::path(
    get, path = "/v1/engine", tag = "engine",
    responses((status = 200, body = EngineView), (status = "default", body = ErrorBody))
)]
pub(super) async fn show(State(service): Shared) -> Answer<Json<EngineView>> {
    let epoch = service.facts()?.epoch;
    let info = service.engine_info().await?;
    Ok(Json(EngineView::new(info, epoch)))
}
