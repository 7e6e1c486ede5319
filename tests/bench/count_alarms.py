"""A client that counts alarms as they are told, or reads how many are left.

    count_alarms.py URL COUNT            says `ready`, then counts events by their EventIds until there are COUNT or nothing
                                         comes for twenty seconds: how many, seconds from the first to the last, and how
                                         often it was told that some are missing
    count_alarms.py URL COUNT --left     reads UnacknowledgedCount of the area `load` until it is COUNT, for two minutes at
                                         most, and then its AlarmCount
"""

from __future__ import annotations

import asyncio
import sys
import time

from asyncua import Client, ua

SILENCE_S = 20.0
PATIENCE_S = 120.0
MISSING = {ua.ObjectIds.EventQueueOverflowEventType, ua.ObjectIds.RefreshRequiredEventType}


class Listener:
    """Notes which events came."""

    def __init__(self) -> None:
        self.events: set[bytes] = set()
        self.first = self.last = 0.0
        self.missing = 0

    def event_notification(self, event) -> None:
        """An event."""
        if event.EventType.Identifier in MISSING and event.EventType.NamespaceIndex == 0:
            self.missing += 1
            return
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.events.add(event.EventId)

    def status_change_notification(self, _status) -> None:
        """Nothing to do."""


def clause(name: str) -> ua.SimpleAttributeOperand:
    """A field of the events."""
    return ua.SimpleAttributeOperand(
        TypeDefinitionId=ua.NodeId(ua.ObjectIds.BaseEventType),
        BrowsePath=[ua.QualifiedName(name)],
        AttributeId=ua.AttributeIds.Value,
    )


async def told(client: Client, count: int) -> str:
    """Counts events."""
    listener = Listener()
    subscription = await client.create_subscription(100, listener)
    asked = ua.EventFilter(SelectClauses=[clause("EventId"), clause("EventType")])
    server = client.get_node(ua.ObjectIds.Server)
    await subscription.subscribe_events(server, ua.ObjectIds.BaseEventType, asked, queuesize=0)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    begin = time.monotonic()
    while len(listener.events) < count and time.monotonic() - max(listener.last, begin) < SILENCE_S:
        await asyncio.sleep(0.1)
    return f"{len(listener.events)} {listener.last - listener.first} {listener.missing}"


async def left(client: Client, count: int) -> str:
    """Reads how many wait for acknowledgement, and how many there were."""
    waiting, begin, waits = client.get_node("ns=2;s=area:load#UnacknowledgedCount"), time.monotonic(), 0
    while waits < count and time.monotonic() - begin < PATIENCE_S:
        await asyncio.sleep(0.2)
        waits = await waiting.read_value()
    return f"{waits} {await client.get_node('ns=2;s=area:load#Metrics/AlarmCount').read_value()}"


async def main(url: str, count: int, after: bool) -> None:
    """Connects and answers."""
    async with Client(url, timeout=60) as client:
        print(await (left if after else told)(client, count), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), "--left" in sys.argv))
