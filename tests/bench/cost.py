"""What a value costs: the gateway that subscribes, persists and judges each value by `limit`, against a client that
only counts, one after the other on the same loaded server with the same subscriptions."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from statistics import median

from children import Child, Failed, Gateway, Programs, Reading, cpu_s, limit, memory_mb, say, source

WARM_UP_S = 4.0
# At so many signals a value costs at most so much more than in the client, microseconds, and so many bytes written.
FLOOR_SIGNALS = 50_000
FLOOR_MORE_US = 0.6
FLOOR_WRITTEN = 17.0
# What is received is sealed every two million values, or every ten minutes: at so many signals and more a window has to
# hold what that takes, twice.
SEALED_EVERY = 2_000_000
SEALS_WINDOW_S = 90.0
QUEUE_SIZE = 10
NEVER = 1e9


@dataclass(frozen=True)
class Cost:
    """What was measured in a window."""

    values: int
    offered: int
    seconds: float
    cpu_us: float
    memory_mb: float
    written: float
    frames: float
    gaps: int
    judged: int
    seals: int = 0


# Seals are further apart than this, and none writes nothing for as long.
APART_S = 5.0


class Seals:
    """Counts how often something is sealed: nothing else writes to the slots of samples."""

    def __init__(self, process: Gateway) -> None:
        self.folder = process.folder / "data" / "ts"
        self.count = 0
        self.newest = self._newest()

    def _newest(self) -> float:
        return max((file.stat().st_mtime for file in self.folder.glob("*/db")), default=0.0)

    def look(self) -> None:
        """Looks again. A seal writes for a second or two."""
        newest = self._newest()
        self.count += newest > self.newest + APART_S
        self.newest = max(newest, self.newest)


def window_of(signals: int, rate: float, asked: float | None, quick: bool) -> float:
    """How long is measured in each round, seconds."""
    if asked is not None:
        return asked
    if quick:
        return 8.0
    # Twice what it takes until something is sealed, where that is not too long.
    return SEALS_WINDOW_S if 2 * SEALED_EVERY / (signals * rate) <= SEALS_WINDOW_S else 20.0


def rate_of(signals: int) -> float:
    """Changes of a signal a second: fewer signals are read more often."""
    if signals <= 1_000:
        return 10.0
    return 2.0 if signals <= 10_000 else 1.0


def publishing_ms_of(rate: float) -> int:
    """An interval in which each signal changes about once at the most."""
    return 100 if rate > 4 else 250


def cost(first: Reading, last: Reading, offered: int, memory: float, seals: int = 0) -> Cost:
    """The costs between two readings."""
    values = last.values - first.values
    if values <= 0:
        raise Failed("no values came")
    return Cost(
        values=values,
        offered=offered,
        seconds=last.at - first.at,
        cpu_us=(last.cpu_s - first.cpu_s) / values * 1e6,
        memory_mb=memory,
        written=(last.written - first.written) / values,
        frames=(last.frames - first.frames) / (last.at - first.at),
        gaps=last.gaps - first.gaps,
        judged=last.judged - first.judged,
        seals=seals,
    )


def bare(programs: Programs, server: Child, url: str, signals: int, rate: float, window: float) -> Cost:
    """The client that only counts."""
    publishing_ms = publishing_ms_of(rate)
    arguments = [url, signals, publishing_ms, publishing_ms // 4, QUEUE_SIZE]
    command = [str(programs.bench), "count", *(str(argument) for argument in arguments)]
    with Child("the bare client", command) as client:
        client.line()
        time.sleep(WARM_UP_S)

        def reading() -> Reading:
            return Reading(time.monotonic(), client.ask(), cpu_s(client.pid), 0)

        first, offered = reading(), server.ask()
        time.sleep(window)
        last, offered = reading(), server.ask() - offered
        return cost(first, last, offered, memory_mb(client.pid))


def gateway(programs: Programs, server: Child, url: str, signals: int, rate: float, window: float) -> Cost:
    """The gateway with a detector on every signal."""
    publishing_ms = publishing_ms_of(rate)
    configuration = source("load", url, signals, publishing_ms, publishing_ms // 4, QUEUE_SIZE)
    with Gateway(programs, configuration + limit("limits", "load/*", -NEVER, NEVER)) as process:
        begun = time.monotonic()
        reading = process.reading()
        while reading.values < signals or reading.judged < signals:
            reading = process.reading()
            if time.monotonic() - begun > 120:
                raise Failed(f"after two minutes {reading.values} values had come and {reading.judged} were judged")
        warm = time.monotonic() + WARM_UP_S
        while reading.at < warm:
            reading = process.reading()
        first, offered, seals = reading, server.ask(), Seals(process)
        while reading.at < first.at + window:
            reading = process.reading()
            seals.look()
        return cost(first, reading, server.ask() - offered, memory_mb(process.pid), seals.count)


def middle(costs: list[Cost]) -> Cost:
    """The one with the median CPU."""
    return sorted(costs, key=lambda one: one.cpu_us)[len(costs) // 2]


def run(programs: Programs, options: argparse.Namespace) -> bool:
    """Measures each size and prints the table; whether all floors were held."""
    rows, floors, all_held = [], [], True
    for signals in options.signals:
        rate = options.rate or rate_of(signals)
        window = window_of(signals, rate, options.window, options.quick)
        clients, gateways = [], []
        with Child("the load server", [str(programs.bench), "serve", str(signals), str(rate)]) as server:
            url = server.line()
            for turn in range(options.rounds):
                say(f"bench: cost: {signals} signals at {rate:g} Hz, round {turn + 1} of {options.rounds}, {window:g} s each")
                clients.append(bare(programs, server, url, signals, rate, window))
                gateways.append(gateway(programs, server, url, signals, rate, window))
        ratios = [ours.cpu_us / theirs.cpu_us for ours, theirs in zip(gateways, clients)]
        rows.append(row(signals, rate, middle(clients), middle(gateways), ratios))
        if signals == FLOOR_SIGNALS:
            more = median(ours.cpu_us - theirs.cpu_us for ours, theirs in zip(gateways, clients))
            written = median(ours.written for ours in gateways)
            seals = min(ours.seals for ours in gateways)
            floors.append(verdict(f"{more:.2f} µs of {FLOOR_MORE_US:g} beyond the client", more <= FLOOR_MORE_US))
            floors.append(verdict(f"{written:.1f} bytes written of {FLOOR_WRITTEN:g}", written <= FLOOR_WRITTEN))
            floors.append(sealing(seals, window))
            all_held = more <= FLOOR_MORE_US and written <= FLOOR_WRITTEN
    print("\n## CPU, memory and bytes written for a value\n")
    print(
        "The gateway (subscribe, persist, `limit` on every signal, live) against a client that decodes and counts; one "
        "after the other on the same server.\n"
    )
    print(
        "| signals | changes/s each | values/s | client µs/value | gateway µs/value | ratio (each round) | client MiB "
        "| gateway MiB | bytes written/value | frames/s | received | judged | gaps | seals |"
    )
    print("|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    print("\n".join(rows))
    if floors:
        print(f"\nFloors at {FLOOR_SIGNALS:,} signals: " + "; ".join(floors) + ".")
    return all_held


def sealing(seals: int, window: float) -> str:
    """What the verdict is of."""
    if seals:
        return f"with {seals} seals in each window of {window:g} s at the least"
    return f"without sealing, which none of {window:g} s held: no verdict on a gateway that runs for longer"


def verdict(what: str, held: bool) -> str:
    """One floor."""
    return f"{what}: {'held' if held else 'MISSED'}"


def row(signals: int, rate: float, client: Cost, ours: Cost, ratios: list[float]) -> str:
    """One row of the table."""
    rounds = f"{median(ratios):.2f} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})"
    return (
        f"| {signals:,} | {rate:g} | {ours.values / ours.seconds:,.0f} | {client.cpu_us:.2f} | {ours.cpu_us:.2f} "
        f"| {rounds} | {client.memory_mb:.0f} | {ours.memory_mb:.0f} | {ours.written:.1f} | {ours.frames:.0f} "
        f"| {ours.values / max(ours.offered, 1):.1%} | {ours.judged / ours.values:.1%} | {ours.gaps} | {ours.seals} |"
    )
