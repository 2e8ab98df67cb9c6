//! State per SSRC of an incoming direction: a bounded table that only authentic packets fill.

use crate::replay::ReplayWindow;

/// RTP packets a retransmission may come late by.
pub(crate) type RtpWindow = ReplayWindow<16>;
/// SRTCP compounds may overtake each other by this much.
pub(crate) type RtcpWindow = ReplayWindow<2>;

/// What is kept of one SSRC; a part is `None` until its first authentic packet.
#[derive(Debug)]
pub(crate) struct Source {
    ssrc: u32,
    pub(crate) rtp: Option<RtpWindow>,
    pub(crate) rtcp: Option<RtcpWindow>,
}

/// The table. Nothing is ever taken out: a forgotten SSRC's packets could be replayed.
#[derive(Debug)]
pub(crate) struct Sources {
    /// In order of appearance.
    sources: Vec<Source>,
    /// `(ssrc, place in sources)`, sorted. Binary search, so that a peer can not choose SSRCs
    /// that are slow to find.
    order: Vec<(u32, usize)>,
    /// Where the last packet's SSRC was: a train of packets is of one SSRC.
    last: usize,
    limit: usize,
}

impl Sources {
    /// An empty table for at most `limit` SSRCs.
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            sources: Vec::new(),
            order: Vec::new(),
            last: 0,
            limit,
        }
    }

    /// SSRCs in the table.
    pub(crate) const fn len(&self) -> usize {
        self.sources.len()
    }

    /// True where a new SSRC has no room.
    pub(crate) const fn is_full(&self) -> bool {
        self.sources.len() >= self.limit
    }

    /// What is known of `ssrc`.
    pub(crate) fn find(&mut self, ssrc: u32) -> Option<&mut Source> {
        let is_last = |source: &Source| source.ssrc == ssrc;
        if !self.sources.get(self.last).is_some_and(is_last) {
            let at = self.position(ssrc).ok()?;
            self.last = self.order[at].1;
        }
        self.sources.get_mut(self.last)
    }

    /// The entry of `ssrc`, made where there is none; `None` where the table is full.
    pub(crate) fn find_or_add(&mut self, ssrc: u32) -> Option<&mut Source> {
        if let Err(at) = self.position(ssrc) {
            if self.is_full() {
                return None;
            }
            self.order.insert(at, (ssrc, self.sources.len()));
            self.sources.push(Source {
                ssrc,
                rtp: None,
                rtcp: None,
            });
        }
        self.find(ssrc)
    }

    fn position(&self, ssrc: u32) -> Result<usize, usize> {
        self.order.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ssrc_has_its_own_entry_and_a_full_table_takes_no_other() {
        let mut sources = Sources::new(3);
        for (ssrc, index) in [(7, 70), (1, 10), (u32::MAX, 90)] {
            assert!(sources.find(ssrc).is_none());
            assert!(!sources.is_full());
            sources.find_or_add(ssrc).unwrap().rtp = Some(RtpWindow::starting_at(index));
        }
        assert!(sources.is_full());
        assert!(sources.find_or_add(2).is_none());
        assert!(sources.find(2).is_none());
        for (ssrc, index) in [(1, 10), (1, 10), (u32::MAX, 90), (7, 70)] {
            let rtp = sources.find(ssrc).unwrap().rtp.as_ref().unwrap();
            assert_eq!(rtp.highest(), index);
            assert!(sources.find_or_add(ssrc).is_some());
        }
        assert_eq!(sources.len(), 3);
    }
}
