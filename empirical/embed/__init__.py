"""Views of images through a frozen encoder, kept as training data for adapters: ``python -m empirical.embed``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
