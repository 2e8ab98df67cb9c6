//! A server behind HTTPS and a token.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use weirgate_loadgen::api::Api;
use weirgate_loadgen::harness::{Server, ServerOptions};
use weirgate_loadgen::scenario::{
    Cast, Interrupt, Scenario, SignalingKind, Silent, Traffic, Transport,
};
use weirgate_loadgen::sender::{AudioShape, Shape};

const TOKEN: &str = "a-token-of-the-test";

#[tokio::test(flavor = "multi_thread")]
async fn https_and_wss_with_a_token_are_spoken_and_strange_certificates_refused() {
    let name = format!("weirgate-https-{}.pem", std::process::id());
    let pem = std::env::temp_dir().join(name);
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let both = made.cert.pem() + &made.key_pair.serialize_pem();
    std::fs::write(&pem, both).unwrap();
    let mut options = ServerOptions::new("auto", "0");
    options.api_token = Some(TOKEN.to_owned());
    options.tls = Some(pem.clone());
    let server = Server::start(&options).await.unwrap();
    std::fs::remove_file(&pem).unwrap();

    for signaling in [SignalingKind::Api, SignalingKind::Socketio] {
        let traffic = Traffic::of(vec![Shape::Audio(AudioShape::default())]);
        let cast = Cast::Livestream { receivers: 2 };
        let mut scenario = Scenario::new(cast, Transport::WebRtc(None), traffic);
        scenario.duration = Duration::from_secs(1);
        scenario.signaling = signaling;
        let outcome = scenario
            .run(server.api(), &Interrupt::default(), &Silent)
            .await
            .unwrap();
        assert_eq!(outcome.participants.joined, 3, "{outcome:#?}");
        assert_eq!(outcome.totals.lost, 0, "{outcome:#?}");
    }

    let strict = Api::new(server.api().base(), Some(TOKEN.to_owned())).unwrap();
    let error = strict.create_router().await.unwrap_err();
    let text = format!("{error:#}").to_lowercase();
    assert!(text.contains("certificate"), "{text}");
}
