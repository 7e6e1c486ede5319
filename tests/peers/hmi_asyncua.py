"""An HMI made with asyncua: subscribes to alarms just as asyncua does by default, and carries out what a test asks.

    hmi_asyncua.py --url opc.tcp://127.0.0.1:4840 [--user NAME PASSWORD | --user-certificate FILE KEY] [--pki FOLDER] [--policy NAME] [--timeout S]

Two subscriptions, since asyncua's default for `subscribe_alarms_and_conditions` is ConditionType, which has no alarm
states: `default` is that very default, `alarms` the same call with AlarmConditionType. Both have asyncua's own filter,
which lists every field of the type and every subtype. Unasked lines are `{"event": {...}, "via": "alarms"}` and
`{"marker": "RefreshStart", "via": ...}`. With `--pki` the connection is SignAndEncrypt, with the policy Basic256Sha256 unless another is named.

Requests (see `lines.py`): `acknowledge`, `confirm`, `comment` with `condition`, `event` (hex) and `text` (null: none);
`method` with `node`, `path` (browse names from the node to the method, of namespace 0 unless they say another) and
`arguments` (pairs of a built-in type and a value; bytes as hex, times in ms since 1970); `invoke` with `node`, `method` (a NodeId) and
`arguments`; `refresh` [`subscription`], `refresh_item` [`subscription`, `item`]; `subscriptions`, the numbers of those of alarms and of
values and of the alarm item; `silent`, a subscription with an event item of two events that is not published; `listen` with `name` and
`where`, a filter whose events then come with `via` as that name; `read` with `nodes`; `permissions` with `node`; `write` with `node`, `value` (hex) or `text`; `children` with `node`; `history` with
`node`, `from_ms`, `to_ms` (since 1970); `past` with the same and `kind` (a NodeId), for the events of a type that a notifier told; `aggregate` with the same, `interval_ms` and `function` (its numeric id); `at` with `node` and `times_ms`; `changes`
with `nodes`, whose value changes then come unasked as `{"change": node, "value": ..., "status": ...}`.
Results are names of status codes.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import socket
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto import security_policies
from asyncua.ua.status_codes import get_name_and_doc
from cryptography.x509.oid import ExtendedKeyUsageOID

from lines import answer_requests, say

APPLICATION = "urn:watchfire:test:hmi-asyncua"
PUBLISHING_MS = 100
EPOCH = datetime.datetime(1970, 1, 1)
MARKERS = {
    ua.ObjectIds.RefreshStartEventType: "RefreshStart",
    ua.ObjectIds.RefreshEndEventType: "RefreshEnd",
    ua.ObjectIds.RefreshRequiredEventType: "RefreshRequired",
    ua.ObjectIds.EventQueueOverflowEventType: "EventQueueOverflow",
}
FIELDS = {
    "conditionId": "NodeId",
    "conditionName": "ConditionName",
    "conditionClass": "ConditionClassName",
    "event": "EventId",
    "type": "EventType",
    "sourceNode": "SourceNode",
    "source": "SourceName",
    "time": "Time",
    "received": "ReceiveTime",
    "message": "Message",
    "severity": "Severity",
    "branch": "BranchId",
    "retain": "Retain",
    "enabled": "EnabledState/Id",
    "active": "ActiveState/Id",
    "acked": "AckedState/Id",
    "confirmed": "ConfirmedState/Id",
    "comment": "Comment",
    "user": "ClientUserId",
    "quality": "Quality",
    "lastSeverity": "LastSeverity",
    "aside": "SuppressedOrShelved",
    "suppressed": "SuppressedState/Id",
    "outOfService": "OutOfServiceState/Id",
    "silenced": "SilenceState/Id",
}


def plain(value: Any) -> Any:
    """A value as JSON: NodeIds and status codes as text, bytes as hex, times as ISO 8601."""
    if isinstance(value, ua.Variant):
        value = value.Value
    if isinstance(value, ua.NodeId):
        return None if value.is_null() else value.to_string()
    if isinstance(value, ua.StatusCode):
        return value.name
    if isinstance(value, ua.LocalizedText):
        return value.Text
    if isinstance(value, ua.QualifiedName):
        return value.to_string()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


class Listener:
    """What one subscription brings."""

    def __init__(self, via: str) -> None:
        self.via = via

    def event_notification(self, event: Any) -> None:
        """An event: a marker of a refresh or of a loss, or a condition's."""
        kind = event.EventType
        if kind.NamespaceIndex == 0 and kind.Identifier in MARKERS:
            say(marker=MARKERS[kind.Identifier], via=self.via)
        else:
            say(event={name: plain(getattr(event, field, None)) for name, field in FIELDS.items()}, via=self.via)

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        """A value; one on an event item would be the server's mistake."""
        found = data.monitored_item.Value
        say(change=node.nodeid.to_string(), value=plain(value), status=found.StatusCode.name)

    def status_change_notification(self, status: Any) -> None:
        """The subscription ended."""
        say(subscription=str(status), via=self.via)


