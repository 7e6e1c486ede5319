//! Components that mean harm to the compiler: small files that become huge, or take for ever. For tests and for the
//! benchmark of what a neighbour loses by them.

/// What each comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Time or memory of the compiler.
    TooMuch,
    /// Machine code.
    Code,
    /// It is none.
    Damaged,
}

/// All of them by name.
pub fn bombs() -> [(&'static str, Vec<u8>, End); 8] {
    [
        ("many-variables", many_variables(), End::TooMuch),
        ("deep-blocks", deep_blocks(), End::TooMuch),
        ("one-long-function", one_long_function(), End::TooMuch),
        ("many-functions", many_functions(), End::TooMuch),
        ("doubling", doubling(), End::TooMuch),
        ("far-data-a-hundred-times", far_data(100), End::TooMuch),
        ("far-data", far_data(4), End::Code),
        ("many-types", many_types(), End::Damaged),
    ]
}

/// A number as WebAssembly writes it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7F).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Bytes behind their length.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [leb(bytes.len()), bytes.to_vec()].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], sized(content)].concat()
}

/// A component of core modules and nothing else.
fn of_modules(modules: &[Vec<u8>]) -> Vec<u8> {
    let modules = modules.iter().map(|module| section(1, &[b"\0asm\x01\0\0\0", &module[..]].concat()));
    [b"\0asm\x0d\0\x01\0".to_vec(), modules.collect::<Vec<_>>().concat()].concat()
}

/// One module with a memory, of so many functions that take an i64 and answer nothing.
fn functions(count: usize, body: &[u8]) -> Vec<u8> {
    let types = section(1, &[1, 0x60, 1, 0x7E, 0]);
    let declared = section(3, &[leb(count), vec![0; count]].concat());
    let memory = section(5, &[1, 0, 1]);
    let code = section(10, &[leb(count), sized(body).repeat(count)].concat());
    of_modules(&[[types, declared, memory, code].concat()])
}

/// Each function has fifty thousand variables.
fn many_variables() -> Vec<u8> {
    let body = [vec![1], leb(49_999), vec![0x7E, 0x20], leb(49_999), vec![0x21, 0, 0x0B]].concat();
    functions(20_000, &body)
}

fn deep_blocks() -> Vec<u8> {
    functions(1, &[vec![0], [0x02, 0x40, 0x03, 0x40].repeat(500_000), vec![0x0B; 1_000_001]].concat())
}

/// Reads through what it read, adds and stores, again and again.
fn one_long_function() -> Vec<u8> {
    let step = [0x20, 0, 0x20, 0, 0xA7, 0x29, 0, 0, 0x7C, 0x21, 0];
    functions(1, &[vec![0], step.repeat(600_000), vec![0x0B]].concat())
}

fn many_functions() -> Vec<u8> {
    functions(200_000, &[0, 0x20, 0, 0x20, 0, 0xA7, 0x29, 0, 0, 0x7F, 0x21, 0, 0x0B])
}

fn many_types() -> Vec<u8> {
    let types = [leb(1_000_001), [0x60, 1, 0x7E, 0].repeat(1_000_001)].concat();
    of_modules(&[section(1, &types)])
}

/// Modules of two bytes of data each, the second of them just within what becomes an image of the memory.
fn far_data(modules: usize) -> Vec<u8> {
    let memory = section(5, &[1, 0, 0x80, 2]);
    let at = |offset: &[u8]| [vec![0, 0x41], offset.to_vec(), vec![0x0B, 1, 7]].concat();
    let data = section(11, &[vec![2], at(&[0]), at(&[0x80, 0x80, 0xFC, 0x07])].concat());
    of_modules(&vec![[memory, data].concat(); modules])
}

/// Components that each hold the one before it twice: as many instances as two to the power of the depth.
fn doubling() -> Vec<u8> {
    let mut text = "(component $c0 (core module $m (func)) (core instance (instantiate $m)))".to_owned();
    for level in 1..=24 {
        let twice = format!("(instance (instantiate $c{}))", level - 1).repeat(2);
        text = format!("(component $c{level} {text} {twice})");
    }
    wat::parse_str(text).unwrap()
}
