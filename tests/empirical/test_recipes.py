import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from empirical.paper import STATED
from empirical.recipes import RECIPES, check_recipe_fits, recipe, table
from empirical.recipes.__main__ import main
from theory.checks import ParameterError

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
SIDES = {"cifar10": 32, "cifar100": 32, "stl10": 96, "tiny-imagenet": 64, "imagenet": 224}
SIDES |= {"lightly-cifar10": 32, "dkobak-cifar10": 32}
SIDES |= {f"paper-{data}": found.side for data, found in STATED.items()}
SIDES |= {"adnce-cifar10": 32, "adnce-cifar100": 32, "adnce-stl10": 96}


def test_the_page_holds_the_table_of_the_code(capsys):
    assert table() in PAGE.read_text()
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == table()


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_gives_valid_settings(name):
    from empirical.train.settings import Settings

    settings = replace(Settings(), **recipe(name))
    left = {f.name for f in fields(Settings) if f.name not in recipe(name)}
    # What a recipe leaves to the defaults does not change what it stands for.
    execution = {"train", "test", "imbalance", "omega", "arm", "seed", "precision", "compile", "accelerator", "devices"}
    execution |= {"skip_unreadable", "drop_small_classes", "pretrained", "weights", "modality", "modality_options"}
    others = {"prior", "concentration", "adnce_mu", "adnce_sigma", "mochi_share"}  # of other losses and arms
    others |= {"glofnd_share", "glofnd_start", "glofnd_rate", "remedy", "drop"}
    moco = set() if settings.framework == "moco" else {"queue", "momentum"}
    assert left - execution - others - moco == {"image_size" if "data" in recipe(name) else "data"}


@pytest.mark.parametrize("name", RECIPES)
def test_the_network_of_every_recipe_fits_its_images(name):
    import torch

    from empirical.encoders import ImageNetwork

    chosen = recipe(name)
    shape = {key: chosen[key] for key in ("dim", "width", "stem_stride", "hidden", "layers")}
    with torch.device("meta"):
        network = ImageNetwork(chosen["encoder"], 3, **shape)
        h, z = network(torch.empty(2, 3, RECIPES[name].side, RECIPES[name].side))
    assert h.shape == (2, 2048 if chosen["encoder"] == "resnet50" else 512)
    assert z.shape == (2, chosen["dim"])


def test_stated_learning_rates_at_the_stated_batch():
    stated = {"cifar10": 0.06, "cifar100": 3e-3, "stl10": 2e-3, "tiny-imagenet": 2e-3, "imagenet": 0.03}
    stated |= {"lightly-cifar10": 0.06 * 512 / 128, "dkobak-cifar10": 0.06 * 512 / 256}
    stated |= {f"paper-{data}": found.rate for data, found in STATED.items()} | {"adnce-cifar10": 1e-3}
    for name, rate in stated.items():
        assert recipe(name)["lr"] * recipe(name)["batch"] / 256 == pytest.approx(rate)


def test_recipes_disclose_that_our_momentum_is_nesterovs():
    for found in RECIPES.values():
        if found.settings["optimizer"] == "sgd":
            disclosed = ("ours Nesterov's", "as for cifar10", "ours: optimiser (SGD, Nesterov's momentum)")
            assert any(words in found.source for words in disclosed)


def test_a_recipe_is_a_copy():
    recipe("cifar10")["epochs"] = 1
    assert recipe("cifar10")["epochs"] == 1000


@pytest.mark.parametrize(("name", "side"), SIDES.items())
def test_images_of_the_recipes_size_fit(name, side):
    assert RECIPES[name].side == side
    check_recipe_fits(name, (10, 3, side, side))
    for height, width in ((side, side + 1), (8, side), (8, 8)):
        with pytest.raises(ParameterError, match=f"image size = {height}×{width} violates {side}×{side}, .* {name}"):
            check_recipe_fits(name, (10, 3, height, width))


def test_a_recipe_without_data_asks_for_them():
    with pytest.raises(ParameterError, match="--data folder:PATH"):
        check_recipe_fits("imagenet", (10, 1, 8, 8))


def test_unknown_recipes_are_refused():
    for call in (recipe, lambda name: check_recipe_fits(name, (1, 3, 32, 32))):
        with pytest.raises(ParameterError, match=r"did you mean cifar100\?"):
            call("cifar1000")


def test_the_command_needs_no_torch():
    code = "import sys, empirical.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_pages_own_encoder_works(tmp_path, monkeypatch):
    import torch

    from empirical.encoders import ImageNetwork

    code = PAGE.read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "mine_from_the_page.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    network = ImageNetwork("mine_from_the_page:encoder", 1, 5).eval()
    assert network(torch.rand(2, 1, 64, 64))[0].shape == (2, network.features) == (2, 576)


def test_the_papers_recipes_are_what_it_states():
    for data, found in STATED.items():
        settings = recipe(f"paper-{data}")
        assert (settings["tau"], settings["batch"], settings["encoder"]) == (found.tau, found.batch, found.encoder)
    assert recipe("paper-imagenet")["epochs"] == 400
    assert "epochs." not in RECIPES["paper-imagenet"].source
    assert "epochs." in RECIPES["paper-cifar10"].source  # ours: the paper does not state them


def test_adnces_recipes_are_its_authors_settings():
    numbers = {"cifar10": (0.4, 0.7, 0.5), "cifar100": (0.3, 0.5, 1.0), "stl10": (0.2, 0.8, 1.0)}
    for data, expected in numbers.items():
        settings = recipe(f"adnce-{data}")
        assert (settings["tau"], settings["adnce_mu"], settings["adnce_sigma"]) == expected
        assert (settings["loss"], settings["encoder"], settings["epochs"]) == ("adnce", "resnet50", 400)
