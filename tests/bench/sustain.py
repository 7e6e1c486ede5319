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


def run(programs: Programs, options: argparse.Namespace) -> None:
    """Measures each rate and prints the table."""
    rows = []
    for rate in options.rates:
        say(f"bench: sustain: {rate} values/s of {SIGNALS} signals for {options.minutes:g} minutes")
        rows.append(row(keep(programs, rate, options.minutes)))
    print("\n## Many values a second for minutes\n")
    print(f"{SIGNALS:,} signals, `limit` on every one, live; the server that makes the values runs on the same cores.\n")
    print(
        "| asked for, values/s | minutes | received, values/s | of what was offered | judged | gaps | cores "
        "| bytes written/value | MiB at the beginning | MiB at the end | most MiB at a minute's end |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    print("\n".join(rows))


def row(kept: Kept) -> str:
    """One row of the table."""
    return (
        f"| {kept.rate:,} | {kept.seconds / 60:.1f} | {kept.values / kept.seconds:,.0f} "
        f"| {kept.values / max(kept.offered, 1):.1%} | {kept.judged / max(kept.values, 1):.1%} | {kept.gaps} "
        f"| {kept.cores:.2f} | {kept.written:.1f} | {kept.memory_mb[0]:.0f} | {kept.memory_mb[-1]:.0f} "
        f"| {max(kept.memory_mb):.0f} |"
    )