def argument(kind: str, value: Any) -> ua.Variant:
    """An argument of a method, or a literal of a filter."""
    if kind == "LocalizedText":
        # Bytes that are no text go out as they are.
        text = bytes.fromhex(value["hex"]).decode("utf-8", "surrogateescape") if "hex" in value else value["text"]
        value = ua.LocalizedText(text, value["locale"])
    elif kind == "ByteString":
        value = bytes.fromhex(value)
    elif kind == "DateTime":
        value = EPOCH + datetime.timedelta(milliseconds=value)
    elif kind == "NodeId":
        value = ua.NodeId.from_string(value)
    return ua.Variant(value, ua.VariantType[kind])


def field(path: str) -> ua.SimpleAttributeOperand:
    """A field of events."""
    return ua.SimpleAttributeOperand(
        TypeDefinitionId=ua.NodeId(ua.ObjectIds.BaseEventType),
        BrowsePath=[ua.QualifiedName(name) for name in path.split("/")],
        AttributeId=ua.AttributeIds.Value,
    )


def operand(given: dict[str, Any]) -> ua.FilterOperand:
    """An operand of a filter: a field, another element, or a literal."""
    if "field" in given:
        return field(given["field"])
    if "element" in given:
        return ua.ElementOperand(Index=given["element"])
    return ua.LiteralOperand(Value=argument(*given["literal"]))


def status_name(error: ua.UaError) -> str:
    """The name of the status code that a call failed with."""
    code = getattr(error, "code", None)
    return get_name_and_doc(code)[0] if code is not None else f"{type(error).__name__}: {error}"


