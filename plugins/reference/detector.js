// The reference detector in JavaScript; `README.md` says what it does in any language.
import { Refusal, component, config, number, show, usable, usableRows, whole } from "./watchfire/watchfire.js";

const STATE_VERSION = 1;
const WINDOW_MAX = 64;
const NEVER = 255;
const LEVELS = ["normal", "low-low", "low", "high", "high-high", "active", "unknown"];
const ABOVE = { id: "above", text: "the value is above its limit — „über“" };
const DEVIATION = {
  id: "deviation",
  scope: "signal",
  decides: "host",
  scale: "ordinal",
  alarmType: "DiscrepancyAlarmType",
  severity: 300,
  text: "the value is far from its mean",
};

const described = ({ name, kind, unit, range, samplingNs, role, group }) => {
  const between = range ? `${number(range[0])} to ${number(range[1])}` : "-";
  return `${name} ${kind} ${unit ?? "-"} ${between} ${samplingNs ?? "-"} ${role} ${group};`;
};

/** What came in the smaller columns. */
function note(batch) {
  const all = (column, show) => Array.from(column, (one) => ` ${show(one)}`).join("");
  const pair = ([row, one]) => `${row}=${one}`;
  const head = `frame ${batch.frame} offset ${batch.utcOffsetS} mode ${batch.mode} gaps ${batch.gaps.length}`;
  const columns = `exact${all(batch.exact, pair)} text${all(batch.text, pair)}`;
  return `${head} ${columns} skew${all(batch.skewNs, String)} quality${all(batch.quality, String)}`;
}

const mean = (last) => last.reduce((sum, value) => sum + value, 0) / last.length;

class Reference {
  static describe() {
    return {
      id: "reference",
      version: "0.1.0",
      title: "does a little of everything",
      stateVersion: STATE_VERSION,
      configSchema: '{"type": "object"}',
      conditions: [ABOVE, DEVIATION],
      slots: [
        { role: "value", kinds: ["real", "signed"], least: 1, most: 1000 },
        { kinds: ["boolean"], least: 0 },
      ],
      tickNs: 5_000_000_000,
      warmUpSamples: 4,
    };
  }

  constructor(setup) {
    const settings = config(setup.config, { above: "number" }, { deadband: "number", window: "number" });
    ({ above: this.above, deadband: this.deadband = 0, window: this.window = 4 } = settings);
    if (this.deadband < 0) throw new Refusal("config", "it is negative", "deadband");
    if (!(this.window >= 1 && this.window <= WINDOW_MAX && Number.isInteger(this.window))) {
      throw new Refusal("config", "it is no whole number from 1 to 64", "window");
    }
    // `owes`: told again because a state was restored.
    this.channels = setup.signals.map((signal) => ({ signal, told: undefined, owes: false, last: [], learned: 0, highest: 0 }));
    this.frozen = false;
  }

  conditions() {
    const response = this.channels.map(({ signal }) => described(signal)).join("");
    return [{ ...ABOVE, response }, DEVIATION];
  }

  process(batch) {
    const answer = { verdicts: [], scores: [] };
    this.channels.forEach((channel, instance) => {
      if (batch.gaps.some((gap) => gap.signal === undefined || gap.signal === null || gap.signal === instance)) {
        channel.last = [];
      }
      if (!channel.owes) return;
      channel.owes = false;
      answer.verdicts.push({ instance, at: batch.now, level: channel.told, why: "as it was before the restart" });
    });
    for (let row = 0; row < batch.value.length; row++) this.judge(batch, row, answer);
    const have = Math.min(...this.channels.map(({ last }) => last.length), this.window);
    const phase = have < this.window ? "learning" : "ready";
    return { ...answer, progress: { phase, have, need: this.window, note: note(batch) } };
  }

