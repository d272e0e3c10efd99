//! Programs for the machine in the kernel: classic BPF, for the packets of a capture and for system calls.
//!
//! The machine has an accumulator A, an index X and some words of memory. A program ends with a verdict: how
//! many bytes of a packet pass, or what becomes of a call. Jumps go forward only, and conditional ones over
//! up to 255 instructions, in two distances: how far when the condition holds, and how far when it does not.
//!
//! Specified in Linux's `Documentation/networking/filter.rst`.

use nix::libc;

/// One instruction of a program, as the kernel reads it.
pub(crate) use libc::sock_filter as Instruction;

/// Makes a program, with names for places further on; the machine jumps forward only.
#[derive(Default)]
pub(super) struct Assembler {
    code: Vec<Operation>,
    /// Where each label stands, once it does.
    places: Vec<usize>,
}

/// A place in the program.
#[derive(Clone, Copy)]
pub(super) struct JumpLabel(usize);

struct Operation {
    operation: u16,
    operand: u32,
    /// Where a jump goes when its condition holds.
    target: Option<JumpLabel>,
    /// How many instructions it goes over when not.
    otherwise: u8,
}

/// How much a load takes, as the machine writes it.
#[derive(Clone, Copy)]
pub(super) enum LoadSize {
    Byte = 0x10,
    Two = 0x08,
}

impl Assembler {
    pub(super) fn label(&mut self) -> JumpLabel {
        self.places.push(0);
        JumpLabel(self.places.len() - 1)
    }

    pub(super) fn place(&mut self, label: JumpLabel) {
        let here = self.code.len();
        if let Some(place) = self.places.get_mut(label.0) {
            *place = here;
        }
    }

    fn push(&mut self, operation: u16, operand: u32, target: Option<JumpLabel>, otherwise: u8) {
        self.code.push(Operation { operation, operand, target, otherwise });
    }

    fn plain(&mut self, operation: u16, operand: u32) {
        self.push(operation, operand, None, 0);
    }

    /// A = what the kernel knows of the packet.
    pub(super) fn load_ancillary(&mut self, what: libc::c_int) {
        // Negative places in a packet mean these.
        self.load_word((libc::SKF_AD_OFF + what) as u32);
    }

    /// A = the type in the Ethernet header after that many tags; X = where what follows begins.
    pub(super) fn load_ethertype(&mut self, tags: u32) {
        self.plain(0x28, 12 + 4 * tags);
        self.set_x(14 + 4 * tags);
    }

    /// A = the four bytes at that place.
    pub(super) fn load_word(&mut self, at: u32) {
        self.plain(0x20, at);
    }

    /// A = the packet from X + `at` on.
    pub(super) fn load(&mut self, size: LoadSize, at: u32) {
        self.plain(0x40 | size as u16, at);
    }

    pub(super) fn set(&mut self, value: u32) {
        self.plain(0x00, value);
    }

    pub(super) fn set_x(&mut self, value: u32) {
        self.plain(0x01, value);
    }

    pub(super) fn add(&mut self, value: u32) {
        self.plain(0x04, value);
    }

    pub(super) fn and(&mut self, mask: u32) {
        self.plain(0x54, mask);
    }

    pub(super) fn shift_left(&mut self, bits: u32) {
        self.plain(0x64, bits);
    }

    /// X = A + X; A is gone.
    pub(super) fn add_to_x(&mut self) {
        self.plain(0x0c, 0);
        self.plain(0x07, 0);
    }

    /// `M[0]` = A.
    pub(super) fn remember(&mut self) {
        self.remember_in(0);
    }

    /// A = `M[0]`.
    pub(super) fn recall(&mut self) {
        self.recall_from(0);
    }

    /// `M[place]` = A.
    pub(super) fn remember_in(&mut self, place: u32) {
        self.plain(0x02, place);
    }

    /// A = `M[place]`.
    pub(super) fn recall_from(&mut self, place: u32) {
        self.plain(0x60, place);
    }

    /// Goes any distance.
    pub(super) fn jump(&mut self, target: JumpLabel) {
        self.push(JUMP, 0, Some(target), 0);
    }

    /// Goes over up to 255 instructions.
    pub(super) fn jump_when_equal(&mut self, value: u32, target: JumpLabel) {
        self.push(0x15, value, Some(target), 0);
    }

    /// Goes any distance.
    pub(super) fn jump_far_when_equal(&mut self, value: u32, target: JumpLabel) {
        self.push(0x15, value, None, 1);
        self.jump(target);
    }

    /// Goes over up to 255 instructions.
    pub(super) fn jump_when_set(&mut self, mask: u32, target: JumpLabel) {
        self.push(0x45, mask, Some(target), 0);
    }

    pub(super) fn finish(&mut self, verdict: u32) {
        self.plain(0x06, verdict);
    }

    pub(super) fn return_unless_equal(&mut self, value: u32, verdict: u32) {
        let on = self.label();
        self.jump_when_equal(value, on);
        self.finish(verdict);
        self.place(on);
    }

    pub(super) fn return_when_one_of(&mut self, values: impl IntoIterator<Item = u32>, verdict: u32) {
        for value in values {
            self.push(0x15, value, None, 1);
            self.finish(verdict);
        }
    }

    pub(super) fn return_when_at_least(&mut self, value: u32, verdict: u32) {
        self.push(0x35, value, None, 1);
        self.finish(verdict);
    }

    pub(super) fn return_when_set(&mut self, mask: u32, verdict: u32) {
        self.push(0x45, mask, None, 1);
        self.finish(verdict);
    }

    /// The program, with labels made into distances.
    pub(super) fn resolve(self) -> Vec<Instruction> {
        let Assembler { code, places } = self;
        let resolve = |(here, Operation { operation, operand, target, otherwise }): (usize, Operation)| {
            let place = target.and_then(|label| places.get(label.0));
            let distance = place.map_or(0, |place| place.saturating_sub(here + 1));
            let (jt, jf, k) = match operation {
                JUMP => (0, 0, u32::try_from(distance).unwrap_or(u32::MAX)),
                // None is so far; a test composes the longest program.
                _ => (u8::try_from(distance).unwrap_or(u8::MAX), otherwise, operand),
            };
            Instruction { code: operation, jt, jf, k }
        };
        code.into_iter().enumerate().map(resolve).collect()
    }
}

/// The operation that only jumps.
const JUMP: u16 = 0x05;
