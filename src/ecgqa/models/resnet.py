"""A 1-D residual network with bottleneck blocks over ECG samples, whose results do not depend on padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ecgqa.models.layers import positions_below
from ecgqa.models.padded import valid_batch_norm
from ecgqa.records import LEADS

EXPANSION = 4
"""Output channels of a bottleneck block per inner channel."""


class Bottleneck(nn.Module):
    """Narrow, convolve, widen, and add what came in (He et al. 2016; the stride stands in the middle)."""

    def __init__(self, n_in: int, planes: int, stride: int) -> None:
        super().__init__()
        n_out = planes * EXPANSION
        self.stride = stride
        self.conv1 = nn.Conv1d(n_in, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm1d(planes)
        self.conv2 = nn.Conv1d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm1d(planes)
        self.conv3 = nn.Conv1d(planes, n_out, 1, bias=False)
        self.bn3 = nn.BatchNorm1d(n_out)
        shortcut = (nn.Conv1d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm1d(n_out))
        self.downsample = nn.ModuleList(shortcut) if stride != 1 or n_in != n_out else None

    def forward(self, x: Tensor, before: Tensor | None, after: Tensor | None) -> Tensor:
        """x (B, n_in, L); before, after: bool (B, 1, .) valid positions of what comes in and goes out."""
        out = F.relu(valid_batch_norm(self.bn1, self.conv1(x), before))
        if before is not None:
            out = out * before  # the next convolution looks beyond the end
        out = F.relu(valid_batch_norm(self.bn2, self.conv2(out), after))
        out = valid_batch_norm(self.bn3, self.conv3(out), after)
        if self.downsample is not None:
            conv, norm = self.downsample
            x = valid_batch_norm(norm, conv(x), after)
        return F.relu(out + x)


class ResNet(nn.Module):
    """Stem, max pooling, stages of bottleneck blocks, mean over time: (B, 12, T) millivolts to (B, width)."""

    def __init__(
        self, stem_channels: int, planes: Sequence[int], blocks: Sequence[int], *, ignore_padding: bool = True
    ) -> None:
        super().__init__()
        self.ignore_padding = ignore_padding
        self.conv1 = nn.Conv1d(len(LEADS), stem_channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm1d(stem_channels)
        self.stages = nn.ModuleList()
        n_in = stem_channels
        for stage, (width, n_blocks) in enumerate(zip(planes, blocks, strict=True)):
            first = Bottleneck(n_in, width, 1 if stage == 0 else 2)
            n_in = width * EXPANSION
            self.stages.append(nn.ModuleList([first, *(Bottleneck(n_in, width, 1) for _ in range(n_blocks - 1))]))
        self.width = n_in
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, ecg: Tensor, length: Tensor) -> Tensor:
        """Features (B, width) of ecg (B, 12, T) in mV with `length` (B,) valid samples."""
        *_, (x, valid) = self.convolve(ecg, length)
        if valid is None:
            return x.mean(2)
        return (x * valid).sum(2) / valid.sum(2).clamp_min(1)

    def convolve(self, ecg: Tensor, length: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Output (B, channels, L) of every stage with its valid positions, bool (B, 1, L) or None if all are taken."""
        keep_out = self.ignore_padding and bool((length < ecg.shape[-1]).any())
        valid = positions_below(length, ecg.shape[-1])[:, None] if keep_out else None
        valid = _halved(valid)
        x = F.relu(valid_batch_norm(self.bn1, self.conv1(ecg), valid))
        # Behind a ReLU a zero never wins the maximum: where padding is zero, it does not count.
        x = F.max_pool1d(x if valid is None else x * valid, 3, stride=2, padding=1)
        valid = _halved(valid)
        for blocks in self.stages:
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                after = _halved(valid) if block.stride == 2 else valid
                x, valid = block(x, valid, after), after
            yield x, valid


def _halved(valid: Tensor | None) -> Tensor | None:
    """Valid positions behind a stride of two: half of them, rounded up, as of an ECG alone."""
    return None if valid is None else valid[..., ::2]
