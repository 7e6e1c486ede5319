"""Operators who do whatever can be done to alarms, all at once, until the gateway is killed; and who look afterwards
whether all is there that was answered Good.

    operators.py URL SEED CONDITION...     CONDITION is the string of a condition's NodeId

A line `PID` begins a round: it waits for the server, reads how every alarm stands, holds it against what was promised and
says `checked` with how many alarms are retained and how many commands that were cut off before were carried out. A line
`ACTIVE` goes on: it waits until so many conditions are active, gives commands and refreshes, kills the process after a
random time, and says how many commands were answered Good, how many were cut off, how many refreshes were whole, and
how many were cut off. The first loss ends it with a line `LOST` that says what.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from asyncua import Client, ua

from promises import Account, Command, Key, Lost, Seen, Shown, Standing, aside

OPERATORS = 6
KILLED_AFTER_S = 0.3
# What was answered before has been read by then.
ANSWERED_S = 0.2
OVERFLOW_S = 0.1
PUBLISHING_MS = 50
PATIENCE_S = 90.0
# Of event items: a list that fits is sent at once, with nothing in between; a longer one as the queue is emptied.
LONG_QUEUE, SHORT_QUEUE = 10_000, 128
# How often everything is read again because some shelving ended meanwhile.
TRIES = 30
# How much of a request may be asked at once.
NODES = 1_000
# One shelving of four ends soon, so that some end while nobody runs.
SHORT_MS, LONG_MS = (1_000, 8_000), (3_600_000, 36_000_000)
FIELDS = (
    "EventId", "ActiveState/Id", "Retain", "AckedState/Id", "ConfirmedState/Id", "Comment", "SuppressedState/Id",
    "OutOfServiceState/Id", "ShelvingState/CurrentState/Id", "ShelvingState/UnshelveTime",
)  # fmt: skip
METHODS = {
    "Acknowledge": ua.ObjectIds.AcknowledgeableConditionType_Acknowledge,
    "Confirm": ua.ObjectIds.AcknowledgeableConditionType_Confirm,
    "AddComment": ua.ObjectIds.ConditionType_AddComment,
    "TimedShelve2": ua.ObjectIds.ShelvedStateMachineType_TimedShelve2,
    "Unshelve2": ua.ObjectIds.ShelvedStateMachineType_Unshelve2,
    "Suppress2": ua.ObjectIds.AlarmConditionType_Suppress2,
    "Unsuppress2": ua.ObjectIds.AlarmConditionType_Unsuppress2,
    "RemoveFromService2": ua.ObjectIds.AlarmConditionType_RemoveFromService2,
    "PlaceInService2": ua.ObjectIds.AlarmConditionType_PlaceInService2,
}
ON_AN_EVENT = {"Acknowledge", "Confirm", "AddComment"}
START, END = ua.ObjectIds.RefreshStartEventType, ua.ObjectIds.RefreshEndEventType
MISSING = {ua.ObjectIds.EventQueueOverflowEventType, ua.ObjectIds.RefreshRequiredEventType}


@dataclass
class Listener:
    """What one subscription brings of a refresh."""

    listed: list = field(default_factory=list)
    coming: list = field(default_factory=list)
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    # How often it was told that events are missing.
    missing: int = 0

    def event_notification(self, event) -> None:
        """An event: of a condition, or the beginning or end of a refresh."""
        kind = event.EventType.Identifier if event.EventType.NamespaceIndex == 0 else None
        if kind == START:
            self.coming = []
        elif kind == END:
            self.listed, self.coming = self.coming, []
            self.whole.set()
        elif kind in MISSING:
            self.missing += 1
        elif event.NodeId is not None and not event.NodeId.is_null():
            self.coming.append(event)

    def status_change_notification(self, _status) -> None:
        """Nothing to do."""


def clause(path: str) -> ua.SimpleAttributeOperand:
    """A field of the events; the condition's own id without a path."""
    of_node = ua.AttributeIds.Value if path else ua.AttributeIds.NodeId
    names = [ua.QualifiedName(name) for name in path.split("/") if name]
    kind = ua.ObjectIds.BaseEventType if path else ua.ObjectIds.ConditionType
    return ua.SimpleAttributeOperand(TypeDefinitionId=ua.NodeId(kind), BrowsePath=names, AttributeId=of_node)


