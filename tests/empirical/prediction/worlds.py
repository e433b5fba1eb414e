"""Gaussian classes to draw features from."""

import numpy as np


def gaussian(classes=4, width=12, per_class=60, distance=3.0, seed=0, spreads=None, mixing=None):
    """Features and labels: round classes of standard deviation ``spreads``, their means ``distance`` or so apart."""
    generator = np.random.default_rng([seed, 1])
    means = np.random.default_rng(7).standard_normal((classes, width)) * distance / np.sqrt(2 * width)
    sizes = [per_class] * classes if np.isscalar(per_class) else per_class
    labels = np.repeat(np.arange(classes), sizes)
    noise = generator.standard_normal((len(labels), width))
    noise = noise if spreads is None else noise * np.asarray(spreads)[labels][:, None]
    x = means[labels] + noise
    return (x if mixing is None else x @ mixing), labels


def discriminant(x, labels, test, test_labels, ridge=None):
    """Test accuracy of linear discriminant analysis on standardised features; by default with the probe's ridge."""
    classes, sizes = int(labels.max()) + 1, np.bincount(labels)
    centre, scale = x.mean(axis=0), x.std(axis=0)
    x, test = (x - centre) / scale, (test - centre) / scale
    means = np.stack([x[labels == c].mean(axis=0) for c in range(classes)])
    freedom = len(x) - classes
    ridge = classes / freedom if ridge is None else ridge
    within = (x - means[labels]).T @ (x - means[labels]) / freedom + ridge * np.eye(x.shape[1])
    weights = np.linalg.solve(within, means.T)
    bias = np.log(sizes / len(x)) - (means * weights.T).sum(axis=1) / 2
    return float(((test @ weights + bias).argmax(axis=1) == test_labels).mean())
