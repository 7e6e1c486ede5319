"""What is written in a day of a quiet plant: a thousand signals at 1 Hz, recorded and judged by `limit`, from the end of
one seal to the end of a later one, so that a window holds whole seals and what comes between them."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from children import COUNTS, Child, Failed, Gateway, Programs, cpu_s, limit, say, source, written_bytes
from cost import verdict

SIGNALS = 1_000
RATE_HZ = 1.0
PUBLISHING_MS = 500
SAMPLING_MS = 250
QUEUE_SIZE = 10
NEVER = 1e9
DAY_S = 86_400
# At a thousand values a second at the most.
FLOOR_VALUES = 1_000.0
FLOOR_GB = 1.5
LOG = "warn,watchfire::counts=debug,watchfire_pipeline::seal=debug"
SEALED = "sealed what was durable"
# Sealed every ten minutes, or every two million values.
SEAL_MAX_S = 900.0


@dataclass(frozen=True)
class Seal:
    """How far the gateway had come when a seal had ended."""

    at: float
    values: int
    written: int
    cpu_s: float


def next_seal(process: Gateway, values: int) -> Seal:
    """Waits for the end of the next seal; `values` had come before."""
    begun = time.monotonic()
    while time.monotonic() < begun + SEAL_MAX_S:
        line = process.line()
        found = COUNTS.search(line)
        if found:
            values = int(found[1])
        elif SEALED in line:
            # What it wrote is on its way to the disk by then, and counted.
            return Seal(time.monotonic(), values, written_bytes(process.pid), cpu_s(process.pid))
        else:
            say(f"gateway: {line}")
    raise Failed(f"nothing was sealed in {SEAL_MAX_S:.0f} s")


def run(programs: Programs, options: argparse.Namespace) -> None:
    """Measures and prints the table."""
    signals, rate = options.day_signals, options.day_rate
    with Child("the load server", [str(programs.bench), "serve", str(signals), str(rate)]) as server:
        watched = source("load", server.line(), signals, PUBLISHING_MS, SAMPLING_MS, QUEUE_SIZE)
        with Gateway(programs, watched + limit("limits", "load/*", -NEVER, NEVER), log=LOG) as process:
            say(f"bench: day: {signals} signals at {rate:g} Hz; the window begins with the end of the first seal")
            seals = [next_seal(process, 0)]
            for turn in range(options.day_seals):
                say(f"bench: day: seal {turn + 1} of {options.day_seals} in the window")
                seals.append(next_seal(process, seals[-1].values))
    first, last = seals[0], seals[-1]
    seconds, values, written = last.at - first.at, last.values - first.values, last.written - first.written
    if values <= 0:
        raise Failed("no values came")
    gb = written / seconds * DAY_S / 1e9
    print("\n## What is written in a day\n")
    print(
        "Bytes that the process sent to the disk (`write_bytes` of /proc/PID/io), with the journal, seals, checkpoints and "
        "what the databases write anew, `limit` on every signal; from the end of one seal to the end of a later one.\n"
    )
    print("| signals | changes/s each | values/s | seals in the window | window, s | bytes written/value | cores | GB a day |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {signals:,} | {rate:g} | {values / seconds:,.0f} | {options.day_seals} | {seconds:.0f} | {written / values:.1f} "
        f"| {(last.cpu_s - first.cpu_s) / seconds:.3f} | {gb:.2f} |"
    )
    if (signals, rate) == (SIGNALS, RATE_HZ) and values / seconds >= FLOOR_VALUES * 0.99:
        print(f"\nFloor: {verdict(f'{gb:.2f} GB a day of {FLOOR_GB:g} at a thousand values a second', gb <= FLOOR_GB)}.")
    else:
        print(f"\nFloor: not judged, since it is of {SIGNALS:,} values a second, and these were {values / seconds:,.0f}.")
