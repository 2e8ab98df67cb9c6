//! The table of settings: every key once, for all three places a value can come from.

/// One setting.
pub(crate) struct Key {
    /// As a flag (`--http-listen`), in the file (`http-listen`) and, in capitals with
    /// underscores, as a variable (`WEIRGATE_HTTP_LISTEN`).
    pub(crate) name: &'static str,
    /// What stands for the value in `--help`; empty for a switch.
    pub(crate) value: &'static str,
    /// May be given several times.
    pub(crate) repeatable: bool,
    /// One line for `--help`.
    pub(crate) help: &'static str,
}

impl Key {
    /// Name of the environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("WEIRGATE_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// Takes no value on the command line.
    pub(crate) fn is_switch(&self) -> bool {
        self.value.is_empty()
    }
}

const fn one(name: &'static str, value: &'static str, help: &'static str) -> Key {
    Key {
        name,
        value,
        repeatable: false,
        help,
    }
}

const fn many(name: &'static str, value: &'static str, help: &'static str) -> Key {
    Key {
        name,
        value,
        repeatable: true,
        help,
    }
}

/// Every setting but `config`, which names the file the others may stand in.
pub(crate) const KEYS: &[Key] = &[
    one(
        "http-listen",
        "ADDR:PORT",
        "Address of the HTTP API, signaling and page [default: 127.0.0.1:8080]",
    ),
    one("tls-cert", "FILE", "Certificate chain (PEM) for HTTPS"),
    one("tls-key", "FILE", "Private key (PEM) for HTTPS"),
    many(
        "api-token",
        "TOKEN",
        "Token that /v1 and /metrics ask for (repeatable)",
    ),
    many(
        "allow-origin",
        "ORIGIN",
        "Web origin, such as https://meet.example, whose pages may call (repeatable)",
    ),
    many(
        "media-listen",
        "ADDR[:PORT]",
        "UDP address for WebRTC media (repeatable) [default: 0.0.0.0:10000 and [::]:10000]",
    ),
    many(
        "announced-address",
        "ADDR|HOST",
        "Address clients are told instead of the host's own (one per family)",
    ),
    one(
        "plain-ports",
        "MIN-MAX",
        "UDP ports for plain transports [default: 10100-13999]",
    ),
    one(
        "cores",
        "LIST",
        "CPUs for media, such as 0,2-3 [default: every allowed one]",
    ),
    one(
        "io",
        "auto|uring|mmsg|xdp",
        "How the engine talks to the network [default: auto]",
    ),
    one(
        "busy-poll",
        "MICROSECONDS",
        "How long the engine polls network cards before it sleeps: less delay for more CPU time; \
         needs CAP_NET_ADMIN; 0: off [default: 0]",
    ),
    one(
        "coalesce-max",
        "MICROSECONDS",
        "How long busy shards let datagrams gather before they send, at most [default: 2000]",
    ),
    one(
        "engine-socket",
        "PATH",
        "Socket of the engine [default: $XDG_RUNTIME_DIR/weirgate/engine.sock, \
         else /tmp/weirgate-UID/engine.sock]",
    ),
    one(
        "engine-bin",
        "PATH",
        "Engine to start where none runs [default: weirgate-engine beside this program]",
    ),
    one(
        "keep-engine",
        "",
        "Leave the engine running when this program is told to end",
    ),
    many(
        "ice-server",
        "URL[,USER,PASS]",
        "STUN or TURN server handed to clients (repeatable)",
    ),
    one(
        "page-dir",
        "DIR",
        "Folder of the call page [default: page beside this program, or control/page/dist]",
    ),
    one(
        "join-token-secret",
        "SECRET",
        "Rooms ask for a join token (JWT, HS256) signed with this",
    ),
    one(
        "max-connections",
        "N",
        "HTTP connections at a time, one for each signaling client among them [default: 10000]",
    ),
    one("max-rooms", "N", "Rooms at a time [default: 10000]"),
    one(
        "max-peers-per-room",
        "N",
        "Peers in one room at a time [default: 1000]",
    ),
    one(
        "resume-time",
        "SECONDS",
        "How long a peer without connection keeps its place [default: 15]",
    ),
    one(
        "log-format",
        "text|json",
        "Form of the log lines [default: text]",
    ),
    one(
        "log-level",
        "error|warn|info|debug|trace",
        "Least severity that is logged [default: info]",
    ),
];

/// The key of that name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
