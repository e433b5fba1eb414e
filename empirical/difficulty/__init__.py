"""Which samples and pairs are difficult, mislabelled or ambiguous: ``python -m empirical.difficulty``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
