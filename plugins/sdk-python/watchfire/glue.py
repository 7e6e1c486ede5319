"""Between the component's exports and a detector's class. Only `component` is for detectors."""

from __future__ import annotations

from typing import Any, Optional

from .contract import Blame, Refusal


def component(kind: type) -> tuple[type, type]:
    """The classes that the component's exports are made of: assign them to `Detector` and `State` in your module.

    `kind` has `describe()` (static), `__init__(setup)`, `conditions()` and `process(batch)`; where they are needed
    `explain(condition, instance)`, `save()` and `load(state_version, state)`.
    """
    its: Any = None

    def answer(call: Any) -> Any:
        try:
            return call()
        except Refusal as refusal:
            # There for components alone: it makes the contract's refusal of what is raised.
            from componentize_py_types import Err

            raise Err(refusal) from None

    def started() -> Any:
        if its is None:
            raise Refusal(Blame.BUG, "called before `init`")
        return its

    class Detector:
        def describe(self) -> Any:
            return kind.describe()

        def init(self, setup: Any) -> Any:
            nonlocal its
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
