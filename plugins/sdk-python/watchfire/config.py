"""Reading a configuration, a flat JSON object, so that a mistake is named by its key."""

from __future__ import annotations

import json
from typing import Any

from .contract import Blame, Refusal

KINDS = {float: "a number", int: "a whole number", bool: "`true` or `false`", str: "a text"}


def config(text: str, required: dict[str, type] = {}, optional: dict[str, type] = {}) -> dict[str, Any]:
    """The configuration's values by key. Raises Refusal for a key that is unknown, missing or of another kind."""
    try:
        read = json.loads(text.strip() or "{}")
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise Refusal(Blame.CONFIG, "the configuration is no JSON object")
    known = required | optional
    for key, value in read.items():
        if key not in known:
            raise Refusal(Blame.CONFIG, "there is no such key", key)
        read[key] = fit(key, value, known[key])
    for key in required:
        if key not in read:
            raise Refusal(Blame.CONFIG, "it is missing", key)
    return read


def fit(key: str, value: Any, kind: type) -> Any:
    """The value as that kind; whole numbers are numbers too, `true` is none."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise Refusal(Blame.CONFIG, f"{KINDS[kind]} is expected", key)
    return value
