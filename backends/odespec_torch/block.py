"""Straight-line code from expressions: what is used once and short stays in place, the rest gets a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from odespec.exact import Real
from odespec.ir.expr import Expr, const, matmul, mul, neg, postorder, rebuild, rewrite
from odespec.program.names import Names
from odespec.program.schedule import needed
from odespec.program.terms import ATOM, Term, literal
from odespec.program.text import shape_of
from odespec_torch.operators import closed, wants_names, write

INLINE, LINE = 40, 84
OPERATORS = ("conv",)
BATCHED = ("state", "input", "noise", "stage", "initial")


def simplify(roots: Iterable[Expr]) -> tuple[Expr, ...]:
    """Products by a diagonal matrix become elementwise, signs move out of products, biases into them."""
    turned = rewrite(roots, _simplified)
    uses = Counter(a for node in postorder(*turned) for a in node.args)
    uses.update(turned)
    weights: dict[Expr, bool] = {}
    new: dict[Expr, Expr] = {}
    for node in postorder(*turned):
        weights[node] = node.op not in BATCHED and all(weights[a] for a in node.args)
        args = tuple(new[a] for a in node.args)
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        new[node] = _with_bias(node, args, uses, weights) or (node if same else rebuild(node, args))
    return tuple(new[root] for root in turned)


def _simplified(node: Expr) -> Expr:
    if node.op != "matmul" or node.data is not None:
        return node
    left, right = node.args
    if left.op == "diag":
        vector = left.args[0]
        return mul(vector if len(right.shape) == 1 else Expr("channel", (vector,), right.shape), right)
    if left.op == "mul" and left.args[0] == const(-1):
        return neg(_simplified(matmul(left.args[1], right)))
    return node


def _with_bias(
    node: Expr, args: tuple[Expr, ...], uses: Mapping[Expr, int], weights: Mapping[Expr, bool]
) -> Expr | None:
    """``W @ x + b`` with weights W and b, written ``linear(x, W, b)``: one kernel instead of two."""
    if node.op != "add" or len(node.shape) != 1:
        return None
    for i, (product, bias) in enumerate((node.args, node.args[::-1])):
        fits = product.op == "matmul" and product.data is None and uses[product] == 1 and not weights[product]
        if fits and weights[product.args[0]] and bias.op == "param" and bias.shape == node.shape:
            matrix, x = args[i].args[:2] if args[i].op == "matmul" else (None, None)
            return None if matrix is None or x is None else Expr("linear", (x, matrix, bias), node.shape)
    return None


def is_operator(node: Expr) -> bool:
    """Whether a node is a linear operator that has no value of its own: it is written where it is applied."""
    return node.op in OPERATORS or (node.op == "transpose" and node.args[0].op in OPERATORS)


def worth(node: Expr) -> bool:
    """Whether something that is the same in every step should be computed before the loop."""
    if node.op in ("eye", "array", "full"):
        return True
    return bool(node.args) and not is_operator(node) and not (node.op == "transpose" and not node.args[0].args)


def _view(node: Expr) -> bool:
    """Whether a node is the transpose of something with a name, which is as short as a name."""
    return node.op == "transpose" and not node.args[0].args


class Block:
    """Code in the making: ``lines`` so far, and the term of every expression that has one.

    ``like`` is the text of keyword arguments that give a new tensor its type and device. ``arrays`` collects the
    constant arrays: their names as attributes. ``hints`` are names for some expressions.
    """

    def __init__(
        self, names: Names, terms: dict[Expr, Term], arrays: dict[object, str], like: str, hints: Mapping[Expr, str]
    ) -> None:
        self.lines: list[str] = []
        self.terms = terms
        self._names = names
        self._arrays = arrays
        self._like = like
        self._hints = hints

    def add(self, roots: Sequence[Expr]) -> list[Term]:
        """Write what is needed for some expressions, and return their terms."""
        order = needed(roots, self.terms)
        uses = Counter(a for node in order for a in node.args)
        uses.update(roots)
        named = {a for node in order if wants_names(node) for a in node.args}
        sums = {node.args[0] for node in order if node.op == "add"}.union(roots)
        for node in order:
            term = self._fitted(node) if node.args else self._leaf(node)
            long = len(term.text) > INLINE and not (node in sums and node.op in ("add", "mul"))
            wanted = node in named or node in self._hints or (node.args and uses[node] > 1) or long
            wanted = (wanted or node.op in ("eye", "array", "full")) and not _view(node)
            if wanted and not is_operator(node) and not term.text.isidentifier():
                term = self.name(term, node)
            self.terms[node] = term
        return [self.terms[root] for root in roots]

    def keep(self, roots: Sequence[Expr]) -> None:
        """Write some expressions, each under a name."""
        for root, term in zip(roots, self.add(roots), strict=True):
            self.terms[root] = term if term.text.isidentifier() else self.name(term, root)

    def _fitted(self, node: Expr) -> Term:
        """The term of an operation; arguments get names until the line is short enough."""
        while True:
            term = write(node, tuple(self.terms[a] for a in node.args))
            longest = max(node.args, key=lambda a: len(self.terms[a].text))
            sums = node.op == "add" and node.args[0] == longest
            if len(term.text) <= LINE or sums or self.terms[longest].text.isidentifier() or is_operator(longest):
                return term
            self.terms[longest] = self.name(self.terms[longest], longest)

    def name(self, term: Term, node: Expr) -> Term:
        """Give a value a name."""
        hint = self._hints.get(node)
        text = self._names.declare(hint) if hint else self._names.fresh()
        self.lines.append(f"{text} = {bare(term.text)}")
        return Term(text, ATOM, term.batch)

    def _leaf(self, node: Expr) -> Term:
        if node.op == "const":
            return number(node.data)
        if node.op == "eye":
            return Term(f"torch.eye({node.shape[0]}, {self._like})")
        if node.op == "full":
            return Term(f"torch.full({shape_of(node.shape)}, {number(node.data).text}, {self._like})")
        if node.op == "array":
            return Term(f"self.{self._arrays.setdefault(node.data, f'array_{len(self._arrays) + 1}')}")
        raise KeyError(node.op)


def bare(text: str) -> str:
    """A text without parentheses around the whole of it."""
    return text[1:-1] if text.startswith("(") and closed(text) else text


def number(value: object) -> Term:
    """A real number as a literal."""
    real: Real = value  # type: ignore[assignment]
    return literal(real)
