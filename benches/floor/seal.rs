//! Sealing alone: as the engine does it at departure, one packet copied and sealed for each of the
//! receivers, straight into the batch's memory.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, Result};
use weirgate_benches::{RTP_HEADER_BYTES, rtp_packet, srtp_key};
use weirgate_srtp::Sealer;
use weirgate_wire::SrtpSuite;

use crate::args::Args;
use crate::cpu;
use crate::sender::BATCH_BYTES;

const SSRC: u32 = 0x1234_5678;
/// CPU time of one measurement.
const MEASURED: Duration = Duration::from_millis(100);

/// `count` sealed packets of `packet_bytes`, one after the other.
pub(crate) fn sealed_packets(packet_bytes: usize, count: usize) -> Vec<u8> {
    let mut packets = Vec::with_capacity(packet_bytes * count);
    let sealer = Sealer::new(&srtp_key(SrtpSuite::AeadAes128Gcm, 1)).ok();
    for index in 0..count as u64 {
        let mut packet = rtp_packet(SSRC, index as u16, packet_bytes);
        if let Some(sealer) = &sealer {
            let len = packet_bytes - sealer.rtp_overhead();
            // What is not sealed looks no different to the kernel.
            let _ = sealer.seal_rtp(&mut packet, RTP_HEADER_BYTES, len, index);
        }
        packets.extend_from_slice(&packet);
    }
    packets
}

/// CPU time to copy and seal one packet, in ns.
pub(crate) fn nanos_per_packet(args: &Args, suite: SrtpSuite) -> Result<f64> {
    let sealers: Result<Vec<Sealer>, _> = (0..args.receivers)
        .map(|number| Sealer::new(&srtp_key(suite, number as u8)))
        .collect();
    let sealers = sealers.context("an SRTP key")?;
    let sealed_bytes = args.packet;
    let clear_bytes = sealed_bytes - sealers[0].rtp_overhead();
    let mut arena = vec![0; BATCH_BYTES / sealed_bytes * sealed_bytes];
    let mut source = rtp_packet(SSRC, 0, clear_bytes);
    let mut slot = 0;
    let mut sealed = 0u64;
    let mut index = 0u64;
    let mut started = cpu::thread_time()?;
    let mut warm = false;
    loop {
        source[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        for sealer in &sealers {
            let packet = &mut arena[slot..slot + sealed_bytes];
            packet[..clear_bytes].copy_from_slice(&source);
            black_box(sealer.seal_rtp(packet, RTP_HEADER_BYTES, clear_bytes, index))
                .context("a packet that can not be sealed")?;
            slot = (slot + sealed_bytes) % arena.len();
            sealed += 1;
        }
        index += 1;
        let time = cpu::thread_time()?.saturating_sub(started);
        if time < MEASURED {
            continue;
        }
        if warm {
            return Ok(time.as_nanos() as f64 / sealed as f64);
        }
        // The first stretch wakes the processor up.
        warm = true;
        sealed = 0;
        started = cpu::thread_time()?;
    }
}
