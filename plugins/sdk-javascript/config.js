/** Reading a configuration, a flat JSON object, so that a mistake is named by its key. */
import { Refusal } from "./contract.js";

const KINDS = { number: "a number", boolean: "`true` or `false`", string: "a text" };

/**
 * The configuration's values by key: `config(text, { above: "number" }, { name: "string" })`, the second optional.
 * Throws Refusal for a key that is unknown, missing or of another kind.
 */
export function config(text, required = {}, optional = {}) {
  let read;
  try {
    read = JSON.parse(text.trim() || "{}");
  } catch {
    read = null;
  }
  if (read === null || typeof read !== "object" || Array.isArray(read)) {
    throw new Refusal("config", "the configuration is no JSON object");
  }
  const known = { ...required, ...optional };
  for (const [key, value] of Object.entries(read)) {
    if (!Object.hasOwn(known, key)) throw new Refusal("config", "there is no such key", key);
    if (typeof value !== known[key]) throw new Refusal("config", `${KINDS[known[key]]} is expected`, key);
  }
  for (const key of Object.keys(required)) {
    if (!Object.hasOwn(read, key)) throw new Refusal("config", "it is missing", key);
  }
  return read;
}
