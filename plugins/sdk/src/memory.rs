//! The memory of a component. What the host puts there for a call is a dozen pieces, and a guest's time would go to them
//! before anything is judged: they follow each other in one arena, which is empty again once the last of them is freed.
//! All else is on the heap.
//!
//! What is done here by hand can harm the memory of this component, never its host.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr;

use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

/// The arena at first, bytes.
const ARENA_BYTES: usize = 4 << 10;
/// The arena at the most, bytes: a batch of 8,000 rows. What finds no room there is on the heap.
const ARENA_BYTES_MAX: usize = 256 << 10;
/// What no piece wants more than.
const ALIGN: usize = 16;

#[global_allocator]
static MEMORY: Memory = Memory { heap: new_wasm_dynamic_allocator(), arena: Arena::new() };

struct Memory {
    heap: WasmDynamicTalc,
    arena: Arena,
}

/// Pieces one behind the other.
struct Arena {
    begin: Cell<*mut u8>,
    /// 0 until it is opened.
    bytes: Cell<usize>,
    /// Bytes that are given.
    given: Cell<usize>,
    /// Pieces that are not freed.
    pieces: Cell<usize>,
    /// Bytes that would have been enough since it was empty.
    wanted: Cell<usize>,
}

// SAFETY: a component has one thread.
unsafe impl Sync for Arena {}

impl Arena {
    const fn new() -> Self {
        Self {
            begin: Cell::new(ptr::null_mut()),
            bytes: Cell::new(0),
            given: Cell::new(0),
            pieces: Cell::new(0),
            wanted: Cell::new(0),
        }
    }

    fn has(&self, at: *mut u8) -> bool {
        at.addr().wrapping_sub(self.begin.get().addr()) < self.bytes.get()
    }

    /// A piece, if there is room for it.
    fn give(&self, layout: Layout) -> Option<*mut u8> {
        // Alignments are powers of two, and a division would cost more than all the rest.
        let at = (self.given.get() + (layout.align() - 1)) & !(layout.align() - 1);
        let end = at.checked_add(layout.size())?;
        self.wanted.set(self.wanted.get().saturating_add(layout.size() + layout.align()));
        if end > self.bytes.get() {
            return None;
        }
        self.given.set(end);
        self.pieces.set(self.pieces.get() + 1);
        Some(self.begin.get().wrapping_add(at))
    }

    fn free(&self) {
        self.pieces.set(self.pieces.get() - 1);
    }
}

impl Memory {
    /// Where the host puts a piece.
    fn lend(&self, layout: Layout) -> *mut u8 {
        if self.arena.pieces.get() == 0 {
            self.empty();
        }
        // SAFETY: the size is not 0.
        self.arena.give(layout).unwrap_or_else(|| unsafe { self.heap.alloc(layout) })
    }

    /// Begins anew, with more room where there was too little.
    fn empty(&self) {
        let (bytes, wanted) = (self.arena.bytes.get(), self.arena.wanted.replace(0));
        self.arena.given.set(0);
        if wanted > bytes && bytes > 0 && bytes < ARENA_BYTES_MAX {
            self.open(wanted.next_power_of_two().min(ARENA_BYTES_MAX));
        }
    }

    /// Takes so many bytes for the arena; nothing of it is in use.
    #[cold]
    fn open(&self, bytes: usize) {
        let (begin, before) = (self.arena.begin.get(), self.arena.bytes.replace(0));
        let layout = |bytes| Layout::from_size_align(bytes, ALIGN).unwrap_or(Layout::new::<u128>());
        // SAFETY: what is given back was taken here, with the size that was kept of it.
        let taken = unsafe {
            if before > 0 {
                self.heap.dealloc(begin, layout(before));
            }
            self.heap.alloc(layout(bytes))
        };
        if !taken.is_null() {
            self.arena.begin.set(taken);
            self.arena.bytes.set(bytes);
        }
    }
}

// SAFETY: a piece is the arena's as long as it is not freed, and the heap's otherwise; the arena gives no byte twice
// before all its pieces are freed. That which is the arena's is known by its address.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { self.heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if self.arena.has(at) {
            return self.arena.free();
        }
        unsafe { self.heap.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if !self.arena.has(at) {
            return unsafe { self.heap.realloc(at, layout, bytes) };
        }
        unsafe {
            let moved = self.heap.alloc(Layout::from_size_align_unchecked(bytes, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(at, moved, layout.size().min(bytes));
                self.arena.free();
            }
            moved
        }
    }
}

/// From now on what the host hands over is in the arena: it is started, and keeps nothing of what comes.
pub fn open() {
    if MEMORY.arena.bytes.get() == 0 {
        MEMORY.open(ARENA_BYTES);
    }
}

/// Where the host asks for room.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_bytes: usize, align: usize, bytes: usize) -> *mut u8 {
    if bytes == 0 {
        return ptr::without_provenance_mut(align);
    }
    // SAFETY: the host gives alignments that are powers of two, and what it was given before.
    let at = unsafe {
        if old_bytes == 0 {
            MEMORY.lend(Layout::from_size_align_unchecked(bytes, align))
        } else {
            MEMORY.realloc(old, Layout::from_size_align_unchecked(old_bytes, align), bytes)
        }
    };
    if at.is_null() {
        core::arch::wasm32::unreachable()
    }
    at
}
