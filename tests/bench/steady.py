"""Alarms that do not end: so many new ones each second for a minute. Each must reach a client, once, and each must be on
the disk: the gateway is killed as soon as the last was told, and all must wait for acknowledgement, and be counted, when
it is started again."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
from pathlib import Path

from children import Child, Failed, Gateway, Programs, cpu_s, limit, memory_mb, say, source

TOP = Path(__file__).resolve().parent.parent.parent
CLIENT = Path(__file__).resolve().parent / "count_alarms.py"
PYTHON = TOP / "third_party" / "python" / "bin" / "python"
SIGNALS = 1_000
STEP = 10.0


def run(programs: Programs, options: argparse.Namespace) -> None:
    """Measures and prints the table."""
    seconds = options.seconds
    count = SIGNALS * seconds
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(Child("the load server", [str(programs.bench), "serve", str(SIGNALS), "0"]))
        watched = source("load", load.line(), SIGNALS, 100, 0, 10)
        # Each second the values pass the limits of one more detector.
        detectors = "".join(limit(f"limit{at}", "load/*", -1e9, STEP * (at + 1)) for at in range(seconds))
        ours = stack.enter_context(Gateway(programs, watched + detectors))
        while (reading := ours.reading()).judged < count:
            say(f"bench: steady: {reading.judged} of {count} judged")
        begin_s, begin_cpu_s = time.monotonic(), cpu_s(ours.pid)
        command = [str(PYTHON), "-u", str(CLIENT)]
        client = stack.enter_context(Child("the client", [*command, ours.url, str(count)]))
        client.line()
        client.tell()
        for at in range(seconds):
            load.process.stdin.write(f"{STEP * (at + 1) + STEP / 2}\n")
            load.process.stdin.flush()
            time.sleep(1.0)
        told, lasted, missing = client.line(300).split()
        cores = (cpu_s(ours.pid) - begin_cpu_s) / (time.monotonic() - begin_s)
        mib = memory_mb(ours.pid)
        ours.process.send_signal(signal.SIGKILL)
        ours.process.wait()
        file = ours.folder / "watchfire.toml"
        again = stack.enter_context(
            Child("the gateway again", [str(programs.gateway), "run", "--config", str(file)], lines_of_errors=True)
        )
        waiting, counted = left(stack, command, ours.url, count)
        if again.process.poll() is not None:
            raise Failed("the gateway did not start again")
    held = int(told) >= count and waiting == counted == count
    print(f"\n## {SIGNALS:,} new alarms a second for {seconds} seconds\n")
    print(
        f"{SIGNALS:,} signals pass the limit of one more detector each second; a client with asyncua counts EventIds. Then the "
        f"gateway is killed and started again. A load of {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores.\n"
    )
    print("| alarms | told, by EventId | from the first to the last, s | told that some are missing | wait after the kill "
          "| counted after the kill | cores | gateway MiB |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(f"| {count:,} | {int(told):,} | {float(lasted):.1f} | {missing} | {waiting:,} | {counted:,} | {cores:.2f} | {mib:.0f} |")
    print(f"\nFloor: all told and all on the disk: {'held' if held else 'MISSED'}.")


def left(stack: contextlib.ExitStack, command: list[str], url: str, count: int) -> tuple[int, int]:
    """How many alarms wait after the start, and how many were counted; the server may take a while to listen."""
    for _ in range(60):
        asked = stack.enter_context(Child("the client again", [*command, url, str(count), "--left"]))
        with contextlib.suppress(Failed):
            words = asked.line(180).split()
            if len(words) == 2:
                return int(words[0]), int(words[1])
        time.sleep(1.0)
    raise Failed("nobody answers after the kill")
