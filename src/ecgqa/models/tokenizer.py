"""Text to token ids: sub-words learned from the questions themselves, or those of a given vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ecgqa.artefacts import write_text
from ecgqa.errors import EcgqaError

PAD_ID, UNK_ID, CLS_ID, SEP_ID = 0, 1, 2, 3
"""Ids in a tokenizer of our own; those of another may differ, but for the padding."""

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MASK = "[MASK]"


class Tokenizer:
    """Sub-words; every text becomes [CLS] sub-words [SEP]."""

    def __init__(self, backend: Any, max_tokens: int | None = None) -> None:
        self._backend = backend
        self.max_tokens = max_tokens
        self.separator_id = int(backend.token_to_id(SPECIAL_TOKENS[SEP_ID]))

    @property
    def vocab_size(self) -> int:
        """Rows that a word embedding needs."""
        return 1 + int(max(self._backend.get_vocab(with_added_tokens=True).values()))

    def limited(self, max_tokens: int | None) -> Tokenizer:
        """This tokenizer, cutting texts to `max_tokens`."""
        return Tokenizer(self._backend, max_tokens)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, [CLS] first and [SEP] last; cut to `max_tokens` (keeping [SEP])."""
        encoded = [list(item.ids) for item in self._backend.encode_batch(texts)]
        if self.max_tokens is not None:
            encoded = [
                ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], self.separator_id]
                for ids in encoded
            ]
        return encoded

    def words(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text without special tokens, whole."""
        return [list(item.ids) for item in self._backend.encode_batch(texts, add_special_tokens=False)]

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
        """Read a tokenizer that `save` wrote, or one in the same layout; raises EcgqaError if it cannot be used."""
        from tokenizers import Tokenizer as Backend

        text = _read(path, "a tokenizer.json")
        try:
            json.loads(text)
            backend = Backend.from_str(text)
        except Exception as error:  # the library raises bare Exception for text it cannot use
            raise EcgqaError(f"{path} is no tokenizer: {str(error).splitlines()[0]}") from None
        backend.no_padding()
        backend.no_truncation()
        _check(backend, path)
        return cls(backend, max_tokens)

    @classmethod
    def of_vocabulary(cls, path: str | Path, *, lowercase: bool = True) -> Tokenizer:
        """BERT's word pieces (Devlin et al. 2019) over a vocab.txt, whose line numbers are the ids.

        Raises EcgqaError if the file is absent, no text, or lacks a special token.
        """
        from tokenizers import Tokenizer as Backend
        from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

        lines = _read(path, "a vocab.txt").removesuffix("\n").split("\n")  # a piece may be a rarer kind of line end
        vocabulary = {piece: line for line, piece in enumerate(lines)}
        _check_ids({token: vocabulary.get(token) for token in SPECIAL_TOKENS}, path)
        backend = Backend(models.WordPiece(vocabulary, unk_token=SPECIAL_TOKENS[UNK_ID]))
        backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        backend.post_processor = processors.BertProcessing(
            ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
        )
        backend.add_special_tokens([token for token in (*SPECIAL_TOKENS, "[MASK]") if token in vocabulary])
        return cls(backend)


def _read(path: str | Path, expected: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EcgqaError(f"no such file: {path}", expected=expected) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EcgqaError(f"{path} is no tokenizer: {error}", expected=expected) from None


def _check(backend: Any, path: str | Path) -> None:
    _check_ids({token: backend.token_to_id(token) for token in SPECIAL_TOKENS}, path)
    ids = backend.encode("a").ids
    if [*ids[:1], *ids[-1:]] != [backend.token_to_id("[CLS]"), backend.token_to_id("[SEP]")]:
        raise EcgqaError(f"{path} does not put texts between [CLS] and [SEP]", expected="a tokenizer like BERT's")


def _check_ids(ids: dict[str, int | None], path: str | Path) -> None:
    """What models rely on: four special tokens, of which the padding has id 0."""
    lacking = [token for token, index in ids.items() if index is None]
    if lacking or ids["[PAD]"] != PAD_ID:
        raise EcgqaError(
            f"{path} is not a tokenizer like BERT's",
            expected=f"{', '.join(SPECIAL_TOKENS)}, and [PAD] as number {PAD_ID}",
            found=f"no {', '.join(lacking)}" if lacking else f"[PAD] as number {ids['[PAD]']}",
        )


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
