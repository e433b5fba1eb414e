"""Encoders and the networks that are trained; features before and after the projector."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
