"""The evidence of docs/protocol.md: run its parts, publish their results: ``python -m empirical.evidence``."""
