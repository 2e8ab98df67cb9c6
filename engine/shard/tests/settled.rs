//! A plain transport's socket has one peer from the moment it is known, so that drivers may connect it.

mod sim;

use sim::*;
use weirgate_shard::{CommandBody, SocketId};

#[test]
fn sockets_settle_where_the_transport_is_connected() {
    let mut sim = Sim::new(1);
    sim.plain(0, 1, addr(1), None);
    assert_eq!(sim.settled, [plain_path(1, addr(1))]);
}

#[test]
fn with_comedia_they_settle_with_the_first_authentic_packet() {
    let mut sim = Sim::new(1);
    let id = sim.transport_on(1);
    sim.command(
        0,
        CommandBody::CreatePlainTransport {
            id,
            rtp_socket: SocketId(1),
            rtp_local: "10.0.0.1:10001".parse().unwrap(),
            rtcp: Some((SocketId(2), "10.0.0.1:10002".parse().unwrap())),
            comedia: true,
            srtp: Some(key(1)),
        },
    );
    sim.command(
        0,
        CommandBody::ConnectPlain {
            id,
            remote: None,
            rtcp_remote: None,
            srtp: Some(key(1)),
        },
    );
    let forger = Peer::new(addr(9), &key(9));
    let peer = Peer::new(addr(1), &key(1));
    let packet = vp8(1000, 0, true);
    sim.deliver(0, plain_path(1, forger.remote), &forger.seal(&packet));
    assert_eq!(sim.settled, []);
    sim.deliver(0, plain_path(1, peer.remote), &peer.seal(&packet));
    assert_eq!(sim.settled, [plain_path(1, peer.remote)]);
}
