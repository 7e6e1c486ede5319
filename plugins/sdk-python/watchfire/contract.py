"""The contract's types in plain Python, with defaults: the same fields with the same meanings as the contract in `wit/`,
which says them in full. Knows no WebAssembly, so that detectors run anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import Iterator, Optional


class Kind(Enum):
    """What a signal's values are."""

    BOOLEAN = 0
    SIGNED = 1
    UNSIGNED = 2
    REAL = 3
    ENUMERATION = 4
    TEXT = 5
    TIME = 6


@dataclass
class Signal:
    """A signal of the binding."""

    name: str = ""
    kind: Kind = Kind.REAL
    unit: Optional[str] = None  # UCUM code
    range: Optional[tuple[float, float]] = None
    sampling_ns: Optional[int] = None
    role: str = ""  # which slot of the description it fills
    group: int = 0


@dataclass
class Setup:
    """What a detector is started with."""

    config: str = "{}"  # JSON
    signals: list[Signal] = field(default_factory=list)
    seed: int = 0
    model: Optional[bytes] = None


class Cause(Enum):
    """Why values are missing."""

    SOURCE_LOST = 0
    OVERFLOW = 1
    SKIPPED = 2
    NOT_RECORDED = 3


@dataclass
class Gap:
    """An interval in which values may be missing."""

    signal: Optional[int]  # none: all of them
    since: int
    until: int
    cause: Cause


@dataclass
class Batch:
    """One frame of the log, cut down to your signals. `signal` to `quality` have one length."""

    frame: int = 0
    now: int = 0  # UTC nanoseconds, monotone: the only clock
    utc_offset_s: int = 0
    mode: int = 0
    signal: list[int] = field(default_factory=list)  # indexes of the setup's list
    time: list[int] = field(default_factory=list)  # UTC nanoseconds
    value: list[float] = field(default_factory=list)  # NaN where there is no number
    status: list[int] = field(default_factory=list)  # OPC UA StatusCode
    quality: bytes = b""  # LATE and others
    skew_ns: list[int] = field(default_factory=list)  # empty when all are zero
    exact: list[tuple[int, int]] = field(default_factory=list)  # row, all 64 bits
    text: list[tuple[int, str]] = field(default_factory=list)  # row, text
    gaps: list[Gap] = field(default_factory=list)


# Bits of the quality column.
LATE, OVERFLOW, ROUNDED, SERVER_TIME, DISTRUSTED = 1, 2, 4, 8, 16


def usable(batch: Batch, row: int) -> bool:
    """Whether a row's value can be judged: not bad, a number, and nobody distrusts it."""
    return batch.status[row] >> 31 == 0 and isfinite(batch.value[row]) and not batch.quality[row] & DISTRUSTED


def usable_rows(batch: Batch) -> Iterator[tuple[int, int, float]]:
    """Signal, time and value of the rows that can be judged."""
    for row in range(len(batch.value)):
        if usable(batch, row):
            yield batch.signal[row], batch.time[row], batch.value[row]


class Scope(Enum):
    """What has an instance of a condition each."""

    SIGNAL = 0
    GROUP = 1
    BINDING = 2


class Decides(Enum):
    """Who turns a condition active: the plugin by levels, the host by scores."""

    PLUGIN = 0
    HOST = 1


class Scale(Enum):
    """What a score means."""

    NEG_LOG10_P = 0
    ORDINAL = 1


@dataclass
class Condition:
    """Something a detector can find."""

    id: str
    text: str = ""
    response: str = ""
    severity: int = 500  # 1 to 1000
    scope: Scope = Scope.SIGNAL
    decides: Decides = Decides.PLUGIN
    scale: Scale = Scale.NEG_LOG10_P
    alarm_type: str = "OffNormalAlarmType"


@dataclass
class Slot:
    """Signals that a detector takes."""

    role: str = ""
    kinds: list[Kind] = field(default_factory=lambda: [Kind.REAL])
    least: int = 1
    most: Optional[int] = None


@dataclass
class Description:
    """What a detector is."""

    id: str
    version: str
    title: str = ""
    state_version: int = 1
    config_schema: str = ""  # JSON Schema
    conditions: list[Condition] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=lambda: [Slot()])
    tick_ns: Optional[int] = None
    warm_up_samples: int = 0


class Level(Enum):
    """How a condition stands."""

    NORMAL = 0
    LOW_LOW = 1
    LOW = 2
    HIGH = 3
    HIGH_HIGH = 4
    ACTIVE = 5
    UNKNOWN = 6


@dataclass
class Finding:
    """Evidence of a verdict."""

    signal: int
    observed: float
    low: Optional[float] = None  # what was expected
    high: Optional[float] = None
    share: float = 1.0  # of the cause, 0 to 1


@dataclass
class Verdict:
    """How a condition stands for one of its instances."""

    instance: int  # signal index, group number or 0, by the condition's scope
    at: int
    level: Level
    why: str
    evidence: list[Finding] = field(default_factory=list)
    condition: int = 0
    score: Optional[float] = None


@dataclass
class Scores:
    """Scores in columns."""

    condition: list[int] = field(default_factory=list)
    instance: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    score: list[float] = field(default_factory=list)

    def add(self, instance: int, at: int, score: float, condition: int = 0) -> None:
        """Adds one."""
        self.condition.append(condition)
        self.instance.append(instance)
        self.at.append(at)
        self.score.append(score)


class Phase(Enum):
    """Where a detector stands."""

    LEARNING = 0
    READY = 1
    RELEARN = 2


@dataclass
class Progress:
    """How far learning has come."""

    phase: Phase
    have: int
    need: int
    note: str = ""


@dataclass
class Outcome:
    """What a batch led to."""

    scores: Scores = field(default_factory=Scores)
    verdicts: list[Verdict] = field(default_factory=list)
    progress: Optional[Progress] = None


@dataclass
class Event:
    """One that a server told."""

    time: int
    source: int  # the signal that is its stream
    event_type: str
    severity: int = 0  # 1 to 1000; 0 where it does not say
    user: Optional[str] = None
    message: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)  # sorted by names


class Blame(Enum):
    """Whose fault a refusal is."""

    CONFIG = 0
    SIGNALS = 1
    MODEL = 2
    STATE = 3
    BUG = 4


class Refusal(Exception):
    """Raised in place of an answer: whose fault, the key where there is one, and the way out in a sentence."""

    def __init__(self, blame: Blame, message: str, key: Optional[str] = None) -> None:
        super().__init__(message)
        self.blame, self.message, self.key = blame, message, key
