"""Who foretells a probe's accuracy, over feature sets of very different quality: ``python -m empirical.contest``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
