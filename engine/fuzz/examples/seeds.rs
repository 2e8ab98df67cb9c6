//! Writes the corpus every target starts from: `cargo run --example seeds` in this folder.

use std::path::Path;

use weirgate_fuzz::call::Step;
use weirgate_fuzz::samples::{self, Sample};
use weirgate_fuzz::sim;
use weirgate_fuzz::srtp::{RTCP_BIT, SEAL_BIT, key, seal, suite};
use weirgate_srtp::Sealer;

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
    write("srtp_open", sealed())?;
    write("shard", calls())
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
        for (sample, is_rtcp) in samples::rtp()
            .into_iter()
            .map(|sample| (sample, false))
            .chain(
                samples::rtcp()
                    .into_iter()
                    .take(2)
                    .map(|sample| (sample, true)),
            )
        {
            let selector = if is_rtcp {
                selector | RTCP_BIT
            } else {
                selector
            };
            seeds.extend(pair(&mut sealer, selector, &sample, is_rtcp));
        }
    }
    seeds
}

/// The packet as it is, to be sealed by the target, and sealed.
fn pair(
    sealer: &mut Sealer,
    selector: u8,
    (name, bytes): &Sample,
    is_rtcp: bool,
) -> [(String, Vec<u8>); 2] {
    let sealed = seal(sealer, bytes, is_rtcp).unwrap();
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

/// Calls with media and, in each, something else.
fn calls() -> Vec<(String, Vec<u8>)> {
    let media = |from: u8, len: u8| -> Vec<u8> {
        (from..from + len)
            .flat_map(|sequence| Step::Media.encode(&[0, sequence, u8::from(sequence == from)]))
            .collect()
    };
    let wait = |ms: u16| Step::Wait.encode(&ms.to_be_bytes());
    let around = |name: &str, steps: Vec<u8>| {
        let input = [media(1, 8), steps, wait(1200), media(20, 4)].concat();
        (name.to_owned(), input)
    };
    let mut seeds = vec![
        around("media", vec![]),
        around("lost", Step::Lost.encode(&[5])),
        around("gap", [media(40, 3), wait(100)].concat()),
        around(
            "pause",
            [Step::Pause.encode(&[1]), Step::Pause.encode(&[0])].concat(),
        ),
        around(
            "renominate",
            [
                Step::Check.encode(&[2, 1, 5]),
                Step::Check.encode(&[1, 1, 6]),
            ]
            .concat(),
        ),
        around("role", Step::Check.encode(&[3, 7])),
    ];
    for (name, bytes) in samples::rtcp()
        .into_iter()
        .chain(samples::transport_feedback())
    {
        let steps = [
            Step::ReceiverRtcp.encode(&about(
                &bytes,
                sim::video_consumer(2, &sim::video_producer(1)).ssrc,
            )),
            Step::SenderRtcp.encode(&about(&bytes, sim::MEDIA_SSRC)),
        ];
        seeds.push(around(&format!("rtcp-{name}"), steps.concat()));
    }
    let datagrams = [samples::stun(), samples::dtls(), samples::rtp()].concat();
    for (name, bytes) in datagrams {
        let steps = [
            Step::FromSender.encode(&bytes),
            Step::FromStranger.encode(&bytes),
            Step::OnOtherShard.encode(&bytes),
            Step::FromReceiver.encode(&bytes),
            Step::SenderRtp.encode(&bytes),
        ];
        seeds.push(around(&format!("datagram-{name}"), steps.concat()));
    }
    seeds
}

/// The samples speak about sources 2 and 9; this speaks about another.
fn about(rtcp: &[u8], ssrc: u32) -> Vec<u8> {
    rtcp.chunks(4)
        .flat_map(|word| match word {
            [0, 0, 0, 2 | 9] => ssrc.to_be_bytes().to_vec(),
            _ => word.to_vec(),
        })
        .collect()
}
