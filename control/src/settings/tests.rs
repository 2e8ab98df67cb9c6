use super::*;

fn load(args: &[&str], variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let args = std::iter::once("weirgate-control").chain(args.iter().copied());
    Settings::load(args.map(OsString::from), |name| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn refused(args: &[&str], variables: &[(&str, &str)]) -> String {
    load(args, variables).unwrap_err().to_string()
}

#[test]
fn defaults_are_the_contracts() {
    let settings = load(&[], &[("XDG_RUNTIME_DIR", "/run/user/7")]).unwrap();
    assert_eq!(settings.http_listen.to_string(), "127.0.0.1:8080");
    let media: Vec<_> = settings
        .media_listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(media, ["0.0.0.0:10000", "[::]:10000"]);
    assert_eq!(settings.plain_ports, (10100, 13999));
    assert_eq!(
        settings.engine_socket,
        PathBuf::from("/run/user/7/weirgate/engine.sock")
    );
    assert_eq!(settings.resume_time, Duration::from_secs(15));
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weirgate.toml");
    std::fs::write(
        &file,
        "cores = \"0\"\nmax-rooms = 3\nmax-peers-per-room = 4\nallow-origin = [\"http://a\"]\n",
    )
    .unwrap();
    let settings = load(
        &["--config", file.to_str().unwrap(), "--cores", "2"],
        &[("WEIRGATE_CORES", "1"), ("WEIRGATE_MAX_ROOMS", "5")],
    )
    .unwrap();
    assert_eq!(settings.cores.as_deref(), Some("2"));
    assert_eq!(settings.max_rooms, 5);
    assert_eq!(settings.max_peers_per_room, 4);
    assert_eq!(settings.allow_origins, ["http://a"]);
}

#[test]
fn a_variable_may_hold_several_values() {
    let settings = load(
        &[],
        &[
            ("WEIRGATE_MEDIA_LISTEN", "127.0.0.1 [::1]:9999"),
            ("WEIRGATE_ICE_SERVER", "stun:a:1 turn:b:2,user,pass,word"),
        ],
    )
    .unwrap();
    let media: Vec<_> = settings
        .media_listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(media, ["127.0.0.1:10000", "[::1]:9999"]);
    assert_eq!(
        settings.ice_servers[1].credential.as_deref(),
        Some("pass,word")
    );
}

#[test]
fn a_bad_value_is_refused_with_place_value_and_what_is_allowed() {
    for (key, value) in [
        ("http-listen", "8080"),
        ("media-listen", "nowhere"),
        ("announced-address", "0.0.0.0"),
        ("plain-ports", "20-10"),
        ("cores", "3-1"),
        ("io", "fast"),
        ("coalesce-max", "20001"),
        ("busy-poll", "10001"),
        ("api-token", "short"),
        ("allow-origin", "meet.example"),
        ("ice-server", "http://x"),
        ("ice-server", "turn:x,user"),
        ("join-token-secret", "short"),
        ("max-rooms", "0"),
        ("resume-time", "-1"),
        ("log-format", "xml"),
        ("log-level", "INFO"),
    ] {
        let variable = format!("WEIRGATE_{}", key.replace('-', "_").to_uppercase());
        let by_flag = refused(&[&format!("--{key}={value}")], &[]);
        assert!(
            by_flag.starts_with(&format!("--{key}: \"{value}\"")),
            "{by_flag}"
        );
        assert!(by_flag.contains("allowed is"), "{by_flag}");
        let by_variable = refused(&[], &[(&variable, value)]);
        assert!(by_variable.starts_with(&variable), "{by_variable}");
    }
}

#[test]
fn unknown_keys_of_the_file_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weirgate.toml");
    for (text, named) in [
        ("coers = \"0\"\n", "coers"),
        ("cores = 1.5\n", "cores"),
        ("io = [\"auto\", \"mmsg\"]\n", "io"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = refused(&["--config", file.to_str().unwrap()], &[]);
        assert!(error.contains(named), "{error}");
    }
    let missing = dir.path().join("none.toml");
    let error = refused(&["--config", missing.to_str().unwrap()], &[]);
    assert!(error.contains("none.toml"), "{error}");
}

#[test]
fn without_a_token_only_loopback_is_listened_on() {
    let error = refused(&["--http-listen", "0.0.0.0:8080"], &[]);
    assert!(error.contains("--api-token"), "{error}");
    load(&["--http-listen", "[::1]:8080"], &[]).unwrap();
    load(
        &["--http-listen", "0.0.0.0:8080", "--api-token", "0123456789"],
        &[],
    )
    .unwrap();
}

#[test]
fn https_needs_both_files() {
    assert!(refused(&["--tls-cert", "a"], &[]).starts_with("tls-key"));
    assert!(refused(&["--tls-key", "a"], &[]).starts_with("tls-cert"));
}

#[test]
fn one_announced_address_per_family() {
    let settings = load(
        &[
            "--announced-address",
            "192.0.2.1",
            "--announced-address",
            "2001:db8::1",
        ],
        &[],
    )
    .unwrap();
    assert!(settings.announced.v4.is_some() && settings.announced.v6.is_some());
    refused(
        &[
            "--announced-address",
            "192.0.2.1",
            "--announced-address",
            "192.0.2.2",
        ],
        &[],
    );
}

#[test]
fn help_lists_every_key() {
    let help = refused(&["--help"], &[]);
    for key in keys::KEYS {
        assert!(help.contains(&format!("--{}", key.name)), "{}", key.name);
    }
}

#[test]
fn variables_that_are_no_settings_are_found() {
    let given = [
        "WEIRGATE_HTP_LISTEN",
        "WEIRGATE_HTTP_LISTEN",
        "WEIRGATE_CONFIG",
        "WEIRGATE_STEERING",
        "HTTP_LISTEN",
    ];
    assert_eq!(
        unknown_variables(given.map(str::to_owned)),
        ["WEIRGATE_HTP_LISTEN"]
    );
}
