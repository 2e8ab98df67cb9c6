//! How much the hub keeps. A request over one of these is refused as over capacity.

/// Routers of an engine.
pub(super) const ROUTERS: usize = 16_384;
/// Transports of an engine.
pub(super) const TRANSPORTS: usize = 65_536;
/// Producers of an engine.
pub(super) const PRODUCERS: usize = 65_536;
/// Consumers of an engine.
pub(super) const CONSUMERS: usize = 524_288;
/// Opaque bytes of all objects together.
pub(super) const OBJECT_BLOB_BYTES: usize = 512 << 20;
/// Opaque bytes of one object or note: it has to fit into one frame with what goes with it.
pub(super) const BLOB_BYTES: usize = 1 << 20;
/// Notes.
pub(super) const NOTES: usize = 100_000;
/// Opaque bytes of all notes together.
pub(super) const NOTE_BLOB_BYTES: usize = 64 << 20;
/// Bytes of a note's key.
pub(super) const NOTE_KEY_BYTES: usize = 256;
/// Requests a shard has not answered yet; no more are read from control until it has.
pub(super) const PENDING_REQUESTS: usize = 1_024;
/// Tasks a shard has not looked at from which DTLS datagrams for it are dropped.
pub(super) const SHARD_TASKS: usize = 4_096;
/// Bytes of one DTLS datagram from control.
pub(super) const DTLS_DATAGRAM_BYTES: usize = 1_200;
/// Bytes queued for control from which audio levels are dropped.
pub(super) const OUTGOING_SOFT_BYTES: usize = 4 << 20;
/// Bytes queued for control from which the connection is closed.
pub(super) const OUTGOING_HARD_BYTES: usize = 64 << 20;
/// Bytes queued for control up to which a snapshot goes on.
pub(super) const SNAPSHOT_QUEUE_BYTES: usize = 1 << 20;
