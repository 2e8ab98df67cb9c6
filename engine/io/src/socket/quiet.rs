//! What is media and what can wait a little: feedback, checks, handshakes. The kernel brings the latter
//! to a socket of its own (a program of SO_ATTACH_REUSEPORT_CBPF, which takes no rights), so that it does
//! not wake a busy shard each time, and so that no flood of it takes the room that media have.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use super::bind::bind_again;

/// Whether a datagram looks like RTP: of version 2, and not of the types that RTCP has where both come by
/// one port (RFC 5761 section 4).
pub(crate) fn is_media(bytes: &[u8]) -> bool {
    match bytes {
        [first, second, ..] => {
            first & VERSION_MASK == VERSION_2 && second & RTCP_MASK != RTCP_TYPES
        }
        _ => false,
    }
}

/// Of the first byte, the version of RTP: 2.
pub(crate) const VERSION_MASK: u8 = 0xc0;
pub(crate) const VERSION_2: u8 = 0x80;
/// Of the second byte, what all RTCP types from 192 to 223 have.
pub(crate) const RTCP_MASK: u8 = 0xe0;
pub(crate) const RTCP_TYPES: u8 = 0xc0;

/// Binds one socket more for each shard, at the address of the sockets that [`bind_media`](crate::bind_media)
/// gave, and has the kernel bring them what is no media. Flows are spread over the shards by their
/// peer's address as before, both sockets of a shard having the same ones.
///
/// # Errors
/// What the kernel says; then it is all as it was before.
pub fn bind_quiet(media: &[UdpSocket]) -> io::Result<Vec<UdpSocket>> {
    let Some(first) = media.first() else {
        return Ok(Vec::new());
    };
    let local = first.local_addr()?;
    let quiet: io::Result<Vec<_>> = media.iter().map(|_| bind_again(local)).collect();
    let quiet = quiet?;
    let mut program = sorting(&local, media.len() as u32);
    attach(first, &mut program)?;
    Ok(quiet)
}

/// Gives the number of the socket, in the order in which they were bound: media sockets first. Too
/// short a datagram ends it at the load, and is the first socket's.
fn sorting(local: &SocketAddr, shards: u32) -> Vec<libc::sock_filter> {
    use libc::{
        BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_JA, BPF_JEQ, BPF_JMP,
        BPF_K, BPF_LD, BPF_LDX, BPF_MEM, BPF_MISC, BPF_MOD, BPF_MUL, BPF_RET, BPF_RSH, BPF_ST,
        BPF_TAX, BPF_W, BPF_X, BPF_XOR,
    };
    /// Offsets of the source address' words and of the source port, from the IP header on.
    const V4: (&[u32], u32) = (&[12], 20);
    const V6: (&[u32], u32) = (&[8, 12, 16, 20], 40);
    /// Knuth's, for the upper bits of a product to depend on all of a number.
    const SPREAD: u32 = 0x9e37_79b1;
    let op = |code: u32, k: u32| jump(code, k, 0, 0);
    let from_ip_header = |offset: u32| offset.wrapping_add(libc::SKF_NET_OFF as u32);
    let mut program = vec![
        op(BPF_LD | BPF_B | BPF_ABS, 0),
        op(BPF_ALU | BPF_AND | BPF_K, VERSION_MASK.into()),
        jump(BPF_JMP | BPF_JEQ | BPF_K, VERSION_2.into(), 0, 3),
        op(BPF_LD | BPF_B | BPF_ABS, 1),
        op(BPF_ALU | BPF_AND | BPF_K, RTCP_MASK.into()),
        jump(BPF_JMP | BPF_JEQ | BPF_K, RTCP_TYPES.into(), 0, 2),
        op(BPF_LD | BPF_IMM, shards),
        op(BPF_JMP | BPF_JA, 1),
        op(BPF_LD | BPF_IMM, 0),
        op(BPF_ST, 0),
    ];
    let (words, port) = if local.is_ipv4() { V4 } else { V6 };
    program.push(op(BPF_LD | BPF_H | BPF_ABS, from_ip_header(port)));
    for &word in words {
        program.push(op(BPF_MISC | BPF_TAX, 0));
        program.push(op(BPF_LD | BPF_W | BPF_ABS, from_ip_header(word)));
        program.push(op(BPF_ALU | BPF_XOR | BPF_X, 0));
    }
    program.extend([
        op(BPF_ALU | BPF_MUL | BPF_K, SPREAD),
        op(BPF_ALU | BPF_RSH | BPF_K, 16),
        op(BPF_ALU | BPF_MOD | BPF_K, shards),
        op(BPF_LDX | BPF_MEM, 0),
        op(BPF_ALU | BPF_ADD | BPF_X, 0),
        op(BPF_RET | BPF_A, 0),
    ]);
    program
}

/// An instruction that goes on `equal` or `different` instructions further, if it is a comparison.
fn jump(code: u32, k: u32, equal: u8, different: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: equal,
        jf: different,
        k,
    }
}

fn attach(socket: &UdpSocket, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    let len = size_of_val(&program) as libc::socklen_t;
    // SAFETY: the kernel reads a live struct, and as many instructions as it says.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            len,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{bind_media, bind_plain};

    /// The socket that a datagram of a peer came to.
    fn landing(sockets: &[UdpSocket], peer: &UdpSocket, bytes: &[u8]) -> usize {
        let to = sockets[0].local_addr().unwrap();
        peer.send_to(bytes, to).unwrap();
        let start = Instant::now();
        loop {
            let came = |socket: &UdpSocket| socket.recv(&mut [0; 64]).is_ok();
            if let Some(number) = sockets.iter().position(came) {
                return number;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "nothing came");
        }
    }

    fn check_landings(ip: &str, shards: usize) {
        let local = SocketAddr::new(ip.parse().unwrap(), 0);
        let Ok(mut sockets) = bind_media(local, shards) else {
            println!("{ip} is not to be had here");
            return;
        };
        sockets.extend(bind_quiet(&sockets).unwrap());
        let mut used = vec![false; shards];
        for _ in 0..16 * shards {
            let peer = bind_plain(local.ip(), 0).unwrap();
            let shard = landing(&sockets, &peer, &[0x80, 96, 0, 0]);
            assert!(shard < shards);
            used[shard] = true;
            for other in [&[0x80, 200, 0, 0][..], &[0, 1, 0, 0], &[22, 254, 253]] {
                assert_eq!(landing(&sockets, &peer, other), shards + shard);
            }
            assert_eq!(landing(&sockets, &peer, &[0xb0, 0xff]), shard);
            // Too short to be sorted.
            landing(&sockets, &peer, &[7]);
        }
        assert!(used.iter().all(|&used| used), "{used:?}");
    }

    #[test]
    fn media_and_the_rest_of_a_flow_come_to_two_sockets_of_one_shard() {
        for shards in [1, 3] {
            check_landings("127.0.0.1", shards);
            check_landings("::1", shards);
        }
    }

    #[test]
    fn rtp_is_media_and_nothing_else_is() {
        assert!(is_media(&[0x80, 96]));
        assert!(is_media(&[0xbf, 0xff, 1, 2]));
        assert!(is_media(&[0x90, 191]));
        for other in [
            &[0x80, 200][..],
            &[0x81, 192],
            &[0x80, 223],
            &[0, 1],
            &[22, 254],
            &[0x7f, 96],
            &[0xc0, 96],
            &[0x80],
            &[],
        ] {
            assert!(!is_media(other), "{other:?}");
        }
    }
}
