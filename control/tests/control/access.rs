//! Who may call.

use crate::support::{http::send, server::Host, signaling::Client};

const TOKEN: &str = "0123456789abcdef";

#[tokio::test]
async fn with_a_token_the_api_wants_it() {
    let host = Host::new();
    let flags = ["--api-token", TOKEN, "--api-token", "another-token"];
    let control = host.control(&flags).await;
    let get = async |value: &str| {
        let headers = [("Authorization", value)];
        send(control.address, "GET", "/v1/routers", &headers, b"").await
    };
    let without = control.get("/v1/routers").await;
    without.error(401, "unauthorized");
    assert_eq!(without.header("www-authenticate"), Some("Bearer"));
    for bad in ["Bearer x", "Bearer ", "Basic 0123456789abcdef", TOKEN] {
        get(bad).await.error(401, "unauthorized");
    }
    get(&format!("Bearer {TOKEN}")).await.ok(200);
    get("bearer another-token").await.ok(200);
    control.get("/v1/events").await.error(401, "unauthorized");
    for open in ["/livez", "/readyz", "/", "/openapi.json"] {
        assert_eq!(control.get(open).await.status, 200, "{open}");
    }
    assert_eq!(control.get("/metrics").await.status, 200, "from this host");
    Client::connect(&control).await;
}

#[tokio::test]
async fn without_a_token_host_and_origin_are_checked() {
    let host = Host::new();
    let control = host
        .control(&["--allow-origin", "https://meet.example"])
        .await;
    let port = control.address.port();
    let own = format!("http://127.0.0.1:{port}");
    let get = async |headers: &[(&str, &str)]| {
        send(control.address, "GET", "/v1/routers", headers, b"").await
    };
    for good in [
        "localhost",
        "LOCALHOST:1",
        "127.9.9.9",
        "[::1]:80",
        "a.localhost",
    ] {
        get(&[("Host", good)]).await.ok(200);
    }
    for bad in [
        "evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "localhost.evil",
        "",
    ] {
        get(&[("Host", bad)]).await.error(403, "unauthorized");
    }
    get(&[("Origin", &own)]).await.ok(200);
    let allowed = get(&[("Origin", "https://meet.example")]).await;
    allowed.ok(200);
    let header = allowed.header("access-control-allow-origin");
    assert_eq!(header, Some("https://meet.example"));
    for bad in [
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "https://meet.example.evil",
    ] {
        let answer = get(&[("Origin", bad)]).await;
        answer.error(403, "unauthorized");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn pages_of_other_sites_get_no_signaling() {
    let host = Host::new();
    for flags in [&["--api-token", TOKEN][..], &[]] {
        let control = host.control(flags).await;
        let own = format!("http://{}", control.address);
        Client::connect_with(&control, &[("origin", &own)])
            .await
            .unwrap();
        let other = [("origin", "http://evil.example")];
        assert!(Client::connect_with(&control, &other).await.is_err());
        let polling = "/socket.io/?EIO=4&transport=polling";
        let headers = [("Origin", "http://evil.example")];
        send(control.address, "GET", polling, &headers, b"")
            .await
            .error(403, "unauthorized");
        control.kill().await;
    }
}

#[tokio::test]
async fn browsers_may_ask_first() {
    let host = Host::new();
    let flags = [
        "--allow-origin",
        "https://meet.example",
        "--api-token",
        TOKEN,
    ];
    let control = host.control(&flags).await;
    let headers = [
        ("Origin", "https://meet.example"),
        ("Access-Control-Request-Method", "DELETE"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    let answer = send(control.address, "OPTIONS", "/v1/routers/x", &headers, b"").await;
    assert_eq!(answer.status, 200);
    let methods = answer.header("access-control-allow-methods").unwrap();
    assert!(methods.contains("DELETE"), "{methods}");
}
