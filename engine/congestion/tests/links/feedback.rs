//! Feedback that is lost, doubled, or comes in another order.

use crate::sim::{FeedbackFaults, LinkConfig, MS, MediaConfig, MediaFlow, Network, SECOND};

#[test]
fn bad_feedback_costs_little() {
    let faults = [
        FeedbackFaults {
            loss: 0.2,
            ..FeedbackFaults::default()
        },
        FeedbackFaults {
            doubled: 0.5,
            ..FeedbackFaults::default()
        },
        FeedbackFaults {
            late: 0.3,
            ..FeedbackFaults::default()
        },
        FeedbackFaults {
            loss: 0.2,
            doubled: 0.2,
            late: 0.2,
        },
    ];
    for faults in faults {
        let mut network = Network::new(LinkConfig {
            rate_bps: 2_000_000,
            ..LinkConfig::default()
        });
        let media = MediaConfig {
            faults,
            ..MediaConfig::default()
        };
        let mut flow = MediaFlow::new(network.now_us, media);
        network.run(40 * SECOND, &mut [&mut flow]);
        let from_us = network.now_us - 30 * SECOND;
        let bps = flow.delivered_bps(from_us, network.now_us);
        assert!(bps > 1_300_000, "{bps} with {faults:?}");
        let wait_us = network.link.longest_wait_us(from_us, network.now_us);
        assert!(wait_us < 250 * MS, "{wait_us} with {faults:?}");
    }
}