def shown(values: list, begin: float, end: float) -> Shown:
    """How an alarm, or a branch of it, is shown by the values of FIELDS."""
    event, active, retain, acked, confirmed, comment, suppressed, out, state, left_ms = values
    shelved = state is not None and state.Identifier != ua.ObjectIds.ShelvedStateMachineType_Unshelved
    until = (begin + left_ms / 1000, end + left_ms / 1000) if shelved else None
    text = (comment.Text if comment else None) or ""
    standing = Standing(acked, confirmed, text, suppressed, out, until)
    return Shown(event or b"", active, retain, standing)


def same(one: Shown, other: Shown) -> bool:
    """Whether nothing has changed; how long a shelving still lasts is read at a time of its own."""
    bare = [replace(shown, standing=replace(shown.standing, shelved_until=None)) for shown in (one, other)]
    return bare[0] == bare[1] and (one.standing.shelved_until is None) == (other.standing.shelved_until is None)


class Watch:
    """A subscription to all alarms."""

    def __init__(self, client: Client, queue: int) -> None:
        self.client, self.queue = client, queue
        self.listener = Listener()
        self.number = 0

    async def begin(self) -> Watch:
        """Subscribes."""
        subscription = await self.client.create_subscription(PUBLISHING_MS, self.listener, queue_maxsize=100_000)
        asked = ua.EventFilter(SelectClauses=[clause(path) for path in ("", "EventType", "BranchId", *FIELDS)])
        server = self.client.get_node(ua.ObjectIds.Server)
        how = {"queuesize": self.queue, "where_clause_generation": False}
        await subscription.subscribe_events(server, ua.ObjectIds.BaseEventType, asked, **how)
        self.number = subscription.subscription_id
        return self

    async def refresh(self) -> list:
        """What a refresh lists."""
        self.listener.whole.clear()
        method = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)
        number = ua.Variant(self.number, ua.VariantType.UInt32)
        await self.client.get_node(ua.NodeId(ua.ObjectIds.ConditionType)).call_method(method, number)
        await asyncio.wait_for(self.listener.whole.wait(), PATIENCE_S)
        return self.listener.listed


