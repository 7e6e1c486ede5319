"""Whether the gateway keeps up for long: many values a second for minutes, each persisted and judged; what is lost, and
whether memory grows. The load server shares the machine."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from children import Child, Failed, Gateway, Programs, limit, memory_mb, say, source

SIGNALS = 50_000
PUBLISHING_MS = 250
SAMPLING_MS = 62
QUEUE_SIZE = 20
NEVER = 1e9
SETTLE_S = 20.0
# So many values a second for so many minutes, none of them lost, and at the end no more memory than so many times that at
# the end of a minute.
FLOOR_RATE = 150_000
FLOOR_MINUTES = 10.0
FLOOR_GROWTH = 1.05
FLOOR_GROWTH_FROM = 2
# The load server counts what it offers a moment before or after the gateway counts what it has.
NEARLY = 0.999


@dataclass(frozen=True)
class Kept:
    """What a run came to."""

    rate: int
    seconds: float
    values: int
    offered: int
    judged: int
    gaps: int
    cores: float
    written: float
    memory_mb: list[float]


def keep(programs: Programs, rate: int, minutes: float) -> Kept:
    """One run."""
    with Child("the load server", [str(programs.bench), "serve", str(SIGNALS), str(rate / SIGNALS)]) as server:
        url = server.line()
        configuration = source("load", url, SIGNALS, PUBLISHING_MS, SAMPLING_MS, QUEUE_SIZE)
        with Gateway(programs, configuration + limit("limits", "load/*", -NEVER, NEVER)) as process:
            reading = process.reading()
            begun = reading.at
            while reading.judged < SIGNALS:
                reading = process.reading()
                if reading.at - begun > 120:
                    raise Failed(f"after two minutes {reading.judged} values were judged")
            settled = reading.at + SETTLE_S
            while reading.at < settled:
                reading = process.reading()
            first, offered, memory = reading, server.ask(), [memory_mb(process.pid)]
            for minute in range(1, max(1, round(minutes)) + 1):
                until = first.at + 60 * minute * (minutes / max(1, round(minutes)))
                while reading.at < until:
                    reading = process.reading()
                memory.append(memory_mb(process.pid))
            seconds = reading.at - first.at
            return Kept(
                rate=rate,
                seconds=seconds,
                values=reading.values - first.values,
                offered=server.ask() - offered,
                judged=reading.judged - first.judged,
                gaps=reading.gaps - first.gaps,
                cores=(reading.cpu_s - first.cpu_s) / seconds,
                written=(reading.written - first.written) / max(1, reading.values - first.values),
                memory_mb=memory,
            )


def run(programs: Programs, options: argparse.Namespace) -> bool:
    """Measures each rate and prints the table; whether the floor was held."""
    rows, floors, all_held = [], [], True
    for rate in options.rates:
        say(f"bench: sustain: {rate} values/s of {SIGNALS} signals for {options.minutes:g} minutes")
        kept = keep(programs, rate, options.minutes)
        rows.append(row(kept))
        if rate == FLOOR_RATE:
            told, held = verdict(kept, options.minutes)
            floors.append(told)
            all_held &= held
    print("\n## Many values a second for minutes\n")
    print(f"{SIGNALS:,} signals, `limit` on every one, live; the server that makes the values runs on the same cores.\n")
    print(
        "| asked for, values/s | minutes | received, values/s | of what was offered | judged | gaps | cores "
        "| bytes written/value | MiB at the beginning | MiB at the end | most MiB at a minute's end |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    print("\n".join(rows))
    if floors:
        print(f"\nFloor at {FLOOR_RATE:,} values/s for {FLOOR_MINUTES:g} minutes: " + "; ".join(floors) + ".")
    return all_held


def verdict(kept: Kept, minutes: float) -> tuple[str, bool]:
    """What the floor says of a run, and whether that is held."""
    early = kept.memory_mb[min(FLOOR_GROWTH_FROM, len(kept.memory_mb) - 1)]
    growth = kept.memory_mb[-1] / early
    received = kept.values / kept.seconds
    parts = [
        (f"{received:,.0f} values/s", received >= FLOOR_RATE * NEARLY),
        (f"{kept.gaps} gaps", kept.gaps == 0),
        (f"{kept.judged / max(kept.values, 1):.1%} judged", kept.judged >= kept.values * NEARLY),
        (f"{growth:.3f} times the memory of minute {FLOOR_GROWTH_FROM}, of {FLOOR_GROWTH:g}", growth <= FLOOR_GROWTH),
    ]
    told = ", ".join(f"{what}: {'held' if held else 'MISSED'}" for what, held in parts)
    if minutes < FLOOR_MINUTES:
        told += f" (of {minutes:g} minutes alone, which is no verdict on {FLOOR_MINUTES:g})"
    return told, all(held for _, held in parts)


def row(kept: Kept) -> str:
    """One row of the table."""
    return (
        f"| {kept.rate:,} | {kept.seconds / 60:.1f} | {kept.values / kept.seconds:,.0f} "
        f"| {kept.values / max(kept.offered, 1):.1%} | {kept.judged / max(kept.values, 1):.1%} | {kept.gaps} "
        f"| {kept.cores:.2f} | {kept.written:.1f} | {kept.memory_mb[0]:.0f} | {kept.memory_mb[-1]:.0f} "
        f"| {max(kept.memory_mb):.0f} |"
    )
