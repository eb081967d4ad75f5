"""Train the certified network of ``specs/gradient_flow.ode`` on handwritten digits, in PyTorch.

python examples/digits/train_torch.py
"""

from __future__ import annotations

import numpy as np
import torch
from common import (
    BATCH,
    CLASSES,
    RATE,
    WIDTH,
    Digits,
    Outcome,
    arguments,
    certified,
    digits,
    expansions,
    report,
    spectral_norms,
)
from rich.progress import track
from torch import nn


class Residual(nn.Module):
    """An unconstrained residual network with the same layers, parameters and step: what one would write by hand."""

    def __init__(self, width: int = WIDTH, hidden: int = 128, steps: int = 8) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(steps, hidden, width) / width**0.5)
        self.V = nn.Parameter(torch.randn(steps, width, hidden) / hidden**0.5 / steps)
        self.b = nn.Parameter(torch.zeros(steps, hidden))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for W, V, b in zip(self.W, self.V, self.b, strict=True):
            x = x + torch.relu(x @ W.mT + b) @ V.mT
        return x


def train(blocks: nn.Module, data: Digits, epochs: int, name: str) -> tuple[nn.Sequential, list[float]]:
    """Train stem, blocks and head with Adam; the test accuracy after every epoch."""
    network = nn.Sequential(nn.Linear(WIDTH, WIDTH), blocks, nn.Linear(WIDTH, CLASSES))
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    accuracy = []
    for _ in track(range(epochs), description=f"{name:>22}"):
        network.train()
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
        schedule.step()
        network.eval()
        with torch.no_grad():
            right = network(torch.from_numpy(data.test_x)).argmax(1).numpy() == data.test_y
        accuracy.append(float(right.mean()))
    return network, accuracy


def outcome(name: str, network: nn.Sequential, accuracy: list[float], W: np.ndarray, data: Digits) -> Outcome:
    with torch.no_grad():
        before = network[0](torch.from_numpy(data.test_x))
        after = network[1](before)
    return Outcome(name, accuracy, spectral_norms(W), expansions(before.numpy(), after.numpy()))


def main() -> None:
    options = arguments("digits_torch.png")
    data = digits()
    torch.manual_seed(0)
    # The matrices are small: a second thread costs more in waiting than it saves.
    torch.set_num_threads(1)
    module, bound = certified("torch")
    flow = module.GradientFlow()
    network, accuracy = train(flow, data, options.epochs, "gradient flow")
    W = flow.weights()["W"].detach().numpy()
    constrained = outcome("gradient flow", network, accuracy, W, data)
    residual = Residual()
    network, accuracy = train(residual, data, options.epochs, "unconstrained residual")
    free = outcome("unconstrained residual", network, accuracy, residual.W.detach().numpy(), data)
    report(constrained, free, bound, options.picture)


if __name__ == "__main__":
    main()
