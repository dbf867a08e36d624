"""The discovery face: one module per document."""
