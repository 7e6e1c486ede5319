"""Takes the pictures of docs/operators.md: a Qt client on the demo, and a trend of what it recorded.

    make screenshots

Brings the client (`requirements.txt`) into a virtual environment of its own, `third_party/qt`, which git ignores; needs
`xvfb-run` (Debian: `xvfb`, and `libxcb-*`, `libgl1`, `libegl1` as Qt asks for them). Runs `watchfire demo` twice on one
data folder, so that history has a gap, waits until its faults have been found, and writes the pictures into docs. A
person looks at them before they are committed. It takes three minutes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
VENV = TOP / "third_party" / "qt"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".prepared"
DOCS = TOP / "docs"
PORT, PLANT_PORT = 14840, 14841
URL = f"opc.tcp://127.0.0.1:{PORT}/"
SIGNAL = "ns=2;s=signal:plant/motor/bearing_temp"
# The first run leaves something to see before the gap, and ends before the first fault comes, after 20 s; the second one is
# watched from its beginning.
BEFORE_S, GAP_S, STARTS_S, SITTING_S = 17, 20, 8, 200


def main() -> int:
    """Takes them; 0 when all are there."""
    if not shutil.which("xvfb-run"):
        print("screenshots: `xvfb-run` is missing; install Debian's package `xvfb`", file=sys.stderr)
        return 1
    prepare()
    with tempfile.TemporaryDirectory() as data:
        with demo(data):
            time.sleep(BEFORE_S)
        time.sleep(GAP_S)
        with demo(data):
            time.sleep(STARTS_S)
            failed = drawn("qt_client.py", URL, str(DOCS)) or drawn("trend.py", URL, SIGNAL, str(DOCS))
    return failed


def prepare() -> None:
    """The virtual environment, anew where another list has made it."""
    wanted = (HERE / "requirements.txt").read_text()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--only-binary", ":all:", "-r", str(HERE / "requirements.txt")], check=True)
    STAMP.write_text(wanted)


@contextlib.contextmanager
def demo(data: str) -> Iterator[None]:
    """The plant and the gateway on it."""
    gateway = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "debug" / "watchfire"
    ports = ["--port", str(PORT), "--plant-port", str(PLANT_PORT)]
    lasting = f"{STARTS_S + 2 * SITTING_S}s"
    running = subprocess.Popen([str(gateway), "demo", "--for", lasting, "--data", data, *ports], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait()


def drawn(script: str, *arguments: str) -> int:
    """Runs one of the scripts beside this one with a display of its own; its exit code."""
    display = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24"]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    command = [*display, str(PYTHON), str(HERE / script), *arguments]
    ran = subprocess.run(command, check=False, env=environment, timeout=SITTING_S, capture_output=True, text=True)
    # The client and its library say much that is of no use while all goes well.
    lines = (ran.stdout + ran.stderr).splitlines()
    print("\n".join(line for line in lines if ran.returncode or line.startswith("picture ")), flush=True)
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
