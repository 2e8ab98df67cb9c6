//! HMAC-SHA1 of several messages at once: message *i* is in lane *i* of every SIMD register, so
//! that one pass over the rounds of SHA-1 (FIPS 180-4 section 6.1.2) serves all of them.

use fearless_simd::{Level, Simd, dispatch, prelude::*};

use super::hmac_sha1::{BLOCK_LEN, Block, HmacSha1, Message, OUTER_BITS, State, Tag, to_bytes};

/// Lanes of the widest registers (AVX-512).
pub(crate) const MAX_LANES: usize = 16;
/// With fewer lanes than these (AVX2) the CPU's own SHA instructions are as quick, one message at
/// a time.
const MIN_LANES: usize = 8;
/// Lanes pay where their messages have more than this many times the blocks of the longest one.
const WORTH: usize = 4;

/// The digest of a message that is not there.
const UNUSED: Block = [0; BLOCK_LEN];

/// How many messages this CPU hashes at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lanes {
    level: Level,
    count: usize,
}

impl Lanes {
    /// `None` where one message at a time is as quick.
    pub(crate) fn new() -> Option<Self> {
        let lanes = Self::of(Level::new());
        (lanes.count >= MIN_LANES).then_some(lanes)
    }

    fn of(level: Level) -> Self {
        let count = dispatch!(level, simd => width(simd));
        Self { level, count }
    }

    /// Messages at once.
    pub(crate) const fn count(self) -> usize {
        self.count
    }

    /// False where messages of these lengths in bytes are so few that one after the other is
    /// quicker.
    pub(crate) fn pay_for(self, lens: impl Iterator<Item = usize>) -> bool {
        let (sum, longest) = lens
            .map(Message::blocks_of)
            .fold((0, 0), |(sum, longest), blocks| {
                (sum + blocks, longest.max(blocks))
            });
        sum > WORTH * longest
    }

