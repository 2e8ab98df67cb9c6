//! Instructions (RFC 9669) by name, with jumps to labels.

use std::io;

/// Registers: `R0` is a result, `R1` to `R5` are arguments and lost by a call, `R6` to `R9` stay,
/// `R10` is the end of a stack of 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R10 = 10,
}

/// Bytes of a load or store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Width {
    One = 0x10,
    Two = 0x08,
    Four = 0x00,
    Eight = 0x18,
}

/// Functions of the kernel.
mod helper {
    pub(super) const MAP_LOOKUP_ELEM: i32 = 1;
    pub(super) const SKB_LOAD_BYTES: i32 = 26;
    pub(super) const REDIRECT_MAP: i32 = 51;
    pub(super) const SKB_LOAD_BYTES_RELATIVE: i32 = 68;
    pub(super) const SK_SELECT_REUSEPORT: i32 = 82;
}

/// Operation codes: class, and what the class needs.
mod code {
    pub(super) const LOAD_MEMORY: u8 = 0x61;
    pub(super) const STORE_REGISTER: u8 = 0x63;
    pub(super) const STORE_IMMEDIATE: u8 = 0x62;
    pub(super) const LOAD_WIDE: u8 = 0x18;
    pub(super) const MOVE: u8 = 0xbf;
    pub(super) const MOVE_IMMEDIATE: u8 = 0xb7;
    pub(super) const ADD: u8 = 0x0f;
    pub(super) const ADD_IMMEDIATE: u8 = 0x07;
    pub(super) const AND_IMMEDIATE: u8 = 0x57;
    pub(super) const MODULO_IMMEDIATE: u8 = 0x97;
    pub(super) const JUMP: u8 = 0x05;
    pub(super) const JUMP_EQUAL_IMMEDIATE: u8 = 0x15;
    pub(super) const JUMP_NOT_EQUAL_IMMEDIATE: u8 = 0x55;
    pub(super) const JUMP_NOT_EQUAL: u8 = 0x5d;
    pub(super) const JUMP_GREATER: u8 = 0x2d;
    pub(super) const CALL: u8 = 0x85;
    pub(super) const EXIT: u8 = 0x95;
}

/// Marks an immediate as the descriptor of a map.
const PSEUDO_MAP_FD: u8 = 1;

