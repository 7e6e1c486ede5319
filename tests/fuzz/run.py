"""Fuzzes what strangers give us: each target for a minute, or for as many seconds as are asked for.

    make fuzz                            packages, configurations, names, schemas, components, answers: a minute each
    make fuzz ARGS="package --seconds 3600"

The first run brings `cargo-fuzz` into `third_party/fuzz`, unless cargo has it. It begins with `tests/fuzz/seeds` and
with what earlier runs found to lead somewhere (`third_party/fuzz/corpus`). An input that breaks a target is kept under
`tests/fuzz/artifacts` and named; `cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none TARGET FILE` shows it again.
The rooms behind the targets have no unsafe code: no sanitizer is asked for, and the stable compiler does. Components are
compiled in the target's own process here, each input anew: that target is slow, some dozens of inputs a second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
TOP = FUZZ.parent.parent
OWN = TOP / "third_party" / "fuzz"
# Targets, and the longest input of each, bytes.
TARGETS = {"package": 16_384, "configuration": 8_192, "names": 512, "schema": 8_192, "component": 16_384, "results": 2_048}


def main() -> int:
    """The command line; 1 when a target was broken or cannot be built."""
    options = argparse.ArgumentParser(description="fuzz packages, configurations, names, schemas, components and their answers")
    options.add_argument("targets", nargs="*", help=f"any of {', '.join(TARGETS)} (default: all)")
    options.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    given = options.parse_args()
    unknown = [target for target in given.targets if target not in TARGETS]
    if unknown:
        options.error(f"there is no target {unknown[0]}; there are {', '.join(TARGETS)}")
    env = {**os.environ, "PATH": f"{OWN / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run(["cargo", "fuzz", "--version"], env=env, capture_output=True, check=False).returncode != 0:
        print("fuzz: building cargo-fuzz", flush=True)
        install = ["cargo", "install", "--quiet", "--locked", "--version", "^0.13", "cargo-fuzz", "--root", str(OWN)]
        if subprocess.run(install, check=False).returncode != 0:
            return 1
    broken = [target for target in given.targets or TARGETS if not fuzz(target, given.seconds, env)]
    print(f"fuzz: broken: {', '.join(broken)}" if broken else "fuzz: nothing found")
    return 1 if broken else 0


def fuzz(target: str, seconds: int, env: dict[str, str]) -> bool:
    """One target; whether it held."""
    corpus = OWN / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    fuzzer = [f"-max_total_time={seconds}", f"-max_len={TARGETS[target]}", "-timeout=10", "-print_final_stats=1"]
    command = ["cargo", "fuzz", "run", "--fuzz-dir", str(FUZZ), "--sanitizer", "none", target, str(corpus)]
    command += [str(FUZZ / "seeds" / target), "--", *fuzzer]
    print(f"fuzz: {target} for {seconds} s", flush=True)
    return subprocess.run(command, cwd=TOP, env=env, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
