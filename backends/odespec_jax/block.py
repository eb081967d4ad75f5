"""Straight-line code from expressions: what is used once and short stays in place, the rest gets a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from odespec.ir.expr import Expr, const, matmul, mul, neg, rewrite
from odespec.program.names import Names
from odespec.program.schedule import needed
from odespec.program.terms import ATOM, Term, literal
from odespec.program.text import shape_of
from odespec_jax.operators import wants_names, write

INLINE, LINE = 40, 76
OPERATORS = ("conv",)


def simplify(roots: Iterable[Expr]) -> tuple[Expr, ...]:
    """A diagonal matrix by a tensor is an elementwise product; the sign of a matrix is taken after the product."""
    return rewrite(roots, _simplified)


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


def is_operator(node: Expr) -> bool:
    """Whether a node is a linear operator that has no value of its own: it is written where it is applied."""
    return node.op in OPERATORS or (node.op == "transpose" and node.args[0].op in OPERATORS)


def worth(node: Expr) -> bool:
    """Whether something that is the same in every step should be computed before the scan."""
    if node.op in ("eye", "array", "full"):
        return True
    return bool(node.args) and not is_operator(node) and not _turned_leaf(node)


def _turned_leaf(node: Expr) -> bool:
    return node.op == "transpose" and not node.args[0].args


class Block:
    """Code in the making: ``lines`` so far, and the term of every expression that has one.

    ``arrays`` collects the constant arrays with their names in the module; ``hints`` are names for some expressions.
    """

    def __init__(
        self, names: Names, terms: dict[Expr, Term], arrays: dict[object, str], hints: Mapping[Expr, str]
    ) -> None:
        self.lines: list[str] = []
        self.terms = terms
        self._names = names
        self._arrays = arrays
        self._hints = hints

    def add(self, roots: Sequence[Expr]) -> list[Term]:
        """Write what is needed for some expressions, and return their terms."""
        order = needed(roots, self.terms)
        uses = Counter(a for node in order for a in node.args)
        uses.update(roots)
        named = {a for node in order if wants_names(node) for a in node.args}
        for node in order:
            term = self._fitted(node) if node.args else self._leaf(node)
            again = bool(node.args) and uses[node] > 1 and not _turned_leaf(node)
            long = len(term.text) > INLINE or node.op in ("eye", "array", "full")
            wanted = node in named or node in self._hints or again or long
            if wanted and not is_operator(node) and not term.text.isidentifier():
                term = self.name(term, node)
            self.terms[node] = term
        return [self.terms[root] for root in roots]

    def keep(self, roots: Sequence[Expr]) -> None:
        """Compute some expressions and give each a name."""
        for root in roots:
            (term,) = self.add([root])
            if not term.text.isidentifier():
                self.terms[root] = self.name(term, root)

    def _fitted(self, node: Expr) -> Term:
        """The term of an operation; arguments get names until the line is short enough."""
        while True:
            term = write(node, tuple(self.terms[a] for a in node.args))
            longest = max(node.args, key=lambda a: len(self.terms[a].text))
            if len(term.text) <= LINE or self.terms[longest].text.isidentifier() or is_operator(longest):
                return term
            self.terms[longest] = self.name(self.terms[longest], longest)

    def name(self, term: Term, node: Expr) -> Term:
        """Give a value a name."""
        hint = self._hints.get(node)
        text = self._names.declare(hint) if hint else self._names.fresh()
        self.lines.append(f"{text} = {term.text}")
        return Term(text, ATOM, term.batch)

    def _leaf(self, node: Expr) -> Term:
        if node.op == "const":
            return literal(node.data)  # type: ignore[arg-type]
        if node.op == "eye":
            return Term(f"jnp.eye({node.shape[0]}, dtype=dtype)")
        if node.op == "full":
            return Term(f"jnp.full({shape_of(node.shape)}, {literal(node.data).text}, dtype)")  # type: ignore[arg-type]
        if node.op == "array":
            name = self._arrays.setdefault(node.data, f"_ARRAY_{len(self._arrays) + 1}")
            return Term(f"jnp.asarray({name}, dtype)")
        raise KeyError(node.op)
