//! Writes the corpus every target starts from: `cargo run --example seeds` in this folder.

use std::path::Path;

use weirgate_fuzz::samples::{self, Sample};
use weirgate_fuzz::srtp::{RTCP_BIT, SEAL_BIT, key, suite};
use weirgate_packet::rtp;
use weirgate_srtp::Sealer;

/// More than either suite adds.
const OVERHEAD: usize = 64;
/// Bytes of the RTCP header and the two sources, which the feedback target puts in front itself.
const FEEDBACK_HEADER_LEN: usize = 12;

fn main() -> std::io::Result<()> {
    let feedback = samples::transport_feedback();
    let bodies = feedback
        .iter()
        .map(|(name, bytes)| (*name, bytes[FEEDBACK_HEADER_LEN..].to_vec()));
    let key_frames = (0..).zip(samples::key_frames());
    write("rtp", samples::rtp())?;
    write("rtcp", samples::rtcp().into_iter().chain(feedback.clone()))?;
    write("transport_feedback", bodies)?;
    write("stun", samples::stun())?;
    write("dtls", samples::dtls())?;
    write(
        "payload",
        key_frames
            .map(|(index, (codec, bytes))| (format!("{codec:?}-{index}").to_lowercase(), bytes)),
    )?;
    write("payload", samples::dependency_descriptors())?;
    write("srtp_open", sealed())
}

fn write<N: AsRef<Path>>(
    target: &str,
    seeds: impl IntoIterator<Item = (N, Vec<u8>)>,
) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    std::fs::create_dir_all(&folder)?;
    for (name, bytes) in seeds {
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// Packets sealed and to be sealed, of every suite.
fn sealed() -> Vec<(String, Vec<u8>)> {
    let mut seeds = vec![];
    for selector in 0..4u8 {
        let mut sealer = Sealer::new(&key(suite(selector))).unwrap();
        for (name, bytes) in samples::rtp() {
            let index = u64::from(rtp::sequence(&bytes).unwrap());
            let header_len = rtp::header_len(&bytes).unwrap();
            let seal = |slot: &mut [u8]| sealer.seal_rtp(slot, header_len, bytes.len(), index);
            seeds.extend(pair(selector, &(name, bytes.clone()), seal));
        }
        for (name, bytes) in samples::rtcp().into_iter().take(2) {
            let seal = |slot: &mut [u8]| sealer.seal_rtcp(slot, bytes.len());
            seeds.extend(pair(selector | RTCP_BIT, &(name, bytes.clone()), seal));
        }
    }
    seeds
}

/// The packet as it is, to be sealed by the target, and sealed.
fn pair(
    selector: u8,
    (name, bytes): &Sample,
    seal: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> [(String, Vec<u8>); 2] {
    let mut sealed = bytes.clone();
    sealed.resize(bytes.len() + OVERHEAD, 0);
    let len = seal(&mut sealed).unwrap();
    sealed.truncate(len);
    let with_selector = |selector: u8, bytes: &[u8]| [&[selector][..], bytes].concat();
    [
        (
            format!("{name}-{selector}-clear"),
            with_selector(selector | SEAL_BIT, bytes),
        ),
        (
            format!("{name}-{selector}-sealed"),
            with_selector(selector, &sealed),
        ),
    ]
}
