"""The verbs: each one decision or look-up, a synchronous function on a connection inside a transaction."""
