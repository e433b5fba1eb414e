"""Contrastive learning in the theory's own world, from samples: ``python -m empirical.simulate``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
