// OPC UA servers (node-opcua) that take little, and count what they are asked for.
//
//     node small_server.mjs plain=4841 BadTooManyOperations=4842 full=4843 …
//
// Each has the variables `ns=2;s=v0` to `v1099`, Doubles. `plain` takes all, and keeps the history of the first 200;
// `full` has room for 120 monitored items; one that is named after a status refuses with it whatever has more than 60
// operations. None tells its limits. Requests change every variable, ask for the most operations that a request of each sort
// has had which was taken, and how many items and subscriptions there are:
//
//     {"do": "change", "of": "plain"}
//     {"do": "most", "of": "plain"}
//     {"do": "items", "of": "plain"}

import { DataType, ServiceFault, StatusCodes, Variant } from "node-opcua";

import { answerRequests, plainServer, say } from "./lines.mjs";

const NAMESPACE = "urn:watchfire:test:small";
const VARIABLES = 1100;
const WITH_HISTORY = 200;
const TAKEN_MAX = 60;
const ROOM = 120;

/** What of a request are operations, by its name. */
const OPERATIONS = {
  ReadRequest: "nodesToRead",
  BrowseRequest: "nodesToBrowse",
  BrowseNextRequest: "continuationPoints",
  TranslateBrowsePathsToNodeIdsRequest: "browsePaths",
  CreateMonitoredItemsRequest: "itemsToCreate",
  DeleteMonitoredItemsRequest: "monitoredItemIds",
  HistoryReadRequest: "nodesToRead",
};

async function start(name, port) {
  const unlimited = { maxNodesPerRead: 0, maxNodesPerBrowse: 0, maxMonitoredItemsPerCall: 0 };
  const server = await plainServer(port, { serverCapabilities: { operationLimits: unlimited } });
  const space = server.engine.addressSpace;
  const namespace = space.registerNamespace(NAMESPACE);
  const made = Array.from({ length: VARIABLES }, (_, at) =>
    namespace.addVariable({
      nodeId: `s=v${at}`,
      browseName: `v${at}`,
      dataType: "Double",
      organizedBy: space.rootFolder.objects,
      value: { dataType: "Double", value: 0 },
    }),
  );
  const seen = { most: {}, items: 0, subscriptions: 0, refused: 0 };
  if (name === "plain") made.slice(0, WITH_HISTORY).forEach((node) => space.installHistoricalDataNode(node, {}));
  server.on("newChannel", (channel) => {
    const send = channel.send_response.bind(channel);
    channel.send_response = (kind, response, message, ...rest) => {
      const { request } = message;
      const sort = request.constructor.name;
      const count = request[OPERATIONS[sort]]?.length ?? 0;
      if (StatusCodes[name] && count > TAKEN_MAX) {
        const { requestHandle } = response.responseHeader;
        const fault = new ServiceFault({ responseHeader: { requestHandle, serviceResult: StatusCodes[name] } });
        return send(kind, fault, message, ...rest);
      }
      if (count > 0) {
        const key = sort.replace("Request", "");
        seen.most[key] = Math.max(seen.most[key] ?? 0, count);
      }
      if (sort === "CreateSubscriptionRequest") seen.subscriptions += 1;
      if (sort === "CreateMonitoredItemsRequest") {
        for (const result of response.results ?? []) {
          if (name === "full" && seen.items >= ROOM) {
            result.statusCode = StatusCodes.BadTooManyMonitoredItems;
            seen.refused += 1;
          } else {
            seen.items += 1;
          }
        }
      }
      return send(kind, response, message, ...rest);
    };
  });
  await server.start();
  let value = 0;
  const change = () => {
    value += 1;
    for (const node of made) node.setValueFromSource(new Variant({ dataType: DataType.Double, value }));
  };
  return { seen, change };
}

async function main() {
  const servers = {};
  for (const word of process.argv.slice(2)) {
    const [name, port] = word.split("=");
    servers[name] = await start(name, Number(port));
  }
  say({ ready: Object.keys(servers) });
  const able = {
    change: ({ of }) => {
      servers[of].change();
      return {};
    },
    most: ({ of }) => ({ most: servers[of].seen.most }),
    items: ({ of }) => servers[of].seen,
  };
  await answerRequests(able);
  process.exit(0);
}

await main();
