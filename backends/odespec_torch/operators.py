"""How each operation of a step program is written in PyTorch: one writer for each.

A writer gets the node and the terms of its arguments. Values of states and inputs carry leading batch axes, so every
axis counts from the end; weights and numbers carry none (`NONE`).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from odespec.activations import ACTIVATIONS
from odespec.exact import Real
from odespec.ir.expr import Convolution, Expr
from odespec.program.terms import ATOM, NONE, POWER, SUM, Term, call, literal, product, total
from odespec.program.text import shape_of

Writer = Callable[[Expr, tuple[Term, ...]], Term]

LEAVES = ("const", "array", "eye", "full", "time", "state", "param", "input")


def write(node: Expr, args: tuple[Term, ...]) -> Term:
    """The term of an operation (leaves are the printer's). Raises KeyError for one that there is no writer of."""
    return WRITERS[node.op](node, args)


def _pair(node: Expr, args: tuple[Term, ...]) -> tuple[Term, Term]:
    """The arguments of an elementwise operation; a scalar with batch axes gets one axis for each of the tensor's."""
    a, b = (_spread(t, e, node.shape) for t, e in zip(args, node.args, strict=True))
    return a, b


def _spread(term: Term, node: Expr, shape: tuple[int, ...]) -> Term:
    if node.shape or not shape or term.batch == NONE:
        return term
    return Term(f"{term.at(ATOM)}[..., {', '.join(['None'] * len(shape))}]", ATOM, term.batch)


def _add(node: Expr, args: tuple[Term, ...]) -> Term:
    return total(*_pair(node, args))


def _mul(node: Expr, args: tuple[Term, ...]) -> Term:
    return product(*_pair(node, args))


def _div(node: Expr, args: tuple[Term, ...]) -> Term:
    return product(*_pair(node, args), "/")


def _pow(node: Expr, args: tuple[Term, ...]) -> Term:
    exponent = node.data
    assert isinstance(exponent, Fraction)
    if exponent == Fraction(1, 2):
        return call("torch.sqrt", args[0])
    if exponent.denominator == 1:
        return Term(f"{args[0].at(ATOM)}**{exponent.numerator}", POWER, args[0].batch)
    if exponent.denominator % 2:
        return call("_odd_root_power", args[0], str(exponent.numerator), str(exponent.denominator))
    return Term(f"{args[0].at(ATOM)} ** ({exponent.numerator} / {exponent.denominator})", POWER, args[0].batch)


def _matmul(node: Expr, args: tuple[Term, ...]) -> Term:
    left, right = node.args
    if node.data == "last":
        plain = len(left.shape) == 2 or args[1].batch == NONE
        rest = _axes(len(left.shape) - 1)
        if not plain:
            return call("torch.einsum", f'"...{rest}y,...yz->...{rest}z"', *args)
        return product(args[0], args[1], "@")
    if len(right.shape) == 2:
        return product(args[0], args[1], "@")
    if len(right.shape) == 1 and args[0].batch == NONE:
        return product(args[1], Term(transposed(args[0])), "@")
    rest = _axes(len(right.shape) - 1)
    return call("torch.einsum", f'"...zy,...y{rest}->...z{rest}"', *args)


def _axes(count: int) -> str:
    return "abcdefgh"[:count]


def transposed(matrix: Term) -> str:
    """The transpose of a matrix; that of ``W.T`` is ``W``."""
    for suffix in (".T", ".mT"):
        if matrix.rank == ATOM and matrix.text.endswith(suffix) and matrix.text.removesuffix(suffix).isidentifier():
            return matrix.text.removesuffix(suffix)
    return f"{matrix.at(ATOM)}{'.T' if matrix.batch == NONE else '.mT'}"


def _transpose(node: Expr, args: tuple[Term, ...]) -> Term:
    return args[0] if node.args[0].op == "conv" else Term(transposed(args[0]), ATOM, args[0].batch)


def _linear(node: Expr, args: tuple[Term, ...]) -> Term:
    return call("F.linear", *args)


def _apply(node: Expr, args: tuple[Term, ...]) -> Term:
    operator = node.args[0]
    adjoint = operator.op == "transpose"
    how = (operator.args[0] if adjoint else operator).data
    assert isinstance(how, Convolution)
    details = [f'"{how.padding}"', str(how.stride), str(how.groups)]
    if adjoint:
        return call("_conv_adjoint", args[0], args[1], shape_of(how.spatial), *details)
    return call("_conv", args[0], args[1], *details)


def _act(node: Expr, args: tuple[Term, ...]) -> Term:
    data: tuple[str, tuple[Fraction, ...]] = node.data  # type: ignore[assignment]
    entry = ACTIVATIONS[data[0]]
    values = {p: literal(v).at(ATOM) for p, v in zip(entry.parameters, data[1], strict=True)}
    if entry.torch == "{x}":
        return args[0]
    text = entry.torch.format(x=args[0].text, **values)
    return Term(text, ATOM if closed(text) else SUM, args[0].batch)


def wants_names(node: Expr) -> bool:
    """Whether the argument must be a name: it occurs more than once in the text, or is no argument of a call there."""
    if node.op == "channel":
        return True
    if node.op != "act":
        return False
    template = ACTIVATIONS[node.data[0]].torch  # type: ignore[index]
    return template != "{x}" and (template.count("{x}") > 1 or not closed(template))


def closed(text: str) -> bool:
    """Whether a text is one call or one parenthesis: its first bracket closes at its end."""
    depth, opened = 0, text.find("(")
    if opened < 0 or not (text[:opened].replace(".", "").isidentifier() or not opened):
        return False
    for i, character in enumerate(text[opened:], opened):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return i == len(text) - 1
    return False


def _back(shape: tuple[int, ...], axes: object) -> str:
    """Axes (all of them for None) counted from the end, as an argument."""
    chosen = range(len(shape)) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    numbers = tuple(i % len(shape) - len(shape) for i in chosen)
    return str(numbers[0]) if len(numbers) == 1 else shape_of(numbers)


def _reduction(function: str) -> Writer:
    def writer(node: Expr, args: tuple[Term, ...]) -> Term:
        shape = node.args[0].shape
        return call(function, args[0], _back(shape, node.data)) if shape else args[0]

    return writer


def _dot(node: Expr, args: tuple[Term, ...]) -> Term:
    shape = node.args[0].shape
    both = product(args[0], args[1])
    return call("torch.sum", both, _back(shape, None)) if shape else both


def _norm(node: Expr, args: tuple[Term, ...]) -> Term:
    shape = node.args[0].shape
    if not shape:
        return call("torch.abs", args[0])
    order = {2: "", 1: ", ord=1", "inf": ', ord=float("inf")'}[node.data]
    return call("torch.linalg.vector_norm", args[0], f"dim={_back(shape, None)}{order}")


def _softmax(node: Expr, args: tuple[Term, ...]) -> Term:
    assert isinstance(node.data, int)
    return call("torch.softmax", args[0], str(_from_end(node, node.data)))


def _layernorm(node: Expr, args: tuple[Term, ...]) -> Term:
    data: tuple[int, Real] = node.data  # type: ignore[assignment]
    return call("_layernorm", args[0], str(_from_end(node, data[0])), literal(data[1]).text)


def _from_end(node: Expr, axis: int) -> int:
    return axis if axis < 0 else axis - len(node.shape)


def _channel(node: Expr, args: tuple[Term, ...]) -> Term:
    behind = ", ".join(["None"] * (len(node.shape) - 1))
    sizes = ", ".join(map(str, node.shape))
    before = "" if args[0].batch == NONE else f"*{args[0].text}.shape[:-1], "
    spread = f"{args[0].text}[..., {behind}]" if behind else args[0].text
    return Term(f"{spread}.expand({before}{sizes})", ATOM, args[0].batch)


def _bound(node: Expr, args: tuple[Term, ...]) -> Term:
    return call("_norm_bound", args[0], str(len(node.args[0].shape)))


def _through(function: str) -> Writer:
    return lambda node, args: call(function, *args)


def _pool(node: Expr, args: tuple[Term, ...]) -> Term:
    return call("_pool", args[0], str(node.data))


def _kernel(node: Expr, args: tuple[Term, ...]) -> Term:
    """A convolution is written where it is applied; until then it is its kernel. So is its adjoint."""
    return args[0]


WRITERS: dict[str, Writer] = {
    "add": _add,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "matmul": _matmul,
    "linear": _linear,
    "transpose": _transpose,
    "conv": _kernel,
    "apply": _apply,
    "diag": _through("torch.diag_embed"),
    "offdiag": _through("_offdiagonal"),
    "act": _act,
    "softmax": _softmax,
    "layernorm": _layernorm,
    "sum": _reduction("torch.sum"),
    "mean": _reduction("torch.mean"),
    "min": _reduction("torch.amin"),
    "max": _reduction("torch.amax"),
    "dot": _dot,
    "norm": _norm,
    "channel": _channel,
    "pool": _pool,
    "bound": _bound,
}
