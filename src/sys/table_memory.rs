//! Memory of tables: pieces of one block, one behind the other.
//!
//! Tables and buffers are made at start and live as long as the process. musl's allocator rounds each of them
//! up to one of its sizes and keeps slots beside it: a twentieth of all memory in the profile `default`, a
//! tenth in `tiny` (measured). Here nothing is lost. While tables are made ([`while_open`]), what is of some
//! size comes from the block; everything else, and all that comes later, is the system's.
//!
//! Left out: giving back. A piece that is dropped is lost, which happens to the detectors alone, when they
//! are switched off.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::num::NonZeroUsize;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::alloc::System;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};

/// The allocator of the program.
#[derive(Debug)]
pub struct TableMemory;

/// Bytes of the block: address space, which costs nothing until it is written. Tables beyond are the
/// system's.
const BLOCK_BYTES: NonZeroUsize = NonZeroUsize::MIN.saturating_add((8 << 20) - 1);

/// Bytes of the smallest piece: the little that is made beside tables may be given back.
const LEAST_BYTES: usize = 1 << 10;

/// Whether tables are being made.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Where the block begins, and the next piece; 0 before there is one.
static START: AtomicUsize = AtomicUsize::new(0);
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Makes tables.
pub(crate) fn while_open<T>(make: impl FnOnce() -> T) -> T {
    if START.load(Ordering::Relaxed) == 0 {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the place, so nothing that is mapped already is touched; it is never
        // unmapped.
        if let Ok(start) = unsafe { mmap_anonymous(None, BLOCK_BYTES, access, MapFlags::MAP_PRIVATE) } {
            // A page of 2 MiB would take more than all the tables of a small profile. Without the call it is
            // just larger. SAFETY: this is the block as it was mapped; the advice changes no content.
            let _ = unsafe { madvise(start, BLOCK_BYTES.get(), MmapAdvise::MADV_NOHUGEPAGE) };
            NEXT.store(start.as_ptr() as usize, Ordering::Relaxed);
            START.store(start.as_ptr() as usize, Ordering::Relaxed);
        }
    }
    IS_OPEN.store(START.load(Ordering::Relaxed) != 0, Ordering::Relaxed);
    let made = make();
    IS_OPEN.store(false, Ordering::Relaxed);
    made
}

/// A piece of the block; null if it is closed or has no room.
fn piece(layout: Layout) -> *mut u8 {
    if !IS_OPEN.load(Ordering::Relaxed) || layout.size() < LEAST_BYTES {
        return null_mut();
    }
    let end = START.load(Ordering::Relaxed) + BLOCK_BYTES.get();
    let mut place = 0;
    let taken = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
        place = next.checked_next_multiple_of(layout.align())?;
        place.checked_add(layout.size()).filter(|&after| after <= end)
    });
    if taken.is_ok() { place as *mut u8 } else { null_mut() }
}

/// Whether memory is of the block.
fn is_of_block(pointer: *mut u8) -> bool {
    let start = START.load(Ordering::Relaxed);
    start != 0 && (start..start + BLOCK_BYTES.get()).contains(&(pointer as usize))
}

// SAFETY: a piece is as large and as aligned as was asked for, inside of the block, and handed out once, as
// `NEXT` only grows; it is never unmapped and nobody else's. Everything else is the system allocator's, which
// gets back what it gave out and nothing more.
unsafe impl GlobalAlloc for TableMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let piece = piece(layout);
        // SAFETY: the caller's promise.
        if piece.is_null() { unsafe { System.alloc(layout) } } else { piece }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // Nobody wrote there yet.
        let piece = piece(layout);
        // SAFETY: the caller's promise.
        if piece.is_null() { unsafe { System.alloc_zeroed(layout) } } else { piece }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if !is_of_block(pointer) {
            // SAFETY: the caller's promise; it is none of the block, so it came from there.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !is_of_block(pointer) {
            // SAFETY: the caller's promise; it is none of the block, so it came from there.
            return unsafe { System.realloc(pointer, layout, size) };
        }
        // SAFETY: `size` is not 0 and not too large for the alignment, by the caller's promise.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are that large and, as the old piece stays handed out, not the same.
            unsafe { core::ptr::copy_nonoverlapping(pointer, new, layout.size().min(size)) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other_and_the_rest_is_the_systems() {
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        let memory = TableMemory;
        // SAFETY: sizes are not 0, and each is given back as it was made.
        unsafe {
            let [one, two, zeros, small, large] = while_open(|| {
                let zeros = memory.alloc_zeroed(layout(3_000, 64));
                [
                    memory.alloc(layout(2_001, 1)),
                    memory.alloc(layout(1_024, 64)),
                    zeros,
                    memory.alloc(layout(1_023, 1)),
                    memory.alloc(layout(BLOCK_BYTES.get() + 1, 1)),
                ]
            });
            assert!([one, two, zeros].into_iter().all(is_of_block));
            assert!([two, zeros].into_iter().all(|piece| (piece as usize).is_multiple_of(64)));
            assert!(two as usize >= one as usize + 2_001 && one as usize >= zeros as usize + 3_000);
            assert!((0..3_000).all(|at| *zeros.add(at) == 0));
            assert!(!is_of_block(small) && !is_of_block(large));
            let after = memory.alloc(layout(4_000, 1));
            assert!(!is_of_block(after));
            one.write_bytes(7, 2_001);
            let grown = memory.realloc(one, layout(2_001, 1), 9_000);
            assert!(!is_of_block(grown) && (0..2_001).all(|at| *grown.add(at) == 7));
            memory.dealloc(one, layout(2_001, 1));
            memory.dealloc(small, layout(1_023, 1));
            memory.dealloc(large, layout(BLOCK_BYTES.get() + 1, 1));
            memory.dealloc(after, layout(4_000, 1));
            memory.dealloc(grown, layout(9_000, 1));
        }
    }
}
