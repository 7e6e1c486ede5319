"""How long a gateway with many conditions takes to stand: from the start of the process until it accepts connections,
and until its detectors judge, with and without a condition on every signal. No source answers, so nothing else is done."""

from __future__ import annotations

import argparse
import os
import re
import socket
import tempfile
import time
from pathlib import Path

from children import Failed, Gateway, Programs, free_port, limit, memory_mb, source

FLOOR_S = 1.0
HIGH = 100.0
PATIENCE_S = 60.0
CAUGHT_UP = re.compile(r"detector has caught up")
LOG = "warn,watchfire_pipeline::detect=info"


def start(programs: Programs, configuration: str, folder: Path, *, judges: bool) -> tuple[float, float, float]:
    """Seconds until it listens and until it judges, and its memory then, MiB."""
    with Gateway(programs, configuration, log=LOG, folder=folder) as ours:
        begun = ours.begun_at
        while True:
            try:
                socket.create_connection(("127.0.0.1", ours.port), 1).close()
                break
            except OSError:
                if time.monotonic() - begun > PATIENCE_S:
                    raise Failed("the gateway does not listen") from None
                time.sleep(0.005)
        listens = time.monotonic() - begun
        while judges and not CAUGHT_UP.search(ours.line()):
            pass
        return listens, time.monotonic() - begun, memory_mb(ours.pid)


def run(programs: Programs, options: argparse.Namespace) -> None:
    """Measures and prints the table."""
    count = options.conditions
    signals = source("load", f"opc.tcp://127.0.0.1:{free_port()}/", count, 100, 0, 10)
    conditions = signals + limit("limits", "load/*", -1e9, HIGH)
    rows = []
    for text, judges in ((signals, False), (conditions, True)):
        folder = Path(tempfile.mkdtemp(dir=os.environ.get("WATCHFIRE_BENCH_FOLDER")))
        # At first the plugin is compiled, and nothing is on record.
        start(programs, text, folder, judges=judges)
        rows.append([start(programs, text, folder, judges=judges) for _ in range(options.rounds)])
    print(f"\n## Starting with {count:,} conditions\n")
    print(f"The median of {options.rounds}; a load of {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores.\n")
    print("| signals | conditions | listens after, s | judges after, s | MiB then |")
    print("|---:|---:|---:|---:|---:|")
    middles = []
    for of, measured in zip((0, count), rows):
        listens, judges, memory = (sorted(column)[len(column) // 2] for column in zip(*measured))
        middles.append(judges)
        print(f"| {count:,} | {of:,} | {listens:.2f} | {f'{judges:.2f}' if of else '–'} | {memory:.0f} |")
    held = "held" if middles[1] - middles[0] <= FLOOR_S else "MISSED"
    print(f"\nFloor: {FLOOR_S:.0f} s for the conditions: {middles[1] - middles[0]:.2f} s, {held}.")
