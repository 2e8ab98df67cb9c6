//! How packets of a stream were written that would be sent again byte by byte: the same index of a
//! key only ever protects the same bytes (RFC 3711 section 9.1), so what was decided as a packet left
//! holds when it leaves again.

/// Packets remembered; older ones are not sent again.
const PACKETS: usize = 1024;

/// By own extended sequence number.
#[derive(Debug)]
pub(crate) struct AsSent {
    /// Where the leg has them.
    transport_sequences: Option<Box<[u16; PACKETS]>>,
    /// Where packets are padded: those of video.
    paddings: Option<Box<[u8; PACKETS]>>,
}

/// What of a packet is not told by source and place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Decided {
    /// Transport-wide sequence number, where the leg has them.
    pub(crate) transport_sequence: Option<u16>,
    pub(crate) padding: u8,
}

impl AsSent {
    pub(crate) fn new(has_transport_sequences: bool, is_padded: bool) -> Self {
        Self {
            transport_sequences: has_transport_sequences.then(|| Box::new([0; PACKETS])),
            paddings: is_padded.then(|| Box::new([0; PACKETS])),
        }
    }

    pub(crate) fn set(&mut self, sequence: u64, decided: Decided) {
        let index = sequence as usize % PACKETS;
        if let (Some(kept), Some(assigned)) =
            (&mut self.transport_sequences, decided.transport_sequence)
        {
            kept[index] = assigned;
        }
        if let Some(kept) = &mut self.paddings {
            kept[index] = decided.padding;
        }
    }

    /// `None` where it is too old, with `next_sequence` the next to leave.
    pub(crate) fn get(&self, sequence: u64, next_sequence: u64) -> Option<Decided> {
        let index = sequence as usize % PACKETS;
        let sequences = self.transport_sequences.as_ref();
        let paddings = self.paddings.as_ref();
        (next_sequence <= sequence + PACKETS as u64).then(|| Decided {
            transport_sequence: sequences.map(|kept| kept[index]),
            padding: paddings.map_or(0, |kept| kept[index]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_packets_are_remembered() {
        let mut as_sent = AsSent::new(true, true);
        for sequence in 0..3_000 {
            let decided = Decided {
                transport_sequence: Some(sequence as u16),
                padding: sequence as u8,
            };
            as_sent.set(sequence, decided);
            assert_eq!(as_sent.get(sequence, sequence + 1), Some(decided));
        }
        assert_eq!(as_sent.get(1_975, 3_000), None);
        let oldest = as_sent.get(1_976, 3_000).unwrap();
        assert_eq!(oldest.transport_sequence, Some(1_976));
    }
}
