#![no_main]
//! A payload, read as one of every codec and as a dependency descriptor.

use libfuzzer_sys::fuzz_target;
use weirgate_fuzz::walk;

fuzz_target!(|bytes: &[u8]| walk::payloads(bytes));
