"""Kills in the middle of what operators do: several of them acknowledge, confirm, comment, shelve, suppress, take out of
service and refresh, all at once, until the gateway is killed. After each start everything that was answered Good must be
there, nothing else may have changed, and a refresh must list exactly what is retained. The data folder is one for all
rounds. The first loss ends it."""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import time
from pathlib import Path

from children import Child, Failed, Gateway, Programs, limit, say, source

TOP = Path(__file__).resolve().parent.parent.parent
OPERATORS = Path(__file__).resolve().parent / "operators.py"
PYTHON = TOP / "third_party" / "python" / "bin" / "python"
SIGNALS = 100
# Each signal has two alarms, with these limits.
LIMITS = {"high": 100.0, "higher": 200.0}
# What the signals come to, one after another: both alarms, one, or none.
VALUES = (250.0, 50.0, 250.0, 150.0)
# Twice a minute at most: what comes three times chatters.
PAUSE_S = 35.0
SEED = 7
# One start of ten is killed as well, so soon after it begins.
STARTS_KILLED, KILLED_AFTER_S = 0.1, 1.5
# A round may take so long on a busy machine.
ROUND_S = 300.0


def run(programs: Programs, options: argparse.Namespace) -> None:
    """Kills so many times, and prints the table."""
    if not PYTHON.exists():
        raise Failed("asyncua is not there; run `make peers` first")
    kills, begin_s = options.kills, time.monotonic()
    good = cut = carried_out = whole = halves = starts = 0
    dice = random.Random(SEED)
    detectors = "".join(alarms(name, high) for name, high in LIMITS.items())
    conditions = [f"{name}/limit/load/signal{at}" for name in LIMITS for at in range(SIGNALS)]
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(Child("the load server", [str(programs.bench), "serve", str(SIGNALS), "0"]))
        watched = source("load", load.line(), SIGNALS, 100, 0, 10)
        gateway = first = stack.enter_context(Gateway(programs, watched + detectors, anonymous="supervisor"))
        command = [str(PYTHON), "-u", str(OPERATORS), first.url, str(SEED), *conditions]
        operators = stack.enter_context(Child("the operators", command))
        changed_s, changes = float("-inf"), 0
        for at in range(kills + 1):
            tell(operators, gateway.pid)
            retained, found = said(operators, 2, at)
            carried_out += found
            if at == kills:
                break
            if time.monotonic() - changed_s > PAUSE_S:
                value = VALUES[changes % len(VALUES)]
                changed_s, changes = time.monotonic(), changes + 1
                tell(load, value)
            tell(operators, SIGNALS * sum(high < value for high in LIMITS.values()))
            counts = said(operators, 4, at)
            good, cut, whole, halves = (had + more for had, more in zip((good, cut, whole, halves), counts))
            gateway.end()
            if (at + 1) % 25 == 0:
                say(f"bench: kills: {at + 1} of {kills}, {good} answered Good, {retained} retained")
            gateway = stack.enter_context(again(programs, first))
            if dice.random() < STARTS_KILLED:
                time.sleep(dice.uniform(0, KILLED_AFTER_S))
                gateway.process.kill()
                gateway.process.wait()
                gateway, starts = stack.enter_context(again(programs, first)), starts + 1
        gateway.end()
        verified = verify(programs, first)
    took_s = time.monotonic() - begin_s
    print(f"\n## {kills:,} kills in the middle of what operators do\n")
    print(
        f"{len(conditions)} alarms of {SIGNALS} signals; six operators at once (asyncua) and one who refreshes; SIGKILL 0 to "
        "300 ms after they begin; one start of ten is killed too; one data folder for all. "
        f"{took_s:.0f} s, {took_s / kills:.1f} s each.\n"
    )
    print("| kills | starts killed | commands answered Good | found again | cut off | of these carried out, wholly "
          "| refreshes that were whole | cut off |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(f"| {kills:,} | {starts} | {good:,} | {good:,} | {cut:,} | {carried_out:,} | {whole:,} | {halves:,} |")
    print(f"\nAfter each start the list was what is retained, exactly. `watchfire history verify`: {verified}.")
    print("\nFloor: whatever was answered Good is there: held.")


def alarms(name: str, high: float) -> str:
    """A detector whose alarms must be confirmed as well, in any number."""
    table = limit(name, "load/*", -1e9, high).rstrip() + "\nalarm_budget = 0\n"
    return f"{table}\n[detector.alarm.limit]\nconfirm = true\ndamp = false\n\n"


def again(programs: Programs, first: Gateway) -> Child:
    """The gateway, started on what it left behind."""
    command = [str(programs.gateway), "run", "--config", str(first.folder / "watchfire.toml"), "--log", "error"]
    return Child("the gateway again", command, lines_of_errors=True)


def tell(child: Child, what: float) -> None:
    """Sends a line."""
    child.process.stdin.write(f"{what}\n")
    child.process.stdin.flush()


def said(operators: Child, words: int, at: int) -> list[int]:
    """The numbers that the operators say; a loss ends all."""
    line = operators.line(ROUND_S)
    if line.startswith("LOST"):
        raise Failed(f"after {at} kills: {line}")
    found = [int(word) for word in line.split() if word.isdigit()]
    if len(found) != words:
        raise Failed(f"the operators say `{line}`")
    return found


def verify(programs: Programs, first: Gateway) -> str:
    """What a look through the whole data folder finds; anything damaged is a loss."""
    command = [str(programs.gateway), "history", "verify", "--config", str(first.folder / "watchfire.toml")]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise Failed(f"`watchfire history verify` found {done.stdout}{done.stderr}")
    return done.stdout.strip().splitlines()[-1]
