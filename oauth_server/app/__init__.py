"""Composition: builds the store, the services and the FastMCP app; the only room that knows every face."""
