"""The resource-server face: the gate in front of /mcp and /oauth/test, the Host and Origin guard."""
