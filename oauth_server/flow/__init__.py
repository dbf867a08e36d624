"""The HTTP face of the authorization server: one module per /oauth/* endpoint."""
