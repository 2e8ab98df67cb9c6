#![no_main]
//! Datagrams, authentic or not, into two shards with a running call.

use libfuzzer_sys::fuzz_target;
use weirgate_fuzz::call::Call;

fuzz_target!(|input: &[u8]| Call::new().run(input));
