"""An HMI made with open62541 (o6): it listens to the events of alarms, acknowledges and refreshes.

    hmi_open62541.py --url opc.tcp://127.0.0.1:4840

Speaks the same lines as `hmi_asyncua.py`, of which it can `invoke` and `refresh`: events come unasked as
`{"event": {...}, "via": "alarms"}`, markers as `{"marker": ..., "via": "alarms"}`.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import o6

from lines import answer_requests, say

MARKERS = {
    "i=2787": "RefreshStart",
    "i=2788": "RefreshEnd",
    "i=2789": "RefreshRequired",
    "i=3035": "EventQueueOverflow",
}
CONDITION_ID = "i=2782#NodeId"
FIELDS = {
    "conditionId": CONDITION_ID,
    "event": "/EventId",
    "type": "/EventType",
    "message": "/Message",
    "severity": "/Severity",
    "branch": "/BranchId",
    "retain": "/Retain",
    "active": "/ActiveState/Id",
    "acked": "/AckedState/Id",
    "user": "/ClientUserId",
}
# Alarms alone; the markers come whatever a filter says.
FILTER = f"SELECT {', '.join(FIELDS.values())} WHERE OFTYPE i=2915"


def plain(value: Any) -> Any:
    """A value as JSON."""
    if isinstance(value, o6.NodeId):
        # Whatever has a name is the gateway's.
        text = f"ns=2;s={value.id}" if isinstance(value.id, str) else f"i={value.id}"
        return None if text == "i=0" else text
    if isinstance(value, (bytes, o6.ByteString)):
        return bytes(value).hex()
    if isinstance(value, o6.LocalizedText):
        return value.text
    if value is None or isinstance(value, bool):
        return value
    return int(value) if isinstance(value, int) else str(value)


def argument(kind: str, value: Any) -> Any:
    """An argument of a method."""
    if kind == "ByteString":
        return o6.ByteString(bytes.fromhex(value))
    if kind == "LocalizedText":
        return o6.LocalizedText(value["text"], value["locale"])
    return getattr(o6, kind)(value)


class Hmi:
    """The session and what it watches."""

    def __init__(self, client: o6.Client) -> None:
        self.client = client
        # NodeIds as they came: o6 reads the number of a namespace as one of its own.
        self.known: dict[str, Any] = {}

    async def run(self) -> None:
        """Subscribes, then does what is asked."""
        self.alarms = await self.client.createSubscription(publishingInterval=100.0, maxNotificationsPerPublish=0)
        await self.client.monitorEvent("i=2253", self.told, FILTER, subscription=self.alarms, queueSize=1000)
        say(ready=True)
        await answer_requests({"invoke": self.invoke, "refresh": self.refresh})

    def told(self, fields: dict[str, Any]) -> None:
        """An event: a marker, or a condition's."""
        kind = plain(fields["/EventType"])
        if kind in MARKERS:
            say(marker=MARKERS[kind], via="alarms")
        else:
            self.known[plain(fields[CONDITION_ID])] = fields[CONDITION_ID]
            say(event={name: plain(fields.get(path)) for name, path in FIELDS.items()}, via="alarms")

    async def invoke(self, request: dict[str, Any]) -> dict[str, Any]:
        """A method by its NodeId, on whatever node."""
        arguments = [argument(kind, value) for kind, value in request["arguments"]]
        status, *outputs = await self.client.call(self.known.get(request["node"], request["node"]), request["method"], arguments)
        result = "".join(word.capitalize() for word in status.name.split("_"))
        return {"result": result, "outputs": [plain(one) for one in outputs]}

    async def refresh(self, _request: dict[str, Any]) -> dict[str, Any]:
        """ConditionRefresh of the alarm subscription."""
        return await self.invoke({"node": "i=2782", "method": "i=3875", "arguments": [("UInt32", self.alarms.id)]})


async def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(description="listen to alarms with open62541")
    options.add_argument("--url", required=True)
    client = o6.Client(options.parse_args().url, securityMode=1)
    try:
        await client.connect(createDefaultSubscription=False)
    except o6.StatusCodeError as error:
        say(refused=str(error))
        return
    try:
        await Hmi(client).run()
    finally:
        await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
