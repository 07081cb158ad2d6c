"""A classifier of word numbers: embedding, one layer of LSTM, pooling over the words, a linear layer."""

from typing import Literal

import torch
from torch import nn

from experiments.data.articles import PADDING


class LSTMClassifier(nn.Module):
    """Word numbers (n, length), padded at the end, to logits (n, ``classes``).

    ``pooling`` is what of the hidden states h_1..h_T of an article with T words is classified: mean is
    (1/T) sum_t h_t, last is h_T. Padding has no part in either: it comes after h_T.
    """

    def __init__(self, *, words: int, embedding: int, hidden: int, pooling: Literal["mean", "last"], classes: int):
        super().__init__()
        self.pooling = pooling
        self.embedding = nn.Embedding(words, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.head = nn.Linear(hidden, classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Map word numbers to logits; every article has at least one word."""
        there = ids != PADDING
        lengths = there.sum(dim=1)
        longest = int(lengths.max())
        states, _ = self.lstm(self.embedding(ids[:, :longest]))
        if self.pooling == "last":
            return self.head(states[torch.arange(len(ids), device=ids.device), lengths - 1])
        masked = states * there[:, :longest, None]
        return self.head(masked.sum(dim=1) / lengths[:, None])
