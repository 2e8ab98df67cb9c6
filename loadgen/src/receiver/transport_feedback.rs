//! Transport-wide feedback as browsers send it (draft-holmer-rmcat-transport-wide-cc-extensions-01):
//! when which packet of the transport came.

use std::collections::BTreeMap;

use rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, StatusVectorChunk,
    SymbolSizeTypeTcc, SymbolTypeTcc, TransportLayerCc,
};

use crate::clock::NS_PER_MS;

/// Arrivals are kept so long, so that what came late is reported with what was around it.
const MAX_AGE_NS: u64 = 500 * NS_PER_MS;
/// Statuses of one message, so that it fits a datagram whatever came.
const MAX_STATUSES: u64 = 400;
/// Unit of the reference time.
const REFERENCE_NS: u64 = 64 * NS_PER_MS;
/// Unit of deltas.
const DELTA_NS: i64 = 250_000;
const DELTA_US: i64 = 250;
const RUN_FROM: usize = 7;
const TWO_BIT_STATUSES: usize = 7;
const MAX_RUN: usize = 0x1fff;

/// Arrivals of one transport.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// By extended number.
    times: BTreeMap<u64, u64>,
    /// The lowest number not reported yet.
    pending: Option<u64>,
    latest: Option<u64>,
    messages: u8,
}

impl Arrivals {
    /// A packet with that transport-wide number came.
    pub(super) fn note(&mut self, number: u16, arrival_ns: u64) {
        // Starts a cycle up, so that one from before the first has a number too.
        let near = self.latest.unwrap_or(0x1_0000 + u64::from(number));
        let delta = i64::from(number.wrapping_sub(near as u16) as i16);
        let extended = near.saturating_add_signed(delta);
        if self.times.insert(extended, arrival_ns).is_some() {
            return;
        }
        self.latest = Some(self.latest.map_or(extended, |latest| latest.max(extended)));
        self.pending = Some(self.pending.map_or(extended, |first| first.min(extended)));
    }

    /// The next message, if anything came that was not reported; to be asked until there is none.
    pub(super) fn take(&mut self, sender_ssrc: u32, media_ssrc: u32) -> Option<TransportLayerCc> {
        let latest = self.latest?;
        // What was pending may have grown too old meanwhile.
        let (&oldest, _) = self.times.first_key_value()?;
        let mut base = self.pending?.max(oldest);
        if base > latest {
            return None;
        }
        let first_ns = *self.times.range(base..).next()?.1;
        let reference = first_ns / REFERENCE_NS;
        let mut before_ns = (reference * REFERENCE_NS) as i64;
        let (mut symbols, mut deltas) = (Vec::new(), Vec::new());
        let start = base;
        while base <= latest && base - start < MAX_STATUSES {
            let Some(&at_ns) = self.times.get(&base) else {
                symbols.push(SymbolTypeTcc::PacketNotReceived);
                base += 1;
                continue;
            };
            let ticks = (at_ns as i64 - before_ns).div_euclid(DELTA_NS);
            let symbol = match ticks {
                0..=0xff => SymbolTypeTcc::PacketReceivedSmallDelta,
                -0x8000..=0x7fff => SymbolTypeTcc::PacketReceivedLargeDelta,
                // The next message has a reference time of its own.
                _ => break,
            };
            before_ns += ticks * DELTA_NS;
            symbols.push(symbol);
            deltas.push(RecvDelta {
                type_tcc_packet: symbol,
                delta: ticks * DELTA_US,
            });
            base += 1;
        }
        self.pending = Some(base);
        let newest_ns = self.times.last_key_value().map_or(0, |(_, &at_ns)| at_ns);
        self.times
            .retain(|&number, at_ns| number >= base || *at_ns + MAX_AGE_NS > newest_ns);
        let message = TransportLayerCc {
            sender_ssrc,
            media_ssrc,
            base_sequence_number: start as u16,
            packet_status_count: symbols.len() as u16,
            reference_time: (reference & 0xff_ffff) as u32,
            fb_pkt_count: self.messages,
            packet_chunks: chunks(&symbols),
            recv_deltas: deltas,
        };
        self.messages = self.messages.wrapping_add(1);
        Some(message)
    }
}

