"""What operators were promised: how each alarm must stand after what was answered Good, and how it may stand after what
was cut off. Knows neither OPC UA nor processes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

# A shelving never ends before its time but by what clocks and answers round off; after a start it may end so much late.
EARLY_S = 0.05
LATE_S = 10.0
# What ends so soon is left alone: it may have ended when the command comes.
SOON_S = 60.0

# A condition, and what of it: nothing for what stands, or the branch that an occurrence left behind is.
Key = tuple[str, str | None]


class Lost(Exception):
    """What was answered Good is not there, or what nobody asked for is; of this condition, where it is one's."""

    def __init__(self, what: str, of: str | None = None) -> None:
        super().__init__(what)
        self.of = of


@dataclass(frozen=True)
class Standing:
    """What operators do to an alarm."""

    acked: bool
    confirmed: bool
    comment: str
    suppressed: bool
    out_of_service: bool
    # Between which times its shelving ends, seconds since 1970.
    shelved_until: tuple[float, float] | None


@dataclass(frozen=True)
class Shown:
    """How an alarm is shown: by its nodes, or in a refreshed list."""

    event: bytes
    active: bool
    retain: bool
    standing: Standing


@dataclass
class Seen:
    """All alarms, read between two moments."""

    begin: float
    end: float
    shown: dict[Key, Shown]


@dataclass(frozen=True)
class Command:
    """What an operator can do: when, and what comes of it."""

    name: str
    of_a_branch: bool
    fits: Callable[[Standing], bool]
    change: Callable[[Standing], dict]


COMMANDS = (
    Command("Acknowledge", True, lambda is_: not is_.acked, lambda _: {"acked": True, "confirmed": False}),
    Command("Confirm", True, lambda is_: is_.acked and not is_.confirmed, lambda _: {"confirmed": True}),
    Command("AddComment", False, lambda _: True, lambda _: {}),
    Command("TimedShelve2", False, lambda is_: is_.shelved_until is None, lambda _: {}),
    Command("Unshelve2", False, lambda is_: is_.shelved_until is not None, lambda _: {"shelved_until": None}),
    Command("Suppress2", False, lambda is_: not is_.suppressed, lambda _: {"suppressed": True}),
    Command("Unsuppress2", False, lambda is_: is_.suppressed, lambda _: {"suppressed": False}),
    Command("RemoveFromService2", False, lambda is_: not is_.out_of_service, lambda _: {"out_of_service": True}),
    Command("PlaceInService2", False, lambda is_: is_.out_of_service, lambda _: {"out_of_service": False}),
)


@dataclass
class Promise:
    """How one alarm may stand: the last is what was asked for last; nothing is a branch that is gone."""

    before: Shown
    may_be: list[Standing | None]
    # Whether something was answered Good since it was read.
    changed: bool = False

    @property
    def now(self) -> Standing | None:
        """How it stands, as long as nothing is cut off."""
        return self.may_be[-1]


