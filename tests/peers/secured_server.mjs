// An OPC UA server made with node-opcua that speaks every policy and mode that is safe, and none that is not.
//
//     node secured_server.mjs --port 4841 --certificate FILE --key FILE --pki FOLDER [--user-certificate FILE]
//
// It serves one variable, `ns=1;s=answer`, 42. It trusts every client. With `--user-certificate` whoever logs in must do
// so with exactly that certificate. It says `{"ready": port}` and ends when its standard input does.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  DataType,
  MessageSecurityMode,
  OPCUACertificateManager,
  OPCUAServer,
  SecurityPolicy,
  StatusCodes,
  Variant,
} from "node-opcua";

const { values: options } = parseArgs({
  options: {
    port: { type: "string" },
    certificate: { type: "string" },
    key: { type: "string" },
    pki: { type: "string" },
    "user-certificate": { type: "string" },
  },
});

const manager = (folder) =>
  new OPCUACertificateManager({ rootFolder: `${options.pki}/${folder}`, automaticallyAcceptUnknownCertificate: true });

const users = manager("users");
if (options["user-certificate"]) {
  const wanted = readFileSync(options["user-certificate"]);
  // It is called as every function of the library may be: with somebody to call back.
  users.checkCertificate = (shown, callback) => {
    const first = Array.isArray(shown) ? shown[0] : shown;
    callback(null, first.equals(wanted) ? StatusCodes.Good : StatusCodes.BadCertificateUntrusted);
  };
}
const clients = manager("clients");
await Promise.all([users.initialize(), clients.initialize()]);

const server = new OPCUAServer({
  port: Number(options.port),
  hostname: "127.0.0.1",
  certificateFile: options.certificate,
  privateKeyFile: options.key,
  serverCertificateManager: clients,
  userCertificateManager: users,
  allowAnonymous: !options["user-certificate"],
  securityModes: [MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
  securityPolicies: [
    SecurityPolicy.Basic256Sha256,
    SecurityPolicy.Aes128_Sha256_RsaOaep,
    SecurityPolicy.Aes256_Sha256_RsaPss,
  ],
  serverInfo: { applicationUri: "urn:watchfire:test:secured-server" },
});
await server.initialize();
const own = server.engine.addressSpace.getOwnNamespace();
own.addVariable({
  organizedBy: server.engine.addressSpace.rootFolder.objects,
  browseName: "answer",
  nodeId: "s=answer",
  dataType: "Double",
  value: { get: () => new Variant({ dataType: DataType.Double, value: 42 }) },
});
await server.start();
process.stdout.write(`${JSON.stringify({ ready: Number(options.port) })}\n`);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
