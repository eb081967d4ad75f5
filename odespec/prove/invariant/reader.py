"""Expressions read entry by entry: each entry as a polynomial, or a quotient of two, in variables of known range.

What an entry depends on otherwise (a gate, the mean of other nodes, a row of a matrix by a vector) becomes a variable;
equal nodes are the same variable, so correlations within an entry are kept. Of different entries of a tensor all that is
used is that each lies within the same bounds, unless ``explicit`` gives every entry its own variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial, prod

from odespec.activations import ACTIVATIONS, Interval, named
from odespec.exact import Real, enclose
from odespec.ir.expr import Convolution, Expr
from odespec.ir.intervals import REAL, hull, inverse, meet
from odespec.ir.intervals import times as interval_times
from odespec.prove.invariant import polynomial as poly
from odespec.prove.invariant.bernstein import bounds, nonnegative
from odespec.prove.invariant.normal import diagonal, operands
from odespec.prove.invariant.polynomial import ONE, Polynomial, Quotient, TooLarge, whole
from odespec.prove.invariant.rows import Operators, Rows
from odespec.prove.relate.words import text
from odespec.records import dataclass

LARGEST = 64
"""Tensors with more entries are not read one by one."""
MAX_POWER = 8
Entries = tuple[Quotient, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """``lower <= value <= upper`` for every entry, in terms that all entries share; None where there is no bound.

    ``shared`` is false where the bounds of another entry are other ones.
    """

    lower: Polynomial | None
    upper: Polynomial | None
    shared: bool = True

    @property
    def inside(self) -> Interval:
        """The numbers between which every entry lies, as far as the bounds are numbers."""
        return Interval(*(None if b is None else poly.number(b) for b in (self.lower, self.upper)))


def numeric(inside: Interval) -> Bounds:
    low, high = (None if x is None else poly.constant(x) for x in (inside.lower, inside.upper))
    return Bounds(low, high)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the entries: its range, and what it stands for."""

    inside: Interval
    why: str


@dataclass(frozen=True, slots=True)
class Strategy:
    """``spread``: operators act on the terms of a sum; ``slopes``: an activation is a slope times its argument."""

    spread: bool
    slopes: bool
    explicit: bool = False


