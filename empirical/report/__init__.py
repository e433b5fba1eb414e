"""A page about the difficult examples of one's own embeddings: ``python -m empirical.report``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
