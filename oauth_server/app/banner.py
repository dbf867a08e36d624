"""The few lines an operator sees when the server is up."""

from oauth_server.core.deployment import Deployment


def banner(deployment: Deployment, data: str, owner_password: str | None) -> str:
    """Where the server is, where its data lies, and what the settings warn of.

    `owner_password`: the one that was generated just now; shown on the first start, and never again.
    """
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
    if owner_password is not None:
        username = deployment.settings.admin_username
        shown = f"{username}, password {owner_password} (shown only now; to be changed at the first sign-in)"
        lines.append(f"  Owner         {shown}")
    return "\n".join(lines) + "\n"
