"""In which formats an encoder is exported, known before torch is imported."""

from __future__ import annotations

from importlib.util import find_spec

FORMATS = ("safetensors", "torchscript", "onnx")
DEFAULT_FORMATS = ("safetensors", "torchscript")
TORCHSCRIPT, ONNX = "encoder.torchscript.pt", "encoder.onnx"
NEEDED = {"safetensors": "safetensors", "onnx": "onnx"}  # libraries
EXTRA = "pip install 'difficult-examples[export]'"


def missing_library(name: str, library: str | None = None) -> str | None:
    """What to say if the library that a format needs is not installed; None if it is."""
    needed = library or NEEDED.get(name)
    if needed is None or find_spec(needed) is not None:
        return None
    return f"the format {name} needs {needed}: {EXTRA}"
