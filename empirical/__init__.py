"""Measure, train and compare on real images with what ``theory`` derived."""
