"""A client with two subscriptions in one session: all alarms with the lowest priority, those of high severity with a
higher one. It says `ready`, waits for a line, and answers in one line: seconds to the first alarm of that severity,
seconds to the last alarm of all, how many others had come before the first, how many alarms came in all.

    two_subscriptions.py URL COUNT SEVERITY
"""

from __future__ import annotations

import asyncio
import sys
import time

from asyncua import Client, ua

PUBLISHING_MS = 50
SILENCE_S = 20.0
HIGH = 667


def clause(name: str) -> ua.SimpleAttributeOperand:
    """A field of the events."""
    return ua.SimpleAttributeOperand(
        TypeDefinitionId=ua.NodeId(ua.ObjectIds.BaseEventType),
        BrowsePath=[ua.QualifiedName(name)],
        AttributeId=ua.AttributeIds.Value,
    )


def events(least: int) -> ua.EventFilter:
    """EventId and severity of the events that weigh so much at least."""
    weighs = ua.ContentFilterElement(
        FilterOperator=ua.FilterOperator.GreaterThanOrEqual,
        FilterOperands=[clause("Severity"), ua.LiteralOperand(Value=ua.Variant(least, ua.VariantType.UInt16))],
    )
    return ua.EventFilter(
        SelectClauses=[clause("Severity"), clause("EventId")], WhereClause=ua.ContentFilter(Elements=[weighs])
    )


class Listener:
    """Notes when what came."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.names: set[bytes] = set()

    def event_notification(self, event) -> None:
        """An event."""
        self.times.append(time.monotonic())
        self.names.add(event.EventId)

    def status_change_notification(self, _status) -> None:
        """Nothing to do."""


async def subscribe(client: Client, priority: int, least: int) -> Listener:
    """The events of Server."""
    listener = Listener()
    asked = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=PUBLISHING_MS,
        RequestedLifetimeCount=10_000,
        RequestedMaxKeepAliveCount=100,
        MaxNotificationsPerPublish=0,
        PublishingEnabled=True,
        Priority=priority,
    )
    subscription = await client.create_subscription(asked, listener)
    server = client.get_node(ua.ObjectIds.Server)
    await subscription.subscribe_events(server, ua.ObjectIds.BaseEventType, events(least), queuesize=0)
    return listener


async def main(url: str, count: int, severity: int) -> None:
    """Connects, waits, counts."""
    async with Client(url, timeout=60) as client:
        everything = await subscribe(client, 0, 300)
        urgent = await subscribe(client, 200, min(HIGH, severity))
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        begin = last = time.monotonic()
        known = 0
        while len(everything.names) < count and time.monotonic() - last < SILENCE_S:
            await asyncio.sleep(0.05)
            if len(everything.times) > known:
                known, last = len(everything.times), time.monotonic()
        first = urgent.times[0] if urgent.times else float("inf")
        before = sum(1 for at in everything.times if at < first)
        end = everything.times[-1] if everything.times else float("inf")
        print(f"{first - begin} {end - begin} {before} {len(everything.names)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
