// npm oidc-provider with its development interactions (any name and password), registration and resource indicators.
import { Provider, errors } from "oidc-provider";

const port = process.argv[2];
const resource = `http://localhost:${port}/mcp`;
const on = { enabled: true };
const provider = new Provider(`http://localhost:${port}`, {
  scopes: ["openid", "offline_access", "mcp:read", "mcp:write"],
  features: {
    registration: on,
    registrationManagement: on,
    revocation: on,
    introspection: on,
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, indicator) => {
        if (indicator !== resource) throw new errors.InvalidTarget();
        return { scope: "mcp:read mcp:write", accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } };
      },
    },
  },
});
provider.listen(Number(port), "127.0.0.1");
