//! `scalabilityMode` of the W3C's scalable video coding: `L3T3_KEY`, `S2T1`, `L1T3`, …

/// Layers inside one or several streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalabilityMode {
    /// Spatial layers (`L`) or simulcast streams (`S`), from 1.
    pub spatial_layers: u8,
    /// Temporal layers, from 1.
    pub temporal_layers: u8,
    /// Upper spatial layers lean on lower ones at key frames only.
    pub is_k_svc: bool,
}

impl Default for ScalabilityMode {
    fn default() -> Self {
        Self {
            spatial_layers: 1,
            temporal_layers: 1,
            is_k_svc: false,
        }
    }
}

impl ScalabilityMode {
    /// Reads a mode; one layer of each where there is none or it is no such thing. What follows
    /// the numbers (`h`, `_KEY_SHIFT`) does not matter but for `_KEY`.
    pub fn parse(mode: Option<&str>) -> Self {
        mode.and_then(Self::parse_given).unwrap_or_default()
    }

    fn parse_given(mode: &str) -> Option<Self> {
        let rest = mode.strip_prefix(['L', 'S'])?;
        let (spatial_layers, rest) = layers(rest)?;
        let (temporal_layers, rest) = layers(rest.strip_prefix('T')?)?;
        Some(Self {
            spatial_layers,
            temporal_layers,
            is_k_svc: rest.starts_with("_KEY"),
        })
    }
}

/// One or two digits, 1–99.
fn layers(text: &str) -> Option<(u8, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    let is_counted = !number.is_empty() && !number.starts_with('0');
    Some((number.parse().ok().filter(|_| is_counted)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read() {
        for (mode, spatial, temporal, is_k_svc) in [
            ("L1T3", 1, 3, false),
            ("L3T2", 3, 2, false),
            ("S2T3", 2, 3, false),
            ("L3T3_KEY", 3, 3, true),
            ("L2T3_KEY_SHIFT", 2, 3, true),
            ("L4T7_KEY_SHIFT", 4, 7, true),
            ("L2T1h", 2, 1, false),
            ("L20T99", 20, 99, false),
        ] {
            let expected = ScalabilityMode {
                spatial_layers: spatial,
                temporal_layers: temporal,
                is_k_svc,
            };
            assert_eq!(ScalabilityMode::parse(Some(mode)), expected, "{mode}");
        }
    }

    #[test]
    fn everything_else_is_one_layer() {
        let others = [
            "", "L", "L0T3", "L3T0", "T3L1", "L3", "l3t3", "L3Tx", "S-1T1", "LéT1",
        ];
        for mode in others {
            assert_eq!(
                ScalabilityMode::parse(Some(mode)),
                ScalabilityMode::default(),
                "{mode}"
            );
        }
        assert_eq!(ScalabilityMode::parse(None), ScalabilityMode::default());
    }
}
