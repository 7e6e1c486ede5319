"""Brings the independent OPC UA peers that the end-to-end tests talk to: asyncua and o6, which is open62541 (both
Python), and node-opcua (JavaScript).

The first two go into a virtual environment, `third_party/python`; node-opcua into `tests/peers/node_modules`. All come
from lists that pin every package (`requirements.txt`, `package-lock.json`). No package's own script is run. Both
folders are git-ignored; nothing outside them changes. A stamp in each holds the digest of its list: while that is
unchanged this says nothing and takes about 0.1 s. The gateway and its demo need neither peer.

asyncua 2 needs Python 3.10, o6 Python 3.11; without a licence, which no test needs, a process of o6 ends after ten
minutes. The node-opcua release asks for Node 22.13 in its description; what the tests use of it runs on Node 20, which
two of its own dependencies need: that is the least asked for here, and npm's objection is passed over.

    python3 tests/peers/prepare.py

To move to other versions: change `requirements.txt` or `package.json`; for the latter write the lock again, in this
folder, without a registry's address:

    npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator

PEERS = Path(__file__).resolve().parent
TOP = PEERS.parent.parent
VENV = TOP / "third_party" / "python"
MODULES = PEERS / "node_modules"
LEAST_PYTHON = (3, 11)
LEAST_NODE = 20
STAMP = ".prepared"


class Missing(Exception):
    """Something the peers need is not here; the message says what, and how to get it."""


def say(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Prepares both peers; 0 when both are there. One that fails does not keep the other from being prepared."""
    failures = 0
    with alone():
        for prepare in (prepare_python, prepare_node):
            try:
                prepare()
            except Missing as missing:
                say(f"test peers: {missing}")
                failures += 1
    return 1 if failures else 0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Holds a lock, where the system has one, so that two runs at once do the work once."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    VENV.parent.mkdir(exist_ok=True)
    with open(VENV.parent / ".peers.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare_python() -> None:
    """The virtual environment with asyncua and o6."""
    wanted = digest(PEERS / "requirements.txt", extra="%d.%d" % sys.version_info[:2])
    if prepared(VENV, wanted) and (VENV / "bin" / "python").exists():
        return
    if sys.version_info < LEAST_PYTHON:
        raise Missing(
            "the peers need Python %d.%d or newer and this is %d.%d: install a newer one and name it, as in "
            "`make peers PYTHON=python3.12`" % (*LEAST_PYTHON, *sys.version_info[:2])
        )
    say("test peers: installing asyncua and o6 into third_party/python")
    shutil.rmtree(VENV, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(VENV)],
        "no virtual environment can be made; on Debian and Ubuntu install the package `python3-venv`")
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(pip + ["install", "--no-deps", "--only-binary", ":all:", "--retries", "1", "-r", str(PEERS / "requirements.txt")],
        "asyncua or o6 cannot be installed; see that pip reaches its package index, through a proxy if you need one")
    run(pip + ["check"], "`requirements.txt` does not pin what its packages need")
    (VENV / STAMP).write_text(wanted)


def prepare_node() -> None:
    """The folder with node-opcua."""
    wanted = digest(PEERS / "package.json", PEERS / "package-lock.json")
    if prepared(MODULES, wanted):
        return
    check_node()
    say("test peers: installing node-opcua into tests/peers/node_modules")
    run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--engine-strict=false", "--loglevel=error",
         "--fetch-retries=2", "--fetch-retry-maxtimeout=10000"],
        "node-opcua cannot be installed; see that npm reaches its registry, through a proxy if you need one")
    (MODULES / STAMP).write_text(wanted)


def check_node() -> None:
    """Raises Missing unless a recent enough Node.js with npm is on the path."""
    way_out = f"install Node.js {LEAST_NODE} or newer with npm"
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise Missing(f"`{tool}` is not on the path, the tests' JavaScript peer needs it: {way_out}")
    said = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    found = re.match(r"v(\d+)\.", said)
    if found is None or int(found[1]) < LEAST_NODE:
        raise Missing(f"Node.js `{said}` is too old for the tests' JavaScript peer: {way_out}")


def digest(*files: Path, extra: str = "") -> str:
    """One digest over the contents of files."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files) + extra.encode()).hexdigest()


def prepared(folder: Path, wanted: str) -> bool:
    """Whether the folder came whole from the lists as they are now."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == wanted


def run(command: list[str], failure: str) -> None:
    """Runs a tool in this folder; raises Missing with `failure` and the tool's own first complaint where it fails."""
    done = subprocess.run(command, cwd=PEERS, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"{failure} ({complaint(done.stderr or done.stdout)})")


def complaint(text: str) -> str:
    """The lines of a tool's output that name the error, else its last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?i)(npm )?err", line)]
    return "; ".join(errors[:3] or lines[-1:] or ["it said nothing"])


if __name__ == "__main__":
    sys.exit(main())
