// OPC UA servers (node-opcua) that lie, each in a way of its own: what they would answer is changed before it is sent.
//
//     node lying_server.mjs browse=4841 handles=4842 …
//
// Each has the variables `ns=2;s=a` and `ns=2;s=b`, which count up every 50 ms, `ns=2;s=text`, and what `lies` says of it.
// Requests make `text` of one of them long, and give `many` so many elements:
//
//     {"do": "text", "of": "long", "length": 3000000}
//     {"do": "many", "of": "long", "length": 1200000}

import {
  BrowseResult,
  DataType,
  HistoryData,
  HistoryReadResult,
  NodeClass,
  ServiceFault,
  StatusCodes,
  Variant,
  VariantArrayType,
  coerceNodeId,
} from "node-opcua";

import { answerRequests, plainServer, say } from "./lines.mjs";

const NAMESPACE = "urn:watchfire:test:lies";
const EVERY_MS = 50;
const MORE = Buffer.from("more");
const ABSURD = 4294967295;

/** So many references in an answer, each to another node, whatever was asked for. */
const CROWD = 5000;
let names = 0;
const references = (count) =>
  Array.from({ length: count }, () => {
    const name = `made-up ${names++}`;
    return {
      referenceTypeId: coerceNodeId("i=35"),
      isForward: true,
      nodeId: coerceNodeId(`ns=2;s=${name}`),
      browseName: { namespaceIndex: 2, name },
      displayName: { text: name },
      nodeClass: NodeClass.Object,
      typeDefinition: coerceNodeId("i=58"),
    };
  });

/** Of BrowseNext: more and more. */
const goesOn = (count) => (response) => {
  response.responseHeader.serviceResult = StatusCodes.Good;
  const one = () => new BrowseResult({ continuationPoint: MORE, references: references(count) });
  response.results = response.results.map(one);
  return response;
};
const begins = (response) => {
  for (const result of response.results) result.continuationPoint = MORE;
  return response;
};

/** Of BrowseNext: where it was is forgotten. */
const forgotten = (response, request) => {
  response.responseHeader.serviceResult = StatusCodes.Good;
  const none = () => new BrowseResult({ statusCode: StatusCodes.BadContinuationPointInvalid });
  response.results = request.continuationPoints.map(none);
  return response;
};
/** An answer for each but the last, where there are several. */
const fewer = (response) => {
  if (response.results.length > 1) response.results.pop();
  return response;
};

/** After so many messages of a subscription their numbers begin anew, once. */
const ANEW_AFTER = 30;
/** Each value of a message as `changed` makes it of a copy. */
const values = (changed) => (response) => {
  for (const data of response.notificationMessage.notificationData ?? []) {
    const { constructor } = data.monitoredItems?.[0] ?? {};
    data.monitoredItems = data.monitoredItems?.map(({ clientHandle, value }) => {
      return new constructor(changed({ clientHandle, value: value.clone() }));
    });
  }
  return response;
};
const HOUR_MS = 3_600_000;
const turns = { back: 0, types: 0 };
/** The handles of the items of `twins`, as they were asked for. */
const handles = [];

/** What each changes: by the server's name, and the name of the answer. */
const lies = {
  // There is always more, and nothing in it.
  browse: { BrowseResponse: begins, BrowseNextResponse: goesOn(0) },
  // There is always more, and more nodes in it.
  crowd: { BrowseResponse: begins, BrowseNextResponse: goesOn(CROWD) },
  // One id for all items, and values of handles that nobody gave out.
  handles: {
    CreateMonitoredItemsResponse: (response) => {
      for (const result of response.results) result.monitoredItemId = 7;
      return response;
    },
    PublishResponse: (response) => {
      for (const data of response.notificationMessage.notificationData ?? []) {
        const items = data.monitoredItems ?? [];
        const copies = items.map(({ value }, at) => ({ clientHandle: at % 2 ? 0 : ABSURD, value }));
        if (items.length > 0) data.monitoredItems = [...items, ...copies].map((item) => new items[0].constructor(item));
      }
      return response;
    },
  },
  // Intervals, counts and queues that are no numbers, or that nobody lives to see.
  revised: {
    CreateSubscriptionResponse: (response) => {
      response.revisedPublishingInterval = Number.NaN;
      response.revisedLifetimeCount = 0;
      response.revisedMaxKeepAliveCount = ABSURD;
      return response;
    },
    CreateMonitoredItemsResponse: (response) => {
      response.results.forEach((result, at) => {
        result.revisedSamplingInterval = [Number.NaN, -1, 1e300][at % 3];
        result.revisedQueueSize = at % 2 ? ABSURD : 0;
      });
      return response;
    },
  },
  // Its history has no end: a little later each time, or the same again.
  history: {
    HistoryReadResponse: (response, request) => {
      const from = request.historyReadDetails.startTime.getTime();
      response.results = request.nodesToRead.map(({ continuationPoint }) => {
        const page = continuationPoint?.length ? Number(continuationPoint.toString()) : 0;
        const time = new Date(from + 1 + (page % 2 ? page : page - 1));
        const value = { value: new Variant({ dataType: DataType.Double, value: page }), sourceTimestamp: time };
        return { continuationPoint: Buffer.from(`${page + 1}`), historyData: new HistoryData({ dataValues: [value] }) };
      });
      response.results = response.results.map((result) => new HistoryReadResult(result));
      return response;
    },
  },
  // One at a time of some, and as many as one likes of others.
  limits: {},
  // Texts of three million letters.
  long: {},
  // A request with one bad node in it is refused as a whole.
  spoils: {},
  // More at once than it says is too much.
  claims: {},
  // Answers that are fewer than the questions.
  fewer: { CreateMonitoredItemsResponse: fewer, ReadResponse: fewer },
  // There is more, and where it was is forgotten.
  forgets: { BrowseResponse: begins, BrowseNextResponse: forgotten },
  // The numbers of its messages begin anew.
  anew: {
    PublishResponse: (response) => {
      const message = response.notificationMessage;
      if (message.sequenceNumber > ANEW_AFTER) message.sequenceNumber -= ANEW_AFTER;
      return response;
    },
  },
  // Every second value is an hour older than the one before it.
  back: {
    PublishResponse: values(({ clientHandle, value }) => {
      turns.back += 1;
      const { sourceTimestamp } = value;
      if (sourceTimestamp && turns.back % 2 === 0) value.sourceTimestamp = new Date(sourceTimestamp.getTime() - HOUR_MS);
      return { clientHandle, value };
    }),
  },
  // Every tenth value is a text, whatever its node is.
  types: {
    PublishResponse: values(({ clientHandle, value }) => {
      turns.types += 1;
      if (turns.types % 10 === 0) value.value = new Variant({ dataType: DataType.String, value: "no number" });
      return { clientHandle, value };
    }),
  },
  // What comes of the second item has the handle of the first one.
  twins: {
    CreateMonitoredItemsResponse: (response, request) => {
      handles.push(...request.itemsToCreate.map((item) => item.requestedParameters.clientHandle));
      return response;
    },
    PublishResponse: values(({ clientHandle, value }) => {
      return { clientHandle: clientHandle === handles[1] ? handles[0] : clientHandle, value };
    }),
  },
};

