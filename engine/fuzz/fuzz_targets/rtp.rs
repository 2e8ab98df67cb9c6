#![no_main]
//! A datagram, read as RTP.

use libfuzzer_sys::fuzz_target;
use weirgate_fuzz::walk;

fuzz_target!(|bytes: &[u8]| walk::rtp(bytes));
