//! ICE as the engine answers it, and where media goes because of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use support::*;
use weirgate_loadgen::ice::{AgentEvent, Class, Nomination, Timing, attribute};
use weirgate_loadgen::receiver::{Receiver, ReceiverConfig};
use weirgate_loadgen::webrtc_client::{WebRtcClient, WebRtcSetup};

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_nomination_connects() {
    let server = server().await;
    let router = server.api().create_router().await.unwrap();
    for nomination in [
        Nomination::Regular,
        Nomination::Aggressive,
        Nomination::Renomination(1),
    ] {
        let setup = WebRtcSetup {
            nomination,
            ..WebRtcSetup::new().unwrap()
        };
        let media = Arc::new(Mutex::new(Receiver::new(ReceiverConfig::default())));
        let client = WebRtcClient::connect(server.api(), &router.id, &setup, media)
            .await
            .unwrap();
        let path = format!("/v1/transports/{}", client.id);
        until_field(server.api(), &path, "iceState", "completed").await;
        until_field(server.api(), &path, "dtlsState", "connected").await;
        client.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_without_use_candidate_is_answered_and_nominates_nothing() {
    let server = server().await;
    let router = server.api().create_router().await.unwrap();
    let offer = server
        .api()
        .create_webrtc_transport(&router.id, &json!({}))
        .await
        .unwrap();
    let stranger = Stranger::new().await;
    let request = sealed(check(&offer.ice_parameters), &offer.ice_parameters);
    let answer = stranger.ask(&request, address(&offer)).await.unwrap();
    assert_eq!(answer.class, Class::Success);
    assert!(answer.is_authentic(&offer.ice_parameters.password));
    assert_eq!(
        answer.mapped_address(),
        Some(stranger.socket.local_addr().unwrap())
    );
    let path = format!("/v1/transports/{}", offer.id);
    until_field(server.api(), &path, "iceState", "connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_roles_and_unknown_attributes_get_their_error_codes() {
    let server = server().await;
    let router = server.api().create_router().await.unwrap();
    let offer = server
        .api()
        .create_webrtc_transport(&router.id, &json!({}))
        .await
        .unwrap();
    let (ice, to) = (&offer.ice_parameters, address(&offer));
    let stranger = Stranger::new().await;

    let username = format!("{}:stranger", ice.username_fragment);
    let controlled = weirgate_loadgen::ice::MessageBuilder::new(Class::Request, [1; 12])
        .attribute(attribute::USERNAME, username.as_bytes())
        .attribute(attribute::ICE_CONTROLLED, &[9; 8])
        .attribute(attribute::PRIORITY, &[0, 0, 0, 9]);
    let answer = stranger.ask(&sealed(controlled, ice), to).await.unwrap();
    assert_eq!(
        (answer.class, answer.error_code()),
        (Class::Error, Some(487))
    );
    assert!(answer.is_authentic(&ice.password));

    let unknown = check(ice)
        .attribute(0x7ff1, &[1, 2, 3])
        .attribute(attribute::USE_CANDIDATE, &[]);
    let answer = stranger.ask(&sealed(unknown, ice), to).await.unwrap();
    assert_eq!(
        (answer.class, answer.error_code()),
        (Class::Error, Some(420))
    );
    let listed = answer.get(attribute::UNKNOWN_ATTRIBUTES).unwrap();
    assert_eq!(&listed[..2], 0x7ff1_u16.to_be_bytes());

    // One that need not be understood is no reason to refuse.
    let optional = check(ice).attribute(0xfff1, &[1, 2, 3]);
    let answer = stranger.ask(&sealed(optional, ice), to).await.unwrap();
    assert_eq!(answer.class, Class::Success);
    assert_eq!(counter(server.api(), "stun_role_conflicts").await, 1);
    assert_eq!(counter(server.api(), "stun_unknown_attributes").await, 1);
    // The refused check with USE-CANDIDATE nominated nothing.
    let path = format!("/v1/transports/{}", offer.id);
    until_field(server.api(), &path, "iceState", "connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_nomination_moves_the_path_and_a_lower_one_does_not() {
    let server = server().await;
    let router = server.api().create_router().await.unwrap();
    let offer = server
        .api()
        .create_webrtc_transport(&router.id, &json!({}))
        .await
        .unwrap();
    let (ice, to) = (&offer.ice_parameters, address(&offer));
    let (first, second) = (Stranger::new().await, Stranger::new().await);
    let nominate = |number: u32| {
        let builder = check(ice)
            .attribute(attribute::USE_CANDIDATE, &[])
            .attribute(attribute::NOMINATION, &number.to_be_bytes());
        sealed(builder, ice)
    };
    let path = format!("/v1/transports/{}", offer.id);
    let selected_port = async || {
        let dump: serde_json::Value = server.api().get(&path).await.unwrap();
        dump["iceSelectedTuple"]["remotePort"]
            .as_u64()
            .unwrap_or_default() as u16
    };
    let ports = [&first, &second].map(|stranger| stranger.socket.local_addr().unwrap().port());
    for (stranger, number, expected) in [
        (&first, 1, ports[0]),
        (&second, 2, ports[1]),
        (&first, 1, ports[1]),
        (&first, 3, ports[0]),
    ] {
        let answer = stranger.ask(&nominate(number), to).await.unwrap();
        assert_eq!(answer.class, Class::Success);
        // The event of the move is on its way to control.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(selected_port().await, expected, "after nomination {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ice_restart_keeps_the_old_credentials_until_the_new_are_used() {
    let server = server().await;
    let api = server.api();
    let call = Call::start(api, CallOptions::default()).await;
    let receiver = &call.receivers[0].client;
    let offer = api
        .create_webrtc_transport(&call.router.id, &json!({}))
        .await
        .unwrap();
    let to = address(&offer);

    let renewed = api.restart_ice(&offer.id).await.unwrap();
    assert_ne!(renewed, offer.ice_parameters);
    let stranger = Stranger::new().await;
    let with_old = || sealed(check(&offer.ice_parameters), &offer.ice_parameters);
    let answer = stranger
        .ask(&with_old(), to)
        .await
        .expect("the old ones are still good");
    assert!(answer.is_authentic(&offer.ice_parameters.password));
    let answer = stranger
        .ask(&sealed(check(&renewed), &renewed), to)
        .await
        .unwrap();
    assert!(answer.is_authentic(&renewed.password));
    assert!(
        stranger.ask(&with_old(), to).await.is_none(),
        "the old ones are still good"
    );

    // A transport that carries media goes on through a restart.
    let renewed = api.restart_ice(&receiver.id).await.unwrap();
    call.runs_on(20).await;
    receiver
        .leg
        .with_agent(move |agent| agent.restart(renewed).unwrap());
    call.runs_on(50).await;
    let path = format!("/v1/transports/{}", receiver.id);
    until_field(api, &path, "iceState", "completed").await;
    call.finish(api).await.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_checking_is_disconnected_and_one_that_goes_on_is_not() {
    let server = server().await;
    let api = server.api();
    let router = api.create_router().await.unwrap();
    let connect = async |consent_ns| {
        let options = json!({"iceConsentTimeout": 2});
        let offer = api
            .create_webrtc_transport(&router.id, &options)
            .await
            .unwrap();
        let timing = Timing {
            consent_ns,
            ..Timing::default()
        };
        let setup = WebRtcSetup {
            timing,
            ..WebRtcSetup::new().unwrap()
        };
        api.connect_webrtc(&offer.id, &setup.dtls_parameters())
            .await
            .unwrap();
        let media = Arc::new(Mutex::new(Receiver::new(ReceiverConfig::default())));
        WebRtcClient::establish(&offer, &setup, media)
            .await
            .unwrap()
    };
    let silent = connect(u64::MAX / 2).await;
    let mut steady = connect(500_000_000).await;
    let path = |client: &WebRtcClient| format!("/v1/transports/{}", client.id);
    until_field(api, &path(&silent), "iceState", "disconnected").await;
    until_field(api, &path(&steady), "iceState", "completed").await;
    assert_eq!(counter(api, "consent_expired").await, 1);
    assert!(!matches!(
        steady.events.try_recv(),
        Ok(AgentEvent::ConsentLost)
    ));
}
