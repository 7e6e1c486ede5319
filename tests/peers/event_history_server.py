"""An OPC UA server (asyncua) that keeps the history of its events, in a file, from one run to the next.

    event_history_server.py --port 4841 --history FILE

Its Server object tells events, those of the type `ns=2;i=5001` (Press) among them, which have `Machine`. Of a raised event
history has all fields that the live one has. Requests (see `lines.py`):

    {"do": "raise", "severity": 500, "message": "oil is low", "press": true}
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import pickle
import uuid
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.events import Event
from asyncua.server.history import HistoryDict

from lines import answer_requests, say

NAMESPACE = "urn:watchfire:test:event-history"


class FileHistory(HistoryDict):
    """Keeps events in a file; like the one it is made of it answers whatever lies between two times, filter or not."""

    def __init__(self, file: Path, page: int) -> None:
        super().__init__(page)
        self.file = file
        self.kept: list[dict[str, Any]] = pickle.loads(file.read_bytes()) if file.exists() else []

    def keep(self, fields: dict[str, Any]) -> None:
        """Keeps an event before it is told."""
        self.kept.append(fields)
        self.file.write_bytes(pickle.dumps(self.kept))

    async def read_event_history(self, source_id: ua.NodeId, start: Any, end: Any, nb_values: int, evfilter: Any) -> Any:
        """The events between two times, in pages."""
        begin, last = (time.replace(tzinfo=None) for time in (start, end))
        found = [event(fields) for fields in self.kept if begin <= fields["Time"] <= last][: nb_values or None]
        more = found[self.max_history_data_response_size :]
        return found[: self.max_history_data_response_size], more[0].Time if more else None


def event(fields: dict[str, Any]) -> Event:
    """An event with these fields."""
    made = Event()
    kinds = {"Severity": ua.VariantType.UInt16, "Time": ua.VariantType.DateTime, "ReceiveTime": ua.VariantType.DateTime}
    for name, value in fields.items():
        kind = kinds.get(name) or ua.Variant(value).VariantType
        made.add_property(name, value, kind)
    return made


class EventHistoryServer:
    """The server and its events."""

    async def run(self, options: argparse.Namespace) -> None:
        """Serves until standard input ends."""
        self.server = Server()
        await self.server.init()
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{options.port}/recorded")
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await self.server.register_namespace(NAMESPACE)
        self.press = await self.server.create_custom_event_type(index, "Press", ua.ObjectIds.BaseEventType, [("Machine", ua.VariantType.String)])
        self.history = FileHistory(options.history, options.page)
        self.server.iserver.history_manager.set_storage(self.history)
        await self.server.nodes.server.write_attribute(
            ua.AttributeIds.EventNotifier,
            ua.DataValue(ua.Variant(1 << ua.EventNotifier.SubscribeToEvents.value | 1 << ua.EventNotifier.HistoryRead.value, ua.VariantType.Byte)),
        )
        async with self.server:
            say(ready=options.port, press=self.press.nodeid.to_string())
            await answer_requests({"raise": self.tell})

    async def tell(self, request: dict[str, Any]) -> dict[str, Any]:
        """An event: kept, then told."""
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        is_press = request.get("press", True)
        fields = {
            "EventId": uuid.uuid4().hex.encode(),
            "EventType": self.press.nodeid if is_press else ua.NodeId(ua.ObjectIds.BaseEventType),
            "SourceNode": ua.NodeId(ua.ObjectIds.Server),
            "SourceName": "Server",
            "Time": now,
            "ReceiveTime": now,
            "Message": ua.LocalizedText(request["message"]),
            "Severity": request["severity"],
        }
        if is_press:
            fields["Machine"] = "press 7"
        self.history.keep(fields)
        told = event(fields)
        told.emitting_node = ua.NodeId(ua.ObjectIds.Server)
        await self.server.iserver.subscription_service.trigger_event(told)
        return {"raised": 1}


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(description="keep the history of events")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--history", type=Path, required=True)
    options.add_argument("--page", type=int, default=3)
    asyncio.run(EventHistoryServer().run(options.parse_args()))


if __name__ == "__main__":
    main()
