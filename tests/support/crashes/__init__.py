"""A load of clients and people that remember what was acknowledged to them, and ask for it after a crash."""