/// A program under way.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    instructions: Vec<u64>,
    jumps: Vec<(usize, &'static str)>,
    labels: Vec<(&'static str, usize)>,
}

impl Assembler {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The instructions as the kernel takes them, every jump resolved.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u64>> {
        for (at, label) in self.jumps {
            let target = self.labels.iter().find(|(name, _)| *name == label);
            let offset = target.and_then(|(_, to)| i16::try_from(to - at - 1).ok());
            let Some(offset) = offset else {
                let text = format!("no label {label} ahead");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            };
            self.instructions[at] |= u64::from(offset as u16) << 16;
        }
        Ok(self.instructions)
    }

    /// Where jumps of that name go; they all stand before it, as there are no loops.
    pub(crate) fn label(&mut self, name: &'static str) {
        self.labels.push((name, self.instructions.len()));
    }

    /// `to = from`
    pub(crate) fn copy(&mut self, to: Register, from: Register) {
        self.push(code::MOVE, to, from as u8, 0, 0);
    }

    /// `to = value`
    pub(crate) fn set(&mut self, to: Register, value: i32) {
        self.push(code::MOVE_IMMEDIATE, to, 0, 0, value);
    }

    /// `to += value`
    pub(crate) fn add(&mut self, to: Register, value: i32) {
        self.push(code::ADD_IMMEDIATE, to, 0, 0, value);
    }

    /// `to += from`
    pub(crate) fn add_register(&mut self, to: Register, from: Register) {
        self.push(code::ADD, to, from as u8, 0, 0);
    }

    /// `to &= value`
    pub(crate) fn and(&mut self, to: Register, value: i32) {
        self.push(code::AND_IMMEDIATE, to, 0, 0, value);
    }

    /// `to %= value`, unsigned
    pub(crate) fn modulo(&mut self, to: Register, value: i32) {
        self.push(code::MODULO_IMMEDIATE, to, 0, 0, value);
    }

    /// `to = *(base + offset)`, bytes in the machine's order
    pub(crate) fn load(&mut self, to: Register, base: Register, offset: i16, width: Width) {
        let code = code::LOAD_MEMORY | width as u8;
        self.push(code, to, base as u8, offset, 0);
    }

    /// `*(base + offset) = from`
    pub(crate) fn store(&mut self, base: Register, offset: i16, from: Register, width: Width) {
        let code = code::STORE_REGISTER | width as u8;
        self.push(code, base, from as u8, offset, 0);
    }

    /// `*(base + offset) = value`
    pub(crate) fn store_value(&mut self, base: Register, offset: i16, value: i32, width: Width) {
        self.push(code::STORE_IMMEDIATE | width as u8, base, 0, offset, value);
    }

    /// `to = map`, for a helper
    pub(crate) fn load_map(&mut self, to: Register, map: i32) {
        self.push(code::LOAD_WIDE, to, PSEUDO_MAP_FD, 0, map);
        // The second half of a wide immediate.
        self.instructions.push(0);
    }

    pub(crate) fn jump(&mut self, label: &'static str) {
        self.push_jump(code::JUMP, Register::R0, 0, 0, label);
    }

    pub(crate) fn jump_if(&mut self, register: Register, equals: i32, label: &'static str) {
        self.push_jump(code::JUMP_EQUAL_IMMEDIATE, register, 0, equals, label);
    }

    pub(crate) fn jump_unless(&mut self, register: Register, equals: i32, label: &'static str) {
        self.push_jump(code::JUMP_NOT_EQUAL_IMMEDIATE, register, 0, equals, label);
    }

    pub(crate) fn jump_if_different(&mut self, a: Register, b: Register, label: &'static str) {
        self.push_jump(code::JUMP_NOT_EQUAL, a, b as u8, 0, label);
    }

    /// Unsigned.
    pub(crate) fn jump_if_greater(&mut self, a: Register, than: Register, label: &'static str) {
        self.push_jump(code::JUMP_GREATER, a, than as u8, 0, label);
    }

    /// `R0 = pointer to the value of the key R2 points to, in map R1`, or 0.
    pub(crate) fn map_lookup(&mut self) {
        self.call(helper::MAP_LOOKUP_ELEM);
    }

    /// `R0 = action`: redirects to entry R2 of map R1; R3 where there is none.
    pub(crate) fn redirect_map(&mut self) {
        self.call(helper::REDIRECT_MAP);
    }

    /// Copies R4 bytes of packet R1 from offset R2 to R3. `R0 < 0` where there are less.
    pub(crate) fn load_bytes(&mut self) {
        self.call(helper::SKB_LOAD_BYTES);
    }

    /// Copies R4 bytes of packet R1 from offset R2 of the header R5 names to R3. `R0 < 0` where
    /// there are less.
    pub(crate) fn load_bytes_relative(&mut self) {
        self.call(helper::SKB_LOAD_BYTES_RELATIVE);
    }

    /// Makes the socket at the key R3 points to, in map R2, the one for packet R1; flags in R4.
    pub(crate) fn select_reuseport(&mut self) {
        self.call(helper::SK_SELECT_REUSEPORT);
    }

    /// Ends with `R0`.
    pub(crate) fn exit(&mut self) {
        self.push(code::EXIT, Register::R0, 0, 0, 0);
    }

    fn call(&mut self, helper: i32) {
        self.push(code::CALL, Register::R0, 0, 0, helper);
    }

    fn push_jump(&mut self, code: u8, a: Register, b: u8, value: i32, label: &'static str) {
        self.jumps.push((self.instructions.len(), label));
        self.push(code, a, b, 0, value);
    }

    fn push(&mut self, code: u8, destination: Register, source: u8, offset: i16, value: i32) {
        // struct bpf_insn: code, registers (two bit fields), offset, immediate.
        let registers = if cfg!(target_endian = "little") {
            destination as u8 | source << 4
        } else {
            (destination as u8) << 4 | source
        };
        let [o0, o1] = offset.to_ne_bytes();
        let [v0, v1, v2, v3] = value.to_ne_bytes();
        let bytes = [code, registers, o0, o1, v0, v1, v2, v3];
        self.instructions.push(u64::from_ne_bytes(bytes));
    }
}
