// An HMI made with node-opcua: its own alarm list (`installAlarmMonitoring`), and what a test asks of it.
//
//     node hmi_node.mjs --url opc.tcp://127.0.0.1:4840 [--user NAME PASSWORD | --user-certificate FILE KEY] [--pki FOLDER] [--policy NAME]
//
// Speaks the same lines as `hmi_asyncua.py`. Events are what the alarm list makes of them (`alarmChanged`); the markers
// of a refresh are seen on the monitored item below it. With `--pki` the connection is Basic256Sha256 SignAndEncrypt;
// without, the certificate that node-opcua makes all the same stays in the tests' own folder.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  AttributeIds,
  DataType,
  HistoryReadRequest,
  MessageSecurityMode,
  NodeId,
  OPCUACertificateManager,
  OPCUAClient,
  ReadAtTimeDetails,
  ReadEventDetails,
  SecurityPolicy,
  TimestampsToReturn,
  UserTokenType,
  Variant,
  acknowledgeCondition,
  callConditionRefresh,
  callMethodCondition,
  confirmCondition,
  constructEventFilter,
  extractConditionFields,
  installAlarmMonitoring,
  makeBrowsePath,
  ofType,
  resolveNodeId,
} from "node-opcua";

import { answerRequests, say } from "./lines.mjs";

const MARKERS = {
  "ns=0;i=2787": "RefreshStart",
  "ns=0;i=2788": "RefreshEnd",
  "ns=0;i=2789": "RefreshRequired",
  "ns=0;i=3035": "EventQueueOverflow",
};

/** The alarm list takes up events 10 ms after they come: so much later is told that a refresh is over. */
const LIST_DELAY_MS = 60;
/** How long the first refresh may take before the list is taken as it is. */
const LIST_WHOLE_MS_MAX = 3000;

/** A NodeId as everybody writes it: no `ns=0;`. */
const nodeText = (id) => (!id || NodeId.sameNodeId(id, NodeId.nullNodeId) ? null : id.toString().replace(/^ns=0;/, ""));

/** The value of a field as JSON; null where the server sent none. */
const value = (field) => {
  const found = field?.value;
  if (found === undefined || found === null) return null;
  if (found instanceof NodeId) return nodeText(found);
  if (Buffer.isBuffer(found)) return found.toString("hex");
  if (found instanceof Date) return found.toISOString();
  if (typeof found === "object") return found.text !== undefined ? found.text : (found.name ?? found.toString());
  return found;
};

const event = (fields) => ({
  conditionId: value(fields.conditionId),
  conditionName: value(fields.conditionName),
  conditionClass: value(fields.conditionClassName),
  event: value(fields.eventId),
  type: value(fields.eventType),
  sourceNode: value(fields.sourceNode),
  source: value(fields.sourceName),
  time: value(fields.time),
  received: value(fields.receiveTime),
  message: value(fields.message),
  severity: value(fields.severity),
  branch: value(fields.branchId),
  retain: value(fields.retain),
  enabled: value(fields.enabledState?.id),
  active: value(fields.activeState?.id),
  acked: value(fields.ackedState?.id),
  confirmed: value(fields.confirmedState?.id),
  comment: value(fields.comment),
  user: value(fields.clientUserId),
  quality: value(fields.quality),
  lastSeverity: value(fields.lastSeverity),
  aside: value(fields.suppressedOrShelved),
  suppressed: value(fields.suppressedState?.id),
  outOfService: value(fields.outOfServiceState?.id),
  silenced: value(fields.silenceState?.id),
  shelving: value(fields.shelvingState?.currentState),
});

function options() {
  const given = { user: null, pki: null, policy: "Basic256Sha256" };
  const words = process.argv.slice(2);
  while (words.length > 0) {
    const word = words.shift();
    if (word === "--url") given.url = words.shift();
    else if (word === "--pki") given.pki = words.shift();
    else if (word === "--policy") given.policy = words.shift();
    else if (word === "--user-certificate") {
      const certificateData = readFileSync(words.shift());
      given.user = { type: UserTokenType.Certificate, certificateData, privateKey: readFileSync(words.shift(), "utf8") };
    } else if (word === "--user") given.user = { type: UserTokenType.UserName, userName: words.shift(), password: words.shift() };
    else throw new Error(`unknown option ${word}`);
  }
  return given;
}

