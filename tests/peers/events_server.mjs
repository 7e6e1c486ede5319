// An OPC UA server (node-opcua) with events: a limit alarm of the variable `ns=2;s=temperature` (above 80 and 90), and
// events of a type of its own, `MachineEventType` with the field `Machine`. It audits its sessions, for
// everybody to see.
//
//     node events_server.mjs --port 4841
//
// Requests: `set` with `value`; `raise` with `severity`, `message`, `machine`.

import { DataType, Variant, WellKnownRoles } from "node-opcua";

import { answerRequests, plainServer, say } from "./lines.mjs";

const NAMESPACE = "urn:watchfire:test:events";
const MACHINE_EVENT_TYPE = 5001;

async function main() {
  const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
  const server = await plainServer(port, { isAuditing: true, auditEventRoles: [WellKnownRoles.Anonymous] });
  const space = server.engine.addressSpace;
  space.installAlarmsAndConditionsService();
  const namespace = space.registerNamespace(NAMESPACE);
  const machine = namespace.addObject({
    browseName: "Press",
    organizedBy: space.rootFolder.objects,
    eventSourceOf: space.rootFolder.objects.server,
  });
  const temperature = namespace.addVariable({
    nodeId: "s=temperature",
    browseName: "temperature",
    dataType: "Double",
    componentOf: machine,
    eventSourceOf: machine,
    value: { dataType: DataType.Double, value: 20 },
  });
  const alarm = namespace.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", {
    browseName: "TooHot",
    componentOf: machine,
    conditionSource: temperature,
    inputNode: temperature,
    highHighLimit: 90,
    highLimit: 80,
    lowLimit: -100,
    lowLowLimit: -200,
  });
  alarm.setEnabledState(true);
  const eventType = namespace.addEventType({
    browseName: "MachineEventType",
    nodeId: `i=${MACHINE_EVENT_TYPE}`,
    subtypeOf: "BaseEventType",
  });
  namespace.addVariable({
    propertyOf: eventType,
    browseName: "Machine",
    dataType: "String",
    modellingRule: "Mandatory",
  });
  await server.start();
  say({ ready: port, namespace: namespace.index });
  const able = {
    set: ({ value }) => {
      temperature.setValueFromSource(new Variant({ dataType: DataType.Double, value }));
      return { value };
    },
    raise: ({ severity, message, machine: name }) => {
      machine.raiseEvent(eventType, {
        severity: { dataType: DataType.UInt16, value: severity },
        message: { dataType: DataType.LocalizedText, value: { text: message } },
        machine: { dataType: DataType.String, value: name },
      });
      return { severity };
    },
  };
  await answerRequests(able);
  await server.shutdown(0);
  process.exit(0);
}

await main();
