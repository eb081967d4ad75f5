"""Where the eigenvalues of an operator lie: regions of the complex plane from bounds that parts prove."""

from fractions import Fraction
from typing import Any

from .core import number, require
from .rootset import Point, Region
from .surds import ONE, ZERO


def region(operator: dict[str, Any], parts: list[dict[str, Any]]) -> Region:
    """The region of the eigenvalues of K, from the bounds that the parts prove. Raises AuditError."""
    used = {name: bound(operator[name], parts, role, sense) for name, role, sense in BOUNDS}
    shift, kind = number(operator["shift"]), operator["kind"]
    factor = [None if x is None else number(x) for x in operator["factor"]]
    require(len(factor) in (0, 2), "a factor has two ends")
    if operator["sums"] is not None:
        require(not factor, "a disc is not scaled")
        return _disc(shift, sum_of_norms(operator["sums"]["words"]))
    if used["disc"] is not None:
        require(not factor, "a disc is not scaled")
        return _disc(number(operator["centre"]) + shift, used["disc"])
    low, high, size = used["low"], used["high"], used["size"]
    if kind == "symmetric":
        size = ZERO
    elif kind == "skew":
        low = high = ZERO
    require(low is None or high is None or low <= high, "an empty interval")
    if factor:
        require(factor[0] is not None and factor[0] >= 0, "a factor that may be negative")
        return _scaled(low, high, size, factor[0], factor[1], shift)  # type: ignore[arg-type]
    return rectangle(_moved(low, shift), _moved(high, shift), size)


BOUNDS = (("low", "flow", "lower"), ("high", "flow", "upper"), ("size", "step", "upper"), ("disc", "step", "upper"))


def bound(stated: dict[str, Any] | None, parts: list[dict[str, Any]], role: str, sense: str) -> Fraction | None:
    """A stated bound, which the part must prove; of a norm its square is what the part bounds."""
    if stated is None:
        return None
    part, value = parts[stated["part"]], number(stated["number"])
    require((part["role"], part["sense"]) == (role, sense), "a part of another role")
    tau = number(part["tau"])
    if role == "step":
        require(value >= 0 and tau <= value**2, "a part does not prove its bound")
    else:
        require(tau <= value if sense == "upper" else tau >= value, "a part does not prove its bound")
    return value


def sum_of_norms(words: list[Any]) -> Fraction:
    total = ZERO
    for c, norms in words:
        product = abs(number(c))
        for n in norms:
            require(number(n) >= 0, "a negative norm")
            product *= number(n)
        total += product
    return total


def _moved(x: Fraction | None, shift: Fraction) -> Fraction | None:
    return None if x is None else x + shift


def _disc(centre: Fraction, radius: Fraction) -> Region:
    if radius == 0:
        return rectangle(centre, centre, ZERO)
    return Region((), centre + radius, False, (centre, radius))


def rectangle(low: Fraction | None, high: Fraction | None, size: Fraction | None) -> Region:
    """All k with real part in [low, high] and imaginary part at most ``size`` in absolute value; None: no bound.

    The edges of its upper half; the real half-line, or line, where size is 0.
    """
    flat = size == 0 or (low is not None and low == high)
    edges: list[tuple[Point, Point, bool]] = []
    if size == 0 and (low is None or high is None):
        start = low if low is not None else high
        require(start is not None, "nothing is known of the real parts")
        assert start is not None
        way = ONE if low is not None else -ONE
        return Region((((start, ZERO), (way, ZERO), True),), high, True)
    for side in {low, high} - {None}:
        assert side is not None
        edges.append(((side, ZERO), (ZERO, ONE if size is None else size), size is None))
    if size is not None and not (flat and size != 0):
        require(low is not None or high is not None, "nothing is known of the real parts")
        if low is None or high is None:
            start, way = (low, ONE) if low is not None else (high, -ONE)
            edges.append(((start, size), (way, ZERO), True))  # type: ignore[arg-type]
        else:
            edges.append(((low, size), (high - low, ZERO), False))
    require(edges, "nothing is known of the eigenvalues")
    return Region(tuple(edges), high, flat)


def _scaled(
    low: Fraction | None, high: Fraction | None, size: Fraction | None, a: Fraction, b: Fraction | None, shift: Fraction
) -> Region:
    """All ``shift + s w`` with s in [a, b] and w in the rectangle; where something is unbounded, a rectangle around it."""
    if b is not None and low is not None and high is not None and size is not None:
        corners = [(s * x + shift, s * y) for s in (a, b) for x in (low, high) for y in (size, -size)]
        return polygon(corners)
    ends = [_product(x, a, b, top) for x, top in ((low, False), (high, True))]
    tall = None if size is None or (b is None and size) else (size * b if b is not None else ZERO)
    return rectangle(_moved(ends[0], shift), _moved(ends[1], shift), tall)


def _product(x: Fraction | None, a: Fraction, b: Fraction | None, top: bool) -> Fraction | None:
    """The largest (smallest) s x with s in [a, b]."""
    if x is None:
        return None
    outward = (x > 0) == top
    if x == 0 or not outward:
        return a * x
    return None if b is None else b * x


def polygon(points: list[Point]) -> Region:
    """The convex hull of points (Andrew's monotone chain), bounded by its edges."""
    points = sorted(set(points))
    right = points[-1][0]
    if len(points) == 1:
        return Region(((points[0], (ZERO, ZERO), False),), right, True)
    hull = _half_hull(points) + _half_hull(points[::-1])
    flat = len(hull) == 2
    edges = zip(hull, [*hull[1:], hull[0]], strict=True)
    kept = tuple((p, (q[0] - p[0], q[1] - p[1]), False) for p, q in edges)
    return Region(kept[:1] if flat else kept, right, flat)


def _half_hull(points: list[Point]) -> list[Point]:
    chain: list[Point] = []
    for p in points:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], p) <= 0:
            chain.pop()
        chain.append(p)
    return chain[:-1]


def _turn(o: Point, p: Point, q: Point) -> Fraction:
    return (p[0] - o[0]) * (q[1] - o[1]) - (p[1] - o[1]) * (q[0] - o[0])
