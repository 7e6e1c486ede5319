/**
 * What a Watchfire detector is written with: the configuration's keys, rows, numbers for sentences, and `component`,
 * which makes a component's exports of a class.
 */
import { Refusal, condition, description, outcome, verdict } from "./contract.js";

export { config } from "./config.js";
export { DISTRUSTED, LATE, OVERFLOW, ROUNDED, Refusal, SERVER_TIME, usable, usableRows, whole } from "./contract.js";
export { number, show } from "./show.js";

/** What the component model makes a refusal of. */
function answer(call) {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw { blame: error.blame, key: error.key, message: error.message };
  }
}

/**
 * The component's exports: `export const { detector, state } = component(Kind)`. A `Kind` has `static describe()`, a
 * constructor that takes the setup, `conditions()` and `process(batch)`; where they are needed
 * `explain(condition, instance)`, `save()` (a Uint8Array) and `load(stateVersion, state)`.
 *
 * `{ detector, state, learner, eventsIn }` has those too that a detector may have beside: for `learner` `learn(batch)`,
 * `freeze(on)`, `forget(signal)` (undefined: all) and `model()` (a Uint8Array), for `eventsIn` `observe(frame, now,
 * events)`. Export their interfaces in `wit/guest.wit`.
 */
export function component(Kind) {
  let its;
  const started = () => {
    if (!its) throw new Refusal("bug", "called before `init`");
    return its;
  };
  return {
    detector: {
      describe: () => description(Kind.describe()),
      init: (setup) => answer(() => {
        its = new Kind(setup);
        return its.conditions().map(condition);
      }),
      process: (batch) => answer(() => outcome(started().process(batch))),
      explain: (index, instance) => {
        const said = its?.explain?.(index, instance);
        return said && verdict(said);
      },
    },
    state: {
      save: () => its?.save?.() ?? new Uint8Array(0),
      load: (version, bytes) => answer(() => {
        if (started().load) its.load(version, bytes);
        else if (bytes.length > 0) throw new Refusal("state", "this detector keeps no state");
      }),
    },
    learner: {
      learn: (batch) => answer(() => void started().learn(batch)),
      freeze: (on) => started().freeze(on),
      forget: (signal) => started().forget(signal ?? undefined),
      model: () => started().model(),
    },
    eventsIn: {
      observe: (frame, now, events) => answer(() => outcome(started().observe(frame, now, events))),
    },
  };
}
