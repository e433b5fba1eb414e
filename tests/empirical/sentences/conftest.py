"""Sentences from a small grammar, a tokenizer of them, and a tiny BERT as transformers saves it."""

import itertools

import pytest

WHO = ("a man", "a woman", "the child", "two dogs", "an old cat", "somebody")
DOES = ("plays", "is eating", "watches", "slowly carries", "does not like")
WHAT = ("the guitar", "an apple in the garden", "a very long film about trains", "water", "the ball")
TEXTS = tuple(f"{who} {does} {what}." for who, does, what in itertools.product(WHO, DOES, WHAT))


@pytest.fixture(scope="session")
def texts():
    return TEXTS


@pytest.fixture(scope="session")
def tokenizer():
    pytest.importorskip("tokenizers")
    from empirical.sentences import train_tokenizer

    return train_tokenizer(TEXTS, 350)


@pytest.fixture(scope="session")
def saved_bert(tmp_path_factory, tokenizer):
    """A folder with a tiny random BERT and its tokenizer, in safetensors."""
    transformers = pytest.importorskip("transformers")
    import torch

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=tokenizer.size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    transformers.BertModel(config).save_pretrained(folder)
    library = transformers.PreTrainedTokenizerFast(
        tokenizer_object=type(tokenizer._backend).from_str(tokenizer._backend.to_str()),
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=24,
    )
    library.save_pretrained(folder)
    return folder
