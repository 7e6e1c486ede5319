"""An OPC UA server (asyncua) as those before OPC UA 1.04: its structures are described by type dictionaries alone.

    dictionary_server.py --port 4841

Two dictionaries: `urn:watchfire:test:old` is made by asyncua's builder (Joint, Axis with a Joint, an array of Joints and
numbers), `urn:watchfire:test:maker` is written by hand (an enumeration, optional members, a union, bits, a type of the
standard, and one that cannot be read). Variables `ns=2;s=<name>`: `axis`, `axes` (Axis[2]), `valve`, `either`, `odd`, `liar`
(its bytes are not what its description says). One request (see `lines.py`) gives all of them new values, each made of a
number n:

    {"do": "set", "n": 3}
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import struct
from typing import Any

from asyncua import Server, ua
from asyncua.common.type_dictionary_builder import DataTypeDictionaryBuilder

from lines import answer_requests, say

OLD = "urn:watchfire:test:old"
MAKER = "urn:watchfire:test:maker"
FIRST = datetime.datetime(2024, 3, 1)

WRITTEN = f"""<?xml version="1.0" encoding="utf-8"?>
<opc:TypeDictionary xmlns:opc="http://opcfoundation.org/BinarySchema/" xmlns:ua="http://opcfoundation.org/UA/"
    xmlns:tns="{MAKER}" DefaultByteOrder="LittleEndian" TargetNamespace="{MAKER}">
  <opc:Import Namespace="http://opcfoundation.org/UA/"/>
  <opc:EnumeratedType LengthInBits="32" Name="Position">
    <opc:EnumeratedValue Name="Shut" Value="0"/>
    <opc:EnumeratedValue Name="Open" Value="1"/>
  </opc:EnumeratedType>
  <opc:StructuredType Name="Valve" BaseType="ua:ExtensionObject">
    <opc:Field Name="CommentSpecified" TypeName="opc:Bit"/>
    <opc:Field Name="FlowSpecified" TypeName="opc:Bit"/>
    <opc:Field Name="Reserved1" TypeName="opc:Bit" Length="30"/>
    <opc:Field Name="Position" TypeName="tns:Position"/>
    <opc:Field Name="Comment" TypeName="opc:CharArray" SwitchField="CommentSpecified"/>
    <opc:Field Name="Flow" TypeName="opc:Double" SwitchField="FlowSpecified"/>
    <opc:Field Name="NoOfStrokes" TypeName="opc:Int32"/>
    <opc:Field Name="Strokes" TypeName="opc:UInt16" LengthField="NoOfStrokes"/>
    <opc:Field Name="Unit" TypeName="ua:EUInformation"/>
  </opc:StructuredType>
  <opc:StructuredType Name="Either" BaseType="ua:Union">
    <opc:Field Name="SwitchField" TypeName="opc:UInt32"/>
    <opc:Field Name="Number" TypeName="opc:Double" SwitchField="SwitchField" SwitchValue="1"/>
    <opc:Field Name="Text" TypeName="opc:String" SwitchField="SwitchField" SwitchValue="2"/>
  </opc:StructuredType>
  <opc:StructuredType Name="Odd" BaseType="ua:ExtensionObject">
    <opc:Field Name="Tail" TypeName="opc:Byte" Terminator="00"/>
  </opc:StructuredType>
  <opc:StructuredType Name="Liar" BaseType="ua:ExtensionObject">
    <opc:Field Name="NoOfParts" TypeName="opc:Int32"/>
    <opc:Field Name="Parts" TypeName="opc:Double" LengthField="NoOfParts"/>
  </opc:StructuredType>
