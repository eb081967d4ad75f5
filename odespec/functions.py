"""The registry of the functions of expressions, the elementwise activations aside (those are in `odespec.activations`).

An entry says how a function is called and what it means. How it is typed stands in `odespec.ir.calls` under its name.
"""

from __future__ import annotations

from odespec.activations import ACTIVATIONS
from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """``tensors``: how many of the first arguments are tensors; the others are options, read as they are written.

    ``least`` and ``most`` count all arguments. ``kind``: "elementwise", "vector", "reduction", "operator", "shaping",
    "calculus" or "sized" (``ones[d]``).
    """

    name: str
    kind: str
    signature: str
    doc: str
    least: int = 1
    most: int = 1
    keywords: tuple[str, ...] = ()
    tensors: int = 1


FUNCTIONS: dict[str, Function] = {}


def register(function: Function) -> Function:
    """Make a function known under its name. Raises ValueError where the name is taken."""
    if function.name in FUNCTIONS:
        raise ValueError(f"there is already a function `{function.name}`")
    FUNCTIONS[function.name] = function
    return function


def lookup(name: str) -> Function | None:
    """The function of a name, an activation included; None where there is none."""
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    activation = ACTIVATIONS.get(name)
    if activation is None or not activation.nameable:
        return None
    names = activation.parameters
    signature = f"{name}({', '.join(('x', *names))})"
    return Function(name, "elementwise", signature, activation.doc, 1 + len(names), 1 + len(names), names)


def function_names() -> tuple[str, ...]:
    """Every name that a spec may call, sorted; all are reserved."""
    return tuple(sorted({*FUNCTIONS, *(a.name for a in ACTIVATIONS.values() if a.nameable)}))


for _entry in (
    Function("softmax", "vector", "softmax(x, axis = k)", "positive, summing to one along an axis (the last)",
             keywords=("axis",)),
    Function("layernorm", "vector", "layernorm(x, axis = k, eps = 1e-5)",
             "mean zero, variance one along an axis (the last), without an affine part", keywords=("axis", "eps")),
    Function("sum", "reduction", "sum(E, axis)", "the sum of all entries, or along axes", most=2,
             keywords=("axis",)),
    Function("mean", "reduction", "mean(E, axis)", "the mean of all entries, or along axes", most=2,
             keywords=("axis",)),
    Function("dot", "reduction", "dot(a, b)", "the inner product of two tensors", least=2, most=2, tensors=2),
    Function("norm", "reduction", "norm(E, p)", "the norm of a vector or an operator; p is 2, 1 or inf", most=2),
    Function("min", "reduction", "min(E)", "the smallest entry"),
    Function("max", "reduction", "max(E)", "the largest entry"),
    Function("conv", "operator", "conv(K, padding = circular, stride = 1, groups = 1)",
             "the convolution with a kernel K[out, in, kh, kw] or K[out, in, k]",
             keywords=("padding", "stride", "groups")),
    Function("diag", "operator", "diag(v)", "the diagonal matrix of a vector"),
    Function("laplacian", "operator", "laplacian(G, normalized = false)", "the Laplacian of a graph",
             keywords=("normalized",), tensors=0),
    Function("adjacency", "operator", "adjacency(G)", "the adjacency matrix of a graph", tensors=0),
    Function("incidence", "operator", "incidence(G)", "the incidence matrix, a row for each edge", tensors=0),
    Function("channel", "shaping", "channel(b)", "one value for each channel of an image"),
    Function("offdiag", "shaping", "offdiag(W)", "a matrix without its diagonal"),
    Function("pool", "shaping", "pool(u, k)", "means over k by k blocks of the last two axes", least=2, most=2),
    Function("ones", "sized", "ones[d]", "every entry one", 0, 0, tensors=0),
    Function("zeros", "sized", "zeros[d]", "every entry zero", 0, 0, tensors=0),
    Function("grad", "calculus", "grad(V, x)", "the gradient of a scalar expression by a state", least=2, most=2),
):  # fmt: skip
    register(_entry)