async function connect({ url, user, pki, policy }) {
  const security = pki
    ? { securityMode: MessageSecurityMode.SignAndEncrypt, securityPolicy: SecurityPolicy[policy] }
    : { securityMode: MessageSecurityMode.None, securityPolicy: SecurityPolicy.None };
  const rootFolder = pki ?? fileURLToPath(new URL("../../third_party/node-pki", import.meta.url));
  const clientCertificateManager = new OPCUACertificateManager({ rootFolder, automaticallyAcceptUnknownCertificate: true });
  await clientCertificateManager.initialize();
  const client = OPCUAClient.create({
    applicationName: "watchfire-test-hmi",
    clientCertificateManager,
    endpointMustExist: false,
    connectionStrategy: { maxRetry: 0, initialDelay: 100 },
    // Milliseconds: the machine may be busy.
    defaultTransactionTimeout: 60_000,
    requestedSessionTimeout: 180_000,
    ...security,
  });
  await client.connect(url);
  return { client, session: await client.createSession(user ?? undefined) };
}

/** The method that a path of browse names leads to from a node, and the object that has it. */
async function found(session, node, path) {
  const names = path.split("/");
  const follow = async (names) => {
    if (names.length === 0) return node;
    const answer = await session.translateBrowsePath(makeBrowsePath(node, names.map((name) => `/${name}`).join("")));
    if (!answer.targets?.length) throw new Error(`there is no ${names.join("/")} below ${node}`);
    return answer.targets[0].targetId;
  };
  return { object: await follow(names.slice(0, -1)), method: await follow(names) };
}

/** An argument of a method: bytes are given as hex, times in milliseconds since 1970. */
function argument([type, given]) {
  const made = { ByteString: (hex) => Buffer.from(hex, "hex"), DateTime: (ms) => new Date(ms), NodeId: resolveNodeId };
  return new Variant({ dataType: DataType[type], value: made[type] ? made[type](given) : given });
}

/** Calls a method; the name of its result, and what it gives back. */
async function called(session, objectId, methodId, given) {
  const answer = await session.call({ objectId, methodId, inputArguments: given.map(argument) });
  const outputs = (answer.outputArguments ?? []).map((one) => (Array.isArray(one.value) ? one.value.map((each) => value({ value: each })) : value(one)));
  return { result: answer.statusCode.name, outputs: outputs.length === 1 ? outputs[0] : outputs };
}

/** A subscription of its own. */
function subscribed(session, publishingEnabled) {
  return session.createSubscription2({
    requestedPublishingInterval: 100,
    requestedLifetimeCount: 10000,
    requestedMaxKeepAliveCount: 100,
    maxNotificationsPerPublish: 0,
    publishingEnabled,
    priority: 0,
  });
}

