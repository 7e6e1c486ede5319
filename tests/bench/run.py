"""The benchmarks: each a table in Markdown on standard output, each with what it is measured against in the same run.

    make bench                          all of it, about half an hour and another quarter of one for the first build
    make bench ARGS=--quick             smaller and shorter, about 4 minutes
    make bench ARGS="cost --signals 10000"

Parts: `cost` (CPU, memory and bytes written for a value, against a client that only counts), `sandbox` (a sample in the
sandbox against the same detector compiled natively), `disk` (bytes a value in the store of record), `latency` (from a
change at the source to the alarm's event at a client), `flood` (all conditions active at once, with three HMIs that
are not ours), `urgent` (how soon one alarm of high severity among them reaches a subscription of higher priority),
`steady` (a thousand new alarms a second, and a kill), `starts` (how long many conditions take to stand), `kills` (kills in the middle of what operators do; `make torture`
has 500 of them), `memory` (by the number of signals and conditions, and how long all take to be subscribed), `sustain`
(150,000 and 250,000 values a second for ten minutes each), `day` (bytes written in a day by a thousand values a second;
half an hour, `--day-seals 6` an hour and ten minutes), and of the stores alone, by the tool of `make torture`:
`rate` (what a disk has to write for a value, in real time), `ring` (days at accelerated time, of which some are kept),
`read` (the same, and then how long it takes to open them again and to read from them), `unsealed` (reading what is not
sealed yet), `hours` (what summaries take). These, `sustain` and `day` run only when they are asked for by name.

Exit code 1: a part could not be measured, or missed a floor of `cost`, `memory`, `sustain` or `day`.

It builds with the release profile (or, with `--unoptimised`, as the tests do), honours CARGO_TARGET_DIR, runs on
loopback alone and writes only there and into a temporary folder (TMPDIR), which should lie on a disk for the bytes
written to mean anything. What it starts it ends.
Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import cost
import day
import flood
import kills
import latency
import memory
import starts
import steady
import store
import sustain
import urgent
from children import Failed, Programs, say

TOP = Path(__file__).resolve().parent.parent.parent
# Parts that run the gateway.
OF_PROGRAMS = {
    "cost": cost, "latency": latency, "flood": flood, "urgent": urgent, "steady": steady, "starts": starts, "kills": kills,
    "memory": memory, "sustain": sustain, "day": day,
}
OF_STORES = ("rate", "ring", "read", "unsealed", "hours")
PARTS = (
    "cost", "sandbox", "disk", "latency", "flood", "urgent", "steady", "starts", "kills", "memory", "sustain", "day",
    *OF_STORES,
)
# Those that take long run only when they are named.
LONG = ("sustain", "day", *OF_STORES)
# How a row begins, the cell that counts, the most it may be, and what that is.
SANDBOX_FLOORS = (
    (["limit", "256"], 3, 8.0, "nanoseconds a sample for `limit` at 256 samples, at the most"),
    (["novelty", "256"], 4, 1.5, "times native for `novelty` at 256 samples, at the most"),
    (["limit, made 20 MB"], 4, 100.0, "milliseconds to start a component of 20 MB from the cache, at the most"),
    (["limit, made 20 MB"], 6, 100.0, "milliseconds of CPU time for that, which others do not change, at the most"),
    (["1000 of limit"], 2, 1000.0, "milliseconds for a thousand instances, at the most"),
    (["1000 of limit"], 5, 150.0, "MB for a thousand instances, at the most"),
    (["one in a loop without end"], 2, 10.0, "per cent of the others' throughput beside one without end, at the most"),
    (["one in a loop without end"], 4, 100.0, "milliseconds that their latest verdict is later than without it, at the most"),
    (["one in a loop without end"], 5, 0.0, "verdicts lost beside it"),
)


def main() -> int:
    """Runs the parts that were asked for; 1 when one of them could not be measured or missed a floor of its own. Floors of
    other parts are only told."""
    options = read_options()
    print(f"Measured on {machine()}.")
    failures = 0
    programs = None
    for part in PARTS:
        if part not in options.parts:
            continue
        try:
            if part == "sandbox":
                sandbox()
            elif part == "disk":
                disk()
            elif part in OF_STORES:
                store.run(part, cargo, options)
            else:
                programs = programs or build(options.unoptimised)
                if OF_PROGRAMS[part].run(programs, options) is False:
                    say(f"bench: {part}: a floor was missed")
                    failures += 1
        except Failed as failed:
            say(f"bench: {part}: {failed}")
            failures += 1
        sys.stdout.flush()
    return 1 if failures else 0


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="The benchmarks; see the head of this file.")
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="one round, short windows, no 50,000 signals")
    parser.add_argument("--unoptimised", action="store_true", help="with the programs that `make test` builds")
    parser.add_argument("--signals", type=int, nargs="+", help="sizes of `cost` (default: 1000 10000 50000)")
    parser.add_argument("--rate", type=float, help="changes of a signal a second (default: by size)")
    parser.add_argument(
        "--window", type=float,
        help="seconds measured in each round of `cost` (default: 90 at 50,000 signals, so that what is sealed is in it; else 20)",
    )
    parser.add_argument("--rounds", type=int, help="rounds of `cost`, `urgent` and `starts`, of `cost` their median is shown (default: 3)")
    parser.add_argument("--sizes", type=int, nargs="+", help="signals of `memory` (default: 10000 50000 100000)")
    parser.add_argument("--memory-window", type=float, help="seconds of each run of `memory` (default: 60)")
    parser.add_argument("--changes", type=int, help="changes of each row of `latency` (default: 200)")
    parser.add_argument("--conditions", type=int, help="conditions of `flood`, `urgent` and `starts` (default: 10000)")
    parser.add_argument("--rates", type=int, nargs="+", help="values/s of `sustain` (default: 150000 250000)")
    parser.add_argument("--minutes", type=float, help="how long each run of `sustain` takes (default: 10)")
    parser.add_argument("--day-seals", type=int, help="seals in the window of `day`, ten minutes each (default: 2)")
    parser.add_argument("--day-signals", type=int, help="signals of `day` (default: 1000; its floor is of those)")
    parser.add_argument("--day-rate", type=float, help="changes a second of each signal of `day` (default: 1)")
    parser.add_argument("--seconds", type=int, help="how long alarms of `steady` come (default: 60)")
    parser.add_argument(
        "--store", type=int, nargs="+",
        help="numbers of the parts of the stores: `rate` values/s and seconds (1000 600), `ring` and `read` signals, days and "
        "days kept (200 15 3), `unsealed` signals and values of each (50000 40), `hours` signals and hours (50000 1)",
    )
    parser.add_argument("--folder", help="where the parts of the stores write, an empty folder on the disk in question")
    parser.add_argument("--kills", type=int, help="kills of `kills` (default: 20; `make torture`: 500)")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    options.parts = options.parts or [part for part in PARTS if part not in LONG]
    quick = options.quick
    options.signals = options.signals or ([1_000, 10_000] if quick else [1_000, 10_000, 50_000])
    options.rounds = options.rounds or (1 if quick else 3)
    options.sizes = options.sizes or ([10_000] if quick else [10_000, 50_000, 100_000])
    options.memory_window = options.memory_window or (15.0 if quick else 60.0)
    options.rates = options.rates or [150_000, 250_000]
    options.minutes = options.minutes or 10.0
    options.conditions = options.conditions or (2_000 if quick else 10_000)
    options.day_seals = options.day_seals or (1 if quick else 2)
    options.day_signals = options.day_signals or day.SIGNALS
    options.day_rate = options.day_rate or day.RATE_HZ
    options.seconds = options.seconds or (10 if quick else 60)
    options.kills = options.kills or (5 if quick else 20)
    options.changes = options.changes or (40 if quick else 200)
    return options


def machine() -> str:
    """What it is measured on, in a few words."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, load {load:.1f} at the start"


