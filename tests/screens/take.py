"""Takes the picture of the Qt client on the demo that docs/operators.md shows.

    make screenshots

Brings `opcua-client` and PyQt5 into a virtual environment of their own, `third_party/qt`, which git ignores; needs
`xvfb-run` (Debian: `xvfb`, and `libxcb-*`, `libgl1`, `libegl1` as Qt asks for them). Runs `watchfire demo`, waits until its
faults have been found, and writes docs/opcua-client.png. A person looks at it before it is committed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
VENV = TOP / "third_party" / "qt"
PICTURE = TOP / "docs" / "opcua-client.png"
# The newest that runs on Python 3.11; later ones ask for 3.14.
PACKAGES = ["opcua-client==0.8.4", "PyQt5==5.15.11"]
PORT, PLANT_PORT = 14840, 14841
# The demo's faults are found within a minute and a half; the client takes its time to read the tree.
BEFORE_S, LOOKING_S = 20, 55
CONDITION = "ns=2;s=hot/limit/plant/motor/bearing_temp"


def main() -> int:
    """Takes it; 0 when there is one."""
    if not shutil.which("xvfb-run"):
        print("screenshots: `xvfb-run` is missing; install Debian's package `xvfb`", file=sys.stderr)
        return 1
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    gateway = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "debug" / "watchfire"
    lasting = f"{BEFORE_S + 2 * LOOKING_S}s"
    ports = ["--port", str(PORT), "--plant-port", str(PLANT_PORT)]
    demo = subprocess.Popen([str(gateway), "demo", "--for", lasting, *ports], stdout=subprocess.DEVNULL)
    try:
        time.sleep(BEFORE_S)
        url = f"opc.tcp://127.0.0.1:{PORT}/"
        client = [str(python), str(Path(__file__).with_name("qt_client.py")), url, str(PICTURE), str(LOOKING_S), CONDITION]
        return subprocess.run(["xvfb-run", "-a", "-s", "-screen 0 1600x900x24", *client], check=False).returncode
    finally:
        demo.terminate()
        demo.wait()


if __name__ == "__main__":
    sys.exit(main())