    /// The tags of the first [`Self::count`] messages, each with its key, in their order.
    pub(crate) fn tags(self, messages: &[(&HmacSha1, Message<'_>)]) -> [Tag; MAX_LANES] {
        let mut states = [State::default(); MAX_LANES];
        dispatch!(self.level, simd => hmac(simd, messages, &mut states));
        states.map(to_bytes)
    }
}

fn width<S: Simd>(_: S) -> usize {
    S::u32s::LEN
}

/// The hash value of every lane.
type States<S> = [<S as Simd>::u32s; 5];
/// The message schedule of every lane, 16 words of the 80 at a time.
type Words<S> = [<S as Simd>::u32s; 16];

#[inline(always)]
fn hmac<S: Simd>(simd: S, messages: &[(&HmacSha1, Message<'_>)], out: &mut [State; MAX_LANES]) {
    let mut counts = [0; MAX_LANES];
    for (count, (_, message)) in counts.iter_mut().zip(messages) {
        *count = message.block_count() as u32;
    }
    let longest = counts.iter().copied().max().unwrap_or(0);
    let counts = S::u32s::from_slice(simd, &counts[..S::u32s::LEN]);

    let mut states = gather::<S>(simd, messages.iter().map(|(key, _)| &key.inner));
    for at in 0..longest {
        let next = compress(simd, states, block_words(simd, messages, at as usize));
        let goes_on = counts.simd_gt(S::u32s::splat(simd, at));
        for (state, next) in states.iter_mut().zip(next) {
            *state = goes_on.select(next, *state);
        }
    }

    // The outer hash is over one block: the inner digest, and the padding.
    let mut words = [S::u32s::splat(simd, 0); 16];
    words[..5].copy_from_slice(&states);
    words[5] = S::u32s::splat(simd, 0x8000_0000);
    words[15] = S::u32s::splat(simd, OUTER_BITS);
    let states = gather::<S>(simd, messages.iter().map(|(key, _)| &key.outer));
    let states = compress(simd, states, words);
    for (place, state) in states.iter().enumerate() {
        for (out, word) in out.iter_mut().zip(state.as_slice()) {
            out[place] = *word;
        }
    }
}

#[inline(always)]
fn gather<'a, S: Simd>(simd: S, states: impl Iterator<Item = &'a State>) -> States<S> {
    let mut words = [[0; MAX_LANES]; 5];
    for (lane, state) in states.take(S::u32s::LEN).enumerate() {
        for (words, word) in words.iter_mut().zip(state) {
            words[lane] = *word;
        }
    }
    words.map(
        #[inline(always)]
        |words| S::u32s::from_slice(simd, &words[..S::u32s::LEN]),
    )
}

/// Block `at` of every message: a matrix of a block per row, which becomes one of a lane per
/// column.
#[inline(always)]
fn block_words<S: Simd>(simd: S, messages: &[(&HmacSha1, Message<'_>)], at: usize) -> Words<S> {
    let lanes = S::u32s::LEN;
    let mut blocks = [&UNUSED; MAX_LANES];
    for (block, (_, message)) in blocks.iter_mut().zip(messages) {
        let whole = message.blocks;
        *block = match whole.get(at) {
            Some(block) => block,
            None => message.end().get(at - whole.len()).unwrap_or(&UNUSED),
        };
    }
    let mut words = [S::u32s::splat(simd, 0); 16];
    let row_bytes = 4 * lanes;
    for (part, words) in words.chunks_exact_mut(lanes).enumerate() {
        let mut rows = [S::u32s::splat(simd, 0); MAX_LANES];
        for (row, block) in rows.iter_mut().zip(&blocks[..lanes]) {
            *row = big_endian(simd, &block[part * row_bytes..(part + 1) * row_bytes]);
        }
        words.copy_from_slice(&transposed::<S>(rows)[..lanes]);
    }
    words
}

#[inline(always)]
fn big_endian<S: Simd>(simd: S, bytes: &[u8]) -> S::u32s {
    const REVERSED: [u8; 4 * MAX_LANES] = {
        let mut places = [0; 4 * MAX_LANES];
        let mut place = 0;
        while place < places.len() {
            places[place] = (place as u8 % 16) ^ 3;
            place += 1;
        }
        places
    };
    let reversed = S::u8s::from_slice(simd, &REVERSED[..4 * S::u32s::LEN]);
    S::u8s::from_slice(simd, bytes)
        .swizzle_dyn_within_blocks(reversed)
        .bitcast()
}

/// A square matrix, the first [`SimdBase::LEN`] rows, mirrored: each step interleaves the upper
/// half of the rows with the lower one, and as many steps as halvings bring every word to its
/// place.
#[inline(always)]
fn transposed<S: Simd>(mut rows: [S::u32s; MAX_LANES]) -> [S::u32s; MAX_LANES] {
    let half = S::u32s::LEN / 2;
    for _ in 0..S::u32s::LEN.ilog2() {
        let before = rows;
        for upper in 0..half {
            let (low, high) = before[upper].interleave(before[upper + half]);
            rows[2 * upper] = low;
            rows[2 * upper + 1] = high;
        }
    }
    rows
}

/// The rounds that are listed. They are written out one by one, because the words of a loop that
/// the compiler does not unroll are in memory, which takes twice the time.
macro_rules! rounds {
    ($simd:ident, $state:ident, $words:ident, $constant:literal, $function:expr, $($round:literal)*) => {{
        let constant = S::u32s::splat($simd, $constant);
        $(
            let word = schedule::<S, $round>(&mut $words);
            let [a, b, c, d, e] = $state;
            let sum = rotated::<S, 5>(a) + ($function(b, c, d) + (e + (word + constant)));
            $state = [sum, a, rotated::<S, 30>(b), c, d];
        )*
    }};
}

#[inline(always)]
fn compress<S: Simd>(simd: S, before: States<S>, mut words: Words<S>) -> States<S> {
    let mut state = before;
    rounds!(simd, state, words, 0x5a82_7999, choice::<S>,
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
    rounds!(simd, state, words, 0x6ed9_eba1, parity::<S>,
        20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39);
    rounds!(simd, state, words, 0x8f1b_bcdc, majority::<S>,
        40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59);
    rounds!(simd, state, words, 0xca62_c1d6, parity::<S>,
        60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79);
    for (state, before) in state.iter_mut().zip(before) {
        *state += before;
    }
    state
}

/// The word of a round; from round 16 on it takes the place of the one 16 rounds before.
#[inline(always)]
fn schedule<S: Simd, const ROUND: usize>(words: &mut Words<S>) -> S::u32s {
    if ROUND >= 16 {
        let mixed = words[(ROUND - 3) % 16] ^ words[(ROUND - 8) % 16] ^ words[(ROUND - 14) % 16];
        words[ROUND % 16] = rotated::<S, 1>(mixed ^ words[ROUND % 16]);
    }
    words[ROUND % 16]
}

#[inline(always)]
fn rotated<S: Simd, const BITS: u32>(word: S::u32s) -> S::u32s {
    (word << BITS) | (word >> (32 - BITS))
}

#[inline(always)]
fn choice<S: Simd>(b: S::u32s, c: S::u32s, d: S::u32s) -> S::u32s {
    d ^ (b & (c ^ d))
}

#[inline(always)]
fn parity<S: Simd>(b: S::u32s, c: S::u32s, d: S::u32s) -> S::u32s {
    b ^ c ^ d
}

#[inline(always)]
fn majority<S: Simd>(b: S::u32s, c: S::u32s, d: S::u32s) -> S::u32s {
    (b & c) | (d & (b | c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the CPU has, and what it has besides.
    fn levels() -> Vec<Lanes> {
        let level = Level::new();
        let mut levels = vec![level];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(level.as_avx2().map(Level::Avx2));
            levels.extend(level.as_sse4_2().map(Level::Sse4_2));
            levels.extend(level.as_sse2().map(Level::Sse2));
        }
        levels.into_iter().map(Lanes::of).collect()
    }

    #[test]
    fn each_lane_is_the_hmac_of_its_message_at_any_length() {
        let bytes: Vec<u8> = (0..2_000u32).map(|at| (at * 7 / 8) as u8).collect();
        for lanes in levels() {
            for seed in 0..60 {
                let keys: Vec<_> = (0..lanes.count())
                    .map(|lane| HmacSha1::new(&[(seed + lane * 3) as u8; 20]))
                    .collect();
                // The lengths pass every end of a block, and differ by up to a few blocks.
                let messages: Vec<_> = keys
                    .iter()
                    .zip(0..)
                    .map(|(key, lane)| {
                        let len = seed * 30 + (lane * seed) % 150;
                        (key, Message::new(&bytes[lane..lane + len], [seed as u8; 4]))
                    })
                    .collect();
                let tags = lanes.tags(&messages);
                for (tag, (key, message)) in tags.iter().zip(&messages) {
                    assert_eq!(*tag, key.tag_message(message), "{lanes:?}, {seed}");
                }
            }
        }
    }

    #[test]
    fn few_messages_are_not_worth_it() {
        let lanes = Lanes::of(Level::new());
        let pay_for = |lens: &[usize]| lanes.pay_for(lens.iter().copied());
        assert!(!pay_for(&[]));
        assert!(!pay_for(&[1_200]));
        assert!(!pay_for(&[1_200; WORTH]));
        assert!(pay_for(&[1_200; WORTH + 1]));
        assert!(!pay_for(&[[1_200, 64, 64, 64], [64; 4]].concat()));
        assert!(pay_for(&[100; 16]));
    }
}
