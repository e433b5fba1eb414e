"""Features of images, or of views of them for adapters, through a frozen encoder: ``python -m empirical.embed``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