  judge(batch, row, { verdicts, scores }) {
    const [instance, at, value] = [batch.signal[row], batch.time[row], batch.value[row]];
    const channel = this.channels[instance];
    const low = this.above - this.deadband;
    let level = "unknown";
    if (usable(batch, row)) {
      const isActive = value > this.above || (channel.told === "active" && value >= low);
      level = isActive ? "active" : "normal";
      channel.last = [...channel.last, value].slice(-this.window);
      scores.push({ condition: 1, instance, at, score: Math.abs(value - mean(channel.last)) });
    }
    if (channel.told === level) return;
    channel.told = level;
    channel.owes = false;
    if (level === "unknown") {
      verdicts.push({ instance, at, level, why: "there is no usable value" });
      return;
    }
    const side = level === "active" ? "is above" : "is not above";
    const why = `${show(channel.signal, value)} ${side} ${show(channel.signal, this.above)}`;
    const expected = this.deadband > 0 ? { low, high: this.above } : { high: this.above };
    verdicts.push({ instance, at, level, why, evidence: [{ signal: instance, observed: value, ...expected }] });
  }

  explain(condition, instance) {
    const { signal, last } = this.channels[instance];
    if (condition !== 1 || last.length === 0) return undefined;
    const [value, expected] = [last.at(-1), mean(last)];
    const why = `${show(signal, value)} is far from ${show(signal, expected)}`;
    const evidence = [{ signal: instance, observed: value, low: expected, high: expected }];
    return { condition, instance, at: whole(0), level: "active", score: Math.abs(value - expected), why, evidence };
  }

  save() {
    const parts = this.channels.flatMap(({ told, last }) => [
      Uint8Array.of(told === undefined ? NEVER : LEVELS.indexOf(told), last.length),
      new Uint8Array(Float64Array.from(last).buffer),
    ]);
    return Uint8Array.from(parts.flatMap((part) => [...part]));
  }

  load(stateVersion, state) {
    if (stateVersion !== STATE_VERSION) throw new Refusal("state", "its version is not 1");
    const bytes = Uint8Array.from(state);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const channel of this.channels) {
      if (at + 2 > bytes.length) throw new Refusal("state", "it is cut short");
      const [told, count] = [bytes[at], bytes[at + 1]];
      at += 2;
      if (at + 8 * count > bytes.length) throw new Refusal("state", "it is cut short");
      channel.told = LEVELS[told];
      channel.owes = channel.told !== undefined && channel.told !== "normal";
      channel.last = Array.from({ length: count }, (_, one) => view.getFloat64(at + 8 * one, true));
      at += 8 * count;
    }
    if (at !== bytes.length) throw new Refusal("state", "it is too long");
  }

  learn(batch) {
    if (batch.mode === 13) throw new Refusal("signals", "it learns nothing in mode 13");
    if (this.frozen) return;
    for (const { signal, value } of usableRows(batch)) {
      const channel = this.channels[signal];
      if (channel.learned === 0 || value > channel.highest) channel.highest = value;
      channel.learned++;
    }
  }

  freeze(on) {
    this.frozen = on;
  }

  forget(signal) {
    this.channels.forEach((channel, index) => {
      if (signal === undefined || signal === index) Object.assign(channel, { learned: 0, highest: 0 });
    });
  }

  model() {
    const line = ({ signal, learned, highest }) => `${signal.name} ${learned} ${number(highest)}\n`;
    return utf8(this.channels.map(line).join(""));
  }

  observe(frame, now, events) {
    const verdicts = events.map(({ time, source, eventType, severity, user, message, fields }) => {
      if (message === "refuse") throw new Refusal("signals", "it was asked to");
      const all = fields.map(([name, value]) => ` ${name}=${value}`).join("");
      const why = `${eventType} ${severity} ${user ?? "-"}: ${message}${all}`;
      return { instance: source, at: time, level: severity >= 500 ? "active" : "normal", why, score: severity };
    });
    return { verdicts, progress: { phase: "ready", have: events.length, need: 0, note: `frame ${frame}` } };
  }
}

/** A text's bytes: engines without TextEncoder have this at least. */
const utf8 = (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0));

export const { detector, state, learner, eventsIn } = component(Reference);
