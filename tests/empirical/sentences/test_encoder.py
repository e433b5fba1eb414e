"""Transformers: from scratch, of a folder, and what features depend on."""

import json
import socket
import sys
from pathlib import Path

import pytest
import torch

from empirical.sentences import (
    SentenceEncoder,
    embed,
    library_tokenizer,
    small_transformer,
    tokenized,
    transformer,
)
from theory.checks import ParameterError

transformers = pytest.importorskip("transformers")
SMALL = {"width": 16, "layers": 2, "heads": 2}


@pytest.fixture
def encoder(tokenizer):
    torch.manual_seed(0)
    return small_transformer(tokenizer, 24, **SMALL)[0]


def test_features_do_not_depend_on_padding(encoder, tokenizer, texts):
    encoder.eval()
    held, _ = tokenized(texts, tokenizer, 24)
    for pooling in ("mean", "first"):
        encoder.pooling = pooling
        alone = torch.cat([encoder(held.take(torch.tensor([i]))) for i in range(0, 60, 7)])
        tokens = torch.nn.functional.pad(held.take(torch.arange(0, 60, 7)), (0, 5), value=tokenizer.pad)
        assert encoder(tokens).shape == (9, 16)
        torch.testing.assert_close(encoder(tokens), alone, rtol=1e-4, atol=1e-5)


def test_dropout_makes_two_views_of_a_batch(encoder, tokenizer, texts):
    batch = tokenized(texts, tokenizer, 24)[0].take(torch.arange(8))
    one, two = encoder.train()(torch.cat([batch, batch])).chunk(2)
    assert not torch.isclose(one, two).any(dim=1).all()
    nothing, _ = small_transformer(tokenizer, 24, **SMALL, dropout=0)
    one, two = nothing.train()(torch.cat([batch, batch])).chunk(2)
    torch.testing.assert_close(one, two)


def test_the_poolings_are_the_mean_and_the_first_of_the_states(encoder, tokenizer):
    tokens = tokenizer.encode(["a man plays the guitar."], 24)[0]
    states = encoder.eval().net(input_ids=torch.tensor(tokens)).last_hidden_state[0]
    padded = torch.tensor([tokens[0] + [tokenizer.pad] * 3])
    torch.testing.assert_close(encoder(padded)[0], states.mean(0), rtol=1e-4, atol=1e-5)
    encoder.pooling = "first"
    torch.testing.assert_close(encoder(padded)[0], states[0], rtol=1e-4, atol=1e-5)


def test_attention_weighs_states_by_the_softmax_of_their_scores(tokenizer):
    torch.manual_seed(0)
    mean, _ = small_transformer(tokenizer, 24, **SMALL)
    torch.manual_seed(0)
    encoder, _ = small_transformer(tokenizer, 24, **SMALL, pooling="attention")
    tokens = tokenizer.encode(["a man plays the guitar."], 24)[0]
    padded = torch.tensor([tokens[0] + [tokenizer.pad] * 3])
    torch.testing.assert_close(encoder.eval()(padded), mean.eval()(padded))  # as it begins
    torch.nn.init.normal_(encoder.score.weight)
    states = encoder.net(input_ids=torch.tensor(tokens)).last_hidden_state[0].double()
    weights = (states @ encoder.score.weight[0].double()).exp()
    expected = sum(weight * state for weight, state in zip(weights, states, strict=True)) / weights.sum()
    torch.testing.assert_close(encoder(padded)[0].double(), expected, rtol=1e-4, atol=1e-5)


def test_attention_needs_a_width(tokenizer):
    with pytest.raises(ParameterError, match=r"pooling = attention violates mean or first for a transformer that does"):
        SentenceEncoder(torch.nn.Identity(), 0, "attention")


def test_the_same_seed_gives_the_same_weights(tokenizer):
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(torch.cat([w.flatten() for w in small_transformer(tokenizer, 24, **SMALL)[0].parameters()]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("positions", ["learned", "none"])
def test_without_positions_the_order_of_the_tokens_does_not_matter(positions, tokenizer):
    encoder, _ = small_transformer(tokenizer, 24, **SMALL, pooling="attention", positions=positions)
    step = torch.optim.AdamW(encoder.parameters(), 0.1)
    tokens = torch.tensor([[5, 6, 7, 8, 9]])
    (encoder.train()(tokens) ** 3).sum().backward()
    step.step()
    with torch.no_grad():
        there, turned = (encoder.eval()(tokens[:, order]) for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3]))
    assert torch.allclose(there, turned, atol=1e-6) == (positions == "none")


@pytest.mark.parametrize("pooling", ["mean", "first", "attention"])
def test_every_weight_is_trained(pooling, tokenizer, texts):
    encoder, _ = small_transformer(tokenizer, 24, **SMALL, pooling=pooling)
    batch = tokenized(texts, tokenizer, 24)[0].take(torch.arange(8))
    (encoder.train()(batch) ** 3).sum().backward()
    assert [name for name, weight in encoder.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 17}, "width = 17 violates a multiple of the 2 heads"),
        ({"layers": 0}, "layers = 0"),
        ({"heads": 0}, "heads = 0"),
        ({"dropout": 1.0}, "dropout = 1.0"),
        ({"positions": "no"}, "positions = no violates one of learned, none"),
        ({"pooling": "frist"}, "pooling = frist violates one of mean, first, attention (did you mean first?)"),
    ],
)
def test_a_transformer_that_cannot_be_is_refused(tokenizer, change, message):
    with pytest.raises(ParameterError) as error:
        small_transformer(tokenizer, 24, **{**SMALL, **change})
    assert message in str(error.value)


