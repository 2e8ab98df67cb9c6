//! eBPF without a compiler for it: programs are assembled here ([`Assembler`]), loaded with their
//! maps, and go with the descriptors that hold them.
//!
//! A loaded program needs no rights any more, and neither does changing its maps (Linux 5.19 and
//! newer; before that where `kernel.unprivileged_bpf_disabled` is 0).

mod assembler;
mod objects;

pub(crate) use assembler::{Assembler, Register, Width};
pub(crate) use objects::{Link, Map, MapKind, Program, ProgramKind};
