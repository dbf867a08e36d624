"""Logs, metrics, traces, and what must be in none of them."""
