//! Steering brings every datagram of a flow to the socket that was told. Needs rights; says so
//! where they are missing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use weirgate_io::{Duty, Steering, bind_media, bind_plain, bind_quiet, give_up_rights};
use weirgate_shard::{Path, ShardNo, SocketId};

const SHARDS: usize = 4;
const FLOWS: usize = 32;

/// No media, media.
const PAYLOADS: [&[u8]; 2] = [b"where?", &[0x80, 96, 0, 1]];

struct Scene {
    media: Vec<Vec<UdpSocket>>,
    /// Likewise, or empty.
    quiet: Vec<Vec<UdpSocket>>,
    steering: Steering,
}

impl Scene {
    fn new(listen: &[&str], with_quiet: bool) -> Option<Self> {
        let bind = |at: &&str| bind_media(at.parse().unwrap(), SHARDS).unwrap();
        let media: Vec<_> = listen.iter().map(bind).collect();
        let quiet = |media: &Vec<UdpSocket>| match with_quiet {
            true => bind_quiet(media).unwrap(),
            false => Vec::new(),
        };
        let quiet: Vec<_> = media.iter().map(quiet).collect();
        match Steering::set_up(&media, &quiet) {
            Ok(steering) => Some(Self {
                media,
                quiet,
                steering,
            }),
            Err(why) => {
                println!("skipped: {why}");
                None
            }
        }
    }

    /// Sends from a peer to a media address; the shard that both media and the rest came to.
    fn landing(&self, peer: &UdpSocket, to: SocketAddr, socket: usize) -> ShardNo {
        let [other, media] = PAYLOADS.map(|bytes| {
            peer.send_to(bytes, to).unwrap();
            self.number(socket)
        });
        let offset = self.quiet[socket].len();
        assert_eq!(other, media + offset);
        media as ShardNo
    }

    /// The socket something came to, quiet ones behind the others.
    fn number(&self, socket: usize) -> usize {
        let start = Instant::now();
        let mut bytes = [0; 64];
        loop {
            let sockets = self.media[socket].iter().chain(&self.quiet[socket]);
            for (number, socket) in sockets.enumerate() {
                match socket.recv(&mut bytes) {
                    Ok(_) => return number,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            assert!(start.elapsed() < Duration::from_secs(20), "nothing came");
        }
    }

    /// Each flow is brought to every shard, and back to where the hash has it.
    fn check(&self, socket: usize, local: &str) {
        let port = self.media[socket][0].local_addr().unwrap().port();
        let to = SocketAddr::new(local.parse().unwrap(), port);
        let mut hashed = [0; SHARDS];
        for _ in 0..FLOWS {
            let peer = bind_plain(to.ip(), 0).unwrap();
            let path = Path {
                socket: SocketId(socket as u32),
                local: Some(to.ip()),
                remote: peer.local_addr().unwrap(),
            };
            let before = self.landing(&peer, to, socket);
            hashed[usize::from(before)] += 1;
            for owner in 0..SHARDS as ShardNo {
                self.steering.set(&path, owner).unwrap();
                assert_eq!(self.landing(&peer, to, socket), owner);
                assert_eq!(self.landing(&peer, to, socket), owner);
            }
            self.steering.forget(&path).unwrap();
            assert_eq!(self.landing(&peer, to, socket), before);
        }
        assert!(
            hashed.iter().filter(|&&flows| flows > 0).count() > 1,
            "{hashed:?}"
        );
    }
}

#[test]
fn flows_of_both_families_land_where_they_are_told() {
    for with_quiet in [false, true] {
        if let Some(scene) = Scene::new(&["0.0.0.0:0", "[::]:0"], with_quiet) {
            scene.check(0, "127.0.0.1");
            scene.check(1, "::1");
        }
    }
}

#[test]
fn a_socket_of_one_address_is_steered_too() {
    let Some(scene) = Scene::new(&["127.0.0.1:0"], true) else {
        return;
    };
    let to = scene.media[0][0].local_addr().unwrap();
    let peer = bind_plain(to.ip(), 0).unwrap();
    let path = Path {
        socket: SocketId(0),
        local: None,
        remote: peer.local_addr().unwrap(),
    };
    for owner in [3, 0, 2] {
        scene.steering.set(&path, owner).unwrap();
        assert_eq!(scene.landing(&peer, to, 0), owner);
    }
}

#[test]
fn the_table_is_changed_without_rights() {
    let Some(scene) = Scene::new(&["0.0.0.0:0"], true) else {
        return;
    };
    // This thread ends with the test.
    give_up_rights(Duty::None).unwrap();
    scene.check(0, "127.0.0.1");
    let media = vec![bind_media("127.0.0.1:0".parse().unwrap(), 2).unwrap()];
    let error = Steering::set_up(&media, &[Vec::new()]).unwrap_err();
    assert!(error.contains("CAP_BPF"), "{error}");
}

#[test]
fn what_is_no_media_socket_is_refused() {
    let Some(scene) = Scene::new(&["127.0.0.1:0"], true) else {
        return;
    };
    let path = Path {
        socket: SocketId(7),
        local: None,
        remote: "127.0.0.1:9".parse().unwrap(),
    };
    assert_eq!(
        scene.steering.set(&path, 0).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