class Desk:
    """A session between a start and a kill."""

    def __init__(self, client: Client, conditions: list[str], account: Account, dice: random.Random) -> None:
        self.client, self.conditions, self.account, self.dice = client, conditions, account, dice
        self.killed = False
        self.good = self.cut = self.whole = self.halves = 0

    async def nodes(self) -> Seen:
        """How every condition stands by its nodes."""
        asked = [ua.NodeId(f"{name}#{path}", 2) for name in self.conditions for path in FIELDS]
        values, begin = [], time.time()
        for at in range(0, len(asked), NODES):
            read = await self.client.uaclient.read_attributes(asked[at : at + NODES], ua.AttributeIds.Value)
            values += [one.Value.Value for one in read]
        end, width = time.time(), len(FIELDS)
        rows = zip(self.conditions, (values[at : at + width] for at in range(0, len(values), width)))
        return Seen(begin, end, {(name, None): shown(row, begin, end) for name, row in rows})

    async def all_there(self) -> None:
        """Waits until every condition has its nodes: detectors bring them as they start."""
        end = time.monotonic() + PATIENCE_S
        asked = [ua.NodeId(f"{name}#Retain", 2) for name in self.conditions]
        while True:
            read = await self.client.uaclient.read_attributes(asked, ua.AttributeIds.Value)
            if all(one.Value.Value is not None for one in read):
                return
            if time.monotonic() > end:
                raise Lost("there are conditions without nodes")
            await asyncio.sleep(0.02)

    async def look(self, watch: Watch) -> Seen:
        """How every alarm stands: by its nodes, and branches by a refresh, which must list exactly what is retained."""
        for _ in range(TRIES):
            before, begin = await self.nodes(), time.time()
            listed, end = await watch.refresh(), time.time()
            seen = await self.nodes()
            # Else something ended in between by its time, perhaps between two values of one alarm.
            if all(same(seen.shown[key], one) for key, one in before.shown.items()):
                break
        else:
            raise Lost("alarms keep changing while nobody asks for it")
        names, found = set(self.conditions), {}
        for event in listed:
            branch = None if event.BranchId is None or event.BranchId.is_null() else event.BranchId.to_string()
            key = (event.NodeId.Identifier, branch)
            if key[0] not in names:
                continue
            if key in found:
                raise Lost(f"{key} is listed twice")
            found[key] = shown([getattr(event, path, None) for path in FIELDS], begin, end)
        for key, one in seen.shown.items():
            if one.retain != (key in found):
                raise Lost(f"{key}: Retain is {one.retain}, and it is {'' if key in found else 'not '}listed")
            if one.retain and aside(one.standing) != aside(found[key].standing):
                raise Lost(f"{key}: the list tells {found[key]}, the node {one}")
            if one.retain and (one.event, one.active) != (found[key].event, found[key].active):
                raise Lost(f"{key}: the list tells {found[key]}, the node {one}")
        for key, one in found.items():
            if aside(one.standing) != aside(found[key[0], None].standing):
                raise Lost(f"{key} is put aside otherwise than its condition: {one}")
        seen.shown |= {key: one for key, one in found.items() if key[1]}
        return seen

    async def told(self, name: str, since: float) -> str:
        """What the history of events has of a condition since then: it explains what cannot be seen any more."""
        fields = ("", "Time", "BranchId", "Message", "Quality", *FIELDS)
        begin, end = (datetime.fromtimestamp(at, timezone.utc) for at in (since, time.time() + 60))
        chosen = ua.EventFilter(SelectClauses=[clause(path) for path in fields])
        asked = ua.ReadEventDetails(NumValuesPerNode=0, StartTime=begin, EndTime=end, Filter=chosen)
        read = await self.client.get_node(ua.ObjectIds.Server).history_read_events(asked)
        events = [[value.Value for value in event.EventFields] for event in read.HistoryData.Events]
        return "; ".join(str(dict(zip(fields, event))) for event in events if event[0] and event[0].Identifier == name)

    async def work(self, watch: Watch, pid: int, number: int) -> None:
        """Gives commands and refreshes until the process is killed."""
        killed = asyncio.Event()

        def kill() -> None:
            self.killed = True
            os.kill(pid, signal.SIGKILL)
            killed.set()

        asyncio.get_running_loop().call_later(self.dice.uniform(0, KILLED_AFTER_S), kill)
        tasks = [asyncio.create_task(self.operate(f"{number}.{at}")) for at in range(OPERATORS)]
        tasks.append(asyncio.create_task(self.refreshes(watch)))
        # What was answered is read before the end of the connection is; who hangs after it is not answered any more.
        await killed.wait()
        _, hanging = await asyncio.wait(tasks, timeout=ANSWERED_S)
        for task in hanging:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def operate(self, name: str) -> None:
        """One operator."""
        at = 0
        while not self.killed:
            chosen = self.account.choose(self.dice, time.time())
            if chosen is None:
                await asyncio.sleep(0)
                continue
            (key, command), at = chosen, at + 1
            comment, for_ms = f"{name}.{at}", self.dice.uniform(*(SHORT_MS if self.dice.random() < 0.25 else LONG_MS))
            after, begin = self.account.ask(key, command, comment), time.time()
            answered = await self.answered(self.call(key, command, comment, for_ms), f"{command.name} of {key}")
            if command.name == "TimedShelve2":
                ends = (begin + for_ms / 1000, time.time() + for_ms / 1000)
                after = Standing(**{**vars(after), "shelved_until": ends})
            if not answered:
                self.cut += 1
                self.account.cut_off(key, after)
                return
            self.good += 1
            self.account.good(key, after)

    async def refreshes(self, watch: Watch) -> None:
        """Asks for the list again and again; each that ends has every alarm that is active, or it is announced that some are missing."""
        active = {key[0] for key, promise in self.account.promises.items() if not key[1] and promise.before.active}
        while not self.killed:
            if not await self.answered(watch.refresh(), "ConditionRefresh"):
                self.halves += 1
                return
            listed = watch.listener.listed
            missing = active - {event.NodeId.Identifier for event in listed}
            # What overflows a short queue is announced, with the list's end or soon after it.
            if missing and not watch.listener.missing:
                await asyncio.sleep(OVERFLOW_S)
            if missing and not watch.listener.missing and not self.killed:
                raise Lost(f"a refresh in between lists {len(listed)}, and all but {len(missing)}, such as {min(missing)}")
            if missing:
                continue
            self.whole += 1

    async def answered(self, call, what: str) -> bool:
        """Whether something is answered Good, and not cut off. A refusal is a loss: nothing is asked that does not fit."""
        try:
            await call
        except (Exception, asyncio.CancelledError) as error:
            if self.killed:
                return False
            raise Lost(f"{what}: {type(error).__name__}: {error}") from error
        return True

    async def call(self, key: Key, command: Command, comment: str, for_ms: float) -> None:
        """Calls a method of a condition."""
        arguments = [ua.Variant(ua.LocalizedText(comment, "en"), ua.VariantType.LocalizedText)]
        if command.name in ON_AN_EVENT:
            arguments.insert(0, ua.Variant(self.account.promises[key].before.event, ua.VariantType.ByteString))
        elif command.name == "TimedShelve2":
            arguments.insert(0, ua.Variant(for_ms, ua.VariantType.Double))
        await self.client.get_node(ua.NodeId(key[0], 2)).call_method(ua.NodeId(METHODS[command.name]), *arguments)


