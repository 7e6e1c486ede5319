//! The memory of a component. A batch is a dozen allocations, and a guest's time goes there before anything is judged.

use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

#[global_allocator]
static MEMORY: WasmDynamicTalc = new_wasm_dynamic_allocator();
