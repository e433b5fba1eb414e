"""Similarity graphs, spectra, error bounds and remedies for difficult examples. Never imports torch."""
