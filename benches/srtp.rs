//! Time per packet to seal and open, ours and `webrtc-srtp`'s, in one run.
//!
//! `seal` and `open` go through [`RING`] packets of one stream, `fan_out` seals one packet for
//! 1, 16 and 200 receivers with a key each, `batch` does so with the tags made together, as the
//! shard does. `trains` seals for 200 receivers one after the other, without a pause and after sleeps.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that can not set up stops")]

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;
use weirgate_benches::{RTP_HEADER_BYTES, rtp_packet, srtp_key};
use weirgate_srtp::{Opener, Sealer, SrtpKey, SrtpSuite, TagBatch};

/// Packets that are in memory at a time: like a receive batch, they fit the second-level cache.
const RING: usize = 64;
/// Receivers of `fan_out`: all in the first-level cache, some, none.
const RECEIVERS: [usize; 3] = [1, 16, 200];
/// Packets of `batch`.
const BATCH_PACKETS: [usize; 6] = [1, 4, 8, 16, 64, 200];
/// Packets that one receiver gets at a time in `trains`, and the time between two rounds over all
/// receivers: none, or a sleep, as a shard's that is not at its limit, after which nothing is in the
/// caches.
const TRAINS: [usize; 2] = [1, 9];
const PAUSES: [(&str, Duration); 2] =
    [("hot", Duration::ZERO), ("woken", Duration::from_millis(3))];
/// As a shard's batch.
const ARENA_BYTES: usize = 512 << 10;
/// What `batch` is for, and what it is measured against.
const BATCHED: [SrtpSuite; 2] = [SrtpSuite::AesCm128HmacSha1_80, SrtpSuite::AeadAes128Gcm];
const SSRC: u32 = 0x1234_5678;
/// A full video packet and 20 ms of opus at 64 kbit/s with its header.
const PACKET_BYTES: [usize; 2] = [1200, 180];

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(60)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = seal, open, fan_out, trains, batch
}
criterion_main!(benches);

/// A plaintext ring whose packets have room for the tag, and the length without it.
struct Ring {
    packets: Vec<Vec<u8>>,
    len: usize,
    next_index: u64,
}

impl Ring {
    fn new(len: usize) -> Self {
        let packet = [rtp_packet(SSRC, 0, len), vec![0; 16]].concat();
        Self {
            packets: vec![packet; RING],
            len,
            next_index: 0,
        }
    }

    /// Gives every packet the next sequence number.
    fn renumber(&mut self) {
        for packet in &mut self.packets {
            packet[2..4].copy_from_slice(&(self.next_index as u16).to_be_bytes());
            self.next_index += 1;
        }
    }

    /// The packets with their indices after [`Self::renumber`].
    fn numbered(&mut self) -> impl Iterator<Item = (u64, &mut Vec<u8>)> {
        (self.next_index - RING as u64..).zip(&mut self.packets)
    }
}

fn seal(criterion: &mut Criterion) {
    for len in PACKET_BYTES {
        let mut group = criterion.benchmark_group(format!("srtp/seal/{len}"));
        group.throughput(Throughput::Elements(1));
        for suite in SrtpSuite::ALL {
            let key = srtp_key(suite, 1);
            let mut ring = Ring::new(len);
            let sealer = Sealer::new(&key).unwrap();
            group.bench_function(BenchmarkId::new("weirgate", suite.name()), |bencher| {
                bencher.iter_custom(|count| {
                    timed_rings(count, |time| {
                        ring.renumber();
                        let started = Instant::now();
                        for (index, packet) in ring.numbered() {
                            black_box(sealer.seal_rtp(packet, RTP_HEADER_BYTES, len, index));
                        }
                        *time += started.elapsed();
                    })
                });
            });
            let mut context = oracle(&key);
            group.bench_function(BenchmarkId::new("webrtc-srtp", suite.name()), |bencher| {
                bencher.iter_custom(|count| {
                    timed_rings(count, |time| {
                        ring.renumber();
                        let started = Instant::now();
                        for (_, packet) in ring.numbered() {
                            black_box(context.encrypt_rtp(&packet[..len]).unwrap());
                        }
                        *time += started.elapsed();
                    })
                });
            });
        }
    }
}