class Hmi:
    """The session and its subscriptions."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def run(self) -> None:
        """Subscribes, then does what is asked."""
        client = self.client
        self.items = {}
        for via, kinds in (("default", {}), ("alarms", {"evtypes": ua.NodeId(ua.ObjectIds.AlarmConditionType)})):
            subscription = await client.create_subscription(PUBLISHING_MS, Listener(via))
            self.alarms = subscription
            self.items[via] = await subscription.subscribe_alarms_and_conditions(client.nodes.server, **kinds)
        self.values = await client.create_subscription(PUBLISHING_MS, Listener("values"))
        say(ready=True)
        methods = ("acknowledge", "confirm", "comment", "method", "invoke", "subscriptions", "silent", "listen", "refresh", "refresh_item", "read", "permissions", "write", "children", "changes")
        await answer_requests({name: getattr(self, name) for name in (*methods, "history", "past", "aggregate", "at")})

    async def call(self, node: str | int, method: int, *arguments: ua.Variant) -> dict[str, Any]:
        """Calls a method by its id in the standard; answers the name of the result."""
        target = self.client.get_node(node if isinstance(node, str) else ua.NodeId(node))
        try:
            await target.call_method(ua.NodeId(method), *arguments)
        except ua.UaError as error:
            return {"result": status_name(error)}
        return {"result": "Good"}

    async def on_event(self, method: int, request: dict[str, Any]) -> dict[str, Any]:
        """A method that takes an EventId and a comment."""
        text = request.get("text")
        comment = ua.LocalizedText() if text is None else ua.LocalizedText(text, "en")
        event = ua.Variant(bytes.fromhex(request["event"]), ua.VariantType.ByteString)
        return await self.call(request["condition"], method, event, ua.Variant(comment, ua.VariantType.LocalizedText))

    async def acknowledge(self, request: dict[str, Any]) -> dict[str, Any]:
        """Acknowledge."""
        return await self.on_event(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge, request)

    async def confirm(self, request: dict[str, Any]) -> dict[str, Any]:
        """Confirm."""
        return await self.on_event(ua.ObjectIds.AcknowledgeableConditionType_Confirm, request)

    async def comment(self, request: dict[str, Any]) -> dict[str, Any]:
        """AddComment."""
        return await self.on_event(ua.ObjectIds.ConditionType_AddComment, request)

    async def method(self, request: dict[str, Any]) -> dict[str, Any]:
        """A method by the path that leads to it."""
        *above, name = (one if ":" in one else f"0:{one}" for one in request["path"].split("/"))
        node = self.client.get_node(request["node"])
        target = await node.get_child(above) if above else node
        return await self.called(target, await target.get_child(name), request["arguments"])

    async def invoke(self, request: dict[str, Any]) -> dict[str, Any]:
        """A method by its NodeId, on whatever node."""
        return await self.called(self.client.get_node(request["node"]), ua.NodeId.from_string(request["method"]), request["arguments"])

    @staticmethod
    async def called(target: Any, method: Any, arguments: list[Any]) -> dict[str, Any]:
        """The result of a call, and what the method gives back."""
        try:
            found = await target.call_method(method, *(argument(kind, value) for kind, value in arguments))
        except ua.UaError as error:
            return {"result": status_name(error)}
        return {"result": "Good", "outputs": plain(found)}

    async def subscriptions(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Numbers that a refresh can be asked with."""
        alarms = self.alarms
        return {"alarms": alarms.subscription_id, "item": self.items["alarms"], "values": self.values.subscription_id}

    async def silent(self, _request: dict[str, Any]) -> dict[str, Any]:
        """A subscription that nobody reads."""
        silent = await self.client.create_subscription(PUBLISHING_MS, Listener("silent"), publishing=False)
        asked = ua.EventFilter(SelectClauses=[field("EventId")])
        await silent.subscribe_events(self.client.nodes.server, ua.ObjectIds.BaseEventType, asked, queuesize=2, where_clause_generation=False)
        return {"subscription": silent.subscription_id}

    async def listen(self, request: dict[str, Any]) -> dict[str, Any]:
        """Events that a filter lets through."""
        subscription = await self.client.create_subscription(PUBLISHING_MS, Listener(request["name"]))
        elements = [
            ua.ContentFilterElement(FilterOperator=ua.FilterOperator[operator], FilterOperands=[operand(one) for one in operands])
            for operator, operands in request["where"]
        ]
        names = ("EventId", "EventType", "Message", "Severity", "ConditionName")
        asked = ua.EventFilter(SelectClauses=[field(name) for name in names], WhereClause=ua.ContentFilter(Elements=elements))
        try:
            await subscription.subscribe_events(self.client.nodes.server, ua.ObjectIds.BaseEventType, asked, where_clause_generation=False)
        except ua.UaError as error:
            return {"result": status_name(error)}
        return {"result": "Good"}

    async def refresh(self, request: dict[str, Any]) -> dict[str, Any]:
        """ConditionRefresh of the alarm subscription, or of one by number."""
        subscription = request.get("subscription", self.alarms.subscription_id)
        number = ua.Variant(subscription, ua.VariantType.UInt32)
        return await self.call(ua.ObjectIds.ConditionType, ua.ObjectIds.ConditionType_ConditionRefresh, number)

    async def refresh_item(self, request: dict[str, Any]) -> dict[str, Any]:
        """ConditionRefresh2 of the alarm item, or of one by number."""
        subscription = request.get("subscription", self.alarms.subscription_id)
        numbers = (subscription, request.get("item", self.items["alarms"]))
        arguments = [ua.Variant(number, ua.VariantType.UInt32) for number in numbers]
        return await self.call(ua.ObjectIds.ConditionType, ua.ObjectIds.ConditionType_ConditionRefresh2, *arguments)

    async def read(self, request: dict[str, Any]) -> dict[str, Any]:
        """Values of variables."""
        nodes = [self.client.get_node(node) for node in request["nodes"]]
        values = await self.client.uaclient.read_attributes([node.nodeid for node in nodes], ua.AttributeIds.Value)
        return {"values": [{"value": plain(v.Value), "status": v.StatusCode.name} for v in values]}

    async def permissions(self, request: dict[str, Any]) -> dict[str, Any]:
        """UserRolePermissions of a node: pairs of a role and the bits of what it may."""
        asked = [self.client.get_node(request["node"]).nodeid]
        found = (await self.client.uaclient.read_attributes(asked, ua.AttributeIds.UserRolePermissions))[0]
        found.StatusCode.check()
        return {"permissions": [[one.RoleId.to_string(), int(one.Permissions)] for one in found.Value.Value]}

    async def write(self, request: dict[str, Any]) -> dict[str, Any]:
        """A byte string into a variable, or a text."""
        if "text" in request:
            written = ua.Variant(request["text"], ua.VariantType.String)
        else:
            written = ua.Variant(bytes.fromhex(request["value"]), ua.VariantType.ByteString)
        value = ua.DataValue(written)
        try:
            await self.client.get_node(request["node"]).write_attribute(ua.AttributeIds.Value, value)
        except ua.UaError as error:
            return {"result": status_name(error)}
        return {"result": "Good"}

    async def children(self, request: dict[str, Any]) -> dict[str, Any]:
        """NodeIds of what is below a node."""
        children = await self.client.get_node(request["node"]).get_children()
        return {"nodes": [child.nodeid.to_string() for child in children]}

    async def history(self, request: dict[str, Any]) -> dict[str, Any]:
        """Recorded values, as a trend asks for them."""
        begin, end = (EPOCH + datetime.timedelta(milliseconds=request[name]) for name in ("from_ms", "to_ms"))
        found = await self.client.get_node(request["node"]).read_raw_history(begin, end)
        return self.recorded(found)

    async def past(self, request: dict[str, Any]) -> dict[str, Any]:
        """Events, as they were told."""
        begin, end = (EPOCH + datetime.timedelta(milliseconds=request[name]) for name in ("from_ms", "to_ms"))
        node, kind = self.client.get_node(request["node"]), ua.NodeId.from_string(request["kind"])
        found = await node.read_event_history(begin, end, evtypes=kind)
        return {"events": [{name: plain(getattr(event, field, None)) for name, field in FIELDS.items()} for event in found]}

    @staticmethod
    def recorded(found: list[ua.DataValue]) -> dict[str, Any]:
        """Times in milliseconds since 1970, and values; what is no number is a text, since JSON has none for it, and a text
        in a language an object."""

        def of_history(value: ua.Variant | None) -> Any:
            text = getattr(value, "Value", None)
            return {"text": text.Text, "locale": text.Locale} if isinstance(text, ua.LocalizedText) else plain(value)

        times = [(one.SourceTimestamp.replace(tzinfo=None) - EPOCH) / datetime.timedelta(milliseconds=1) for one in found]
        values = [of_history(one.Value) for one in found]
        values = ["NaN" if value != value else value for value in values]
        return {"values": [list(pair) for pair in zip(times, values)]}

    async def aggregate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Processed values; asyncua has the service, but no call of its own for it."""
        details = ua.ReadProcessedDetails()
        details.StartTime, details.EndTime = (
            EPOCH + datetime.timedelta(milliseconds=request[name]) for name in ("from_ms", "to_ms")
        )
        details.ProcessingInterval = request["interval_ms"]
        details.AggregateType = [ua.NodeId(request["function"])]
        return await self.read_history(request["node"], details)

    async def at(self, request: dict[str, Any]) -> dict[str, Any]:
        """Values at given times."""
        details = ua.ReadAtTimeDetails()
        details.ReqTimes = [EPOCH + datetime.timedelta(milliseconds=time) for time in request["times_ms"]]
        details.UseSimpleBounds = True
        return await self.read_history(request["node"], details)

    async def read_history(self, of: str, details: Any) -> dict[str, Any]:
        """What the server answers to a request that asyncua has no call of its own for."""
        node = ua.HistoryReadValueId()
        node.NodeId = self.client.get_node(of).nodeid
        parameters = ua.HistoryReadParameters()
        parameters.HistoryReadDetails = details
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        parameters.ReleaseContinuationPoints = False
        parameters.NodesToRead = [node]
        result = (await self.client.uaclient.history_read(parameters))[0]
        result.StatusCode.check()
        return self.recorded(result.HistoryData.DataValues)

    async def changes(self, request: dict[str, Any]) -> dict[str, Any]:
        """Subscribes to values."""
        nodes = [self.client.get_node(node) for node in request["nodes"]]
        results = await self.values.subscribe_data_change(nodes, queuesize=10_000)
        return {"results": [result.name if isinstance(result, ua.StatusCode) else "Good" for result in results]}


async def connect(options: argparse.Namespace) -> None:
    """Connects, runs, disconnects."""
    # Its watchdog else gives a server up that needs more than a second on a busy machine.
    client = Client(options.url, timeout=options.timeout, watchdog_intervall=options.timeout)
    client.application_uri = APPLICATION
    if options.user:
        client.set_user(options.user[0])
        client.set_password(options.user[1])
    if options.pki:
        options.pki.mkdir(parents=True, exist_ok=True)
        key, certificate = options.pki / "key.pem", options.pki / "certificate.der"
        use = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        await setup_self_signed_certificate(key, certificate, APPLICATION, socket.gethostname(), use, {})
        policy = getattr(security_policies, f"SecurityPolicy{options.policy.replace('_', '')}")
        await client.set_security(policy, str(certificate), str(key))
    if options.user_certificate:
        await client.load_client_certificate(options.user_certificate[0])
        await client.load_private_key(Path(options.user_certificate[1]))
    try:
        await client.connect()
    except Exception as error:
        # asyncua has many ways to say no, and what it says of the connection is what the test asks for.
        say(refused=status_name(error))
        return
    try:
        await Hmi(client).run()
    finally:
        await client.disconnect()


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(description="an HMI for alarms")
    options.add_argument("--url", required=True)
    options.add_argument("--user", nargs=2, metavar=("NAME", "PASSWORD"))
    options.add_argument("--user-certificate", nargs=2, metavar=("FILE", "KEY"))
    options.add_argument("--pki", type=Path)
    options.add_argument("--policy", default="Basic256Sha256")
    options.add_argument("--timeout", type=float, default=60, help="seconds for an answer; asyncua's own watchdog too")
    asyncio.run(connect(options.parse_args()))


if __name__ == "__main__":
    main()
