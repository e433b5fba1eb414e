"""A run's encoder for use elsewhere, with a model card, and back in one line: ``python -m empirical.export``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