fn open(criterion: &mut Criterion) {
    for len in PACKET_BYTES {
        let mut group = criterion.benchmark_group(format!("srtp/open/{len}"));
        group.throughput(Throughput::Elements(1));
        for suite in SrtpSuite::ALL {
            let key = srtp_key(suite, 1);
            let sealer = Sealer::new(&key).unwrap();
            let sealed_len = len + sealer.rtp_overhead();
            let mut ring = Ring::new(len);
            let mut opener = Opener::new(&key, 1).unwrap();
            group.bench_function(BenchmarkId::new("weirgate", suite.name()), |bencher| {
                bencher.iter_custom(|count| {
                    timed_rings(count, |time| {
                        ring.seal(&sealer);
                        let started = Instant::now();
                        for (_, packet) in ring.numbered() {
                            let opened = opener.open_rtp(&mut packet[..sealed_len]);
                            black_box(opened.unwrap());
                        }
                        *time += started.elapsed();
                    })
                });
            });
            let mut ring = Ring::new(len);
            let mut context = oracle(&key);
            group.bench_function(BenchmarkId::new("webrtc-srtp", suite.name()), |bencher| {
                bencher.iter_custom(|count| {
                    timed_rings(count, |time| {
                        ring.seal(&sealer);
                        let started = Instant::now();
                        for (_, packet) in ring.numbered() {
                            black_box(context.decrypt_rtp(&packet[..sealed_len]).unwrap());
                        }
                        *time += started.elapsed();
                    })
                });
            });
        }
    }
}

impl Ring {
    fn seal(&mut self, sealer: &Sealer) {
        self.renumber();
        let len = self.len;
        for (index, packet) in self.numbered() {
            sealer
                .seal_rtp(packet, RTP_HEADER_BYTES, len, index)
                .unwrap();
        }
    }
}

/// One packet copied and sealed for many receivers: what a key that is not in the first-level
/// cache costs as well. Time per receiver.
fn fan_out(criterion: &mut Criterion) {
    for len in PACKET_BYTES {
        let mut group = criterion.benchmark_group(format!("srtp/fan_out/{len}"));
        group.throughput(Throughput::Elements(1));
        for (suite, receivers) in SrtpSuite::ALL
            .into_iter()
            .flat_map(|suite| RECEIVERS.map(|receivers| (suite, receivers)))
        {
            let sealers: Vec<_> = (0..receivers)
                .map(|seed| Sealer::new(&srtp_key(suite, seed as u8)).unwrap())
                .collect();
            let mut source = rtp_packet(SSRC, 0, len);
            let mut slots = vec![0; receivers * (len + 16)];
            let mut index = 0u64;
            group.bench_function(BenchmarkId::new(suite.name(), receivers), |bencher| {
                bencher.iter_custom(|count| {
                    let rounds = count.div_ceil(receivers as u64);
                    let started = Instant::now();
                    for _ in 0..rounds {
                        source[2..4].copy_from_slice(&(index as u16).to_be_bytes());
                        for (sealer, slot) in sealers.iter().zip(slots.chunks_mut(len + 16)) {
                            slot[..len].copy_from_slice(&source);
                            black_box(sealer.seal_rtp(slot, RTP_HEADER_BYTES, len, index));
                        }
                        index += 1;
                    }
                    per_count(started.elapsed(), count, rounds * receivers as u64)
                })
            });
        }
    }
}