class Reader:
    """``known``: bounds of nodes (states, stages, or what a relation speaks of), in normal form."""

    def __init__(self, operators: Operators, known: dict[Expr, Bounds], strategy: Strategy) -> None:
        self.operators, self.known, self.strategy = operators, known, strategy
        self.variables: dict[str, Variable] = {}
        self.own: dict[Expr, Entries] = {}
        """The entries of the nodes in ``known``."""
        self._memo: dict[Expr, Entries] = {}
        self._ranges: dict[str, Interval] = {}
        self._bounds: dict[Expr, Bounds] = {}
        self._degrees: dict[tuple[str, int], Polynomial] = {}
        self._exponentials: dict[str, Polynomial] = {}

    @property
    def ranges(self) -> dict[str, Interval]:
        """The ranges of all variables."""
        if len(self._ranges) < len(self.variables):
            self._ranges = {n: v.inside for n, v in self.variables.items()}
        return self._ranges

    def read(self, root: Expr) -> Entries:
        """The entries of an expression in normal form: one for all, or explicitly each. Raises `TooLarge`."""
        for node in operands((root,)):
            if node not in self._memo:
                self._memo[node] = self._entries(node)
        return self._memo[root]

    # --- variables -------------------------------------------------------------

    def fresh(self, label: str, inside: Interval, why: str) -> Polynomial:
        """A new variable, or a number where the range is one."""
        if inside.lower is not None and inside.lower == inside.upper:
            return poly.constant(inside.lower)
        name, k = label, 2
        while name in self.variables:
            name, k = f"{label} ({k})", k + 1
        self.variables[name] = Variable(inside, why)
        return poly.variable(name)

    def between(self, label: str, known: Bounds, why: str) -> Polynomial:
        """A new variable between bounds: itself where they are numbers, else its place between them."""
        low, high = known.lower, known.upper
        if all(b is None or poly.number(b) is not None for b in (low, high)):
            return self.fresh(label, known.inside, why)
        zero, one = Fraction(0), Fraction(1)
        if low is not None and high is not None:
            if low == high:
                return low
            place = self.fresh(f"place of {label}", Interval(zero, one), f"{why}: 0 at the lower bound, 1 at the upper")
            return poly.plus(low, poly.times(poly.minus(high, low), place))
        distance = self.fresh(f"distance of {label}", Interval(zero, None), f"{why}: its distance from the bound")
        return poly.plus(low, distance) if low is not None else poly.minus(high or {}, distance)

    def _several(self, node: Expr, inside: Interval, why: str) -> Entries:
        return self._bounded(node, numeric(inside), why)

    def _bounded(self, node: Expr, known: Bounds, why: str) -> Entries:
        """A variable for each entry that is read."""
        label = text(node)[:60]
        if not self._each(node):
            return (whole(self.between(label, known, why)),)
        return tuple(whole(self.between(f"{label}[{i}]", known, why)) for i in range(prod(node.shape)))

    def _each(self, node: Expr) -> bool:
        """Whether the entries are read one by one."""
        if not self.strategy.explicit or not node.shape:
            return False
        if prod(node.shape) > LARGEST:
            raise TooLarge
        return True

    # --- entries ---------------------------------------------------------------

    def _entries(self, node: Expr) -> Entries:
        if node in self.known:
            self.own[node] = self._bounded(node, self.known[node], "bounded by what is known before the step")
            return self.own[node]
        args = [self._memo[a] for a in node.args if a in self._memo]
        rule = getattr(self, f"_of_{node.op}", None)
        found: Entries | None = rule(node, args) if rule is not None else None
        return found if found is not None else self._several(node, REAL, "nothing is known of it")

    def _leaf(self, node: Expr, args: list[Entries]) -> Entries:
        return self._several(node, self.operators.knowledge.intervals.of(node), "its constraints")

    _of_param = _of_input = _of_time = _of_bound = _of_opnorm = _leaf

    def _number(self, node: Expr, args: list[Entries]) -> Entries:
        return self._same(node, whole(self.constant(node.data)))  # type: ignore[arg-type]

    _of_const = _of_full = _number

    def constant(self, value: Real) -> Polynomial:
        """A number; an irrational one is a variable in a narrow range."""
        low, high = enclose(value, 96)
        return self.fresh(f"the number {float(value):.12g}", Interval(low, high), "an enclosure of a number")

    def _same(self, node: Expr, q: Quotient) -> Entries:
        return (q,) * prod(node.shape) if self._each(node) else (q,)

    def _of_array(self, node: Expr, args: list[Entries]) -> Entries:
        flat = _flat(node.data)
        if self._each(node) or len(set(flat)) == 1:
            every = [whole(self.constant(x)) for x in flat]  # type: ignore[arg-type]
            return tuple(every) if self._each(node) else (every[0],)
        return self._leaf(node, args)

    def _paired(self, node: Expr, args: list[Entries]) -> list[tuple[Quotient, Quotient]]:
        a, b = args if len(args) == 2 else (self._memo[node.args[0]], self._memo[node.args[1]])
        n = max(len(a), len(b))
        return list(zip(a * n if len(a) == 1 else a, b * n if len(b) == 1 else b, strict=False))[:n]

    def _of_add(self, node: Expr, args: list[Entries]) -> Entries:
        return tuple(poly.total(pair) for pair in self._paired(node, args))

    def _of_mul(self, node: Expr, args: list[Entries]) -> Entries:
        return tuple(poly.product(*pair) for pair in self._paired(node, args))

    def _of_div(self, node: Expr, args: list[Entries]) -> Entries | None:
        parts = []
        for a, b in self._paired(node, args):
            sign = self.sign(b.top)
            if sign == 0:
                return None
            upside = Quotient(poly.scaled(sign, b.bottom), poly.scaled(sign, b.top))
            parts.append(poly.product(a, upside))
        return tuple(parts)

    def sign(self, p: Polynomial) -> int:
        """1 or -1 where a polynomial keeps away from zero on that side, else 0."""
        inside = bounds(p, self.ranges)
        if inside.lower is not None and inside.lower > 0:
            return 1
        return -1 if inside.upper is not None and inside.upper < 0 else 0

    def _of_pow(self, node: Expr, args: list[Entries]) -> Entries | None:
        exponent = node.data
        assert isinstance(exponent, Fraction)
        if exponent.denominator != 1 or abs(exponent) > MAX_POWER:
            return None
        parts = []
        for q in args[0]:
            if exponent < 0 and self.sign(q.top) <= 0:
                return None
            top, bottom = (q.top, q.bottom) if exponent > 0 else (q.bottom, q.top)
            k = abs(exponent.numerator)
            parts.append(Quotient(poly.power(top, k), poly.power(bottom, k)))
        return tuple(parts)

    def _of_act(self, node: Expr, args: list[Entries]) -> Entries:
        name, parameters = named(node)
        if name == "square":
            return tuple(poly.product(q, q) for q in args[0])
        entry, label, found = ACTIVATIONS[name], text(node)[:60], []
        for i, q in enumerate(args[0]):
            inside = self.inside(q)
            at = f"{label}[{i}]" if len(args[0]) > 1 else label
            if self.strategy.slopes and entry.range_on(Fraction(0), Fraction(0), parameters) == Interval(ZERO, ZERO):
                near = hull(inside, Interval(ZERO, ZERO))
                slope = entry.slope_on(near.lower, near.upper, parameters)
                factor = self.fresh(f"slope of {at}", slope, f"a slope of {name} from zero")
                found.append(poly.product(whole(factor), q))
                continue
            values = entry.range_on(inside.lower, inside.upper, parameters)
            found.append(whole(self.fresh(at, values, f"the values of {name}")))
        return tuple(found)

    # --- whole tensors ---------------------------------------------------------

    def _of_softmax(self, node: Expr, args: list[Entries]) -> Entries:
        return self._several(node, Interval(ZERO, Fraction(1)), "an entry of softmax")

    def _of_layernorm(self, node: Expr, args: list[Entries]) -> Entries:
        return self._several(node, self.operators.knowledge.intervals.of(node), "an entry of layernorm")

    def _of_channel(self, node: Expr, args: list[Entries]) -> Entries | None:
        if self._each(node):
            reach = prod(node.shape) // prod(node.args[0].shape)
            return tuple(q for q in args[0] for _ in range(reach))
        return args[0]

    def _inner(self, node: Expr, args: list[Entries]) -> Entries:
        return self._bounded(node, self.bounds_of(node.args[0]), f"among the entries of {text(node.args[0])[:60]}")

    _of_min = _of_max = _of_pool = _of_mean = _of_transpose = _inner

    def _of_sum(self, node: Expr, args: list[Entries]) -> Entries:
        x = node.args[0]
        count = prod(x.shape if node.data is None else [x.shape[i] for i in node.data])  # type: ignore[attr-defined]
        if self._each(x) and node.data is None:
            return (poly.total(args[0]),)
        mean = self._bounded(node, self.bounds_of(x), f"the mean of entries of {text(x)[:60]}")
        return tuple(poly.product(whole(poly.constant(count)), m) for m in mean)

    def _of_dot(self, node: Expr, args: list[Entries]) -> Entries:
        a, b = node.args
        left, right = self.bounds_of(a).inside, self.bounds_of(b).inside
        product = interval_times(left, right)
        if a == b:
            product = meet(product, Interval(ZERO, None))
        n = Fraction(prod(a.shape))
        return self._several(node, interval_times(product, Interval(n, n)), "an inner product")

    def _of_norm(self, node: Expr, args: list[Entries]) -> Entries:
        inside = self.bounds_of(node.args[0]).inside
        size = None if inside.lower is None or inside.upper is None else max(abs(inside.lower), abs(inside.upper))
        return self._several(node, Interval(ZERO, None if size is None else prod(node.args[0].shape) * size), "a norm")

    # --- operators -------------------------------------------------------------

    def _of_matmul(self, node: Expr, args: list[Entries]) -> Entries:
        if node.data == "last":
            x, operator = node.args
            turned = (
                operator.args[0] if operator.op == "transpose" else Expr("transpose", (operator,), operator.shape[::-1])
            )
            return self._product(node, turned, x, last=True)
        return self._product(node, node.args[0], node.args[1])

    _of_apply = _of_matmul

    def _product(self, node: Expr, operator: Expr, x: Expr, last: bool = False) -> Entries:
        if operator.op == "laplacian" and not operator.data and not last:
            return self._laplacian(node, operator, x)
        if operator.op in ("array", "transpose") and (found := self._explicit_product(node, operator, x)) is not None:
            return found
        if operator.op == "conv" and (split := _centre(operator)) is not None and not self.strategy.explicit:
            other = self._rows_by(node, self.operators.rows(split[1]), x)
            centre = poly.product(whole(self.constant(split[0])), self._memo[x][0])
            return (poly.total((centre, *other)),)
        if not self.strategy.explicit and not last and (parts := self.operators.without_diagonal(operator)) is not None:
            inside, rest = parts
            own = self.fresh(f"diagonal of {text(operator)[:40]}", inside, "an entry of the diagonal")
            return (poly.total((poly.product(whole(own), self._memo[x][0]), *self._rows_by(node, rest, x))),)
        return self._rows_by(node, self.operators.rows(operator), x)

    def _rows_by(self, node: Expr, rows: Rows, x: Expr) -> Entries:
        known = self.bounds_of(x)
        if rows.positive:
            why = f"a mean of entries of {text(x)[:60]}: {rows.why}"
            means = self._bounded(node, known, why)
            if rows.total == Interval(Fraction(1), Fraction(1)):
                return means
            return tuple(poly.product(whole(self._sum_of_row(node, rows, i)), m) for i, m in enumerate(means))
        inside, reach = known.inside, REAL
        if rows.size is not None and inside.lower is not None and inside.upper is not None:
            size = rows.size * max(abs(inside.lower), abs(inside.upper))
            reach = Interval(-size, size)
            middle, half = (inside.lower + inside.upper) / 2, (inside.upper - inside.lower) / 2
            if rows.total.lower is not None and rows.total.upper is not None:
                centre = interval_times(rows.total, Interval(middle, middle))
                assert centre.lower is not None and centre.upper is not None
                reach = meet(reach, Interval(centre.lower - rows.size * half, centre.upper + rows.size * half))
        return self._several(node, reach, rows.why)

    def _sum_of_row(self, node: Expr, rows: Rows, i: int) -> Polynomial:
        if rows.degree is not None:
            return self._degree(rows.degree, i if self._each(node) else 0)
        return self.fresh(f"row of {text(node.args[0])[:40]}", rows.total, f"the sum of a row: {rows.why}")

    def _degree(self, graph: str, i: int) -> Polynomial:
        """Of the node at hand: the same variable wherever the graph acts on it."""
        if (graph, i) not in self._degrees:
            label = f"degree in {graph}" + (f"[{i}]" if self.strategy.explicit else "")
            inside = self.operators.degree(graph)
            self._degrees[graph, i] = self.fresh(label, inside, "the sum of the weights of a node's edges")
        return self._degrees[graph, i]

    def _laplacian(self, node: Expr, operator: Expr, x: Expr) -> Entries:
        """``degree * (own entry - mean of the neighbours)``."""
        graph, columns = str(operator.args[0].data), prod(x.shape[1:])
        means = self._bounded(node, self.bounds_of(x), f"a mean of entries of {text(x)[:60]} over the neighbours")
        parts = []
        for i, (own, mean) in enumerate(zip(self._memo[x], means, strict=True)):
            away = poly.total((own, poly.product(whole(poly.constant(-1)), mean)))
            parts.append(poly.product(whole(self._degree(graph, i // columns if len(means) > 1 else 0)), away))
        return tuple(parts)

    def _explicit_product(self, node: Expr, operator: Expr, x: Expr) -> Entries | None:
        """A matrix of numbers by a vector whose entries are read one by one."""
        base = operator.args[0] if operator.op == "transpose" else operator
        if base.op != "array" or len(x.shape) != 1 or not self._each(x):
            return None
        rows = [list(row) for row in base.data]  # type: ignore[attr-defined]
        if operator.op == "transpose":
            rows = [list(column) for column in zip(*rows, strict=True)]
        entries = self._memo[x]
        return tuple(
            poly.total(poly.product(whole(self.constant(c)), q) for c, q in zip(row, entries, strict=True) if c != 0)
            for row in rows
        )

    def _of_phi(self, node: Expr, args: list[Entries]) -> Entries | None:
        """``phi_k(z)`` of an operator that multiplies each entry by z: ``phi_k = (phi_{k-1} - 1/(k-1)!) / z``."""
        assert isinstance(node.data, tuple)
        k, _, count = node.data
        if count != 1 or (factor := diagonal(node.args[0]))[0] is None:
            return None
        number, vector = factor
        assert number is not None
        if number.op != "const":
            return None
        scale, x = self.constant(number.data), self._memo[node.args[1]]  # type: ignore[arg-type]
        entries = self._memo[vector] if vector is not None else (whole(ONE),)
        entries = entries * len(x) if len(entries) == 1 else entries
        found = []
        for z, q in zip(entries, x, strict=True):
            value = self._phi(k, poly.product(whole(scale), z))
            if value is None:
                return None
            found.append(poly.product(value, q))
        return tuple(found)

    def _phi(self, k: int, z: Quotient) -> Quotient | None:
        sign = self.sign(z.top)
        if sign == 0 or z.bottom != ONE:
            return None
        key = repr(sorted(z.top.items()))
        if key not in self._exponentials:
            inside = self.inside(z)
            values = ACTIVATIONS["exp"].range_on(inside.lower, inside.upper, ())
            self._exponentials[key] = self.fresh("exponential", values, "the exponential of h times a factor")
        value = whole(self._exponentials[key])
        below = Quotient(poly.constant(sign), poly.scaled(sign, z.top))
        for j in range(k):
            away = poly.total((value, whole(poly.constant(Fraction(-1, factorial(j))))))
            value = poly.product(away, below)
        return value

    # --- ranges ----------------------------------------------------------------

    def inside(self, q: Quotient) -> Interval:
        """Numbers that enclose an entry."""
        ranges = self.ranges
        top = bounds(q.top, ranges)
        if q.bottom == ONE:
            return top
        found = interval_times(top, inverse(bounds(q.bottom, ranges)))
        for known in self.known.values():
            near = known.inside
            if (
                near.upper is not None
                and (found.upper is None or near.upper < found.upper)
                and self.within(q, Bounds(None, known.upper))
            ):
                found = Interval(found.lower, near.upper)
            if (
                near.lower is not None
                and (found.lower is None or near.lower > found.lower)
                and self.within(q, Bounds(known.lower, None))
            ):
                found = Interval(near.lower, found.upper)
        return found

    def within(self, q: Quotient, known: Bounds) -> bool:
        """Whether an entry is shown to lie between bounds."""
        ranges = self.ranges
        sides = [poly.minus(q.top, poly.times(known.lower, q.bottom))] if known.lower is not None else []
        sides += [poly.minus(poly.times(known.upper, q.bottom), q.top)] if known.upper is not None else []
        return all(nonnegative(p, ranges)[0] for p in sides)

    def bounds_of(self, node: Expr) -> Bounds:
        """Bounds of all entries of a node that was read, whichever is asked for."""
        if node in self.known and self.known[node].shared:
            return self.known[node]
        if node not in self._bounds:
            self._bounds[node] = self._bounds_of(node)
        return self._bounds[node]

    def _bounds_of(self, node: Expr) -> Bounds:
        entries = self._memo[node]
        if any(not b.shared for b in self.known.values()) and poly.names(*(q.top for q in entries)) & self._unshared():
            return Bounds(None, None)
        found = None
        for q in entries:
            found = self.inside(q) if found is None else hull(found, self.inside(q))
        found = found or REAL
        if found.lower is None or found.upper is None:
            for known in self.known.values():
                symbolic = known.shared and poly.names(known.lower or {}, known.upper or {})
                if symbolic and all(self.within(q, known) for q in entries):
                    return known
        return numeric(found)

    def _unshared(self) -> set[str]:
        """The variables in which entries are expressed whose bounds are their own."""
        own = [q.top for n, qs in self.own.items() if not self.known[n].shared for q in qs]
        return poly.names(*own)


ZERO = Fraction(0)


def _flat(data: object) -> list[object]:
    pending, flat = [data], []
    while pending:
        item = pending.pop()
        if isinstance(item, tuple):
            pending.extend(reversed(item))
        else:
            flat.append(item)
    return flat


def _centre(operator: Expr) -> tuple[Real, Expr] | None:
    """A convolution by a kernel of numbers as its centre, equal for all channels, and the rest; None where it has none."""
    kernel, how = operator.args[0], operator.data
    assert isinstance(how, Convolution)
    window = kernel.shape[2:]
    if kernel.op != "array" or how.stride != 1 or any(k % 2 == 0 for k in window):
        return None
    outputs, inputs = kernel.shape[0], kernel.shape[1]
    if outputs != inputs * how.groups or how.groups not in (1, outputs):
        return None
    flat = _flat(kernel.data)
    size, middle = prod(window), prod(window) // 2
    own = [(o * inputs + (o if how.groups == 1 else 0)) * size + middle for o in range(outputs)]
    values = {flat[i] for i in own}
    if len(values) != 1:
        return None
    rest = [Fraction(0) if i in own else x for i, x in enumerate(flat)]
    return flat[own[0]], Expr(
        "conv", (Expr("array", (), kernel.shape, _nested(rest, kernel.shape)),), operator.shape, how
    )  # type: ignore[return-value]


def _nested(flat: Sequence[object], shape: tuple[int, ...]) -> tuple[object, ...]:
    if len(shape) == 1:
        return tuple(flat)
    size = prod(shape[1:])
    return tuple(_nested(flat[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0]))
