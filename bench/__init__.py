"""What this server costs, measured beside others: `uv run --group bench bench/run.py`."""
