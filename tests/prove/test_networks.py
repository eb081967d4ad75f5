"""A network as one map is what its layers make one after the other; its bounds hold for random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from odespec import api
from odespec.ir.model import Model, Network
from odespec.program.interpret import run
from odespec.program.lower import lower
from odespec.prove.against import against
from odespec.prove.networks import flattened, pieces
from odespec.prove.refute.mapping import apply, network
from odespec.weights.arithmetic import FLOAT
from odespec.weights.sampling import sample

TEXT = """model Block
dim d = 3
state x[d]
state v[d] = 0.5 * x
param W[d, d] per step
param b[d]
x' = -W.T @ tanh(W @ x + b) + v
v' = -v
constraint norm(W) <= 1
solver rk4(steps = 3)
time 0 .. 1.5
output z = x + 2 * v

network Net
dim d = 3
input u[d]
param Q[d, d], c[d]
constraint norm(Q) <= 2
a = Block(u)
a = tanh(Q @ a + c)
s = a + u
a = Block(s)
output y = Q @ a
claim lipschitz <= 100
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Network, Model]:
    path = tmp_path_factory.mktemp("net") / "net.ode"
    path.write_text(TEXT, encoding="utf-8")
    block, found = api.load(path).sections
    assert isinstance(block, Model) and isinstance(found, Network)
    return path, found, block


def by_layers(block: Model, weights: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
    """The network run layer by layer, each block by the interpreter."""

    def applied(number: int, x: np.ndarray) -> np.ndarray:
        prefix = f"Block.{number}."
        own = {"W": np.stack([weights[f"{prefix}W[{k}]"] for k in range(3)]), "b": weights[prefix + "b"]}
        x, v = run(lower(block), own, [x])
        return np.asarray(x + 2 * v)

    a = np.tanh(weights["Q"] @ applied(1, u) + weights["c"])
    return np.asarray(weights["Q"] @ applied(2, a + u))


@pytest.mark.parametrize("seed", range(8))
def test_one_map_is_the_layers(net: tuple[Path, Network, Model], seed: int) -> None:
    _, found, block = net
    rng = np.random.default_rng(seed)
    model = flattened(found)
    weights, u = sample(model, rng), rng.standard_normal(3)
    whole = network(lower(model), "output")
    assert apply(whole, FLOAT, weights, u, {}) == pytest.approx(by_layers(block, weights, u), rel=1e-10, abs=1e-10)


def test_it_is_cut_where_one_value_is_left(net: tuple[Path, Network, Model]) -> None:
    names = [p.name for p in pieces(net[1])]
    assert names == ["a = Block(u); a = tanh(Q @ a + c); s = a + u", "a = Block(s)", "output"]


@pytest.mark.parametrize("seed", range(6))
def test_no_random_network_exceeds_its_certified_bound(net: tuple[Path, Network, Model], seed: int) -> None:
    path, found, block = net
    verdict = api.check(api.load(path))[1].verdicts[0]
    assert verdict.verdict == "proved" and verdict.upper is not None and verdict.certificate is not None
    assert against(verdict.certificate.text(), path, {}) == []
    rng = np.random.default_rng([7, seed])
    weights = sample(flattened(found), rng)
    for _ in range(40):
        u = 3 * rng.standard_normal(3)
        w = u + 10.0 ** rng.uniform(-3, 1) * rng.standard_normal(3)
        ends = [by_layers(block, weights, v) for v in (u, w)]
        assert np.linalg.norm(ends[1] - ends[0]) <= verdict.upper * np.linalg.norm(w - u) * (1 + 1e-9)
