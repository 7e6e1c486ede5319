//! `watchfire-torture --kills 1000 --cuts 500 --full 100`: what it did and how many records it held to their promise, or the first
//! that was lost. `watchfire-torture write FOLDER` is the process that is killed;
//! `watchfire-torture rate FOLDER VALUES_A_SECOND SECONDS` tells what a disk has to write for each value;
//! `watchfire-torture ring FOLDER SIGNALS DAYS KEPT` seals days at accelerated time, and tells what they take;
//! `watchfire-torture hours FOLDER SIGNALS HOURS` seals hours and summarises them, and tells what that takes.

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
    if let [command, folder, rate, seconds] = words.as_slice()
        && command == "rate"
    {
        let (rate, seconds) = (rate.parse().unwrap_or(1000), seconds.parse().unwrap_or(300));
        println!("| values/s | seconds | values | journal, B/value | sealed, B/value | all, B/value | GB a day |");
        println!("|---:|---:|---:|---:|---:|---:|---:|");
        println!("{}", watchfire_torture::rate(Path::new(folder), rate, seconds));
        return;
    }
    if let [command, folder, signals, hours] = words.as_slice()
        && command == "hours"
    {
        let (signals, hours) = (signals.parse().unwrap_or(50_000), hours.parse().unwrap_or(2));
        watchfire_torture::hours(Path::new(folder), signals, hours, |line| println!("{line}"));
        return;
    }
    if let [command, folder, signals, days, keep] = words.as_slice()
        && command == "ring"
    {
        let number = |word: &String, other| word.parse().unwrap_or(other);
        let signals = signals.parse().unwrap_or(100);
        watchfire_torture::ring(Path::new(folder), signals, number(days, 7), number(keep, 2), |line| {
            println!("{line}")
        });
        return;
    }
    if let [command, folder, signals, from, to] = words.as_slice()
        && command == "read"
    {
        let number = |word: &String| word.parse().unwrap_or(0);
        let days = (number(from), number(to));
        watchfire_torture::read_back(Path::new(folder), signals.parse().unwrap_or(100), days, |line| {
            println!("{line}")
        });
        return;
    }
    if let [command, folder, signals, times] = words.as_slice()
        && command == "unsealed"
    {
        let (signals, times) = (signals.parse().unwrap_or(50_000), times.parse().unwrap_or(40));
        watchfire_torture::unsealed(Path::new(folder), signals, times, |line| println!("{line}"));
        return;
    }
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("watchfire-torture"));
    let seed = of("--seed") as u64;
    for (count, torture) in [
        (of("--kills"), watchfire_torture::kills as fn(&Path, usize, u64) -> String),
        (of("--cuts"), watchfire_torture::cuts),
        (of("--full"), watchfire_torture::full),
    ] {
        if count > 0 {
            println!("{}", torture(&own, count, seed));
        }
    }
}
