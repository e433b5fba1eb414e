"""Kinds of data: what differs between images, graphs, sentences and those of one's own is in one contract."""

from empirical.modalities.registry import NAMES as NAMES
from empirical.modalities.registry import modality as modality
