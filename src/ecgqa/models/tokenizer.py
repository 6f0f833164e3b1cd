"""A small sub-word tokenizer trained on the questions themselves; needs no download."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ecgqa.artefacts import write_text
from ecgqa.errors import EcgqaError

PAD_ID, UNK_ID, CLS_ID, SEP_ID = 0, 1, 2, 3
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MASK = "[MASK]"


class Tokenizer:
    """Lower-cased sub-words; every text becomes [CLS] sub-words [SEP]."""

    def __init__(self, backend: Any, max_tokens: int | None = None) -> None:
        self._backend = backend
        self.max_tokens = max_tokens

    @property
    def vocab_size(self) -> int:
        return int(self._backend.get_vocab_size())

    def limited(self, max_tokens: int | None) -> Tokenizer:
        """This tokenizer, cutting texts to `max_tokens`."""
        return Tokenizer(self._backend, max_tokens)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, [CLS] first and [SEP] last; cut to `max_tokens` (keeping [SEP])."""
        encoded = [list(item.ids) for item in self._backend.encode_batch(texts)]
        if self.max_tokens is not None:
            encoded = [ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], SEP_ID] for ids in encoded]
        return encoded

    def encode_words(self, texts: list[str]) -> list[tuple[list[int], list[int]]]:
        """Ids of each text as `encode` gives them, and which word (from 0) each belongs to; -1 for special tokens."""
        words = [[-1 if word is None else word for word in item.word_ids] for item in self._backend.encode_batch(texts)]
        return [(ids, [*of[: len(ids) - 1], -1]) for ids, of in zip(self.encode(texts), words, strict=True)]

    @property
    def mask_id(self) -> int | None:
        """Id of the token that stands for a hidden word; None if the vocabulary has none."""
        found = self._backend.token_to_id(MASK)
        return None if found is None else int(found)

    def decode(self, ids: list[int]) -> str:
        """The text that ids stand for, without special tokens."""
        return str(self._backend.decode(ids))

    def to_json(self) -> str:
        """The tokenizer as text, in the layout of the `tokenizers` library."""
        return str(self._backend.to_str(pretty=True))

    def save(self, path: str | Path) -> Path:
        """Write the tokenizer as JSON, whole or not at all."""
        return write_text(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | Path, max_tokens: int | None = None) -> Tokenizer:
        """Read a tokenizer that `save` wrote; raises EcgqaError if it is absent, damaged or has other special ids."""
        from tokenizers import Tokenizer as Backend

        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            json.loads(text)
            backend = Backend.from_str(text)
        except FileNotFoundError:
            raise EcgqaError(f"no such file: {path}", expected="a tokenizer.json of a trained run") from None
        except Exception as error:  # the library raises bare Exception for text it cannot use
            raise EcgqaError(f"{path} is no tokenizer: {str(error).splitlines()[0]}") from None
        ids = tuple(backend.token_to_id(token) for token in SPECIAL_TOKENS)
        if ids != (PAD_ID, UNK_ID, CLS_ID, SEP_ID):
            raise EcgqaError(
                f"{path} numbers its special tokens otherwise",
                expected="[PAD] 0 [UNK] 1 [CLS] 2 [SEP] 3",
                found=str(ids),
            )
        return cls(backend, max_tokens)


def train_tokenizer(questions: Iterable[str], vocab_size: int = 2000, *, mask: bool = False) -> Tokenizer:
    """Learn at most `vocab_size` sub-words from the questions; the same questions give the same tokenizer.

    mask: also a token that stands for a hidden word.

    Byte-pair encoding on characters (Sennrich et al. 2016). Not the library's word pieces: their trainer numbers the
    inner letters in the order of a randomised hash map. Repeated questions count once, so that the vocabulary follows
    the wording and not how often a template was sampled.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

    backend = Backend(models.BPE(unk_token=SPECIAL_TOKENS[UNK_ID], fuse_unk=True))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation()]
    )
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    special = [*SPECIAL_TOKENS, MASK] if mask else list(SPECIAL_TOKENS)
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False)
    backend.train_from_iterator(sorted(set(questions)), trainer=trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS_ID), ("[SEP]", SEP_ID)]
    )
    return Tokenizer(backend)
