"""What matters most in a flood: ten thousand alarms in one message, in the middle of them one of high priority, and a
client that holds such alarms in a subscription of its own with a higher priority than the one for all. Both are of one
session, so that they share its publish requests. Beside it whether every alarm reaches the client. Seconds are from the change at the source to the event at the client's socket."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from children import Child, Gateway, Programs, limit, memory_mb, say, source

TOP = Path(__file__).resolve().parent.parent.parent
CLIENT = Path(__file__).resolve().parent / "two_subscriptions.py"
PYTHON = TOP / "third_party" / "python" / "bin" / "python"
HIGH = 100.0
FLOOR_S = 1.0
# Severity of the one in the middle, and of the others.
URGENT, OTHERS = 900, 500


def severities(detector: str, count: int) -> str:
    """The alarms of a detector, with one that weighs more in the middle."""
    one = f'[detector.alarm."limit/load/signal{count // 2}"]\nseverity = {URGENT}\n\n'
    return detector.rstrip() + f"\n\n[detector.alarm.limit]\nseverity = {OTHERS}\n\n" + one


def run(programs: Programs, options: argparse.Namespace) -> None:
    """Measures and prints the table."""
    count, rows, missed = options.conditions, [], False
    for _ in range(options.rounds):
        with contextlib.ExitStack() as stack:
            load = stack.enter_context(Child("the load server", [str(programs.bench), "serve", str(count), "0"]))
            watched = source("load", load.line(), count, 100, 0, 10)
            ours = stack.enter_context(
                Gateway(programs, watched + severities(limit("limits", "load/*", -1e9, HIGH), count))
            )
            while (reading := ours.reading()).judged < count:
                say(f"bench: urgent: {reading.judged} of {count} judged")
            client = stack.enter_context(
                Child("the client", [str(PYTHON), "-u", str(CLIENT), ours.url, str(count), str(URGENT)])
            )
            client.line()
            client.tell()
            load.process.stdin.write(f"{HIGH * 2}\n")
            load.process.stdin.flush()
            urgent_s, all_s, before, told = (float(word) for word in client.line(300).split())
            missed |= urgent_s > FLOOR_S or told < count
            rows.append((urgent_s, all_s, int(before), int(told), memory_mb(ours.pid)))
    load_avg = os.getloadavg()[0]
    print(f"\n## One that matters among {count:,}\n")
    print(
        f"All {count:,} signals cross their limit in one message; the alarm of the one in the middle has severity {URGENT}, "
        "the others 500. One client, one session, two subscriptions at 50 ms: all alarms with priority 0, those of severity "
        f"667 and above with priority 200. A load of {load_avg:.0f} on {os.cpu_count()} cores.\n"
    )
    print("| seconds to the urgent one | seconds to all | of the others before it | told in all | gateway MiB |")
    print("|---:|---:|---:|---:|---:|")
    for urgent_s, all_s, before, told, mib in rows:
        print(f"| {urgent_s:.2f} | {all_s:.1f} | {before:,} | {told:,} | {mib:.0f} |")
    print(f"\nFloor: within {FLOOR_S:.0f} s, and none lost: {'MISSED' if missed else 'held'}.")
