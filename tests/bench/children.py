"""Processes of the benchmarks: starting, asking, ending them, and what /proc says of them. Knows no benchmark."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

PATIENCE_S = 120.0
LOG = "warn,watchfire_source::setup=info,watchfire::counts=debug"
WATCHING = re.compile(r"^(\S+)Z .*: watching source=")
COUNTS = re.compile(r"counts values=(\d+) frames=(\d+) gaps=(\d+) judged=(\d+)")


class Failed(Exception):
    """Something could not be measured; the message says what."""


def say(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Programs:
    """What is run."""

    gateway: Path
    bench: Path


class Child:
    """A process whose lines are read as they come."""

    def __init__(self, name: str, command: list[str], lines_of_errors: bool = False) -> None:
        self.name = name
        self.lines: queue.Queue[str] = queue.Queue()
        self.last = ""
        streams = {"stderr": subprocess.PIPE} if lines_of_errors else {"stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, bufsize=1, **streams)
        stream = self.process.stderr if lines_of_errors else self.process.stdout
        self.reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self.reader.start()

    def _read(self, stream) -> None:
        for line in stream:
            self.lines.put(line.rstrip("\n"))
        self.lines.put("")

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self, seconds: float = PATIENCE_S) -> str:
        """The next line."""
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise Failed(f"{self.name} has been silent for {seconds:.0f} s") from None
        if not line and self.process.poll() is not None:
            raise Failed(f"{self.name} ended by itself; its last line: {self.last}")
        self.last = line
        return line

    def ask(self) -> int:
        """The count that answers a line."""
        self.tell()
        return int(self.line())

    def tell(self) -> None:
        """Sends a line."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Ends it: first kindly."""
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                say(f"bench: {self.name} does not stop and is killed")
                self.process.kill()
                self.process.wait()
        self.reader.join(5)


@dataclass(frozen=True)
class Reading:
    """How far a process had come at a moment."""

    at: float
    values: int
    cpu_s: float
    written: int
    frames: int = 0
    gaps: int = 0
    judged: int = 0


def cpu_s(pid: int) -> float:
    """CPU time of a process, all its threads, dead ones too. The kernel's clock of a process: exact where
    /proc/PID/stat counts hundredths of a second."""
    return time.clock_gettime((~pid << 3) | 2)


def written_bytes(pid: int) -> int:
    """Bytes that a process sent to the disk."""
    for line in Path(f"/proc/{pid}/io").read_text(encoding="utf-8").splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


def memory_mb(pid: int) -> float:
    """Memory of a process that is resident, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Gateway(Child):
    """The gateway, with a configuration and a folder of its own."""

    def __init__(
        self, programs: Programs, configuration: str, anonymous: str = "view", log: str = LOG, folder: Path | None = None
    ) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(dir=os.environ.get("WATCHFIRE_BENCH_FOLDER")))
        self.port = free_port()
        head = (
            f'[gateway]\nname = "bench"\ndata = "data"\n\n'
            f'[server]\nhost = "127.0.0.1"\nport = {self.port}\nsecurity = ["none"]\nanonymous = "{anonymous}"\n\n'
        )
        file = self.folder / "watchfire.toml"
        file.write_text(head + configuration, encoding="utf-8")
        command = [str(programs.gateway), "run", "--config", str(file), "--log", log]
        self.begun, self.begun_at = datetime.now(timezone.utc), time.monotonic()
        # From its start until every monitored item was made.
        self.subscribed_s: float | None = None
        super().__init__("the gateway", command, lines_of_errors=True)

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/"

    def reading(self) -> Reading:
        """The next counts it tells, once a second."""
        while True:
            line = self.line()
            found = COUNTS.search(line)
            if found:
                values, frames, gaps, judged = (int(number) for number in found.groups())
                now = time.monotonic()
                return Reading(now, values, cpu_s(self.pid), written_bytes(self.pid), frames, gaps, judged)
            watching = WATCHING.search(line)
            if watching:
                at = datetime.fromisoformat(watching[1]).replace(tzinfo=timezone.utc)
                self.subscribed_s = (at - self.begun).total_seconds()
            else:
                say(f"gateway: {line}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def source(name: str, url: str, signals: int, publishing_ms: int, sampling_ms: int, queue_size: int) -> str:
    """A `[[source]]` with the load server's first signals."""
    head = (
        f'[[source]]\nname = "{name}"\nurl = "{url}"\nsecurity = "none"\npublishing_interval_ms = {publishing_ms}\n'
        f"sampling_interval_ms = {sampling_ms}\nqueue_size = {queue_size}\n\n"
    )
    table = '[[source.signal]]\nname = "signal{0}"\nnode = "nsu=urn:watchfire:load;i={0}"\n\n'
    return head + "".join(table.format(number) for number in range(signals))


def limit(name: str, signals: str, low: float, high: float) -> str:
    """A live `[[detector]]` of the plugin `limit`."""
    config = f"config = {{ low = {low:.1f}, high = {high:.1f}, deadband = 1.0 }}"
    return f'[[detector]]\nname = "{name}"\nplugin = "limit"\nsignals = ["{signals}"]\nmode = "live"\n{config}\n\n'
