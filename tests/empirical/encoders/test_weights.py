"""Weights from files: which are taken for which, and what does not fit."""

import re

import pytest
import torch

from empirical.encoders import ImageNetwork, begin_with
from empirical.encoders.weights import OURS, digest
from theory.checks import ParameterError


def network(seed=0, name="resnet10", width=4, **options):
    torch.manual_seed(seed)
    return ImageNetwork(name, 3, 4, width, **options)


def saved(path, state):
    torch.save(state, path)
    return path


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one) and set(one) == set(other)


@pytest.fixture
def trained():
    """An encoder whose weights and statistics are none that it could begin with."""
    encoder = network(1).encoder
    generator = torch.Generator().manual_seed(2)
    for value in encoder.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator))
    return encoder


@pytest.mark.parametrize("start", ["", "module.", "model.backbone."])
@pytest.mark.parametrize("nested", [None, "state_dict", "model"])
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_names_with_anything_before_them(tmp_path, trained, start, nested, suffix):
    state = {start + name: value for name, value in trained.state_dict().items()}
    ours = network()
    before = {name: value.clone() for name, value in ours.projector.state_dict().items()}
    path = saved(tmp_path / f"w{suffix}", state if nested is None else {nested: state, "epoch": 3})
    begin_with(ours, path)
    assert equal(ours.encoder.state_dict(), trained.state_dict())
    assert equal(ours.projector.state_dict(), before)


def test_safetensors(tmp_path, trained):
    from safetensors.torch import save_file

    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    ours = network()
    begin_with(ours, tmp_path / "w.safetensors")
    assert equal(ours.encoder.state_dict(), trained.state_dict())


def test_half_precision_becomes_single(tmp_path, trained):
    halved = {name: x.half() if x.is_floating_point() else x for name, x in trained.state_dict().items()}
    ours = network()
    begin_with(ours, saved(tmp_path / "w.pt", halved))
    found = ours.encoder.state_dict()
    assert all(x.dtype == trained.state_dict()[name].dtype for name, x in found.items())
    assert all(torch.allclose(x.float(), halved[name].float()) for name, x in found.items())


def test_a_head_is_left_out_and_named(tmp_path, trained):
    state = {**trained.state_dict(), "fc.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)}
    with pytest.warns(UserWarning, match=r"w.pt: left out 2 tensors that the encoder has not \(fc.weight, fc.bias\)$"):
        begin_with(network(), saved(tmp_path / "w.pt", state))


def renamed(state, order=None):
    """Names of another implementation: the kinds stay."""
    names = list(state) if order is None else order
    return {f"layer{i}.{name.rpartition('.')[2]}": state[name] for i, name in enumerate(names)}


def test_other_names_are_taken_in_their_order(tmp_path, trained):
    state = {name: x for name, x in trained.state_dict().items() if not name.endswith("num_batches_tracked")}
    ours = network()
    with pytest.warns(UserWarning, match="w.pt: its names are others, so the tensors are taken in their order$"):
        begin_with(ours, saved(tmp_path / "w.pt", renamed(state)))
    found = ours.encoder.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_other_names_in_another_order_are_refused(tmp_path, trained):
    """As by name, as safetensors keeps them: a bias would be taken for a weight of the same shape."""
    state = trained.state_dict()
    with pytest.raises(ParameterError, match="do not fit the encoder: .* tensors are missing"):
        begin_with(network(), saved(tmp_path / "w.pt", renamed(state, sorted(state))))
    from safetensors.torch import save_file

    save_file(renamed(state), tmp_path / "w.safetensors")
    with pytest.raises(ParameterError, match="do not fit the encoder"):
        begin_with(network(), tmp_path / "w.safetensors")


def test_what_does_not_fit_is_one_line(tmp_path, trained):
    state = trained.state_dict()
    first, second = list(state)[:2]
    state[first] = torch.ones(5, 3, 3, 3)
    with pytest.raises(ParameterError) as error:
        begin_with(network(), saved(tmp_path / "w.pt", {**state, "fc.bias": torch.ones(2)}))
    expected = (
        f"weights {tmp_path}/w.pt do not fit the encoder: 1 tensor has another shape ({first} 5×3×3×3, here 4×3×3×3), "
        "1 tensor has no place (fc.bias)"
    )
    assert str(error.value) == expected
    del state[second]
    with pytest.raises(
        ParameterError, match=re.escape(f"encoder: 1 tensor is missing ({second}), 1 tensor has another")
    ):
        begin_with(network(), saved(tmp_path / "w.pt", state))


def test_a_network_that_does_not_fit_stays_as_it_is(tmp_path, trained):
    ours = network(width=8)
    before = digest(ours.state_dict())
    with pytest.raises(ParameterError):
        begin_with(ours, saved(tmp_path / "w.pt", trained.state_dict()))
    assert digest(ours.state_dict()) == before


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([torch.ones(2)], "is not a file of weights: a state dict, tensors by name, is expected"),
        ({"a": 3, "b": torch.ones(1)}, r"is not a file of weights: 1 entry is no tensor \(a\)"),
        ({}, "do not fit the encoder: .* tensors are missing"),
    ],
)
def test_what_are_no_weights(tmp_path, state, message):
    with pytest.raises(ParameterError, match=message):
        begin_with(network(), saved(tmp_path / "w.pt", state))


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.safetensors", "w"])
def test_damaged_files_are_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 and then nothing that one could read")
    with pytest.raises(ParameterError, match=r"is not a file of (weights|safetensors, or it is damaged)$"):
        begin_with(network(), tmp_path / name)
    with pytest.raises(ParameterError, match="cannot read .*there is no file none"):
        begin_with(network(), tmp_path / f"none{name}")


def test_values_that_are_no_weights(tmp_path, trained):
    state = trained.state_dict()
    name = next(iter(state))
    with pytest.raises(ParameterError, match=f"^{name} of .* = NaN or infinity violates finite weights"):
        begin_with(network(), saved(tmp_path / "w.pt", {**state, name: torch.full_like(state[name], torch.nan)}))
    with pytest.raises(ParameterError, match=f"^{name} of .* = torch.int64 violates floats"):
        begin_with(network(), saved(tmp_path / "w.pt", {**state, name: state[name].long()}))


def test_folders_without_weights(tmp_path):
    with pytest.raises(ParameterError, match="there is neither encoder.safetensors nor checkpoint.pt in this folder"):
        begin_with(network(), tmp_path)


def test_the_digest_tells_names_and_values():
    weights = {"a": torch.ones(2), "b": torch.zeros(2)}
    assert digest(weights) == digest({name: x.clone() for name, x in weights.items()})
    assert digest(weights) != digest({"a": weights["b"], "b": weights["a"]})
    assert digest(weights) != digest({"a": weights["a"]})


def test_the_name_of_the_schema_is_in_the_file_alone(tmp_path):
    """Weights that anybody calls ours are fitted by the same rules."""
    from safetensors.torch import save_file

    save_file({"x": torch.ones(1)}, tmp_path / "w.safetensors", {"schema": OURS})
    with pytest.raises(ParameterError, match="do not fit"):
        begin_with(ImageNetwork("convnet", 3, 4, 4), tmp_path / "w.safetensors")