/** How many things a request is about. */
const sizeOf = (request) => (request.itemsToCreate ?? request.nodesToRead ?? []).length;
const isOf = (request, signal) => {
  const nodes = request.itemsToCreate?.map((item) => item.itemToMonitor) ?? request.nodesToRead ?? [];
  return nodes.some(({ nodeId }) => nodeId.toString() === `ns=2;s=${signal}`);
};
/** Requests that are not carried out, by the server's name: with what they are refused as a whole. */
const refuses = {
  spoils: (request) => (isOf(request, "text") ? StatusCodes.BadInternalError : null),
  claims: (request) => (sizeOf(request) > 1 ? StatusCodes.BadTooManyOperations : null),
};
const REFUSED = ["CreateMonitoredItemsRequest", "ReadRequest"];

const LIMITS = { maxNodesPerRead: 1, maxNodesPerBrowse: 1, maxMonitoredItemsPerCall: 1 };

async function start(name, port) {
  const serverCapabilities = name === "limits" ? { operationLimits: LIMITS } : {};
  const server = await plainServer(port, { serverCapabilities });
  const space = server.engine.addressSpace;
  const namespace = space.registerNamespace(NAMESPACE);
  const variable = (signal, dataType) =>
    namespace.addVariable({
      nodeId: `s=${signal}`,
      browseName: signal,
      dataType,
      organizedBy: space.rootFolder.objects,
      value: { dataType, value: dataType === "Double" ? 0 : "" },
    });
  const many = namespace.addVariable({
    nodeId: "s=many",
    browseName: "many",
    dataType: "Boolean",
    valueRank: 1,
    organizedBy: space.rootFolder.objects,
    value: { dataType: "Boolean", arrayType: VariantArrayType.Array, value: [false, true] },
  });
  const [a, b, text] = [variable("a", "Double"), variable("b", "Double"), variable("text", "String")];
  if (name === "history") [a, b].forEach((node) => space.installHistoricalDataNode(node, {}));
  for (const request of refuses[name] ? REFUSED : []) {
    const answer = server[`_on_${request}`].bind(server);
    server[`_on_${request}`] = (message, channel) => {
      const serviceResult = refuses[name](message.request);
      if (!serviceResult) return answer(message, channel);
      return channel.send_response("MSG", new ServiceFault({ responseHeader: { serviceResult } }), message);
    };
  }
  server.on("newChannel", (channel) => {
    const send = channel.send_response.bind(channel);
    channel.send_response = (kind, response, message, ...rest) => {
      const lie = lies[name][response.constructor.name];
      return send(kind, lie ? lie(response, message.request) : response, message, ...rest);
    };
  });
  await server.start();
  let count = 0;
  setInterval(() => {
    count += 1;
    for (const node of [a, b]) node.setValueFromSource(new Variant({ dataType: DataType.Double, value: count }));
  }, EVERY_MS);
  return { text, many };
}

async function main() {
  const servers = {};
  for (const word of process.argv.slice(2)) {
    const [name, port] = word.split("=");
    servers[name] = await start(name, Number(port));
  }
  say({ ready: Object.keys(servers) });
  const able = {
    text: ({ of, length }) => {
      servers[of].text.setValueFromSource(new Variant({ dataType: DataType.String, value: "x".repeat(length) }));
      return { length };
    },
    many: ({ of, length }) => {
      const value = new Array(length).fill(true);
      const arrayType = VariantArrayType.Array;
      servers[of].many.setValueFromSource(new Variant({ dataType: DataType.Boolean, arrayType, value }));
      return { length };
    },
  };
  await answerRequests(able);
  process.exit(0);
}

await main();