/** Everything that a test can ask. */
function handlers(session) {
  let values;
  const onEvent = (call) => async ({ condition, event: id, text }) => {
    const result = await call(session, condition, Buffer.from(id, "hex"), text ?? "");
    return { result: result.name };
  };
  const node = (text) => ({ nodeId: text, attributeId: AttributeIds.Value });
  return {
    acknowledge: onEvent(acknowledgeCondition),
    confirm: onEvent(confirmCondition),
    comment: onEvent((on, ...rest) => callMethodCondition(on, "AddComment", ...rest)),
    refresh: async ({ subscription }) => {
      const number = subscription ?? session.$subscriptionForAlarmList.subscriptionId;
      return { result: (await callConditionRefresh(session, number)).name };
    },
    refresh_item: async ({ subscription, item }) => {
      const numbers = [
        subscription ?? session.$subscriptionForAlarmList.subscriptionId,
        item ?? session.$monitoredItemForAlarmList.monitoredItemId,
      ];
      const [object, method] = ["ConditionType", "ConditionType_ConditionRefresh2"].map((name) => resolveNodeId(name));
      return called(session, object, method, numbers.map((number) => ["UInt32", number]));
    },
    subscriptions: async () => {
      if (!values) {
        values = await subscribed(session, true);
        const watched = { nodeId: "i=2258", attributeId: AttributeIds.Value };
        await values.monitor(watched, { samplingInterval: 1000, queueSize: 1 }, TimestampsToReturn.Neither);
      }
      const alarms = session.$subscriptionForAlarmList.subscriptionId;
      return { alarms, item: session.$monitoredItemForAlarmList.monitoredItemId, values: values.subscriptionId };
    },
    silent: async () => {
      const silent = await subscribed(session, false);
      const watched = { nodeId: "i=2253", attributeId: AttributeIds.EventNotifier };
      const asked = { samplingInterval: 0, queueSize: 2, discardOldest: true, filter: constructEventFilter(["EventId"]) };
      await silent.monitor(watched, asked, TimestampsToReturn.Neither);
      return { subscription: silent.subscriptionId };
    },
    method: async ({ node: nodeId, path, arguments: given }) => {
      const { object, method } = await found(session, nodeId, path);
      return called(session, object, method, given);
    },
    invoke: async ({ node: nodeId, method, arguments: given }) => called(session, resolveNodeId(nodeId), resolveNodeId(method), given),
    read: async ({ nodes }) => {
      const found = await session.read(nodes.map(node));
      return { values: found.map((one) => ({ value: value(one.value), status: one.statusCode.name })) };
    },
    permissions: async ({ node: nodeId }) => {
      const found = await session.read({ nodeId, attributeId: AttributeIds.UserRolePermissions });
      return { permissions: found.value.value.map((one) => [nodeText(one.roleId), one.permissions]) };
    },
    write: async ({ node: nodeId, value: hex, text }) => {
      const bytes = () => ({ dataType: DataType.ByteString, value: Buffer.from(hex, "hex") });
      const written = { value: text === undefined ? bytes() : { dataType: DataType.String, value: text } };
      return { result: (await session.write({ ...node(nodeId), value: written })).name };
    },
    history: async ({ node: nodeId, from_ms: from, to_ms: to }) => {
      const found = await session.readHistoryValue(nodeId, new Date(from), new Date(to));
      const values = found.historyData?.dataValues ?? [];
      return { values: values.map((one) => [one.sourceTimestamp.getTime(), value(one.value)]) };
    },
    past: async ({ node: nodeId, from_ms: from, to_ms: to, kind }) => {
      const names = ["EventId", "Time", "Message", "ActiveState.Id"];
      const historyReadDetails = new ReadEventDetails({
        startTime: new Date(from),
        endTime: new Date(to),
        numValuesPerNode: 0,
        filter: constructEventFilter(names, ofType(kind)),
      });
      const nodesToRead = [{ nodeId }];
      const asked = { historyReadDetails, nodesToRead, timestampsToReturn: TimestampsToReturn.Both };
      const found = (await session.historyRead(new HistoryReadRequest(asked))).results[0];
      const events = found.historyData?.events ?? [];
      const [event, time, message, active] = names.map((_, place) => (one) => value(one.eventFields[place]));
      return { events: events.map((one) => ({ event: event(one), time: time(one), message: message(one), active: active(one) })) };
    },
    aggregate: async ({ node: nodeId, from_ms: from, to_ms: to, interval_ms: interval, function: aggregate }) => {
      const found = await session.readAggregateValue({ nodeId }, new Date(from), new Date(to), aggregate, interval);
      const values = found.historyData?.dataValues ?? [];
      return { values: values.map((one) => [one.sourceTimestamp.getTime(), value(one.value)]) };
    },
    at: async ({ node: nodeId, times_ms: times }) => {
      const reqTimes = times.map((time) => new Date(time));
      const asked = {
        historyReadDetails: new ReadAtTimeDetails({ reqTimes, useSimpleBounds: true }),
        nodesToRead: [{ nodeId }],
        timestampsToReturn: TimestampsToReturn.Both,
      };
      const found = (await session.historyRead(new HistoryReadRequest(asked))).results[0];
      const values = found.historyData?.dataValues ?? [];
      return { values: values.map((one) => [one.sourceTimestamp.getTime(), value(one.value)]) };
    },
    children: async ({ node: nodeId }) => {
      const found = await session.browse(nodeId);
      return { nodes: found.references.map((reference) => nodeText(reference.nodeId)) };
    },
  };
}

async function main() {
  let connected;
  try {
    connected = await connect(options());
  } catch (error) {
    say({ refused: error.message });
    process.exit(0);
  }
  const { client, session } = connected;
  const type = (await extractConditionFields(session, "AlarmConditionType")).indexOf("EventType");
  const list = await installAlarmMonitoring(session);
  const show = (alarm) => say({ event: event(alarm.fields), via: "alarms" });
  list.alarms().forEach(show);
  list.on("alarmChanged", show);
  const tell = (marker) => say({ marker, via: "alarms" });
  // Installing the list refreshes it: ready is who has it whole.
  await new Promise((whole) => {
    setTimeout(whole, LIST_WHOLE_MS_MAX);
    session.$monitoredItemForAlarmList.on("changed", (fields) => {
      const marker = MARKERS[fields[type].value?.toString()];
      if (marker === "RefreshEnd") setTimeout(() => (tell(marker), whole()), LIST_DELAY_MS);
      else if (marker) tell(marker);
    });
  });
  say({ ready: true });
  const able = handlers(session);
  await answerRequests(able);
  await session.close(true);
  await client.disconnect();
  process.exit(0);
}

await main();
