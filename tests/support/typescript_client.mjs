// A client made of the official TypeScript SDK: signs in, then lists the tools. Arguments: the folder of the packages,
// the package, the server's URL, and as JSON what is particular about this client. It writes the authorization URL on
// stderr, reads the callback URL from stdin, and writes the names of the tools as JSON on stdout.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, name, url, json] = process.argv.slice(2);
const { callback, client, headers } = JSON.parse(json);
const { resolve } = createRequire(`${folder}/`);
const load = async (path) => import(pathToFileURL(resolve(path)).href);
const from =
  name === "@modelcontextprotocol/sdk"
    ? { client: `${name}/client/index.js`, auth: `${name}/client/auth.js`, transport: `${name}/client/streamableHttp.js` }
    : { client: name, auth: name, transport: name };
const [{ Client }, { auth }, { StreamableHTTPClientTransport }] = await Promise.all(Object.values(from).map(load));

const kept = { client };
const provider = {
  redirectUrl: callback,
  clientMetadata: { client_name: "TypeScript SDK", redirect_uris: [callback] },
  state: () => "a state",
  clientInformation: () => kept.client,
  saveClientInformation: (found) => (kept.client = found),
  tokens: () => kept.tokens,
  saveTokens: (found) => (kept.tokens = found),
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => (kept.verifier = verifier),
  redirectToAuthorization: (where) => process.stderr.write(`open ${where}\n`),
};
// As the SDK's transports do with the header fields of their user.
const fetchFn = (where, init) => fetch(where, { ...init, headers: { ...headers, ...Object.fromEntries(new Headers(init?.headers)) } });

const asked = await auth(provider, { serverUrl: url, fetchFn });
if (asked !== "REDIRECT") throw new Error(asked);
const { value: answer } = await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next();
const { searchParams } = new URL(answer);
const done = await auth(provider, { serverUrl: url, fetchFn, authorizationCode: searchParams.get("code"), iss: searchParams.get("iss") ?? undefined });
if (done !== "AUTHORIZED") throw new Error(done);

const mcp = new Client({ name: "typescript", version: "1" });
await mcp.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider: provider }));
const { tools } = await mcp.listTools();
process.stdout.write(`${JSON.stringify(tools.map((tool) => tool.name))}\n`);
await mcp.close();
process.exit(0);