/// Trains of packets copied and sealed, for one of 200 receivers after the other. Time per packet,
/// without that of the pauses.
fn trains(criterion: &mut Criterion) {
    const RECEIVERS: usize = 200;
    for len in PACKET_BYTES {
        let mut group = criterion.benchmark_group(format!("srtp/trains/{len}"));
        group.throughput(Throughput::Elements(1));
        let sources = TRAINS.map(|train| {
            let packets = (0..train).map(|number| rtp_packet(SSRC, number as u16, len));
            packets.collect::<Vec<_>>()
        });
        let slot_bytes = len + 16;
        let mut arena = vec![0; ARENA_BYTES / slot_bytes * slot_bytes];
        for (suite, packets, (pause_name, pause)) in BATCHED.into_iter().flat_map(|suite| {
            let cases = sources
                .iter()
                .flat_map(|packets| PAUSES.map(|pause| (packets, pause)));
            cases.map(move |(packets, pause)| (suite, packets, pause))
        }) {
            let sealers: Vec<_> = (0..RECEIVERS)
                .map(|seed| Sealer::new(&srtp_key(suite, seed as u8)).unwrap())
                .collect();
            let round = (RECEIVERS * packets.len()) as u64;
            let id = BenchmarkId::new(suite.name(), format!("{}/{pause_name}", packets.len()));
            let mut at = 0;
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|count| {
                    let rounds = count.div_ceil(round);
                    let mut time = Duration::ZERO;
                    for _ in 0..rounds {
                        thread::sleep(pause);
                        let started = Instant::now();
                        for sealer in &sealers {
                            for (index, packet) in (0..).zip(packets) {
                                let slot = &mut arena[at..at + slot_bytes];
                                slot[..len].copy_from_slice(packet);
                                black_box(sealer.seal_rtp(slot, RTP_HEADER_BYTES, len, index));
                                at = if at + 2 * slot_bytes > arena.len() {
                                    0
                                } else {
                                    at + slot_bytes
                                };
                            }
                        }
                        time += started.elapsed();
                    }
                    per_count(time, count, rounds * round)
                })
            });
        }
    }
}

/// Like `fan_out`, with the tags left to a [`TagBatch`], by the number of packets in it.
fn batch(criterion: &mut Criterion) {
    for len in PACKET_BYTES {
        let mut group = criterion.benchmark_group(format!("srtp/batch/{len}"));
        group.throughput(Throughput::Elements(1));
        for (suite, receivers) in BATCHED
            .into_iter()
            .flat_map(|suite| BATCH_PACKETS.map(|receivers| (suite, receivers)))
        {
            let sealers: Vec<_> = (0..receivers)
                .map(|seed| Sealer::new(&srtp_key(suite, seed as u8)).unwrap())
                .collect();
            let mut source = rtp_packet(SSRC, 0, len);
            let mut slots = vec![0; receivers * (len + 16)];
            let mut tags = TagBatch::new();
            let mut index = 0u64;
            group.bench_function(BenchmarkId::new(suite.name(), receivers), |bencher| {
                bencher.iter_custom(|count| {
                    let rounds = count.div_ceil(receivers as u64);
                    let started = Instant::now();
                    for _ in 0..rounds {
                        source[2..4].copy_from_slice(&(index as u16).to_be_bytes());
                        for (place, sealer) in sealers.iter().enumerate() {
                            if !tags.has_room() {
                                tags.finish(&mut slots);
                            }
                            let offset = place * (len + 16);
                            let slot = &mut slots[offset..][..len + 16];
                            slot[..len].copy_from_slice(&source);
                            black_box(sealer.seal_rtp_in_batch(
                                slot,
                                RTP_HEADER_BYTES,
                                len,
                                index,
                                offset,
                                &mut tags,
                            ));
                        }
                        tags.finish(&mut slots);
                        index += 1;
                    }
                    per_count(started.elapsed(), count, rounds * receivers as u64)
                })
            });
        }
    }
}

/// Time of `count` packets, from whole rings.
fn timed_rings(count: u64, mut ring: impl FnMut(&mut Duration)) -> Duration {
    let rings = count.div_ceil(RING as u64);
    let mut time = Duration::ZERO;
    for _ in 0..rings {
        ring(&mut time);
    }
    per_count(time, count, rings * RING as u64)
}

fn per_count(time: Duration, count: u64, done: u64) -> Duration {
    time.mul_f64(count as f64 / done as f64)
}

fn oracle(key: &SrtpKey) -> Context {
    let profile = match key.suite {
        SrtpSuite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpSuite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        SrtpSuite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        SrtpSuite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let (master, salt) = key.key_and_salt.split_at(key.suite.key_len());
    let window = Some(srtp_replay_protection(1024));
    let rtcp_window = Some(srtcp_replay_protection(128));
    Context::new(master, salt, profile, window, rtcp_window).unwrap()
}
