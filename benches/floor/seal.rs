//! Sealing alone: as the engine does it at departure, packets copied and sealed for each of the
//! receivers, straight into the batch's memory.

use std::hint::black_box;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use weirgate_benches::{RTP_HEADER_BYTES, rtp_packet, srtp_key};
use weirgate_srtp::Sealer;
use weirgate_wire::SrtpSuite;

use crate::args::Args;
use crate::cpu;
use crate::sender::BATCH_BYTES;

const SSRC: u32 = 0x1234_5678;
/// Time of one measurement.
const MEASURED: Duration = Duration::from_millis(500);

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
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealSample {
    /// At the pace of the scenario: what is sent at one time is sealed at one time, and in the
    /// sleeps between the caches and the clock are others'. As sends are measured.
    pub(crate) paced_ns: f64,
    /// The same without the sleeps.
    pub(crate) hot_ns: f64,
}

/// Measures one suite.
pub(crate) fn measure(args: &Args, suite: SrtpSuite) -> Result<SealSample> {
    let mut sealing = Sealing::new(args, suite)?;
    Ok(SealSample {
        paced_ns: sealing.nanos_per_packet(args, true)?,
        hot_ns: sealing.nanos_per_packet(args, false)?,
    })
}

struct Sealing {
    sealers: Vec<Sealer>,
    /// The packets that each receiver gets at one time.
    sources: Vec<Vec<u8>>,
    arena: Vec<u8>,
    slot: usize,
    index: u64,
}

impl Sealing {
    fn new(args: &Args, suite: SrtpSuite) -> Result<Self> {
        let sealers: Result<Vec<Sealer>, _> = (0..args.receivers)
            .map(|number| Sealer::new(&srtp_key(suite, number as u8)))
            .collect();
        let sealers = sealers.context("an SRTP key")?;
        let clear_bytes = args.packet - sealers[0].rtp_overhead();
        Ok(Self {
            sealers,
            sources: vec![rtp_packet(SSRC, 0, clear_bytes); args.burst],
            arena: vec![0; BATCH_BYTES / args.packet * args.packet],
            slot: 0,
            index: 0,
        })
    }

    /// Seals for one group of receivers after the other, with or without the sleeps between.
    fn nanos_per_packet(&mut self, args: &Args, paced: bool) -> Result<f64> {
        let started = Instant::now();
        let interval = args.interval() / args.groups as u32;
        let mut time = Duration::ZERO;
        let mut sealed = 0;
        let mut warm = false;
        for turn in 0.. {
            let start = |group: usize| args.receivers * group / args.groups;
            let group = turn as usize % args.groups;
            let before = cpu::thread_time()?;
            sealed += self.wave(start(group)..start(group + 1))?;
            time += cpu::thread_time()?.saturating_sub(before);
            if !warm && started.elapsed() > MEASURED / 4 {
                // The first stretch wakes the processor up.
                (warm, time, sealed) = (true, Duration::ZERO, 0);
            } else if started.elapsed() > MEASURED {
                break;
            }
            if paced {
                let next = started + interval * (turn + 1);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }
        Ok(time.as_nanos() as f64 / sealed.max(1) as f64)
    }

    /// What is sent at one time; how many packets that is.
    fn wave(&mut self, receivers: Range<usize>) -> Result<u64> {
        let mut sealed = 0;
        for source in &mut self.sources {
            source[2..4].copy_from_slice(&(self.index as u16).to_be_bytes());
            self.index += 1;
        }
        let first = self.index - self.sources.len() as u64;
        for sealer in &self.sealers[receivers] {
            for (index, source) in (first..).zip(&self.sources) {
                let sealed_bytes = source.len() + sealer.rtp_overhead();
                let packet = &mut self.arena[self.slot..self.slot + sealed_bytes];
                packet[..source.len()].copy_from_slice(source);
                black_box(sealer.seal_rtp(packet, RTP_HEADER_BYTES, source.len(), index))
                    .context("a packet that can not be sealed")?;
                self.slot = (self.slot + sealed_bytes) % self.arena.len();
                sealed += 1;
            }
        }
        Ok(sealed)
    }
}