@dataclass
class Account:
    """The promises on all alarms."""

    promises: dict[Key, Promise] = field(default_factory=dict)
    # Conditions about which somebody has asked and was not answered yet.
    asked: set[str] = field(default_factory=set)
    # Since when they hold, seconds since 1970.
    since: float = 0.0

    def begin(self, seen: Seen) -> None:
        """Takes what is seen as what is known. Shelvings keep the end that they were promised."""
        known, self.promises, self.asked, self.since = self.promises, {}, set(), seen.begin
        for key, shown in seen.shown.items():
            before = known.get(key)
            promised = [one.shelved_until for one in before.may_be if one and one.shelved_until] if before else []
            if promised and shown.standing.shelved_until:
                shown = replace(shown, standing=replace(shown.standing, shelved_until=promised[-1]))
            self.promises[key] = Promise(shown, [shown.standing])

    def choose(self, dice: random.Random, now: float) -> tuple[Key, Command] | None:
        """Something that an operator may do to something that nobody is busy with."""
        command = dice.choice(COMMANDS)
        fitting = [key for key, promise in self.promises.items() if self._may(key, promise, command, now)]
        return (dice.choice(fitting), command) if fitting else None

    def _may(self, key: Key, promise: Promise, command: Command, now: float) -> bool:
        standing = promise.now
        if key[0] in self.asked or standing is None or not promise.before.event or (key[1] and not command.of_a_branch):
            return False
        ends = standing.shelved_until
        return command.fits(standing) and (ends is None or ends[0] > now + SOON_S)

    def ask(self, key: Key, command: Command, comment: str) -> Standing | None:
        """Notes that a command is on its way; what comes of it where it is carried out."""
        self.asked.add(key[0])
        standing = self.promises[key].now
        after = replace(standing, comment=comment, **command.change(standing))
        # A branch is gone when it is dealt with.
        return None if key[1] and after.acked and after.confirmed else after

    def good(self, key: Key, after: Standing | None) -> None:
        """It was answered Good."""
        self.asked.discard(key[0])
        for promise, stands in self._with_branches(key, after):
            promise.may_be, promise.changed = [stands], True

    def cut_off(self, key: Key, after: Standing | None) -> None:
        """It was not answered: it may have been carried out, and then wholly."""
        for promise, stands in self._with_branches(key, after):
            promise.may_be.append(stands)

    def _with_branches(self, key: Key, after: Standing | None) -> list[tuple[Promise, Standing | None]]:
        """What comes of it, and of the branches that are put aside with their condition, or come back with it."""
        concerned = [(self.promises[key], after)]
        for (name, branch), promise in self.promises.items():
            if key[1] or name != key[0] or not branch or not promise.now or not after:
                continue
            if aside(promise.now) != aside(after):
                of_it = {"suppressed": after.suppressed, "out_of_service": after.out_of_service}
                until = after.shelved_until and (promise.now.shelved_until or after.shelved_until)
                concerned.append((promise, replace(promise.now, shelved_until=until, **of_it)))
        return concerned

    def check(self, seen: Seen) -> int:
        """Holds what is seen against what was promised; how many of those that were cut off were carried out."""
        strangers = seen.shown.keys() - self.promises.keys()
        if strangers:
            raise Lost(f"nobody knew of {sorted(map(str, strangers))[:3]}")
        branched = {name for name, branch in seen.shown if branch}
        for (name, branch), shown in seen.shown.items():
            is_open = not shown.standing.acked or not shown.standing.confirmed
            if shown.retain != (is_open or (not branch and (shown.active or name in branched))):
                raise Lost(f"{name}, {branch}: Retain is {shown.retain}; it is {shown}", name)
        return sum(self._check(key, promise, seen) for key, promise in self.promises.items())

    @staticmethod
    def _check(key: Key, promise: Promise, seen: Seen) -> bool:
        shown = seen.shown.get(key)
        fitting = [at for at, may in enumerate(promise.may_be) if is_kept(may, shown and shown.standing, seen)]
        if not fitting:
            raise Lost(f"{key}: {promise.may_be} was promised; it is {shown and shown.standing}", key[0])
        carried_out = fitting[-1] > 0
        if shown is None:
            return carried_out
        if shown.active != promise.before.active:
            raise Lost(f"{key}: active was {promise.before.active} and is {shown.active}", key[0])
        ends = promise.may_be[fitting[-1]].shelved_until
        new = shown.event != promise.before.event
        ended = ends is not None and ends[0] < seen.end + EARLY_S
        # With the last of its branches a condition leaves the list that nobody touched itself, and an event tells of that.
        left = promise.before.retain and not shown.retain
        if not ended and new != (promise.changed or carried_out or left):
            what = f"{key}: the EventId is {'new' if new else 'old'}; it was told {promise.may_be[fitting[-1]]}"
            raise Lost(f"{what}; before it was {promise.before}, now {shown}", key[0])
        return carried_out


def aside(standing: Standing) -> tuple[bool, bool, bool]:
    """In which ways it is put aside."""
    return standing.suppressed, standing.out_of_service, standing.shelved_until is not None


def is_kept(promised: Standing | None, found: Standing | None, seen: Seen) -> bool:
    """Whether an alarm stands as it was promised."""
    if promised is None or found is None:
        return promised is found
    if replace(promised, shelved_until=None) != replace(found, shelved_until=None):
        return False
    ends = promised.shelved_until
    if found.shelved_until is None:
        return ends is None or ends[0] - EARLY_S < seen.end
    if ends is None:
        return False
    # What is overdue at a start ends a little later, and shows nothing left until then.
    overdue = ends[0] < seen.end + EARLY_S and seen.begin < ends[1] + LATE_S
    first, last = found.shelved_until
    return overdue or (first < ends[1] + EARLY_S and ends[0] < last + EARLY_S)
