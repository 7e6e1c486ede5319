//! The contract's newest version as the host sees it: generated. Columns are borrowed, so that they are lowered without a
//! copy.

wasmtime::component::bindgen!({
    path: "../../wit/1.0.0",
    world: "full",
    imports: { default: trappable },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub use exports::watchfire::detector::{detector as out, events_in, learner, state};
pub use watchfire::detector::{log, types as wit};
