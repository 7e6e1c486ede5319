// An OPC UA server (node-opcua) whose variables `ns=2;s=<name>` are served by hand and keep their history in memory.
//
//     node history_server.mjs --port 4841 --first 2024-03-01T00:00:00 --signals a_feed,b_feed [--no-history]
//
// With `--history FILE` it keeps what it serves there, and has it again after a restart.
// With `--range LOW HIGH` they have an EURange. With `--encrypted` it offers Basic256Sha256 alone, signed and encrypted, and trusts every client. Speaks the same lines
// as `recorded_server.py`: `set`, `record` and `forget`.

import { appendFileSync, existsSync, readFileSync } from "node:fs";

import { DataType, MessageSecurityMode, SecurityPolicy, StatusCodes, Variant } from "node-opcua";

import { answerRequests, plainServer, say } from "./lines.mjs";

const NAMESPACE = "urn:watchfire:test:recording";

/** Longer than the sampling interval of any item: this server samples every 50 ms at the most. */
const SAMPLED_MS = 120;

function options() {
  const given = { signals: [], history: true };
  const words = process.argv.slice(2);
  while (words.length > 0) {
    const word = words.shift();
    if (word === "--port") given.port = Number(words.shift());
    else if (word === "--first") given.first = Date.parse(`${words.shift()}Z`);
    else if (word === "--signals") given.signals = words.shift().split(",");
    else if (word === "--no-history") given.history = false;
    else if (word === "--history") given.file = words.shift();
    else if (word === "--encrypted") given.encrypted = true;
    else if (word === "--range") given.range = { low: Number(words.shift()), high: Number(words.shift()) };
    else throw new Error(`unknown option ${word}`);
  }
  return given;
}

async function main() {
  const { port, first, signals, history, file, encrypted, range } = options();
  const security = encrypted
    ? { securityModes: [MessageSecurityMode.SignAndEncrypt], securityPolicies: [SecurityPolicy.Basic256Sha256] }
    : {};
  const server = await plainServer(port, { resourcePath: "/recorded", ...security });
  const space = server.engine.addressSpace;
  const namespace = space.registerNamespace(NAMESPACE);
  const variables = {};
  const served = {};
  for (const signal of signals) {
    const asked = { nodeId: `s=${signal}`, browseName: signal, dataType: "Double", organizedBy: space.rootFolder.objects };
    variables[signal] = range
      ? namespace.addAnalogDataItem({ ...asked, engineeringUnitsRange: range })
      : namespace.addVariable(asked);
    if (history) space.installHistoricalDataNode(variables[signal], { maxOnlineValues: 100_000 });
    served[signal] = [];
  }
  const show = ({ signal, seconds, value, status }) => {
    const time = first + Math.round(seconds * 1000);
    const code = status === 0 ? StatusCodes.Good : StatusCodes.BadSensorFailure;
    variables[signal].setValueFromSource(new Variant({ dataType: DataType.Double, value }), code, new Date(time));
    return { time, code };
  };
  if (file && existsSync(file)) {
    const kept = readFileSync(file, "utf8").split("\n").filter(Boolean);
    kept.forEach((line) => show(JSON.parse(line)));
  }
  await server.start();
  say({ ready: port, namespace: namespace.index });
  const able = {
    set: async ({ signal, seconds, value, status }) => {
      if (file) appendFileSync(file, `${JSON.stringify({ signal, seconds, value, status })}\n`);
      const { time, code } = show({ signal, seconds, value, status });
      served[signal].push([time * 1e6, value, code.value, `${value}`]);
      // What changes again before it is sampled is in the history alone.
      await new Promise((sampled) => setTimeout(sampled, SAMPLED_MS));
      return { served: 1 };
    },
    record: () => ({ served }),
    forget: () => {
      const sessions = server.engine.getSessions();
      for (const session of sessions) server.engine.closeSession(session.authenticationToken, false, "Timeout");
      return { forgotten: sessions.length };
    },
  };
  await answerRequests(able);
  await server.shutdown(0);
  process.exit(0);
}

await main();
