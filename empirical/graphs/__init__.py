"""Graphs as samples: TU data sets, GraphCL's views, an encoder, and how the field judges its features."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
