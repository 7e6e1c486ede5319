"""One of two OPC UA servers (asyncua) that stand in for each other: the first one names the second.

    redundant_server.py --port 4841 [--other 4842] [--mode 3] [--current one] [--history]

Variable `ns=2;s=level`, which counts up every 50 ms. The one with `--other` has a ServerUriArray with both and answers FindServers
with the other's address. `--mode` is its RedundancySupport, `--current` the server of a transparent set that answers. With
`--history` it keeps the history of its variable.
Requests (see `lines.py`) set the ServiceLevel and who answers:

    {"do": "level", "level": 100}
    {"do": "current", "server": "two"}
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
from typing import Any

from asyncua import Server, ua
from asyncua.server.history import HistoryDict

from lines import answer_requests, say


def uri(port: int) -> str:
    return f"urn:watchfire:test:redundant:{port}"


class History(HistoryDict):
    """Like the one it is made of; a time without a zone is one with it."""

    async def read_node_history(
        self, node_id: ua.NodeId, start: datetime.datetime, end: datetime.datetime, nb_values: int
    ) -> tuple[list[ua.DataValue], None]:
        """The values from `start` to `end`, the first `nb_values` of them."""
        begin, last = (time.replace(tzinfo=None) for time in (start, end))
        kept = self._datachanges.get(node_id, [])
        found = [one for one in kept if begin <= one.SourceTimestamp.replace(tzinfo=None) <= last]
        return found[: nb_values or None], None


class RedundantServer:
    """The server and its variable."""

    async def run(self, port: int, other: int | None, mode: int | None, current: str | None, history: bool) -> None:
        """Serves until standard input ends."""
        self.server = Server()
        await self.server.init()
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await self.server.set_application_uri(uri(port))
        index = await self.server.register_namespace("urn:watchfire:test:redundant")
        level = await self.server.nodes.objects.add_variable(ua.NodeId("level", index), f"{index}:level", 0.0)
        if other is not None:
            await self.name(port, other)
        if mode is not None:
            support = self.server.get_node(ua.ObjectIds.Server_ServerRedundancy_RedundancySupport)
            await support.write_value(ua.Variant(mode, ua.VariantType.Int32))
        if current is not None:
            await self.current({"server": current})
        if history:
            self.server.iserver.history_manager.set_storage(History())
        async with self.server:
            if history:
                await self.server.historize_node_data_change(level)
            say(ready=port)
            counting = asyncio.create_task(self.count(level))
            await answer_requests({"level": self.level, "current": self.current})
            counting.cancel()

    async def name(self, port: int, other: int) -> None:
        """Says that the other one stands in for this one."""
        array = self.server.get_node(ua.ObjectIds.Server_ServerRedundancy_ServerUriArray)
        await array.write_value([uri(port), uri(other)])
        theirs = ua.ApplicationDescription(
            ApplicationUri=uri(other),
            ApplicationType=ua.ApplicationType.Server,
            DiscoveryUrls=[f"opc.tcp://127.0.0.1:{other}/"],
        )
        find = self.server.iserver.find_servers

        def with_other(*arguments: Any, **named: Any) -> list[ua.ApplicationDescription]:
            return [*find(*arguments, **named), theirs]

        self.server.iserver.find_servers = with_other

    async def count(self, level: Any) -> None:
        """Changes the variable."""
        number = 0.0
        while True:
            number += 1.0
            await level.write_value(number)
            await asyncio.sleep(0.05)

    async def level(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sets the ServiceLevel."""
        value = ua.Variant(request["level"], ua.VariantType.Byte)
        await self.server.get_node(ua.ObjectIds.Server_ServiceLevel).write_value(value)
        return {"level": request["level"]}

    async def current(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sets the CurrentServerId."""
        node = self.server.get_node(ua.ObjectIds.Server_ServerRedundancy_CurrentServerId)
        await node.write_value(ua.Variant(request["server"], ua.VariantType.String))
        return {"current": request["server"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--other", type=int)
    parser.add_argument("--mode", type=int)
    parser.add_argument("--current")
    parser.add_argument("--history", action="store_true")
    given = parser.parse_args()
    asyncio.run(RedundantServer().run(given.port, given.other, given.mode, given.current, given.history))


if __name__ == "__main__":
    main()
