"""How late an alarm is: from a value's change at a server to the event at a client, through the real gateway. What the
two publishing intervals take by themselves is subtracted: no gateway could be quicker in the worst case."""

from __future__ import annotations

import argparse
import contextlib
from math import ceil

from children import Child, Failed, Gateway, Programs, limit, say, source

FLOORS_MS = ((50, 10.0), (99, 50.0))
# Publishing interval of source and client each, ms; signals of a second source, and their rate in Hz.
ROWS = ((100, 0, 0), (50, 0, 0), (100, 1_000, 10), (100, 50_000, 1))


def percentile(sorted_values: list[float], percent: int) -> float:
    """The smallest value that so many per cent do not exceed."""
    return sorted_values[max(ceil(len(sorted_values) * percent / 100) - 1, 0)]


def measure(programs: Programs, interval_ms: int, beside: int, rate: int, changes: int) -> tuple[list[float], int]:
    """Latencies in ms, sorted, and how many events bore the time of their change."""
    with contextlib.ExitStack() as stack:
        load = ""
        if beside:
            server = stack.enter_context(Child("the load server", [str(programs.bench), "serve", str(beside), str(rate)]))
            load = source("beside", server.line(), beside, 100, 25, 10) + limit("beside", "beside/*", -1e9, 1e9)
        # Pauses over whole intervals, so that changes fall anywhere in them.
        pauses = [30, 30 + 2 * interval_ms]
        arguments = ["latency", f"{interval_ms}", f"{changes}", *(str(pause) for pause in pauses)]
        return with_gateway(programs, stack, arguments, load, interval_ms)


def with_gateway(
    programs: Programs, stack: contextlib.ExitStack, arguments: list[str], load: str, interval_ms: int
) -> tuple[list[float], int]:
    """Runs the gateway between the two ends."""
    ends = stack.enter_context(Child("the two ends", [str(programs.bench), *arguments]))
    watched = source("load", ends.line(), 1, interval_ms, 0, 10) + limit("limits", "load/*", -1e9, 100.0)
    ours = stack.enter_context(Gateway(programs, watched + load))
    reading = ours.reading()
    while reading.values < 1 or reading.judged < 1 or (load and reading.values < 3_000):
        reading = ours.reading()
    ends.process.stdin.write(f"{ours.url}\n")
    ends.process.stdin.flush()
    latencies, exact = [], 0
    for _ in range(int(arguments[2])):
        number, same = ends.line().split()
        latencies.append(float(number))
        exact += same == "true"
    if not latencies:
        raise Failed("nothing was measured")
    return sorted(latencies), exact


def run(programs: Programs, options: argparse.Namespace) -> None:
    """Measures and prints the table."""
    rows, misses = [], []
    for interval_ms, beside, rate in ROWS:
        say(f"bench: latency: {options.changes} changes at {interval_ms} + {interval_ms} ms, {beside} signals beside")
        latencies, exact = measure(programs, interval_ms, beside, rate, options.changes)
        both = 2 * interval_ms
        shown = [f"{percentile(latencies, percent):.1f}" for percent in (50, 99)]
        above = [percentile(latencies, percent) - both for percent, _ in FLOORS_MS]
        misses += [late for late, (_, floor) in zip(above, FLOORS_MS) if late > floor]
        beside_text = f"{beside:,} at {rate} Hz" if beside else "none"
        rows.append(
            f"| {interval_ms} + {interval_ms} | {beside_text} | {len(latencies)} | {latencies[0]:.1f} | {shown[0]} "
            f"| {shown[1]} | {latencies[-1]:.1f} | {above[0]:+.1f} | {above[1]:+.1f} | {exact} |"
        )
    print("\n## From a change at the source to the alarm's event at a client\n")
    print(
        "Milliseconds through the gateway (subscription, log, `limit`, durable record, event), against the sum of the "
        "two publishing intervals; changes fall anywhere in them.\n"
    )
    print(
        "| publishing intervals | other signals | changes | least | p50 | p99 | most | p50 above the sum "
        "| p99 above the sum | events with the change's own time |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    print("\n".join(rows))
    floors = " and ".join(f"p{percent} within {floor:.0f} ms" for percent, floor in FLOORS_MS)
    print(f"\nFloor: {floors} above the sum: {'MISSED' if misses else 'held'}.")
