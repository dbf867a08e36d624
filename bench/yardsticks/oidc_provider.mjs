// npm oidc-provider, in memory, ES256 alone. Takes a port and the format of access tokens; the clients are in
// BENCH_CLIENTS.
// GET /constant and POST /constant are bare routes of the same Koa application.
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const [, , port, accessTokenFormat] = process.argv;
const issuer = `http://localhost:${port}`;
const resource = `${issuer}/mcp`;
const on = { enabled: true };
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = { ...privateKey.export({ format: "jwk" }), kid: "one", alg: "ES256", use: "sig" };

const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  clients: JSON.parse(process.env.BENCH_CLIENTS),
  clientDefaults: { id_token_signed_response_alg: "ES256", token_endpoint_auth_method: "client_secret_post" },
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
  issueRefreshToken: () => true,
  rotateRefreshToken: () => true,
  ttl: { Session: 86400, Grant: 86400, Interaction: 600, AccessToken: 3600, AuthorizationCode: 60,
    ClientCredentials: 3600, RefreshToken: 86400, IdToken: 3600 },
  cookies: { keys: ["some secret of the benchmark"] },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: on,
    introspection: on,
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: "mcp:read mcp:write",
        accessTokenFormat,
        ...(accessTokenFormat === "jwt" && { jwt: { sign: { alg: "ES256" } } }),
      }),
    },
  },
});

// Whoever comes is signed in and consents, as a person would have done once.
provider.use(async (ctx, next) => {
  if (ctx.path === "/constant") {
    if (ctx.method === "POST") {
      let body = "";
      for await (const chunk of ctx.req) body += chunk;
      if (!new URLSearchParams(body).get("grant_type")) ctx.throw(400);
    }
    ctx.body = { status: "ok" };
    return;
  }
  if (!ctx.path.startsWith("/interaction/")) {
    await next();
    return;
  }
  const { params, session } = await provider.interactionDetails(ctx.req, ctx.res);
  const accountId = session?.accountId ?? "somebody";
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addResourceScope(resource, "mcp:read mcp:write");
  const grantId = await grant.save();
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId, remember: true }, consent: { grantId } });
});
provider.listen(Number(port), "127.0.0.1");
