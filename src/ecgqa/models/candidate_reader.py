"""Our own QA model: reads in each ECG what a question and each of its candidates name, and weighs sets of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.models.answer_sets import AnswerSets
from ecgqa.models.beats import RHYTHM, average_beats, beat_samples
from ecgqa.models.layers import masked_mean, positions_below
from ecgqa.models.registry import register_model
from ecgqa.records import LEADS

if TYPE_CHECKING:
    from ecgqa.store.batches import Batch

PLACES = len(LEADS) + 1
"""Where a question may look: each lead, and the ECG as a whole."""

N_ECGS = 2
"""ECGs that a question may compare."""

UNIT_PER_MV = 3.0
"""Brings an average beat to a variance of about one."""


@dataclass
class CandidateReaderConfig:
    """Size of the candidate reader; the defaults are those of the tiny recipe.

    Args:
        width: width of every vector: leads, words, names.
        evidence: numbers read from an ECG about one name.
        hidden: width of the network that weighs the evidence.
        beat_channels: channels of the convolutions over the average beat.
        n_layers: transformer layers over the leads of an ECG.
        n_text_layers: transformer layers over the words of a question.
        n_heads: attention heads of both.
        working_rate_hz: samples are averaged down to about this rate first.
        max_set: number of answers up to which each has a weight of its own; larger sets share the last.
        max_text_tokens: longest question in sub-words; longer ones are cut.
        word_dropout: share of a question's words hidden from it in training, so that no single word decides what kind
            of question it is: other wordings may lack that one.
        dropout: dropout on ECG and question vectors and inside the network that weighs them.
    """

    width: int = 64
    evidence: int = 16
    hidden: int = 64
    beat_channels: int = 32
    n_layers: int = 1
    n_text_layers: int = 0
    n_heads: int = 4
    working_rate_hz: float = 125.0
    max_set: int = 12
    max_text_tokens: int = 64
    word_dropout: float = 0.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} is not a multiple of n_heads {self.n_heads}")


class Block(nn.Module):
    """A pre-norm transformer layer with RMSNorm and gated feed-forward, without biases (as in Llama)."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm, self.feedforward_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(2 * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x (B, L, width), valid (B, L) bool or None if every position is."""
        n, length, width = x.shape
        query, key, value = self.qkv(self.attention_norm(x)).view(n, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        attend = None if valid is None else valid[:, None, None]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attend)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(n, length, width)))
        gate, up = self.up(self.feedforward_norm(x)).chunk(2, -1)
        out: Tensor = x + self.dropout(self.down(F.silu(gate) * up))
        return out


