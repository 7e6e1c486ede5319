//! A stand-in for WASI within the component, for compilers whose runtimes cannot do without it: what is asked for is
//! answered, and always in the same way. There are no arguments, no files and no variables; the clock stands still, what
//! is random is zero, what is written is gone, whoever waits has waited. So a detector has no more of its host than
//! before, and gives the same answers on every machine.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection, MemArg,
    MemArgTarget, MemoryType, Module, TypeSection, ValType,
};
use wasmparser::{FuncType, Parser, Payload, TypeRef};

/// The module that a runtime imports WASI from.
pub(crate) const WASI: &str = "wasi_snapshot_preview1";

/// WASI's numbers of errors.
const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;
const NOT_SUPPORTED: i32 = 58;

/// A module that exports each function of WASI which `module` imports; nothing where it imports none.
pub(crate) fn stub(module: &[u8]) -> Result<Option<Vec<u8>>> {
    let wanted = wanted(module)?;
    if wanted.is_empty() {
        return Ok(None);
    }
    let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
    let (mut exports, mut code, mut imports) = (ExportSection::new(), CodeSection::new(), ImportSection::new());
    let memory = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
    imports.import("env", "memory", EntityType::Memory(memory));
    for ((name, of), index) in wanted.iter().zip(0_u32..) {
        types.ty().function(values(of.params())?, values(of.results())?);
        functions.function(index);
        exports.export(name, ExportKind::Func, index);
        code.function(&answer(name, of));
    }
    let mut stub = Module::new();
    stub.section(&types).section(&imports).section(&functions).section(&exports).section(&code);
    Ok(Some(stub.finish()))
}

/// The functions of WASI that a module imports, with their types.
fn wanted(module: &[u8]) -> Result<BTreeMap<String, FuncType>> {
    let (mut types, mut wanted) = (Vec::new(), BTreeMap::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload.context("it is not a WebAssembly module")? {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    types.push(ty.context("its types are damaged")?);
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.context("its import section is damaged")?;
                    if import.module != WASI {
                        continue;
                    }
                    let ty = match import.ty {
                        TypeRef::Func(index) => usize::try_from(index).ok().and_then(|index| types.get(index)),
                        _ => None,
                    };
                    let ty = ty.with_context(|| format!("its import `{WASI} {}` is no function", import.name))?;
                    wanted.insert(import.name.to_owned(), ty.clone());
                }
            }
            _ => {}
        }
    }
    Ok(wanted)
}

fn values(of: &[wasmparser::ValType]) -> Result<Vec<ValType>> {
    let value = |of: &wasmparser::ValType| match of {
        wasmparser::ValType::I32 => Ok(ValType::I32),
        wasmparser::ValType::I64 => Ok(ValType::I64),
        _ => bail!("its imports from `{WASI}` are not those of WASI"),
    };
    of.iter().map(value).collect()
}

/// What a function of WASI does: by its name, and else it says that there is no such thing.
fn answer(name: &str, of: &FuncType) -> Function {
    let at = |offset| MemArg { offset, align: 2, target: MemArgTarget::Memory(0), ordering: None };
    let mut function = Function::new([(2, ValType::I32)]);
    let mut code = function.instructions();
    match name {
        "proc_exit" => {
            code.unreachable();
        }
        // Two addresses for two numbers: none, and no bytes.
        "args_sizes_get" | "environ_sizes_get" => {
            code.local_get(0).i32_const(0).i32_store(at(0));
            code.local_get(1).i32_const(0).i32_store(at(0));
            code.i32_const(SUCCESS);
        }
        // Which clock, how exactly, and where to. Go takes a clock at zero for none.
        "clock_time_get" => {
            code.local_get(2).i64_const(1).i64_store(at(0)).i32_const(SUCCESS);
        }
        "random_get" => {
            code.local_get(0).i32_const(0).local_get(1).memory_fill(0).i32_const(SUCCESS);
        }
        // Which descriptor, a list of texts and their count, and where it says how many bytes it took: all.
        "fd_write" => {
            let (sum, next) = (4, 5);
            code.block(BlockType::Empty).loop_(BlockType::Empty);
            code.local_get(next).local_get(2).i32_ge_u().br_if(1);
            code.local_get(1).local_get(next).i32_const(3).i32_shl().i32_add().i32_load(at(4));
            code.local_get(sum).i32_add().local_set(sum);
            code.local_get(next).i32_const(1).i32_add().local_set(next).br(0).end().end();
            code.local_get(3).local_get(sum).i32_store(at(0)).i32_const(SUCCESS);
        }
        // What is waited for, where it says what came, how many, and where it says how many came: all.
        "poll_oneoff" => {
            code.local_get(3).local_get(2).i32_store(at(0)).i32_const(SUCCESS);
        }
        "args_get" | "environ_get" | "sched_yield" => {
            code.i32_const(SUCCESS);
        }
        _ if of.results().is_empty() => {
            code.unreachable();
        }
        _ => {
            code.i32_const(if name.starts_with("fd_") { BAD_DESCRIPTOR } else { NOT_SUPPORTED });
        }
    }
    code.end();
    function
}
