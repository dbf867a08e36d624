"""The OAuth 2.1 authorization server and resource server that both faces show."""
