import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from empirical.prediction.mixture import Between, Split, between, parts, split_class, whole

OTHERS = np.array([[6.0, 0.0, 0.0], [0.0, 6.0, 0.0], [-4.0, -4.0, 2.0]])


def mixed(n=400, share=0.4, way=0.5, seed=0):
    """An easy cluster and averages with other classes; which row is which."""
    generator = np.random.default_rng(seed)
    hard = generator.random(n) < share
    rival = generator.integers(0, len(OTHERS), n)
    rows = 0.5 * generator.standard_normal((n, 3)) + np.where(hard[:, None], way * OTHERS[rival], 0)
    return rows, hard


def test_averages_with_other_classes_are_told_apart():
    rows, hard = mixed()
    split = split_class(rows, OTHERS)
    assert split.memberships.sum(axis=1) == pytest.approx(np.ones(len(rows)))
    assert split.groups.tolist() == [0, 1, 1, 1]
    assert ((split.memberships[:, 0] < 0.5) == hard).mean() > 0.97


@pytest.mark.parametrize("way", [0.4, 0.6])
def test_the_share_of_the_way_is_found(way):
    rows, _ = mixed(way=way)
    start = GaussianMixture(2, covariance_type="spherical", random_state=0).fit(rows)
    found = between(rows, OTHERS, start)
    assert found.way == pytest.approx(way, abs=0.03)
    assert (found.easy, found.difficult) == pytest.approx((0.25, 0.25), abs=0.05)
    assert found.weights[1:].sum() == pytest.approx(0.4, abs=0.07)


def test_a_round_class_is_one_part_and_two_clusters_are_two():
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((300, 3))
    assert split_class(rows, OTHERS * 10).memberships.shape == (300, 1)
    rows[:120] += [0, 0, -7]
    split = split_class(rows, OTHERS * 10)
    assert split.memberships.shape == (300, 2)
    sizes = sorted(split.memberships.sum(axis=0))
    assert sizes == pytest.approx([120, 180], abs=2)


def test_few_samples_are_one_part():
    assert split_class(mixed(29)[0], OTHERS).memberships.shape == (29, 1)
    assert split_class(mixed(60)[0], OTHERS).memberships.shape[1] > 1


def test_likelihood_equals_the_loop_and_never_falls():
    rows, _ = mixed(60)
    model = Between(np.zeros(3), OTHERS, 0.3, 1.0, 2.0, np.array([0.5, 0.2, 0.2, 0.1]))

    def density(row):
        centres = [model.mean, *(model.mean + model.way * (rival - model.mean) for rival in OTHERS)]
        variances = [model.easy, *[model.difficult] * 3]
        return sum(
            w * np.exp(-((row - c) ** 2).sum() / (2 * v)) / (2 * np.pi * v) ** 1.5
            for w, c, v in zip(model.weights, centres, variances, strict=True)
        )

    before = -np.inf
    for _ in range(20):
        memberships, likelihood = model.memberships(rows)
        assert likelihood == pytest.approx(sum(np.log(density(row)) for row in rows))
        assert likelihood >= before - 1e-9
        before = likelihood
        model.update(rows, memberships)


def test_parts_have_the_moments_of_their_members():
    generator = np.random.default_rng(1)
    rows = generator.standard_normal((4000, 2)) @ np.array([[2.0, 0.3], [0.0, 0.5]])
    memberships = np.zeros((4000, 2))
    memberships[:1000, 0] = memberships[1000:, 1] = 1
    found = parts(rows, Split(memberships, np.array([0, 1])))
    for part, members in zip(found, (slice(1000), slice(1000, None)), strict=True):
        own = rows[members]
        assert part.share == len(own) / 4000
        assert part.mean == pytest.approx(own.mean(axis=0) - rows.mean(axis=0))
        covariance = np.cov(own, rowvar=False)
        sphere = np.trace(covariance) / 2 * np.eye(2)
        assert part.covariance == pytest.approx((covariance * (len(own) - 1) + 2 * sphere) / (len(own) + 1))


def test_parts_together_have_the_moments_of_the_class():
    rows, _ = mixed(2000)
    split = split_class(rows, OTHERS)
    found = parts(rows, split)
    assert sum(part.share for part in found) == pytest.approx(1)
    assert sum(part.share * part.mean for part in found) == pytest.approx(np.zeros(3), abs=1e-9)
    total = sum(part.share * (part.covariance + np.outer(part.mean, part.mean)) for part in found)
    assert total == pytest.approx(np.cov(rows, rowvar=False), abs=0.02)


def test_one_part_of_two_samples_is_round():
    (part,) = parts(np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]), whole(np.zeros((2, 3))))
    assert np.linalg.eigvalsh(part.covariance).min() > 0
    assert np.trace(part.covariance) == pytest.approx(2)
