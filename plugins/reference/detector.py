"""The reference detector in Python; `README.md` says what it does in any language."""

import struct
from dataclasses import replace

from watchfire import (
    Batch, Blame, Condition, Decides, Description, Event, Finding, Kind, Level, Outcome, Phase, Progress, Refusal,
    Scale, Scope, Setup, Signal, Slot, Verdict, component, config, events_in, learner, number, show, usable, usable_rows,
)

STATE_VERSION = 1
WINDOW_MAX = 64
NEVER = 255
ABOVE = Condition(id="above", text="the value is above its limit — „über“")
DEVIATION = Condition(
    id="deviation",
    scope=Scope.SIGNAL,
    decides=Decides.HOST,
    scale=Scale.ORDINAL,
    alarm_type="DiscrepancyAlarmType",
    severity=300,
    text="the value is far from its mean",
)


def described(signal: Signal) -> str:
    unit = "-" if signal.unit is None else signal.unit
    between = "-" if signal.range is None else f"{number(signal.range[0])} to {number(signal.range[1])}"
    sampling = "-" if signal.sampling_ns is None else str(signal.sampling_ns)
    kind = signal.kind.name.lower()
    return f"{signal.name} {kind} {unit} {between} {sampling} {signal.role} {signal.group};"


def note(batch: Batch) -> str:
    """What came in the smaller columns."""
    exact = "".join(f" {row}={bits}" for row, bits in batch.exact)
    text = "".join(f" {row}={text}" for row, text in batch.text)
    skew = "".join(f" {skew}" for skew in batch.skew_ns)
    quality = "".join(f" {quality}" for quality in batch.quality)
    head = f"frame {batch.frame} offset {batch.utc_offset_s} mode {batch.mode} gaps {len(batch.gaps)}"
    return f"{head} exact{exact} text{text} skew{skew} quality{quality}"


class Channel:
    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self.told: Level | None = None
        self.owes = False  # told again because a state was restored
        self.last: list[float] = []
        self.learned = 0
        self.highest = 0.0

    def mean(self) -> float:
        total = 0.0
        for value in self.last:
            total += value
        return total / len(self.last)


