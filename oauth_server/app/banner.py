"""The few lines an operator sees when the server is up."""

from oauth_server.core.deployment import Deployment


def banner(deployment: Deployment, data: str) -> str:
    """Where the server is, where its data lies, and what the settings warn of."""
    lines = ["", "MCP Docker Server with OAuth 2.1", f"  MCP endpoint  {deployment.endpoint}"]
    if deployment.settings.enabled:
        lines.append(f"  Issuer        {deployment.issuer}")
    else:
        lines.append("  OAuth         off (ENABLE_MCP_OAUTH=false)")
    lines.append(f"  Data          {data}")
    settings = deployment.settings
    if settings.metrics_port is not None:
        lines.append(f"  Metrics       http://{settings.metrics_host}:{settings.metrics_port}/metrics")
    lines += [f"  Warning       {warning}" for warning in deployment.warnings]
    return "\n".join(lines) + "\n"


def owner_line(username: str, password: str) -> str:
    """The owner's generated password: shown on the first start, and never again."""
    return f"  Owner         {username}, password {password} (shown only now; to be changed at the first sign-in)\n"
