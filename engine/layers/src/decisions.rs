//! What was decided about the last units of a stream, for their later and late packets.

/// Units remembered, and so how far back a reference can be followed.
const WINDOW: usize = 128;

/// A bit for each spatial layer.
#[derive(Debug, Clone, Copy, Default)]
struct Decision {
    known: u8,
    sent: u8,
}

/// Decisions about the last 128 units. 264 bytes.
#[derive(Debug)]
pub(crate) struct Decisions {
    ring: [Decision; WINDOW],
    /// One past the newest unit; 0 before the first.
    end: u64,
}

impl Decisions {
    pub(crate) const fn new() -> Self {
        Self {
            ring: [Decision { known: 0, sent: 0 }; WINDOW],
            end: 0,
        }
    }

    /// Whether that layer of the unit is sent; `None` where it was not decided.
    pub(crate) fn get(&self, unit: u64, spatial: u8) -> Option<bool> {
        let decision = self.at(unit)?;
        let bit = 1 << spatial;
        (decision.known & bit != 0).then_some(decision.sent & bit != 0)
    }

    /// Some layer of the unit is sent.
    pub(crate) fn is_sent(&self, unit: u64) -> bool {
        self.at(unit).is_some_and(|decision| decision.sent != 0)
    }

    /// False where the unit is too old to be remembered.
    pub(crate) fn set(&mut self, unit: u64, spatial: u8, is_sent: bool) -> bool {
        if unit >= self.end {
            let fresh = (unit + 1 - self.end).min(WINDOW as u64);
            for back in 0..fresh {
                self.ring[(unit - back) as usize % WINDOW] = Decision::default();
            }
            self.end = unit + 1;
        } else if unit + (WINDOW as u64) < self.end {
            return false;
        }
        let decision = &mut self.ring[unit as usize % WINDOW];
        decision.known |= 1 << spatial;
        decision.sent |= u8::from(is_sent) << spatial;
        true
    }

    fn at(&self, unit: u64) -> Option<Decision> {
        let is_remembered = unit < self.end && unit + WINDOW as u64 >= self.end;
        is_remembered.then(|| self.ring[unit as usize % WINDOW])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_decided() {
        let mut decisions = Decisions::new();
        let first = 1 << 32;
        assert_eq!(decisions.get(first, 0), None);
        assert!(decisions.set(first, 0, true));
        assert!(decisions.set(first, 1, false));
        assert!(decisions.set(first + 2, 0, false));
        assert_eq!(decisions.get(first, 0), Some(true));
        assert_eq!(decisions.get(first, 1), Some(false));
        assert_eq!(decisions.get(first, 2), None);
        assert_eq!(decisions.get(first + 1, 0), None);
        assert!(decisions.is_sent(first) && !decisions.is_sent(first + 2));
        assert!(decisions.set(first + 128, 0, true));
        assert_eq!(decisions.get(first, 0), None);
        assert!(!decisions.set(first, 0, true));
        assert!(decisions.set(first + 1, 0, true));
        assert_eq!(decisions.get(first + 1, 0), Some(true));
    }
}