def test_embeddings_are_in_the_order_of_the_sentences(encoder, tokenizer, texts):
    encoder.train()
    found = embed(encoder, tokenizer, texts, 24, batch=16)
    assert encoder.training
    assert found.shape == (len(texts), 16)
    alone = torch.cat([embed(encoder, tokenizer, [text], 24) for text in texts[::30]])
    torch.testing.assert_close(found[::30], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found, embed(encoder, tokenizer, texts, 24, batch=16))


def test_a_saved_transformer_is_the_one_of_its_library(saved_bert, texts):
    spec = f"hf:{saved_bert}"
    tokenizer, _ = library_tokenizer(spec)
    encoder, width, longest = transformer(spec, tokenizer)
    assert (width, longest, encoder.pooling) == (16, 24, "first")
    library = transformers.BertModel.from_pretrained(saved_bert).eval()
    own = transformers.AutoTokenizer.from_pretrained(saved_bert)
    given = own(list(texts[:20]), padding=True, return_tensors="pt")
    with torch.no_grad():
        states = library(**given).last_hidden_state
    torch.testing.assert_close(embed(encoder, tokenizer, texts[:20], 24), states[:, 0], rtol=1e-4, atol=1e-5)
    (encoder.train()(given["input_ids"]) ** 3).sum().backward()
    assert [name for name, weight in encoder.named_parameters() if weight.grad is None] == []


def test_roberta_takes_as_many_tokens_as_it_has_positions_for(tmp_path, saved_bert):
    tokenizer, _ = library_tokenizer(f"hf:{saved_bert}")
    config = transformers.RobertaConfig(
        vocab_size=tokenizer.size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=18, pad_token_id=0,
    )  # fmt: skip
    transformers.RobertaModel(config).save_pretrained(tmp_path)
    encoder, _, longest = transformer(f"hf:{tmp_path}", tokenizer)
    assert longest == 17
    encoder(torch.full((1, longest), 5))
    with pytest.raises((IndexError, RuntimeError)):
        encoder(torch.full((1, longest + 1), 5))


def test_a_pickle_is_never_loaded(tmp_path, saved_bert):
    class Mark:
        def __reduce__(self):
            return open, (str(tmp_path / "unpickled"), "w")

    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((saved_bert / name).read_bytes())
    torch.save({"embeddings.word_embeddings.weight": Mark()}, folder / "pytorch_model.bin")
    refused(f"hf:{folder}", "a transformer that can be loaded, without a pickle or code of its own (")
    assert not (tmp_path / "unpickled").exists()


def test_code_of_a_model_is_never_run(tmp_path, saved_bert):
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((saved_bert / name).read_bytes())
    mark = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"open({str(mark)!r}, 'w')")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(own))
    refused(f"hf:{tmp_path}", "without a pickle or code of its own (")
    assert not mark.exists()


def test_a_transformer_that_lacks_weights_is_refused(tmp_path, saved_bert):
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_bytes((saved_bert / "config.json").read_bytes())
    weights = load_file(saved_bert / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    refused(
        f"hf:{tmp_path}", "weights for all of the transformer (without encoder.layer.1.output.dense.weight)", saved_bert
    )


def test_a_truncated_file_is_refused(tmp_path, saved_bert):
    (tmp_path / "config.json").write_bytes((saved_bert / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((saved_bert / "model.safetensors").read_bytes()[:900])
    refused(f"hf:{tmp_path}", "a transformer that can be loaded", saved_bert)


def test_a_name_is_asked_for_where_there_is_no_network(tmp_path, monkeypatch, tokenizer, capfd):
    from huggingface_hub import constants

    def refuse(*_, **__):
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ParameterError, match="a transformer that can be loaded") as error:
        transformer("hf:google-bert/bert-base-uncased", tokenizer)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hf:", "encoder = hf: violates hf:NAME, hf:OWNER/NAME or hf:FOLDER"),
        ("hf:a b", "violates hf:NAME, hf:OWNER/NAME or hf:FOLDER"),
        ("hf:/nowhere/at/all", "encoder hf:/nowhere/at/all: there is no folder nowhere in /"),
        ("hf:./none", "there is no folder none in"),
        ("hf:one/two/three", "there is no folder one in"),
    ],
)
def test_what_is_neither_name_nor_folder_is_refused(tokenizer, spec, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError) as error:
        transformer(spec, tokenizer)
    assert message in str(error.value)


def test_without_the_library_the_extra_is_named(monkeypatch, tokenizer, saved_bert):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for call in (lambda: small_transformer(tokenizer, 24), lambda: transformer(f"hf:{saved_bert}", tokenizer)):
        with pytest.raises(ParameterError, match=r"needs transformers: pip install 'difficult-examples\[sentences\]'"):
            call()


def test_an_encoder_of_ones_own_is_pooled_alike(tokenizer):
    class States(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            states = input_ids[:, :, None].float()
            return type("Output", (), {"last_hidden_state": states})

    encoder = SentenceEncoder(States(), tokenizer.pad)
    assert encoder(torch.tensor([[2, 4, 0], [3, 0, 0], [0, 0, 0]])).tolist() == [[3.0], [3.0], [0.0]]


def refused(spec, message, tokens=None):
    """The one line with which a transformer is refused."""
    place = f"hf:{tokens}" if tokens is not None else spec
    with pytest.raises(ParameterError) as error:
        transformer(spec, library_tokenizer(place)[0])
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert Path(spec.removeprefix("hf:")).name in str(error.value)
