//! mimalloc, asked in its quick way, by the program and by OpenSSL.
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait, and mimalloc and OpenSSL speak C")]

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_char, c_int, c_void};

use libmimalloc_sys as mimalloc;

/// The program's allocator. The one that comes with the `mimalloc` crate names the alignment in every call, which leads
/// mimalloc past its quick path for everything above 1 KiB; a request asks for about a dozen such pieces.
pub(crate) struct Allocator;

/// Gives the pages that this thread has freed back to the system.
pub(crate) fn give_back() {
    // SAFETY: it touches nothing but memory that is free.
    unsafe {
        mimalloc::mi_collect(true);
    }
}

unsafe extern "C" {
    fn CRYPTO_set_mem_functions(
        allocate: unsafe extern "C" fn(usize, *const c_char, c_int) -> *mut c_void,
        reallocate: unsafe extern "C" fn(*mut c_void, usize, *const c_char, c_int) -> *mut c_void,
        free: unsafe extern "C" fn(*mut c_void, *const c_char, c_int),
    ) -> c_int;
}

/// OpenSSL asks by functions that say where in its source they are called.
unsafe extern "C" fn allocate(size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    unsafe { mimalloc::mi_malloc(size).cast() }
}

unsafe extern "C" fn reallocate(piece: *mut c_void, size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    unsafe { mimalloc::mi_realloc(piece.cast(), size).cast() }
}

unsafe extern "C" fn free(piece: *mut c_void, _: *const c_char, _: c_int) {
    unsafe { mimalloc::mi_free(piece.cast()) }
}

/// Has OpenSSL use the program's allocator, before it has used any.
pub(crate) fn share_with_openssl() {
    // SAFETY: the functions do what C's own do, and stay for ever. It refuses if it has another one at work.
    unsafe {
        CRYPTO_set_mem_functions(allocate, reallocate, free);
    }
}

/// What `mi_malloc` aligns to, for a piece of at least that size.
const ALIGNED: usize = 16;

/// Whether `mi_malloc` gives what the layout wants without being told.
fn is_plain(layout: Layout) -> bool {
    layout.align() <= ALIGNED && layout.align() <= layout.size()
}

// SAFETY: all pieces come from mimalloc, with the size and at least the alignment of their layout, and return to it.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_plain(layout) {
            unsafe { mimalloc::mi_malloc(layout.size()).cast() }
        } else {
            unsafe { mimalloc::mi_malloc_aligned(layout.size(), layout.align()).cast() }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_plain(layout) {
            unsafe { mimalloc::mi_zalloc(layout.size()).cast() }
        } else {
            unsafe { mimalloc::mi_zalloc_aligned(layout.size(), layout.align()).cast() }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, _layout: Layout) {
        unsafe { mimalloc::mi_free(piece.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_plain(layout) && layout.align() <= size {
            unsafe { mimalloc::mi_realloc(piece.cast(), size).cast() }
        } else {
            unsafe { mimalloc::mi_realloc_aligned(piece.cast(), size, layout.align()).cast() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_size_and_alignment_that_was_asked_for() {
        for size in [1, 2, 4, 8, 16, 24, 100, 1000, 9000, 70_000, 3 << 20] {
            for align in [1, 2, 4, 8, 16, 32, 128, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layouts are valid and not empty; what is written lies within them.
                unsafe {
                    let piece = Allocator.alloc(layout);
                    assert_eq!(piece.align_offset(align), 0, "{layout:?}");
                    piece.write_bytes(7, size);
                    let larger = Allocator.realloc(piece, layout, size * 3);
                    assert_eq!(larger.align_offset(align), 0, "{layout:?}");
                    assert!((0..size).all(|at| *larger.add(at) == 7), "{layout:?}");
                    Allocator.dealloc(larger, Layout::from_size_align(size * 3, align).unwrap());
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert_eq!(zeroed.align_offset(align), 0, "{layout:?}");
                    assert!((0..size).all(|at| *zeroed.add(at) == 0), "{layout:?}");
                    Allocator.dealloc(zeroed, layout);
                }
            }
        }
    }
}
