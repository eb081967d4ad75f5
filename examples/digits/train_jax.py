"""Train the certified network of ``specs/gradient_flow.ode`` on handwritten digits, in JAX.

python examples/digits/train_jax.py
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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

Tree = Any
Apply = Callable[[Tree, jax.Array], jax.Array]


def residual_init(key: jax.Array, width: int = WIDTH, hidden: int = 128, steps: int = 8) -> Tree:
    """An unconstrained residual network of the same size."""
    first, second = jax.random.split(key)
    return {
        "W": jax.random.normal(first, (steps, hidden, width)) / width**0.5,
        "V": jax.random.normal(second, (steps, width, hidden)) / hidden**0.5 / steps,
        "b": jnp.zeros((steps, hidden)),
    }


def residual_apply(params: Tree, x: jax.Array) -> jax.Array:
    def step(x: jax.Array, layer: Tree) -> tuple[jax.Array, None]:
        return x + jax.nn.relu(x @ layer["W"].T + layer["b"]) @ layer["V"].T, None

    return jax.lax.scan(step, x, params)[0]


def linear_init(key: jax.Array, out: int) -> Tree:
    return {"A": jax.random.normal(key, (out, WIDTH)) / WIDTH**0.5, "c": jnp.zeros(out)}


def linear(params: Tree, x: jax.Array) -> jax.Array:
    return x @ params["A"].T + params["c"]


def logits(blocks: Apply, params: Tree, x: jax.Array) -> jax.Array:
    return linear(params["head"], blocks(params["blocks"], linear(params["stem"], x)))


def adam_step(grads: Tree, state: Tree, params: Tree, step: jax.Array, rate: jax.Array) -> tuple[Tree, Tree]:
    """Kingma & Ba (2015), algorithm 1, with its default decay rates."""
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state[0], grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state[1], grads)
    scale = jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    new = jax.tree.map(lambda p, m, v: p - rate * scale * m / (jnp.sqrt(v) + 1e-8), params, first, second)
    return new, (first, second)


def train(blocks: Apply, initial: Tree, data: Digits, epochs: int, name: str) -> tuple[Tree, list[float]]:
    stem_key, head_key = jax.random.split(jax.random.key(1))
    params = {"stem": linear_init(stem_key, WIDTH), "blocks": initial, "head": linear_init(head_key, CLASSES)}
    state = (jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))

    def loss(params: Tree, x: jax.Array, y: jax.Array) -> jax.Array:
        logs = jax.nn.log_softmax(logits(blocks, params, x))
        return -jnp.take_along_axis(logs, y[:, None], axis=1).mean()

    @jax.jit
    def update(
        params: Tree, state: Tree, x: jax.Array, y: jax.Array, step: jax.Array, rate: jax.Array
    ) -> tuple[Tree, Tree]:
        return adam_step(jax.grad(loss)(params, x, y), state, params, step, rate)

    predict = jax.jit(partial(logits, blocks))
    rng, step, accuracy = np.random.default_rng(0), 0, []
    for epoch in track(range(epochs), description=f"{name:>22}"):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        order = rng.permutation(len(data.train_x))
        for rows in order[: len(order) // BATCH * BATCH].reshape(-1, BATCH):
            step += 1
            params, state = update(
                params, state, data.train_x[rows], data.train_y[rows], jnp.asarray(float(step)), jnp.asarray(rate)
            )
        right = np.asarray(predict(params, data.test_x)).argmax(1) == data.test_y
        accuracy.append(float(right.mean()))
    return params, accuracy


def outcome(name: str, blocks: Apply, params: Tree, accuracy: list[float], W: jax.Array, data: Digits) -> Outcome:
    before = linear(params["stem"], data.test_x)
    after = blocks(params["blocks"], before)
    return Outcome(name, accuracy, spectral_norms(np.asarray(W)), expansions(np.asarray(before), np.asarray(after)))


def main() -> None:
    options = arguments("digits_jax.png")
    data = digits()
    module, bound = certified("jax")
    params, accuracy = train(module.apply, module.init(jax.random.key(0)), data, options.epochs, "gradient flow")
    W = module.weights(params["blocks"])["W"]
    constrained = outcome("gradient flow", module.apply, params, accuracy, W, data)
    params, accuracy = train(
        residual_apply, residual_init(jax.random.key(0)), data, options.epochs, "unconstrained residual"
    )
    free = outcome("unconstrained residual", residual_apply, params, accuracy, params["blocks"]["W"], data)
    report(constrained, free, bound, options.picture)


if __name__ == "__main__":
    main()
