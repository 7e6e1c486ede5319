"""What the stores alone take, by the tool of `make torture`: written in real time, days at accelerated time, what is not
sealed yet, summaries. None has a baseline but what it says itself."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from children import Failed, say

# By part: its heading, the numbers it has unless others are asked for, and smaller ones for `--quick`.
PARTS = {
    "rate": ("What a disk has to write", (1_000, 600), (1_000, 10)),
    "ring": ("A ring of days at accelerated time", (200, 15, 3), (20, 3, 2)),
    "read": ("A ring of days, opened again and read", (200, 15, 3), (20, 3, 2)),
    "unsealed": ("Reading what is not sealed yet", (50_000, 40), (1_000, 40)),
    "hours": ("Summaries of hours", (50_000, 1), (100, 1)),
}


def run(part: str, cargo: Callable[..., subprocess.CompletedProcess], options: argparse.Namespace) -> None:
    """Runs the tool and prints what it says."""
    heading, whole, quick = PARTS[part]
    numbers = tuple(options.store or (quick if options.quick else whole))
    if len(numbers) != len(whole):
        raise Failed(f"--store takes {len(whole)} numbers for `{part}`, as {' '.join(map(str, whole))}")
    given = options.folder
    if given and (not Path(given).is_dir() or any(Path(given).iterdir())):
        raise Failed(f"`{given}` is no empty folder; --folder names one that is there")
    folder = Path(given or tempfile.mkdtemp(dir=os.environ.get("WATCHFIRE_BENCH_FOLDER")))
    tool = built(cargo, options.unoptimised)

    def told(command: str, *words: int) -> str:
        say(f"bench: {part}: {command} {' '.join(map(str, words))}")
        done = subprocess.run([tool, command, folder, *map(str, words)], text=True, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise Failed(f"`{command}` failed")
        return done.stdout.strip()

    print(f"\n## {heading}\n")
    try:
        if part == "read":
            signals, days, kept = numbers
            told("ring", *numbers)
            print(told("read", signals, days - kept, days))
        else:
            print(told(part, *numbers))
    finally:
        if given:
            for entry in folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)


def built(cargo: Callable[..., subprocess.CompletedProcess], unoptimised: bool) -> str:
    """The tool, as cargo says where it lies."""
    what = ["--workspace"] if unoptimised else ["--release", "--package", "watchfire-torture"]
    arguments = ["build", "--quiet", "--message-format=json-render-diagnostics", *what, "--bin", "watchfire-torture"]
    for line in cargo(arguments).stdout.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("executable"):
            return message["executable"]
    raise Failed("cargo built no `watchfire-torture`")
