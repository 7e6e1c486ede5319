//! `watchfire-torture --kills 1000 --cuts 500`: what it did and how many records it held to their promise, or the first
//! that was lost. `watchfire-torture write FOLDER` is the process that is killed.

use std::path::{Path, PathBuf};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let of = |name: &str| {
        let at = words.iter().position(|word| word == name);
        at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(0)
    };
    if let [command, folder] = words.as_slice()
        && command == "write"
    {
        watchfire_torture::write(Path::new(folder));
        return;
    }
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("watchfire-torture"));
    let seed = of("--seed") as u64;
    println!("{}", watchfire_torture::kills(&own, of("--kills"), seed));
    println!("{}", watchfire_torture::cuts(&own, of("--cuts"), seed));
}
