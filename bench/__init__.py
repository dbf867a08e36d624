"""What this server costs, measured beside others: `uv run bench/run.py`."""