fn chunks(mut symbols: &[SymbolTypeTcc]) -> Vec<PacketStatusChunk> {
    let mut chunks = Vec::new();
    while let Some(&first) = symbols.first() {
        let same = symbols.iter().take_while(|&&symbol| symbol == first);
        let run = same.take(MAX_RUN).count();
        if run >= RUN_FROM || run == symbols.len() {
            chunks.push(PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                type_tcc: StatusChunkTypeTcc::RunLengthChunk,
                packet_status_symbol: first,
                run_length: run as u16,
            }));
            symbols = &symbols[run..];
            continue;
        }
        let (some, rest) = symbols.split_at(symbols.len().min(TWO_BIT_STATUSES));
        chunks.push(PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
            type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
            symbol_size: SymbolSizeTypeTcc::TwoBit,
            symbol_list: some.to_vec(),
        }));
        symbols = rest;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use webrtc_util::marshal::{Marshal as _, Unmarshal as _};

    use super::*;

    /// What a sender reads: `(number, time in ns, or not received)`.
    fn read(message: &TransportLayerCc) -> Vec<(u16, Option<i64>)> {
        let bytes = message.marshal().unwrap();
        let message = TransportLayerCc::unmarshal(&mut &bytes[..]).unwrap();
        let mut time_us = i64::from(message.reference_time) * 64_000;
        let mut deltas = message.recv_deltas.iter();
        let symbols = message.packet_chunks.iter().flat_map(|chunk| match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                vec![run.packet_status_symbol; usize::from(run.run_length)]
            }
            PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
        });
        (0..message.packet_status_count)
            .zip(symbols)
            .map(|(offset, symbol)| {
                let number = message.base_sequence_number.wrapping_add(offset);
                let received = symbol != SymbolTypeTcc::PacketNotReceived;
                let time = received.then(|| {
                    time_us += deltas.next().unwrap().delta;
                    time_us * 1000
                });
                (number, time)
            })
            .collect()
    }

    #[test]
    fn losses_order_and_the_wrap_are_told_as_they_were() {
        let mut arrivals = Arrivals::default();
        let ms = |at| 64_000_000 * 5 + at * NS_PER_MS;
        for (number, at) in [(65_534, 3), (65_535, 4), (2, 200), (1, 201), (30, 202)] {
            arrivals.note(number, ms(at));
        }
        let told = read(&arrivals.take(1, 2).unwrap());
        assert_eq!(told.len(), 33);
        let received: Vec<_> = told
            .iter()
            .filter_map(|&(number, at)| Some((number, at? as u64)))
            .collect();
        assert_eq!(
            received,
            [
                (65_534, ms(3)),
                (65_535, ms(4)),
                (1, ms(201)),
                (2, ms(200)),
                (30, ms(202))
            ]
        );
        assert!(arrivals.take(1, 2).is_none());
    }

    #[test]
    fn what_came_late_is_reported_again_with_its_neighbours() {
        let mut arrivals = Arrivals::default();
        for number in [10, 11, 13] {
            arrivals.note(number, 70 * NS_PER_MS);
        }
        assert_eq!(read(&arrivals.take(1, 2).unwrap()).len(), 4);
        arrivals.note(12, 100 * NS_PER_MS);
        let told = read(&arrivals.take(1, 2).unwrap());
        let numbers: Vec<_> = told.iter().map(|&(number, _)| number).collect();
        assert_eq!(numbers, [12, 13]);
        assert!(told.iter().all(|(_, at)| at.is_some()));
    }

    #[test]
    fn a_long_silence_and_many_losses_take_several_messages() {
        let mut arrivals = Arrivals::default();
        arrivals.note(0, 0);
        arrivals.note(1, 20_000 * NS_PER_MS);
        arrivals.note(1000, 20_001 * NS_PER_MS);
        let mut told = Vec::new();
        while let Some(message) = arrivals.take(1, 2) {
            told.extend(read(&message));
        }
        let received: Vec<_> = told.iter().filter(|(_, at)| at.is_some()).collect();
        assert_eq!(received.len(), 3);
        assert_eq!(told.len(), 1001);
    }
}
