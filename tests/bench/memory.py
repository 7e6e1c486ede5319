"""What the gateway holds in memory: by the number of signals, with and without `limit` on each; and how long it takes
from its start until every signal is subscribed. Says what a signal and a condition cost, and whether it grows."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from children import Child, Failed, Gateway, Programs, limit, memory_mb, say, source

PUBLISHING_MS = 250
SAMPLING_MS = 62
QUEUE_SIZE = 10
RATE_HZ = 1.0
NEVER = 1e9
SETTLE_S = 10.0
FLOOR_SIGNALS = 50_000
# 200 MB.
FLOOR_MIB = 200e6 / (1 << 20)
FLOOR_CORES = 0.15
# By the number of signals: from the start of the program until each is subscribed, seconds.
FLOORS_SUBSCRIBED_S = {10_000: 2.0, 100_000: 20.0}


@dataclass(frozen=True)
class Held:
    """What one run held."""

    first_mb: float
    last_mb: float
    peak_mb: float
    cores: float
    subscribed_s: float


def peak_mb(pid: int) -> float:
    """The most that was ever resident, MiB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def hold(programs: Programs, url: str, signals: int, conditions: bool, window: float) -> Held:
    """Runs the gateway until all is subscribed and judged, then for a window."""
    configuration = source("load", url, signals, PUBLISHING_MS, SAMPLING_MS, QUEUE_SIZE)
    if conditions:
        configuration += limit("limits", "load/*", -NEVER, NEVER)
    begun = time.monotonic()
    with Gateway(programs, configuration) as process:
        reading = process.reading()
        while reading.values < signals or process.subscribed_s is None:
            reading = process.reading()
            if time.monotonic() - begun > 120:
                raise Failed(f"after two minutes {reading.values} of {signals} values had come")
        while conditions and reading.judged < signals:
            reading = process.reading()
        settled = reading.at + SETTLE_S
        while reading.at < settled:
            reading = process.reading()
        first, first_mb = reading, memory_mb(process.pid)
        while reading.at < first.at + window:
            reading = process.reading()
        cores = (reading.cpu_s - first.cpu_s) / (reading.at - first.at)
        return Held(first_mb, memory_mb(process.pid), peak_mb(process.pid), cores, process.subscribed_s)


def run(programs: Programs, options: argparse.Namespace) -> bool:
    """Measures each size and prints the table; whether all floors were held."""
    rows, floors = [], []
    for signals in options.sizes:
        with Child("the load server", [str(programs.bench), "serve", str(signals), str(RATE_HZ)]) as server:
            url = server.line()
            say(f"bench: memory: {signals} signals at {RATE_HZ:g} Hz, {options.memory_window:.0f} s without conditions")
            plain = hold(programs, url, signals, False, options.memory_window)
            say(f"bench: memory: {signals} signals at {RATE_HZ:g} Hz, {options.memory_window:.0f} s with conditions")
            judged = hold(programs, url, signals, True, options.memory_window)
        rows.append(row(signals, plain, judged))
        floors += missed(signals, judged)
    print("\n## Memory by the number of signals and conditions\n")
    print(
        f"Resident MiB of the gateway, each signal at {RATE_HZ:g} Hz: without a detector, and with `limit` on every signal, "
        f"at the beginning and at the end of {options.memory_window:.0f} s. A condition's share is the difference.\n"
    )
    print(
        "| signals | without conditions, MiB | with, MiB | at the end, MiB | most, MiB | a condition, KB "
        "| cores | from the start to all subscribed, s |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    print("\n".join(rows))
    if floors:
        print("\nFloors: " + "; ".join(floors) + ".")
    return not any("MISSED" in floor for floor in floors)


def row(signals: int, plain: Held, judged: Held) -> str:
    """One row of the table."""
    share_kb = (judged.last_mb - plain.last_mb) * 1024 / signals
    return (
        f"| {signals:,} | {plain.last_mb:.0f} | {judged.first_mb:.0f} | {judged.last_mb:.0f} | {judged.peak_mb:.0f} "
        f"| {share_kb:.2f} | {judged.cores:.3f} | {judged.subscribed_s:.1f} |"
    )


def missed(signals: int, held: Held) -> list[str]:
    """What the floors say of a size."""
    told = []
    if signals == FLOOR_SIGNALS:
        told.append(verdict(f"{held.last_mb:.0f} MiB of {FLOOR_MIB:.0f}", held.last_mb <= FLOOR_MIB, signals))
        told.append(verdict(f"{held.cores:.3f} core of {FLOOR_CORES:g}", held.cores <= FLOOR_CORES, signals))
    floor_s = FLOORS_SUBSCRIBED_S.get(signals)
    if floor_s is not None:
        told.append(verdict(f"{held.subscribed_s:.1f} s of {floor_s:g}", held.subscribed_s <= floor_s, signals))
    return told


def verdict(what: str, held: bool, signals: int) -> str:
    """One floor."""
    return f"{what} at {signals:,} signals: {'held' if held else 'MISSED'}"
