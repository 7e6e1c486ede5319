"""How a test and a Python peer talk: one JSON object a line, requests on standard input, everything else on output.

A request carries a number, `id`; its answer carries the same. What comes unasked (an event, a change) has none. The
peer ends when its standard input does, so that none is left behind by a test that was killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Awaitable, Callable

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def say(**what: Any) -> None:
    """One line to the test."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def answer_requests(handlers: dict[str, Handler]) -> None:
    """Answers requests one after the other until standard input ends."""
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        try:
            answer = await handlers[request["do"]](request)
        except Exception as error:  # the test decides what an error means
            answer = {"error": f"{type(error).__name__}: {error}"}
        say(id=request["id"], **answer)
