//! Checks of what control sends, before a shard sees it. Control is trusted, but a mistake of its
//! author must not end the engine.

use weirgate_wire::{ConsumerConfig, ObjectKind, ProducerConfig, Refusal, SrtpKey, TraceTypes};

use super::refuse;

/// Streams of one producer.
const MAX_ENCODINGS: usize = 16;
/// Codecs of one producer or consumer.
const MAX_CODECS: usize = 32;
/// A one-byte header extension holds 16 bytes (RFC 8285 section 4.2).
const MAX_MID_BYTES: usize = 16;
/// RFC 8852 section 3.1 bounds RIDs by the extension that carries them.
const MAX_RID_BYTES: usize = 16;
/// An SDES item's length is one byte (RFC 3550 section 6.5).
const MAX_CNAME_BYTES: usize = 255;

pub(super) fn producer(config: &ProducerConfig) -> Result<(), Refusal> {
    count("codecs", config.codecs.len(), MAX_CODECS)?;
    count("encodings", config.encodings.len(), MAX_ENCODINGS)?;
    length(
        "mid",
        config.mid.as_deref().unwrap_or_default(),
        MAX_MID_BYTES,
    )?;
    length("cname", &config.cname, MAX_CNAME_BYTES)?;
    for codec in &config.codecs {
        payload_type("payload_type", codec.payload_type)?;
        payload_type("rtx_payload_type", codec.rtx_payload_type.unwrap_or(0))?;
        if codec.clock_rate == 0 {
            return Err(refuse::invalid("clock_rate: 0 was given"));
        }
    }
    for encoding in &config.encodings {
        length(
            "rid",
            encoding.rid.as_deref().unwrap_or_default(),
            MAX_RID_BYTES,
        )?;
    }
    Ok(())
}

pub(super) fn consumer(config: &ConsumerConfig) -> Result<(), Refusal> {
    count("codecs", config.codecs.len(), MAX_CODECS)?;
    length("mid", &config.mid, MAX_MID_BYTES)?;
    priority(config.priority)?;
    for codec in &config.codecs {
        payload_type("payload_type", codec.payload_type)?;
        payload_type("rtx_payload_type", codec.rtx_payload_type.unwrap_or(0))?;
    }
    if config.rtx_ssrc == Some(config.ssrc) {
        return Err(refuse::invalid("rtx_ssrc: the same as ssrc"));
    }
    Ok(())
}

pub(super) fn priority(priority: u8) -> Result<(), Refusal> {
    match priority {
        0 => Err(refuse::invalid(
            "priority: 0 was given, allowed is 1 to 255",
        )),
        _ => Ok(()),
    }
}

pub(super) fn trace(kind: ObjectKind, types: TraceTypes) -> Result<(), Refusal> {
    match types.without(TraceTypes::of(kind)).iter().next() {
        Some(other) => Err(refuse::invalid(format_args!(
            "types: {} was given, which a {kind:?} does not have",
            other.name()
        ))),
        None => Ok(()),
    }
}

pub(super) fn srtp_key(field: &str, key: &SrtpKey) -> Result<(), Refusal> {
    let want = key.suite.key_len() + key.suite.salt_len();
    if key.key_and_salt.len() == want {
        return Ok(());
    }
    Err(refuse::invalid(format_args!(
        "{field}: {} bytes were given, {} takes {want}",
        key.key_and_salt.len(),
        key.suite.name()
    )))
}

fn count(field: &str, len: usize, max: usize) -> Result<(), Refusal> {
    if (1..=max).contains(&len) {
        return Ok(());
    }
    Err(refuse::invalid(format_args!(
        "{field}: {len} were given, allowed is 1 to {max}"
    )))
}

fn length(field: &str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.len() <= max {
        return Ok(());
    }
    Err(refuse::invalid(format_args!(
        "{field}: {} bytes were given, allowed are {max}",
        text.len()
    )))
}

fn payload_type(field: &str, value: u8) -> Result<(), Refusal> {
    if value <= 127 {
        return Ok(());
    }
    Err(refuse::invalid(format_args!(
        "{field}: {value} was given, allowed is 0 to 127"
    )))
}
