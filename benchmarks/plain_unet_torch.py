"""The reference network in PyTorch, for comparison in benchmarks."""

from __future__ import annotations

import torch
from torch import nn


class PlainUNet(nn.Module):
    """The reference network; height and width must be multiples of 16."""

    def __init__(self, n_classes: int = 23, filters: int = 32, dropout: float = 0.3) -> None:
        """Creates the layers."""
        super().__init__()
        sizes = [filters * 2**level for level in range(5)]
        self.encoders = nn.ModuleList(
            _convolutions(before, after, dropout if level >= 3 else 0.0)
            for level, (before, after) in enumerate(zip([3, *sizes[:-1]], sizes, strict=True))
        )
        self.pool = nn.MaxPool2d(2)
        self.upsamplings = nn.ModuleList(
            nn.ConvTranspose2d(2 * size, size, 3, stride=2, padding=1, output_padding=1)
            for size in reversed(sizes[:-1])
        )
        self.decoders = nn.ModuleList(
            _convolutions(2 * size, size) for size in reversed(sizes[:-1])
        )
        self.head = nn.Sequential(
            nn.Conv2d(filters, filters, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(filters, n_classes, 1),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Maps images to logits, channels first."""
        skips = []
        for encoder in self.encoders[:-1]:
            skips.append(encoder(features))
            features = self.pool(skips[-1])
        features = self.encoders[-1](features)
        for upsampling, decoder, skip in zip(
            self.upsamplings, self.decoders, reversed(skips), strict=True
        ):
            features = decoder(torch.cat([upsampling(features), skip], dim=1))
        return self.head(features)


def _convolutions(before: int, after: int, dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.ReLU(),
        *([nn.Dropout(dropout)] if dropout else []),
    )
