//! H.264 profiles and levels as `profile-level-id` names them (RFC 6184 section 8.1).

use crate::json::{CodecParameters, integer};

/// Profiles that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
    PredictiveHigh444,
}

/// `(profile_idc, mask, value)` of profile_iop, RFC 6184 table 5; the first that fits counts.
const PROFILES: [(u8, u8, u8, Profile); 9] = [
    (0x42, 0x4F, 0x40, Profile::ConstrainedBaseline),
    (0x4D, 0x8F, 0x80, Profile::ConstrainedBaseline),
    (0x58, 0xCF, 0xC0, Profile::ConstrainedBaseline),
    (0x42, 0x4F, 0x00, Profile::Baseline),
    (0x58, 0xCF, 0x80, Profile::Baseline),
    (0x4D, 0xAF, 0x00, Profile::Main),
    (0x64, 0xFF, 0x00, Profile::High),
    (0x64, 0xFF, 0x0C, Profile::ConstrainedHigh),
    (0xF4, 0xFF, 0x00, Profile::PredictiveHigh444),
];

/// level_idc of every level but 1b, ITU-T H.264 table A-1.
const LEVELS: [u8; 16] = [
    10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52,
];

const LEVEL_1_1: u8 = 11;

/// Tells level 1b from level 1.1.
const CONSTRAINT_SET_3: u8 = 0x10;

/// What browsers take where nothing is said, instead of RFC 6184's Baseline level 1.
const ASSUMED: ProfileLevelId = ProfileLevelId {
    profile: Profile::ConstrainedBaseline,
    level: Level {
        rank: 31 * 2,
        idc: 31,
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProfileLevelId {
    profile: Profile,
    level: Level,
}

/// Ordered by `rank`: level 1b stands between 1 and 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Level {
    rank: u8,
    idc: u8,
}

impl Level {
    const fn of_idc(idc: u8) -> Self {
        Self { rank: idc * 2, idc }
    }

    const ONE_B: Self = Self {
        rank: LEVEL_1_1 * 2 - 1,
        idc: LEVEL_1_1,
    };
}

impl ProfileLevelId {
    fn parse(text: &str) -> Option<Self> {
        if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let [_, idc, iop, level_idc] = u32::from_str_radix(text, 16).ok()?.to_be_bytes();
        if !LEVELS.contains(&level_idc) {
            return None;
        }
        let (.., profile) = PROFILES
            .into_iter()
            .find(|&(known, mask, value, _)| known == idc && iop & mask == value)?;
        let is_one_b = level_idc == LEVEL_1_1 && iop & CONSTRAINT_SET_3 != 0;
        Some(Self {
            profile,
            level: match is_one_b {
                true => Level::ONE_B,
                false => Level::of_idc(level_idc),
            },
        })
    }

    fn of(parameters: &CodecParameters) -> Option<Self> {
        match parameters.get("profile-level-id") {
            None => Some(ASSUMED),
            // One of digits only may come as a number.
            Some(value) => Self::parse(&format!("{:0>6}", value.to_string())),
        }
    }

    /// The usual way to write it; `None` for level 1b of a profile that has none.
    fn name(self) -> Option<String> {
        if self.level == Level::ONE_B {
            return match self.profile {
                Profile::ConstrainedBaseline => Some("42f00b".to_owned()),
                Profile::Baseline => Some("42100b".to_owned()),
                Profile::Main => Some("4d100b".to_owned()),
                _ => None,
            };
        }
        let profile = match self.profile {
            Profile::ConstrainedBaseline => "42e0",
            Profile::Baseline => "4200",
            Profile::Main => "4d00",
            Profile::ConstrainedHigh => "640c",
            Profile::High => "6400",
            Profile::PredictiveHigh444 => "f400",
        };
        Some(format!("{profile}{:02x}", self.level.idc))
    }
}

/// What a negotiation of two `fmtp` sets gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The profiles differ or are unknown.
    Mismatch,
    /// Neither side names a profile.
    Unnamed,
    /// The `profile-level-id` of `local`'s answer.
    Named(String),
}