class Reference:
    @staticmethod
    def describe() -> Description:
        return Description(
            id="reference",
            version="0.1.0",
            title="does a little of everything",
            state_version=STATE_VERSION,
            config_schema='{"type": "object"}',
            conditions=[ABOVE, DEVIATION],
            slots=[
                Slot(role="value", kinds=[Kind.REAL, Kind.SIGNED], least=1, most=1000),
                Slot(kinds=[Kind.BOOLEAN], least=0),
            ],
            tick_ns=5_000_000_000,
            warm_up_samples=4,
        )

    def __init__(self, setup: Setup) -> None:
        settings = config(setup.config, {"above": float}, {"deadband": float, "window": float})
        self.above = settings["above"]
        self.deadband = settings.get("deadband", 0.0)
        window = settings.get("window", 4.0)
        if self.deadband < 0:
            raise Refusal(Blame.CONFIG, "it is negative", "deadband")
        if not 1 <= window <= WINDOW_MAX or window != int(window):
            raise Refusal(Blame.CONFIG, "it is no whole number from 1 to 64", "window")
        self.window = int(window)
        self.frozen = False
        self.channels = [Channel(signal) for signal in setup.signals]

    def conditions(self) -> list[Condition]:
        return [replace(ABOVE, response="".join(described(c.signal) for c in self.channels)), DEVIATION]

    def process(self, batch: Batch) -> Outcome:
        outcome = Outcome()
        for index, channel in enumerate(self.channels):
            if any(gap.signal is None or gap.signal == index for gap in batch.gaps):
                channel.last = []
            if channel.owes:
                channel.owes = False
                verdict = Verdict(index, batch.now, channel.told, "as it was before the restart")
                outcome.verdicts.append(verdict)
        for row in range(len(batch.value)):
            self.judge(batch, row, outcome)
        have = min((len(channel.last) for channel in self.channels), default=self.window)
        phase = Phase.LEARNING if have < self.window else Phase.READY
        outcome.progress = Progress(phase, have, self.window, note(batch))
        return outcome

    def judge(self, batch: Batch, row: int, outcome: Outcome) -> None:
        index, time, value = batch.signal[row], batch.time[row], batch.value[row]
        channel = self.channels[index]
        is_usable = usable(batch, row)
        if not is_usable:
            level = Level.UNKNOWN
        elif value > self.above or (channel.told == Level.ACTIVE and value >= self.above - self.deadband):
            level = Level.ACTIVE
        else:
            level = Level.NORMAL
        if is_usable:
            channel.last = channel.last[-(self.window - 1):] if self.window > 1 else []
            channel.last.append(value)
            outcome.scores.add(index, time, abs(value - channel.mean()), condition=1)
        if channel.told == level:
            return
        channel.told, channel.owes = level, False
        if level == Level.UNKNOWN:
            outcome.verdicts.append(Verdict(index, time, level, "there is no usable value"))
            return
        side = "is above" if level == Level.ACTIVE else "is not above"
        why = f"{show(channel.signal, value)} {side} {show(channel.signal, self.above)}"
        low = self.above - self.deadband if self.deadband > 0 else None
        evidence = [Finding(index, value, low, self.above)]
        outcome.verdicts.append(Verdict(index, time, level, why, evidence))

    def explain(self, condition: int, instance: int) -> Verdict | None:
        channel = self.channels[instance]
        if condition != 1 or not channel.last:
            return None
        value, mean = channel.last[-1], channel.mean()
        why = f"{show(channel.signal, value)} is far from {show(channel.signal, mean)}"
        evidence = [Finding(instance, value, mean, mean)]
        return Verdict(instance, 0, Level.ACTIVE, why, evidence, condition=1, score=abs(value - mean))

    def save(self) -> bytes:
        state = b""
        for channel in self.channels:
            told = NEVER if channel.told is None else channel.told.value
            state += struct.pack(f"<BB{len(channel.last)}d", told, len(channel.last), *channel.last)
        return state

    def load(self, state_version: int, state: bytes) -> None:
        if state_version != STATE_VERSION:
            raise Refusal(Blame.STATE, "its version is not 1")
        at = 0
        try:
            for channel in self.channels:
                told, count = struct.unpack_from("<BB", state, at)
                channel.last = list(struct.unpack_from(f"<{count}d", state, at + 2))
                channel.told = None if told == NEVER else Level(told)
                channel.owes = channel.told not in (None, Level.NORMAL)
                at += 2 + 8 * count
        except struct.error:
            raise Refusal(Blame.STATE, "it is cut short") from None
        if at != len(state):
            raise Refusal(Blame.STATE, "it is too long")

    def learn(self, batch: Batch) -> None:
        if batch.mode == 13:
            raise Refusal(Blame.SIGNALS, "it learns nothing in mode 13")
        if self.frozen:
            return
        for signal, _, value in usable_rows(batch):
            channel = self.channels[signal]
            if channel.learned == 0 or value > channel.highest:
                channel.highest = value
            channel.learned += 1

    def freeze(self, on: bool) -> None:
        self.frozen = on

    def forget(self, signal: int | None) -> None:
        for index, channel in enumerate(self.channels):
            if signal is None or signal == index:
                channel.learned, channel.highest = 0, 0.0

    def model(self) -> bytes:
        lines = (f"{of.signal.name} {of.learned} {number(of.highest)}\n" for of in self.channels)
        return "".join(lines).encode()

    def observe(self, frame: int, now: int, events: list[Event]) -> Outcome:
        outcome = Outcome()
        for event in events:
            if event.message == "refuse":
                raise Refusal(Blame.SIGNALS, "it was asked to")
            user = "-" if event.user is None else event.user
            fields = "".join(f" {name}={value}" for name, value in event.fields)
            why = f"{event.event_type} {event.severity} {user}: {event.message}{fields}"
            level = Level.ACTIVE if event.severity >= 500 else Level.NORMAL
            verdict = Verdict(event.source, event.time, level, why, score=float(event.severity))
            outcome.verdicts.append(verdict)
        outcome.progress = Progress(Phase.READY, len(events), 0, f"frame {frame}")
        return outcome


Detector, State = component(Reference)
Learner = learner()
EventsIn = events_in()