def cargo(arguments: list[str], **how: object) -> subprocess.CompletedProcess:
    """Runs cargo at the top of the project."""
    command = [os.environ.get("CARGO", "cargo"), *arguments]
    done = subprocess.run(command, cwd=TOP, text=True, stdout=subprocess.PIPE, check=False, **how)
    if done.returncode:
        raise Failed(f"`{' '.join(command)}` failed")
    return done


def build(unoptimised: bool) -> Programs:
    """The program and the bench helper, as cargo says where they lie; or those of WATCHFIRE_BENCH_BUILT, a folder, as they
    are."""
    built_before = os.environ.get("WATCHFIRE_BENCH_BUILT")
    if built_before:
        folder = Path(built_before)
        return Programs(gateway=folder / "watchfire", bench=folder / "examples" / "bench")
    say(f"bench: building ({'dev' if unoptimised else 'release'})")
    what = ["--workspace"] if unoptimised else ["--release", "--package", "watchfire", "--package", "watchfire-plant"]
    messages = cargo(["build", "--quiet", "--message-format=json-render-diagnostics", *what,
                      "--bin", "watchfire", "--example", "bench"]).stdout
    found = {}
    for line in messages.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("executable"):
            found[message["target"]["name"]] = Path(message["executable"])
    if not {"watchfire", "bench"} <= found.keys():
        raise Failed(f"cargo built {sorted(found)}, not `watchfire` and `bench`")
    return Programs(gateway=found["watchfire"], bench=found["bench"])


def sandbox() -> None:
    """What a sample, a start, a thousand instances, a greedy neighbour and each hostile one cost, as the sandbox's own
    benchmark says."""
    say("bench: sandbox")
    tables = cargo(["bench", "--quiet", "--package", "watchfire-sandbox", "--bench", "sandbox"]).stdout
    print("\n## The sandbox\n")
    print("A sample through the same detector compiled natively, in the sandbox, and in the sandbox called from another")
    print("runtime; starts anew and from the cache; a thousand instances; 99 detectors beside one that never ends.\n")
    print(tables.strip())
    for line in tables.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        for row, cell, most, what in SANDBOX_FLOORS:
            if cells[: len(row)] == row:
                held = "held" if float(cells[cell]) <= most else "MISSED"
                print(f"\nFloor: {what} {most:g}: {cells[cell]}, {held}.")


def disk() -> None:
    """Bytes a value, as the store's own benchmark says."""
    say("bench: disk")
    table = cargo(["bench", "--quiet", "--package", "watchfire-history", "--bench", "store"]).stdout
    print("\n## A value in the store of record\n")
    print("Sealed a minute or ten minutes at a time, against its plain columns.\n")
    print(table.strip())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="watchfire-bench-") as folder:
        os.environ["WATCHFIRE_BENCH_FOLDER"] = folder
        sys.exit(main())
