"""Between the component's exports and a detector's class. `component`, `learner` and `events_in` are for detectors."""

from __future__ import annotations

from typing import Any, Optional

from .contract import Blame, Refusal


# The detector, once it was started: a component is one.
its: Any = None


def answer(call: Any) -> Any:
    """What a call answers, or the contract's refusal of what it raises."""
    try:
        return call()
    except Refusal as refusal:
        # There for components alone.
        from componentize_py_types import Err

        raise Err(refusal) from None


def started() -> Any:
    if its is None:
        raise Refusal(Blame.BUG, "called before `init`")
    return its


def component(kind: type) -> tuple[type, type]:
    """The classes that the component's exports are made of: assign them to `Detector` and `State` in your module.

    `kind` has `describe()` (static), `__init__(setup)`, `conditions()` and `process(batch)`; where they are needed
    `explain(condition, instance)`, `save()` and `load(state_version, state)`.
    """

    class Detector:
        def describe(self) -> Any:
            return kind.describe()

        def init(self, setup: Any) -> Any:
            global its
            its = answer(lambda: kind(setup))
            return its.conditions()

        def process(self, batch: Any) -> Any:
            return answer(lambda: started().process(batch))

        def explain(self, condition: int, instance: int) -> Optional[Any]:
            return its.explain(condition, instance) if hasattr(its, "explain") else None

    class State:
        def save(self) -> bytes:
            return its.save() if hasattr(its, "save") else b""

        def load(self, state_version: int, bytes: bytes) -> None:
            answer(lambda: load(state_version, bytes))

    def load(state_version: int, state: bytes) -> None:
        if hasattr(started(), "load"):
            its.load(state_version, state)
        elif state:
            raise Refusal(Blame.STATE, "this detector keeps no state")

    return Detector, State


def learner() -> type:
    """The class of a detector that learns from more than what it judges: assign it to `Learner` in your module, and
    export the interface in `wit/guest.wit`.

    The detector has `learn(batch)`, `freeze(on)`, `forget(signal)` (None: all) and `model()` (bytes).
    """

    class Learner:
        def learn(self, batch: Any) -> None:
            answer(lambda: started().learn(batch))

        def freeze(self, on: bool) -> None:
            started().freeze(on)

        def forget(self, signal: Optional[int]) -> None:
            started().forget(signal)

        def model(self) -> bytes:
            return started().model()

    return Learner


def events_in() -> type:
    """The class of a detector that hears of servers' events as records: assign it to `EventsIn` in your module, and
    export the interface in `wit/guest.wit`. The detector has `observe(frame, now, events)`."""

    class EventsIn:
        def observe(self, frame: int, now: int, events: Any) -> Any:
            return answer(lambda: started().observe(frame, now, events))

    return EventsIn
