"""An alarm flood: every condition goes active at once, and three HMIs that are not ours must miss none of them: each is
told, or told to refresh, and finds it then. Afterwards each asks for the whole list while values keep coming. Counts are exact; seconds are what the HMIs need as well."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from pathlib import Path

from children import PATIENCE_S, Child, Failed, Gateway, Programs, limit, memory_mb, say, source

TOP = Path(__file__).resolve().parent.parent.parent
PEERS = TOP / "tests" / "peers"
HIGH = 100.0
# Values that keep coming: signals, and their rate in Hz.
BESIDE, BESIDE_HZ = 1_000, 10
# A refresh may take so long.
REFRESH_S = 300.0
# An HMI that has told nothing for so long has told all.
SILENCE_S = 15.0


class Hmi(Child):
    """One of the tests' HMIs; keeps which conditions it was told to be active, and whether it was told to refresh."""

    def __init__(self, name: str, command: list[str], url: str) -> None:
        super().__init__(name, [*command, "--url", url])
        self.active: set[str] = set()
        self.refresh_wanted = False
        self.markers: list[str] = []
        self.until(lambda said: "ready" in said)

    def said(self, seconds: float = PATIENCE_S) -> dict:
        """The next line, noted."""
        line = self.line(seconds)
        said = json.loads(line) if line.startswith("{") else {}
        if said.get("via") != "alarms":
            return said
        if said.get("marker"):
            self.markers.append(said["marker"])
            self.refresh_wanted |= said["marker"] in {"RefreshRequired", "EventQueueOverflow"}
        event = said.get("event") or {}
        if event.get("active") and event.get("branch") is None:
            self.active.add(event["conditionId"])
        return said

    def until(self, fits, seconds: float = PATIENCE_S) -> None:
        """Reads on until a line fits."""
        end = time.monotonic() + seconds
        while not fits(self.said()):
            if time.monotonic() > end:
                raise Failed(f"{self.name}: waited {seconds:.0f} s in vain")

    def drain(self, wanted: int) -> None:
        """Reads on until all are active or nothing comes for a while."""
        with contextlib.suppress(Failed):
            while len(self.active) < wanted:
                self.said(SILENCE_S)

    def refresh(self) -> None:
        """Asks for the whole list."""
        begin = len(self.markers)
        self.process.stdin.write(json.dumps({"do": "refresh", "id": 1}) + "\n")
        self.process.stdin.flush()
        self.until(lambda _said: "RefreshEnd" in self.markers[begin:], REFRESH_S)


def hmis(url: str) -> list[Hmi]:
    """Two libraries; asyncua twice."""
    python = [str(TOP / "third_party" / "python" / "bin" / "python"), "-u", str(PEERS / "hmi_asyncua.py")]
    python += ["--timeout", "60"]
    node = ["node", str(PEERS / "hmi_node.mjs")]
    return [Hmi("asyncua", python, url), Hmi("node-opcua", node, url), Hmi("asyncua again", python, url)]


def run(programs: Programs, options: argparse.Namespace) -> None:
    """Measures and prints the table."""
    count = options.conditions
    rows, missed = [], False
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(Child("the load server", [str(programs.bench), "serve", str(count), "0"]))
        values = stack.enter_context(Child("values", [str(programs.bench), "serve", str(BESIDE), str(BESIDE_HZ)]))
        watched = source("load", load.line(), count, 100, 0, 10) + source("beside", values.line(), BESIDE, 100, 25, 10)
        bare = memory_of(programs, watched, count)
        ours = stack.enter_context(Gateway(programs, watched + limit("limits", "load/*", -1e9, HIGH)))
        while (reading := ours.reading()).judged < count:
            say(f"bench: flood: {reading.judged} of {count} judged")
        before = memory_mb(ours.pid)
        told = [stack.enter_context(hmi) for hmi in hmis(ours.url)]
        begin = time.monotonic()
        load.process.stdin.write(f"{HIGH * 2}\n")
        load.process.stdin.flush()
        for hmi in told:
            hmi.drain(count)
            by_events = len(hmi.active)
            if by_events < count and hmi.refresh_wanted:
                hmi.refresh()
            known = len(hmi.active)
            hmi.active.clear()
            hmi.refresh()
            refreshed = len(hmi.active)
            missed |= min(known, refreshed) < count
            rows.append(
                f"| {hmi.name} | {by_events:,} | {'yes' if hmi.refresh_wanted else 'no'} | {known:,} | {refreshed:,} |"
            )
        seconds, after = time.monotonic() - begin, memory_mb(ours.pid)
    print(f"\n## {count:,} alarms at once\n")
    print(
        f"All {count:,} signals of a server cross their limit in one message. What each HMI was told by events, whether it "
        f"was told to refresh, what it knew in the end, and what a refresh brought then while {BESIDE * BESIDE_HZ:,} values/s "
        "kept coming.\n"
    )
    print("| HMI | by events | told to refresh | known in the end | by a refresh afterwards |")
    print("|---|---:|---|---:|---:|")
    print("\n".join(rows))
    print(
        f"\nMemory of the gateway: {bare:.0f} MiB without conditions, {before:.0f} with {count:,}, {after:.0f} while all are "
        f"active and three HMIs watch. All was known after {seconds:.0f} s, most of it the HMIs' own time."
    )
    print(f"\nFloor: every alarm known to every HMI: {'MISSED' if missed else 'held'}.")


def memory_of(programs: Programs, watched: str, count: int) -> float:
    """What the gateway has without conditions."""
    with Gateway(programs, watched) as ours:
        while ours.reading().values < count:
            pass
        return memory_mb(ours.pid)
