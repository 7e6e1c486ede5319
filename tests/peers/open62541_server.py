"""An OPC UA server on open62541 (o6) whose variables `ns=2;s=<name>` are served by hand and keep their history in memory.

    open62541_server.py --port 4841 --first 2024-03-01T00:00:00 --signals a_feed,b_feed [--no-history]

With `--history FILE` it keeps what it serves there, and has it again after a restart. Speaks the same lines as `recorded_server.py`: `set` and `record`. It ends by itself after ten minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import sys
from pathlib import Path
from typing import Any

with contextlib.redirect_stdout(sys.stderr):
    import o6
    from o6.ns import namespace

from lines import answer_requests, say

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
NAMESPACE = "urn:watchfire:test:recording"
# It follows the standard's and the server's own.
INDEX = 2
# What changes again before it is sampled is in the history alone: this server samples every 50 ms at the most.
SAMPLED_S = 0.12

namespace("recording", uri=NAMESPACE, version="1.0")


class HandServer:
    """The server and what it has served."""

    def __init__(
        self, port: int, first: datetime.datetime, signals: list[str], *, history: bool, file: Path | None
    ) -> None:
        self.file = file
        self.first = first.replace(tzinfo=datetime.timezone.utc)
        self.served: dict[str, list[list[Any]]] = {signal: [] for signal in signals}
        self.server = o6.Server(port=port)
        self.history = history
        if history:
            self.server.config.setHistoryDatabase(capacity=100_000)
        self.server.ns.append(sys.modules[__name__])
        self.signals = signals

    async def run(self, port: int) -> None:
        """Serves until standard input ends."""
        async with self.server:
            index = INDEX
            for signal in self.signals:
                await self.server.addVariable(
                    signal, self.server.objectsNode, 0.0, nodeId=f"ns={index};s={signal}",
                    historizing=self.history, ns=index,
                )
            if self.file and self.file.exists():
                for line in self.file.read_text().splitlines():
                    await self.show(json.loads(line))
            say(ready=port, namespace=index)
            await answer_requests({"set": self.set, "record": self.record})

    async def show(self, request: dict[str, Any]) -> datetime.datetime:
        """Gives a variable a value; answers of which time."""
        stamp = self.first + datetime.timedelta(seconds=request["seconds"])
        value = o6.DataValue(value=o6.Double(request["value"]))
        value.sourceTimestamp = stamp
        value.serverTimestamp = stamp
        await self.server.write(f"ns={INDEX};s={request['signal']}", value)
        return stamp

    async def set(self, request: dict[str, Any]) -> dict[str, Any]:
        """One value by hand."""
        if self.file:
            with self.file.open("a") as file:
                file.write(json.dumps(request) + "\n")
        stamp = await self.show(request)
        nanoseconds = (stamp - EPOCH) // datetime.timedelta(microseconds=1) * 1000
        self.served[request["signal"]].append([nanoseconds, request["value"], 0, repr(float(request["value"]))])
        await asyncio.sleep(SAMPLED_S)
        return {"served": 1}

    async def record(self, _request: dict[str, Any]) -> dict[str, Any]:
        """All that was served."""
        return {"served": self.served}


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(description="serve values by hand on open62541")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--first", type=datetime.datetime.fromisoformat, required=True)
    options.add_argument("--signals", required=True)
    options.add_argument("--no-history", action="store_true")
    options.add_argument("--history", type=Path)
    given = options.parse_args()
    server = HandServer(given.port, given.first, given.signals.split(","), history=not given.no_history, file=given.history)
    asyncio.run(server.run(given.port))


if __name__ == "__main__":
    main()