class EcgReader(nn.Module):
    """ECGs (E, 12, T) in mV to vectors (E, PLACES, width): one for each lead, one for the whole."""

    def __init__(self, config: CandidateReaderConfig, sampling_rate_hz: float) -> None:
        super().__init__()
        width, channels = config.width, config.beat_channels
        self.decimate = max(1, round(sampling_rate_hz / config.working_rate_hz))
        self.rate_hz = sampling_rate_hz / self.decimate
        self.beat = nn.Sequential(
            nn.Conv1d(2, channels // 2, 7, 2, 3),
            nn.GELU(),
            nn.Conv1d(channels // 2, channels, 5, 2, 2),
            nn.GELU(),
            nn.Conv1d(channels, channels, 5, 2, 2),
            nn.GELU(),
            nn.Flatten(),  # beats are aligned: each place in a beat has weights of its own
            nn.LazyLinear(width),
        )
        self.beat(torch.zeros(1, 2, beat_samples(self.rate_hz)))
        self.rhythm = nn.Linear(len(RHYTHM), width)
        self.place_norm = nn.RMSNorm(width)
        self.lead = nn.Parameter(0.3 * torch.randn(len(LEADS), width))
        self.whole = nn.Sequential(nn.Linear(len(LEADS) * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.blocks = nn.ModuleList(Block(width, config.n_heads, config.dropout) for _ in range(config.n_layers))
        self.absent = nn.Parameter(0.3 * torch.randn(width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, ecgs: Tensor, length: Tensor) -> Tensor:
        """length (E,) valid samples; an ECG without any is `absent` everywhere."""
        whole = ecgs.shape[-1] // self.decimate * self.decimate
        pieces = ecgs[..., :whole].reshape(*ecgs.shape[:-1], -1, self.decimate)
        # not in half precision: a millivolt and its hundredth both matter
        with torch.no_grad(), torch.autocast(ecgs.device.type, enabled=False):
            averaged = pieces @ ecgs.new_full((self.decimate,), 1.0 / self.decimate)
            valid = positions_below(length // self.decimate, averaged.shape[-1])
            beats = average_beats(averaged.masked_fill(~valid[:, None], 0.0), length // self.decimate, self.rate_hz)
        pictures = UNIT_PER_MV * torch.stack([beats.mean, beats.spread], 2)
        leads = self.beat(pictures.flatten(0, 1)).view(len(ecgs), len(LEADS), -1)
        leads = leads + self.lead  # no norm before: absolute voltage stays visible
        both = torch.cat([leads, (self.whole(leads.flatten(1)) + self.rhythm(beats.rhythm))[:, None]], 1)
        for block in self.blocks:
            both = block(both)
        return torch.where((length > 0)[:, None, None], self.dropout(self.place_norm(both)), self.absent)


@register_model("ecgqa", CandidateReaderConfig)
class CandidateReader(nn.Module):
    """Scores a question's own candidates by what their names, and the names in the question, find in the ECGs.

    Each ECG becomes a vector per lead and one for the whole, once for all questions about it. A question points to
    names (of answers) and to places (leads) that it mentions: first by common sub-words, then by what is learned. A
    name and a place together read `evidence` numbers in an ECG, by one bilinear map for all names, so that "is there
    X?", "X or Y?", "what is there?" and "what is new?" learn the same thing about X. For each candidate the evidence
    on its own name, on the question's names, and on these in the lead that the candidate may name, in the first and in
    the second ECG, is weighed under the question. The weights of sets of answers complete it (see `AnswerSets`).

    answer_tokens, lead_tokens: sub-word ids of the name of each answer, and of "lead I", "lead II", ...
    """

    def __init__(
        self,
        config: CandidateReaderConfig,
        *,
        n_answers: int,
        vocab_size: int,
        answer_tokens: Sequence[Sequence[int]],
        lead_tokens: Sequence[Sequence[int]],
        sampling_rate_hz: float,
    ) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.config = config
        self.ecg = EcgReader(config, sampling_rate_hz)
        self.word = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.word.weight, std=0.5)
        self.position = nn.Parameter(0.1 * torch.randn(config.max_text_tokens, width))
        self.phrase = nn.Conv1d(width, width, 3, padding=1)
        self.text = nn.ModuleList(Block(width, config.n_heads, config.dropout) for _ in range(config.n_text_layers))
        self.text_norm, self.name_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.name = nn.Parameter(0.5 * torch.randn(n_answers, width))
        self.to_name, self.to_place = nn.Linear(width, width), nn.Linear(width, width)
        self.place = nn.Parameter(0.3 * torch.randn(PLACES, width))
        self.match = nn.Parameter(torch.full((2,), 2.0))
        self.seen, self.asked, self.told = (
            nn.Linear(width, width),
            nn.Linear(width, width),
            nn.Linear(width, config.evidence),
        )
        self.read = nn.Linear(3 * config.evidence, hidden)
        self.compare = nn.Linear(3 * hidden, hidden)
        self.question_weighs, self.name_weighs = nn.Linear(width, 4 * hidden), nn.Linear(width, 4 * hidden)
        self.score = nn.Linear(hidden, 1)
        self.expected = nn.Linear(width, width)
        self.common = nn.Parameter(torch.zeros(n_answers))
        self.sizes = nn.Linear(width, config.max_set + 1)
        self.dropout = nn.Dropout(config.dropout)
        self.apply(_initialise)
        nn.init.normal_(self.score.weight, std=0.3 * hidden**-0.5)
        self.answer_tokens: Tensor
        self.answer_words: Tensor
        self.lead_words: Tensor
        self.register_buffer("answer_tokens", _padded(answer_tokens), persistent=False)
        self.register_buffer("answer_words", _words(answer_tokens, n_answers, vocab_size), persistent=False)
        self.register_buffer("lead_words", _words(lead_tokens, PLACES, vocab_size), persistent=False)

    @overload
    def forward(self, batch: Batch, *, sets: Literal[False] = ...) -> Tensor: ...
    @overload
    def forward(self, batch: Batch, *, sets: Literal[True]) -> AnswerSets: ...
    def forward(self, batch: Batch, *, sets: bool = False) -> Tensor | AnswerSets:
        """Log-odds (B, n_answers) of each candidate, or with `sets` the distribution over sets that they come from."""
        text, n_tokens = batch.text, batch.text.shape[1]
        if n_tokens > self.config.max_text_tokens:
            raise ValueError(f"a question has {n_tokens} tokens, the model takes {self.config.max_text_tokens}")
        question = self._question(text, positions_below(batch.text_length, n_tokens))
        names = self.name_norm(self.name + masked_mean(self.word(self.answer_tokens), self.answer_tokens > 0))
        topic, place, own_place = self._pointers(text, question, names)
        row, candidate = batch.candidates.nonzero(as_tuple=True)

        seen = self.seen(self.ecg(batch.ecgs, batch.ecgs_length))
        own, asked = self.asked(names), self.asked(topic)
        weights = self.question_weighs(question)[row] + self.name_weighs(names)[candidate]
        gain, shift, compare_gain, compare_shift = weights.chunk(4, 1)
        looks = []
        for k in range(N_ECGS):
            if k < batch.ecg_of.shape[1]:
                ecg = seen[batch.ecg_of[:, k]]
            else:
                ecg = self.seen(self.ecg.absent).expand(len(batch), PLACES, -1)
            here = (place[:, :, None] * ecg).sum(1)
            evidence = [
                self.told(here[row] * own[candidate]),
                self.told(here * asked)[row],
                (self.told(ecg * asked[:, None])[row] * own_place[candidate][:, :, None]).sum(1),
            ]
            looks.append(F.gelu(self.read(torch.cat(evidence, 1)) * (1 + gain) + shift))
        both = looks[0] + self.compare(torch.cat([*looks, looks[0] * looks[1]], 1))
        found = self.score(self.dropout(F.gelu(both * (1 + compare_gain) + compare_shift)))[:, 0]
        expected = (self.expected(question)[row] * names[candidate]).sum(1) / names.shape[1] ** 0.5
        scores = torch.zeros(batch.candidates.shape, device=found.device).index_put(
            (row, candidate), (found + expected + self.common[candidate]).float()
        )
        answers = AnswerSets(scores, self.sizes(question), batch.candidates)
        return answers if sets else answers.log_odds()

    def _question(self, text: Tensor, valid: Tensor) -> Tensor:
        words = (self.word(text) + self.position[: text.shape[1]]) * valid[:, :, None]
        if self.training and self.config.word_dropout:
            words = words * (torch.rand_like(words[:, :, :1]) >= self.config.word_dropout)
        words = words + F.gelu(self.phrase(words.transpose(1, 2))).transpose(1, 2)
        for block in self.text:
            words = block(words, valid)
        out: Tensor = self.dropout(masked_mean(self.text_norm(words), valid))
        return out

    def _pointers(self, text: Tensor, question: Tensor, names: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What questions ask about: the mixed name (B, width) and the weight of each place (B, PLACES); and the weight
        of each place for the answers that name a lead (C, PLACES)."""
        words = question.new_zeros(len(text), self.answer_words.shape[1]).scatter(1, text, 1.0)
        name = self.to_name(question) @ names.T / names.shape[1] ** 0.5
        name = (name + self.match[0] * _match(words, self.answer_words)).softmax(1)
        place = self.to_place(question) @ self.place.T
        place = (place + self.match[1] * _match(words, self.lead_words)).softmax(1)
        return name @ names, place, (self.match[1] * _match(self.answer_words, self.lead_words)).softmax(1)


def _initialise(module: nn.Module) -> None:
    """Keep variances through every map: what an ECG says would else start a hundred times fainter than the question."""
    if isinstance(module, nn.Linear | nn.Conv1d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu" if isinstance(module, nn.Conv1d) else "linear")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _match(texts: Tensor, names: Tensor) -> Tensor:
    """How many words of each name a text holds, less twice those it lacks, (texts, names), from bags of words."""
    found = texts @ names.T
    return 3.0 * found - 2.0 * names.sum(1)


def _padded(tokens: Sequence[Sequence[int]]) -> Tensor:
    longest = max(1, *map(len, tokens))
    return torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in tokens])


def _words(tokens: Sequence[Sequence[int]], n_names: int, vocab_size: int) -> Tensor:
    """Bags of words (n_names, vocab_size); names beyond those given have none."""
    words = torch.zeros(n_names, vocab_size)
    for row, ids in enumerate(tokens):
        words[row, list(ids)] = 1.0
    return words