</opc:TypeDictionary>
"""


def text(value: str) -> bytes:
    """A String of OPC UA."""
    return struct.pack("<i", len(value)) + value.encode()


class DictionaryServer:
    """The server and its variables."""

    async def run(self, port: int) -> None:
        """Serves until standard input ends."""
        self.server = Server()
        await self.server.init()
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/recorded")
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await self.server.register_namespace(OLD)
        types = await self.built(index) | await self.written(index)
        self.encodings = {name: encoding for name, (_, encoding) in types.items()}
        self.nodes = {}
        for name, of_type in {"axis": "Axis", "axes": "Axis", "valve": "Valve", "either": "Either", "odd": "Odd", "liar": "Liar"}.items():
            self.nodes[name] = await self.server.nodes.objects.add_variable(
                ua.NodeId(name, index), f"{index}:{name}", self.values(0)[name], datatype=types[of_type][0]
            )
        for of_type, _ in types.values():
            definition = await self.server.get_node(of_type).read_attribute(ua.AttributeIds.DataTypeDefinition, raise_on_bad_status=False)
            assert definition.Value is None or definition.Value.Value is None, "only the dictionaries are to tell"
        async with self.server:
            say(ready=port)
            await answer_requests({"set": self.set})

    async def built(self, index: int) -> dict[str, tuple[ua.NodeId, ua.NodeId]]:
        """The types that asyncua describes: each with its DataType and its encoding."""
        builder = DataTypeDictionaryBuilder(self.server, index, OLD, "Old")
        await builder.init()
        joint = await builder.create_data_type("Joint")
        joint.add_field("angle", ua.VariantType.Double)
        axis = await builder.create_data_type("Axis")
        axis.add_field("position", ua.VariantType.Double)
        axis.add_field("torque", ua.VariantType.Int64)
        axis.add_field("name", ua.VariantType.String)
        # The builder takes a structure's name for that of a type.
        builder.add_field("Joint", "joint", "Axis")
        builder.add_field("Joint", "joints", "Axis", is_array=True)
        axis.add_field("since", ua.VariantType.DateTime)
        await builder.set_dict_byte_string()
        return {made.name: (made.data_type, made.node_ids[2]) for made in (joint, axis)}

    async def written(self, index: int) -> dict[str, tuple[ua.NodeId, ua.NodeId]]:
        """The types that are described by hand."""
        builder = DataTypeDictionaryBuilder(self.server, index, MAKER, "Maker")
        await builder.init()
        made = [await builder.create_data_type(name) for name in ("Valve", "Either", "Odd", "Liar")]
        await self.server.get_node(builder.dict_id).write_value(WRITTEN.encode(), ua.VariantType.ByteString)
        return {one.name: (one.data_type, one.node_ids[2]) for one in made}

    def structure(self, name: str, *parts: bytes) -> ua.ExtensionObject:
        """The bytes of a value, as its dictionary says."""
        return ua.ExtensionObject(TypeId=self.encodings[name], Body=b"".join(parts))

    def axis(self, n: int, side: int) -> ua.ExtensionObject:
        """One axis."""
        joints = [struct.pack("<d", n + at) for at in range(3)]
        ticks = ((FIRST + datetime.timedelta(days=n)) - datetime.datetime(1601, 1, 1)) // datetime.timedelta(microseconds=1) * 10
        return self.structure(
            "Axis",
            struct.pack("<dq", n + side / 4, 2**62 + n),
            text(f"axis {side} at {n}"),
            struct.pack("<d", n * 10.0 + side),
            struct.pack("<i", len(joints)),
            *joints,
            struct.pack("<q", ticks),
        )

    def values(self, n: int) -> dict[str, ua.Variant]:
        """What each variable is for a number; only odd numbers have the optional members."""
        bits = 0b11 if n % 2 else 0
        valve = [struct.pack("<Ii", bits, n % 2)]
        if bits:
            valve += [text(f"comment {n}"), struct.pack("<d", n / 8)]
        # EUInformation: NamespaceUri, UnitId, DisplayName and Description as localized texts.
        unit = text("urn:units") + struct.pack("<i", 4_408_652) + b"\x02" + text("m/s") + b"\x02" + text("metre per second")
        valve += [struct.pack("<iHH", 2, n, n + 1), unit]
        either = [struct.pack("<Id", 1, n / 2)] if n % 2 else [struct.pack("<I", 2), text(f"text {n}")]
        made = {
            "axis": self.axis(n, 0),
            "axes": [self.axis(n, side) for side in (0, 1)],
            "valve": self.structure("Valve", *valve),
            "either": self.structure("Either", *either),
            "odd": self.structure("Odd", b"abc\0"),
            "liar": self.structure("Liar", struct.pack("<id", 2**31 - 1, 1.5)),
        }
        return {name: ua.Variant(value, ua.VariantType.ExtensionObject) for name, value in made.items()}

    async def set(self, request: dict[str, Any]) -> dict[str, Any]:
        """New values, all of one time."""
        stamp = FIRST + datetime.timedelta(seconds=request["n"])
        for name, value in self.values(request["n"]).items():
            await self.nodes[name].write_value(ua.DataValue(value, SourceTimestamp=stamp, ServerTimestamp=stamp))
        return {"set": request["n"]}


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(description="serve structures that only type dictionaries describe")
    options.add_argument("--port", type=int, required=True)
    asyncio.run(DictionaryServer().run(options.parse_args().port))


if __name__ == "__main__":
    main()
