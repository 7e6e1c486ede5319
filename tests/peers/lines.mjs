// How a test and a peer of node-opcua talk, as in `lines.py`; and the plain server that such peers are made of.

import readline from "node:readline";
import { fileURLToPath } from "node:url";
import { MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy } from "node-opcua";

/** One line to the test. */
export const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

/** Answers requests by what `able` has for them, one after the other, until standard input ends. */
export async function answerRequests(able) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    try {
      say({ id: request.id, ...(await able[request.do](request)) });
    } catch (error) {
      say({ id: request.id, error: error.message });
    }
  }
}

/** A server without security, open to everyone; initialized, so that its nodes can be made. */
export async function plainServer(port, options = {}) {
  const rootFolder = fileURLToPath(new URL(`../../third_party/node-pki/server-${port}`, import.meta.url));
  const serverCertificateManager = new OPCUACertificateManager({ rootFolder, automaticallyAcceptUnknownCertificate: true });
  await serverCertificateManager.initialize();
  const server = new OPCUAServer({
    port,
    hostname: "127.0.0.1",
    allowAnonymous: true,
    securityModes: [MessageSecurityMode.None],
    securityPolicies: [SecurityPolicy.None],
    serverCertificateManager,
    ...options,
  });
  await server.initialize();
  return server;
}
