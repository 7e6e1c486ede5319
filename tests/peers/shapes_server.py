"""An OPC UA server (asyncua) whose values are not plain numbers: arrays, a matrix, structures, an enumeration, large integers.

    shapes_server.py --port 4841

Variables `ns=2;s=<name>`: `line` (Double[4]), `table` (Int32[2][3]), `axes` (Axis[2]: position, torque, name, joint with
angle), `mode` (enumeration), `count` (UInt64), `flag` (Boolean), `since` (DateTime), `title` (LocalizedText). One request
(see `lines.py`) gives all of them new values, each made of a number n:

    {"do": "set", "n": 3}
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
from typing import Any

from asyncua import Server, ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field

from lines import answer_requests, say

NAMESPACE = "urn:watchfire:test:shapes"
FIRST = datetime.datetime(2024, 3, 1)


class ShapesServer:
    """The server and its variables."""

    async def run(self, port: int) -> None:
        """Serves until standard input ends."""
        self.server = Server()
        await self.server.init()
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/recorded")
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await self.server.register_namespace(NAMESPACE)
        joint, _ = await new_struct(self.server, index, "Joint", [new_struct_field("angle", ua.VariantType.Double)])
        fields = [
            new_struct_field("position", ua.VariantType.Double),
            new_struct_field("torque", ua.VariantType.Int64),
            new_struct_field("name", ua.VariantType.String),
            new_struct_field("joint", joint),
        ]
        axis, _ = await new_struct(self.server, index, "Axis", fields)
        mode = await new_enum(self.server, index, "Mode", ["off", "run", "clean"])
        await self.server.load_data_type_definitions()
        types = {"axes": axis.nodeid, "mode": mode.nodeid}
        self.nodes = {}
        for name, value in self.values(0).items():
            node_id = ua.NodeId(name, index)
            made = await self.server.nodes.objects.add_variable(node_id, f"{index}:{name}", value, datatype=types.get(name))
            if value.Dimensions:
                await made.write_value_rank(len(value.Dimensions))
            self.nodes[name] = made
        async with self.server:
            say(ready=port)
            await answer_requests({"set": self.set})

    def values(self, n: int) -> dict[str, ua.Variant]:
        """What each variable is for a number."""
        axes = [
            ua.Axis(position=n + side / 4, torque=2**62 + n, name=f"axis {side} at {n}", joint=ua.Joint(angle=n * 10.0 + side))
            for side in (0, 1)
        ]
        return {
            "line": ua.Variant([n + at / 8 for at in range(4)], ua.VariantType.Double),
            "table": ua.Variant([[n * 100 + row * 10 + column for column in range(3)] for row in range(2)], ua.VariantType.Int32, Dimensions=[2, 3]),
            "axes": ua.Variant(axes, ua.VariantType.ExtensionObject),
            "mode": ua.Variant(n % 3, ua.VariantType.Int32),
            "count": ua.Variant(2**64 - 1 - n, ua.VariantType.UInt64),
            "flag": ua.Variant(n % 2 == 1, ua.VariantType.Boolean),
            "since": ua.Variant(FIRST + datetime.timedelta(days=n), ua.VariantType.DateTime),
            "title": ua.Variant(ua.LocalizedText(f"batch {n}", "en"), ua.VariantType.LocalizedText),
        }

    async def set(self, request: dict[str, Any]) -> dict[str, Any]:
        """New values, all of one time."""
        stamp = FIRST + datetime.timedelta(seconds=request["n"])
        for name, value in self.values(request["n"]).items():
            await self.nodes[name].write_value(ua.DataValue(value, SourceTimestamp=stamp, ServerTimestamp=stamp))
        return {"set": request["n"]}


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(description="serve values that are not plain numbers")
    options.add_argument("--port", type=int, required=True)
    asyncio.run(ShapesServer().run(options.parse_args().port))


if __name__ == "__main__":
    main()