/// RFC 6184 section 8.2.2: the profile must be the same, packetization too; the level is `local`'s
/// where both allow asymmetry, else the lower one.
pub(crate) fn answer(local: &CodecParameters, remote: &CodecParameters) -> Answer {
    let number = |parameters, name| integer(parameters, name).unwrap_or(0);
    let mode = "packetization-mode";
    if number(local, mode) != number(remote, mode) {
        return Answer::Mismatch;
    }
    let (Some(ours), Some(theirs)) = (ProfileLevelId::of(local), ProfileLevelId::of(remote)) else {
        return Answer::Mismatch;
    };
    if ours.profile != theirs.profile {
        return Answer::Mismatch;
    }
    let names_profile = |parameters: &CodecParameters| parameters.contains_key("profile-level-id");
    if !names_profile(local) && !names_profile(remote) {
        return Answer::Unnamed;
    }
    let asymmetry = "level-asymmetry-allowed";
    let is_asymmetric = number(local, asymmetry) == 1 && number(remote, asymmetry) == 1;
    let level = match is_asymmetric {
        true => ours.level,
        false => ours.level.min(theirs.level),
    };
    let answer = ProfileLevelId {
        profile: ours.profile,
        level,
    };
    answer.name().map_or(Answer::Mismatch, Answer::Named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fmtp(profile_level_id: &str, asymmetry: bool) -> CodecParameters {
        let mut parameters = CodecParameters::new();
        parameters.insert("packetization-mode".to_owned(), 1.into());
        if asymmetry {
            parameters.insert("level-asymmetry-allowed".to_owned(), 1.into());
        }
        if !profile_level_id.is_empty() {
            parameters.insert("profile-level-id".to_owned(), profile_level_id.into());
        }
        parameters
    }

    #[test]
    fn profiles_are_read_by_their_patterns() {
        for (text, profile, level_idc) in [
            ("42e01f", Profile::ConstrainedBaseline, 31),
            ("42C02A", Profile::ConstrainedBaseline, 42),
            ("42601f", Profile::ConstrainedBaseline, 31),
            ("4de01f", Profile::ConstrainedBaseline, 31),
            ("58f01f", Profile::ConstrainedBaseline, 31),
            ("42a01f", Profile::Baseline, 31),
            ("58A01F", Profile::Baseline, 31),
            ("4d401f", Profile::Main, 31),
            ("4d0032", Profile::Main, 50),
            ("64001f", Profile::High, 31),
            ("640c1f", Profile::ConstrainedHigh, 31),
            ("f4001f", Profile::PredictiveHigh444, 31),
        ] {
            let parsed = ProfileLevelId::parse(text).unwrap();
            assert_eq!(
                (parsed.profile, parsed.level.idc),
                (profile, level_idc),
                "{text}"
            );
        }
        for text in [
            "", "gggggg", "42e0", "42e01f0", "000000", "42e000", "42e00f", "42ff1f", "64ff1f",
            "+2e01f",
        ] {
            assert_eq!(ProfileLevelId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn level_1b_lies_between_1_and_1_1() {
        let level = |text| ProfileLevelId::parse(text).unwrap().level;
        assert!(level("42e00a") < level("42f00b"));
        assert!(level("42f00b") < level("42e00b"));
        for text in ["42f00b", "42100b", "4d100b"] {
            let name = ProfileLevelId::parse(text).unwrap().name();
            assert_eq!(name.as_deref(), Some(text));
        }
    }

    #[test]
    fn the_answer_is_ours_with_asymmetry_and_the_lower_without() {
        for (ours, theirs, asymmetry, expected) in [
            ("42e01f", "42e034", true, "42e01f"),
            ("42e034", "42c01f", true, "42e034"),
            ("42e034", "42c01f", false, "42e01f"),
            ("42e015", "42e01f", false, "42e015"),
            ("", "42e015", false, "42e015"),
        ] {
            assert_eq!(
                answer(&fmtp(ours, asymmetry), &fmtp(theirs, asymmetry)),
                Answer::Named(expected.to_owned()),
                "{ours} {theirs}"
            );
        }
        assert_eq!(answer(&fmtp("", true), &fmtp("", true)), Answer::Unnamed);
    }

    #[test]
    fn other_profiles_or_modes_do_not_match() {
        assert_eq!(
            answer(&fmtp("42e01f", true), &fmtp("4d0032", true)),
            Answer::Mismatch
        );
        assert_eq!(
            answer(&fmtp("42e01f", true), &fmtp("ffffff", true)),
            Answer::Mismatch
        );
        let mut single = fmtp("42e01f", true);
        single.remove("packetization-mode");
        assert_eq!(answer(&fmtp("42e01f", true), &single), Answer::Mismatch);
    }

    #[test]
    fn digits_may_come_as_a_number() {
        let mut number = fmtp("", true);
        number.insert("profile-level-id".to_owned(), 420_032.into());
        assert_eq!(
            answer(&number, &fmtp("42001f", true)),
            Answer::Named("420032".to_owned())
        );
    }
}