async def connected(url: str) -> Client:
    """A session, once the server listens."""
    end = time.monotonic() + PATIENCE_S
    while True:
        client = Client(url, timeout=30)
        try:
            await client.connect()
            return client
        except (OSError, asyncio.TimeoutError, ua.UaError):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.02)


async def line() -> str:
    """The next line that somebody says."""
    return (await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)).strip()


async def main(url: str, seed: int, conditions: list[str]) -> None:
    """Round after round."""
    account, dice, number = Account(), random.Random(seed), 0
    while pid := await line():
        client = await connected(url)
        desk, watch = Desk(client, conditions, account, dice), await Watch(client, LONG_QUEUE).begin()
        await desk.all_there()
        seen = await desk.look(watch)
        try:
            carried_out = account.check(seen) if number else 0
        except Lost as lost:
            since = account.since
            raise Lost(f"{lost}; the history has {await desk.told(lost.of, since)}" if lost.of else str(lost)) from lost
        retained = sum(one.retain for one in seen.shown.values())
        print(f"checked {retained} {carried_out}", flush=True)
        active, number = int(await line()), number + 1
        async with asyncio.timeout(PATIENCE_S):
            while sum(one.active for key, one in seen.shown.items() if not key[1]) != active:
                seen = await desk.look(watch)
        account.begin(seen)
        await desk.work(await Watch(client, SHORT_QUEUE).begin(), int(pid), number)
        print(f"{desk.good} {desk.cut} {desk.whole} {desk.halves}", flush=True)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.disconnect(), 1.0)


if __name__ == "__main__":
    # What asyncua has to say of connections that are lost is no news here.
    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
    except (Lost, asyncio.TimeoutError, OSError, ua.UaError) as lost:
        print(f"LOST {type(lost).__name__}: {lost}", flush=True)
        sys.exit(1)
