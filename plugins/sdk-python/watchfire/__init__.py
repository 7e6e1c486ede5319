"""What a Watchfire detector is written with: the contract's types, the configuration's keys, numbers for sentences, and
`component`, which makes a component's exports of a class."""

from .config import config
from .contract import (
    DISTRUSTED, LATE, OVERFLOW, ROUNDED, SERVER_TIME, Batch, Blame, Cause, Condition, Decides, Description, Event,
    Finding, Gap, Kind, Level, Outcome, Phase, Progress, Refusal, Scale, Scope, Scores, Setup, Signal, Slot, Verdict, usable,
    usable_rows,
)
from .glue import component, events_in, learner
from .show import number, show
