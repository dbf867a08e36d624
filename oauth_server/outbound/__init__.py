"""The SSRF-guarded HTTP client: the only way a request leaves this server."""
