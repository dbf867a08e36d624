"""The auditor: a client of any server that knows it only by its answers."""
