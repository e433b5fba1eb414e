"""What the evidence and the studies found, as the tables of docs/results.md: ``python -m empirical.findings``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
