/**
 * The contract's defaults, and what is awkward about it in JavaScript: 64-bit whole numbers, and rows out of columns.
 * The contract itself is in `wit/`; its names are the same here in camelCase, cases of an enumeration are texts.
 */

/** Bits of the quality column. */
export const LATE = 1, OVERFLOW = 2, ROUNDED = 4, SERVER_TIME = 8, DISTRUSTED = 16;

/**
 * A 64-bit whole number as the engine has it: a number in QuickJS, where whole numbers above 2^53 are rounded (times to
 * 256 ns); BigInt in StarlingMonkey (`build.mjs --exact`) and Node.js.
 */
const isQuickJs = typeof globalThis.wit === "object" || typeof globalThis.wit === "function";
export const whole = isQuickJs ? Number : BigInt;

/** Whether a row's value can be judged: not bad, a number, and nobody distrusts it. */
export function usable(batch, row) {
  const isBad = batch.status[row] >>> 31 !== 0 || (batch.quality[row] & DISTRUSTED) !== 0;
  return !isBad && Number.isFinite(batch.value[row]);
}

/** Signal, time and value of the rows that can be judged. */
export function* usableRows(batch) {
  for (let row = 0; row < batch.value.length; row++) {
    if (usable(batch, row)) yield { signal: batch.signal[row], time: batch.time[row], value: batch.value[row] };
  }
}

/** Thrown in place of an answer: whose fault (`config`, `signals`, `model`, `state`, `bug`), why, and the key if any. */
export class Refusal extends Error {
  constructor(blame, message, key = undefined) {
    super(message);
    this.blame = blame;
    this.key = key;
  }
}

/** Each function fills in what was left out. */
export const condition = (said) => ({
  scope: "signal", decides: "plugin", scale: "neg-log10-p", alarmType: "OffNormalAlarmType", severity: 500, text: "",
  response: "", ...said,
});

export const description = (said) => ({
  title: "", stateVersion: 1, configSchema: "", ...said,
  conditions: (said.conditions ?? []).map(condition),
  slots: (said.slots ?? [{}]).map((slot) => ({ role: "", kinds: ["real"], least: 1, most: undefined, ...slot })),
  tickNs: said.tickNs === undefined ? undefined : whole(said.tickNs),
  warmUpSamples: whole(said.warmUpSamples ?? 0),
});

export const verdict = (said) => ({
  condition: 0, score: undefined, why: "", ...said,
  evidence: (said.evidence ?? []).map((finding) => ({ low: undefined, high: undefined, share: 1, ...finding })),
});

/** `scores` is a list of `{condition, instance, at, score}` here, columns in the contract. */
export function outcome({ verdicts = [], scores = [], progress = undefined } = {}) {
  return {
    scores: {
      condition: Uint16Array.from(scores, (one) => one.condition ?? 0),
      instance: Uint32Array.from(scores, (one) => one.instance),
      at: (isQuickJs ? Array : BigInt64Array).from(scores, (one) => one.at),
      score: Float64Array.from(scores, (one) => one.score),
    },
    verdicts: verdicts.map(verdict),
    progress: progress && { note: "", ...progress, have: whole(progress.have), need: whole(progress.need) },
  };
}
