import json
from dataclasses import replace

import pytest

from empirical.arms import PairRemedy
from empirical.data.augment import Photos, digits
from empirical.train.options import add_arguments, given
from empirical.train.settings import Running, Settings, learning_rate, phases, settings_from_arguments
from theory.checks import ParameterError
from theory.command import Parser


def test_schedule_rises_linearly_and_falls_to_zero():
    rates = [learning_rate(step, 100, 10, 2.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert learning_rate(0, 10, 0, 1.0) == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"tau": 0},
        {"lr": -1},
        {"batch": 1},
        {"epochs": 0},
        {"precision": "fp8"},
        {"arm": "magic"},
        {"warmup": 1},
        {"optimizer": "lion"},
        {"schedule": "step"},
        {"framework": "byol"},
        {"loss": "triplet"},
        {"queue": 0},
        {"blur": 2},
        {"imbalance": 0.5},
        {"momentum": -1},
        {"prior": 1.0},
        {"layers": 0},
        {"smallest_crop": 0},
        {"weight_decay": -1},
        {"resolutions": ""},
        {"resolutions": "half"},
        {"resolutions": "0"},
        {"resolutions": "1.5"},
        {"resolutions": ".5,1"},
        {"resolutions": ".5:.6,1:.5"},
        {"resolutions": ".5:.6,.75:.6,1"},
        {"resolutions": ".5:.6,1:.9"},
        {"resolutions": ".5:nan,1"},
    ],
)
def test_settings_are_checked(change):
    with pytest.raises(ParameterError, match=next(iter(change))):
        Settings(**change)


def test_resolutions_are_shares_of_the_images_side():
    settings = Settings(data="cifar10", resolutions=".5:.6,.75:.9,1", blur=0.5, grey=0.1)
    assert phases(settings.resolutions) == [(0.5, 0.6), (0.75, 0.9), (1, 1)]
    scheduled = settings.views((3, 32, 32))
    assert [(until, view.side) for until, view in scheduled] == [(0.6, 16), (0.9, 24), (1, 32)]
    assert all(replace(view, side=None) == settings.augmentation for _, view in scheduled)
    assert [view.side for _, view in settings.views((3, 5, 5))] == [2, 4, 5]
    assert Settings(data="cifar10").views((3, 30, 20)) == [(1, Photos())]
    assert {view for _, view in replace(settings, data="digits").views((3, 8, 8))} == {digits}
    with pytest.raises(ParameterError, match="resolutions = .* violates 1 where images are not square"):
        settings.views((3, 30, 20))


def test_constant_schedule_stays():
    assert [learning_rate(step, 10, 2, 1.0, "constant") for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


def test_settings_survive_json():
    remedy = PairRemedy(sigma=0.1, rho=0.9, pos_high=0.1, pos_low=0.2, select="auto", space="projector")
    settings = Settings(framework="moco", loss="adnce", remedy=remedy, drop=(1, 5), hidden=7, imbalance=10.0)
    document = json.loads(json.dumps(settings.to_json()))
    assert Settings.from_json(document) == settings


def test_a_document_without_later_settings_has_their_defaults():
    document = Settings().to_json()
    for name in ("framework", "loss", "blur"):
        del document[name]
    assert Settings.from_json(document) == Settings()


def test_every_option_reaches_its_setting():
    parser = Parser()
    add_arguments(parser, Settings)
    add_arguments(parser, Running)
    args = parser.parse_args(["--tau", ".3", "--hidden", "12", "--compile", "--workers", "3", "--jitter", "0"])
    assert settings_from_arguments(args) == replace(Settings(), tau=0.3, hidden=12, compile=True, jitter=0.0)
    assert Running(**given(args, Running)) == Running(workers=3)
    assert settings_from_arguments(parser.parse_args([]), Settings(tau=0.1)) == Settings(tau=0.1)


def test_a_queue_shorter_than_the_batch_is_refused():
    with pytest.raises(ParameterError, match="queue = 10 violates queue >= batch = 50"):
        Settings(framework="moco", queue=10, batch=50)


def test_peak_rate_is_scaled_with_the_batch():
    assert Settings(lr=0.06, batch=512).peak_rate == pytest.approx(0.12)


def test_a_temperature_that_leaves_single_precision_is_refused():
    with pytest.raises(ParameterError, match="tau = 7e-300 violates tau >= 1e-06"):
        Settings(tau=7e-300)
    assert Settings(tau=1e-6).tau == 1e-6
