"""``order >= p``: the conditions, the form of a field, what one per cent of a coefficient changes, and certificates."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import factorial, prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from structure_specs import leaves, model_of, others, replaced, resealed, verdict

from odespec.certificate.auditor import audit_text
from odespec.certificate.auditor.core import Ledger
from odespec.certificate.auditor.order import Stages, zero_stable
from odespec.certificate.auditor.radical import Field
from odespec.ir import expr as ex
from odespec.ir.expr import Expr, leaf
from odespec.program.evaluate import evaluate
from odespec.program.lower import lower
from odespec.prove.against import against
from odespec.prove.orders.degrees import Terms, dependence
from odespec.prove.orders.numbers import common_field, tidy
from odespec.prove.refute.counterexample import parse, replay_numpy
from odespec.solvers import SOLVERS, RungeKutta, facts

Q = Fraction
NET = """model M
state x[2]
param W[2, 2], b[2]
x' = {field}
constraint norm(W) <= 2
solver {solver}
time 0 .. 1
claim order >= {order}
"""
SMOOTH = "tanh(W @ x + b) - sin(x)"


def net(solver: str, order: object, field: str = SMOOTH) -> str:
    return NET.format(field=field, solver=solver, order=order)


# --- the methods of the registry ------------------------------------------------------

EXACT = ("euler", "heun", "midpoint", "ralston", "ssprk3", "rk3", "rk4", "rk38", "bosh3", "dopri5", "backward_euler")
EXACT += ("trapezoid", "implicit_midpoint", "gauss2", "radau5", "sdirk2", "leapfrog", "ab2", "ab3", "bdf2")


@pytest.mark.parametrize("name", EXACT)
def test_a_method_has_its_order_and_no_more(name: str) -> None:
    order = SOLVERS[name].order
    assert order is not None
    assert verdict(net(f"{name}(steps = 4)", order)).verdict == "proved"
    assert verdict(net(f"{name}(steps = 4)", order + 1)).verdict == "refuted"


@pytest.mark.parametrize("name", ["tsit5", "kvaerno5"])
def test_published_decimals_are_no_fault_of_a_method(name: str) -> None:
    assert verdict(net(f"{name}(steps = 4)", 5)).verdict == "unknown"
    assert verdict(net(f"{name}(steps = 4)", 6)).verdict == "refuted"


@pytest.mark.parametrize("entry", range(5))
def test_one_per_cent_of_a_coefficient_is_a_lower_order(entry: int) -> None:
    A, b = [["0", "0"], ["2/3", "0"]], ["1/4", "3/4"]
    exact = "tableau(A = [[0, 0], [2/3, 0]], b = [1/4, 3/4], steps = 4)"
    assert verdict(net(exact, 2)).verdict == "proved"
    changed = [A[0][0], A[0][1], A[1][0], *b]
    index = (2, 3, 4, 2, 4)[entry]
    scale = Q(101, 100) if entry < 3 else Q(99, 100)
    changed[index] = str(Q(changed[index]) * scale)
    solver = f"tableau(A = [[0, 0], [{changed[2]}, 0]], b = [{changed[3]}, {changed[4]}], steps = 4)"
    assert verdict(net(solver, 2)).verdict == "refuted"


# --- the form of the field -----------------------------------------------------------

TAYLOR3 = "tableau(A = [[0, 0, 0], [1/3, 0, 0], [0, 1/2, 0]], b = [0, 0, 1], steps = 4)"


@pytest.mark.parametrize(
    ("field", "wanted"),
    [("W @ x + b", "proved"), (SMOOTH, "refuted"), ("W @ x*(1 + t)", "refuted"), ("b", "proved"), ("x*x", "refuted")],
)
def test_a_linear_field_has_the_tall_trees_only(field: str, wanted: str) -> None:
    assert verdict(net(TAYLOR3, 3, field)).verdict == wanted


def test_a_constant_field_is_integrated_exactly() -> None:
    assert verdict(net("euler(steps = 4)", 6, "b")).verdict == "proved"
    assert verdict(net("tableau(A = [[0]], b = [1/2], steps = 4)", 1, "b")).verdict == "refuted"


def test_data_of_the_steps_jump_between_them() -> None:
    text = net("{}(steps = 4)", 2).replace("b[2]", "b[2] per step")
    assert verdict(text.replace("{}", "heun")).verdict == "proved"
    assert verdict(text.replace("{}", "ab2")).verdict == "unknown"


VARIABLES = {("state", "x"): "x", ("state", "y"): "y", ("time", None): "t"}
X, Y = (leaf("state", n, ()) for n in "xy")


def random_field(rng: np.random.Generator, depth: int) -> Expr:
    if depth == 0 or rng.random() < 0.2:
        return [X, Y, ex.TIME, ex.const(int(rng.integers(-2, 3)))][int(rng.integers(0, 4))]
    kind = rng.integers(0, 6)
    a, b = random_field(rng, depth - 1), random_field(rng, depth - 1)
    if kind < 2:
        return ex.add(a, b)
    if kind < 4:
        return ex.mul(a, b)
    return ex.act("tanh", a) if kind == 4 else ex.power(a, Q(2))


@pytest.mark.parametrize("seed", range(60))
def test_a_derivative_that_no_term_has_is_zero(seed: int) -> None:
    """Mixed differences of as many orders vanish with the derivative."""
    rng = np.random.default_rng(seed)
    field = random_field(rng, 3)
    terms = dependence(field, VARIABLES)
    for counts in itertools.product(range(4), repeat=3):
        if 0 < sum(counts) <= 4 and not supported(terms, dict(zip("xyt", counts, strict=True))):
            assert abs(difference(field, counts, rng.standard_normal(3))) < 1e-6


def supported(terms: Terms, counts: dict[str, int]) -> bool:
    return any(all(n <= dict(t.degrees).get(v, 0) or v in t.free for v, n in counts.items()) for t in terms)


def difference(field: Expr, counts: tuple[int, ...], at: Any) -> float:
    total, width = 0.0, 0.5
    for picks in itertools.product(*(range(n + 1) for n in counts)):
        sign = prod(
            (-1) ** k * factorial(n) // factorial(k) // factorial(n - k) for k, n in zip(picks, counts, strict=True)
        )
        x, y, t = at + width * np.array(picks)
        total += sign * float(evaluate([field], {X: np.asarray(x), Y: np.asarray(y), ex.TIME: np.asarray(t)})[0])
    return total


# --- numbers ---------------------------------------------------------------------------


def test_cube_roots_lie_in_one_field() -> None:
    from odespec.exact import root

    cube = root(Q(2), 3)
    value = 1 / (2 - cube)
    field = common_field([value, cube])
    assert field.degree == 3
    assert abs(sum(float(c) * 2 ** (k / 3) for k, c in enumerate(field.coefficients(value))) - float(value)) < 1e-12
    assert tidy(value * (2 - cube)) == 1 and tidy(value - value) == 0


@pytest.mark.parametrize(
    ("alpha", "stable"),
    [("-1 1", True), ("-1 0 1", True), ("1/3 -4/3 1", True), ("1 -2 1", False), ("-2 1 1", False), ("0 0 -1 1", True),
     ("-4/5 -1/5 1", True), ("1/2 0 -3/2 1", False), ("1 1 1", False)],
)  # fmt: skip
def test_the_root_condition(alpha: str, stable: bool) -> None:
    """A pair of simple roots on the circle besides 1 and -1 is not recognised: it is no method of the registry."""
    assert zero_stable([Q(a) for a in alpha.split()]) == stable


def test_the_conditions_agree_with_those_of_the_solver_facts() -> None:
    for name, method in SOLVERS.items():
        scheme = method.scheme
        if not isinstance(scheme, RungeKutta) or scheme.stages > 7:
            continue
        exactly = facts.order(scheme, 4)
        for p in range(1, 5):
            assert holds(scheme, p) == (p <= exactly), name


def holds(scheme: RungeKutta, p: int) -> bool:
    from odespec.certificate.auditor import AuditError
    from odespec.prove.orders.method import runge_kutta

    model = model_of(net("euler(steps = 1)", 1))
    field = common_field([*scheme.b, *scheme.c, *(a for row in scheme.A for a in row)])
    data = runge_kutta(model, scheme, field, True)
    try:
        Stages(data, Field(field.degree, field.radicand, Ledger())).check(p)
    except AuditError:
        return False
    return True


# --- counterexamples and certificates -------------------------------------------------


def test_a_counterexample_is_measured_again() -> None:
    text = net("euler(steps = 4)", 2)
    found = verdict(text)
    assert found.counterexample is not None
    read = parse(found.counterexample.data())
    assert read.violated(replay_numpy(lower(model_of(text)), read)) and abs(read.measured - 1) < 0.1


CERTIFIED = {
    "heun": net("heun(steps = 4)", 2),
    "linear": net(TAYLOR3, 3, "W @ x + b"),
    "ab2": net("ab2(steps = 4)", 2),
    "imex_euler": net("imex_euler(steps = 4)", 1, "-x + tanh(W @ x)"),
    "verlet": NET.replace("state x[2]", "state x[2], v[2]")
    .replace("x' = {field}", "x' = v\nv' = -sin(x)*(1 + t)")
    .format(solver="verlet(steps = 4)", order=2),
}  # fmt: skip


@pytest.mark.parametrize("name", CERTIFIED)
def test_a_certificate_belongs_to_its_spec(name: str, tmp_path: Path) -> None:
    certificate = verdict(CERTIFIED[name]).certificate
    assert certificate is not None
    path = tmp_path / "a.ode"
    path.write_text(CERTIFIED[name])
    assert audit_text(certificate.text()).ok and against(certificate.text(), path, {}) == []
    body = json.loads(certificate.text())
    body["proof"]["order"] = 1
    body["steps"] += 1
    path.write_text(CERTIFIED[name])
    assert against(resealed(body), path, {}) != []


@pytest.mark.parametrize("name", CERTIFIED)
def test_a_changed_certificate_is_rejected_or_proves_what_it_states(name: str) -> None:
    certificate = verdict(CERTIFIED[name]).certificate
    assert certificate is not None
    body = json.loads(certificate.text())
    changed = accepted = 0
    for path, value in list(leaves(body["proof"])):
        for new in others(value):
            if new == value and type(new) is type(value):
                continue
            changed += 1
            proof = replaced(body["proof"], path, new)
            if audit_text(resealed({**body, "proof": proof})).ok:
                accepted += 1
                assert judged(proof), (path, value, new)
    assert changed > 200 and accepted < changed / 4


def judged(proof: Mapping[str, Any]) -> bool:
    """The conditions once more, tree by tree, with no thought of speed; every number a float."""
    root = Q(proof["field"]["of"]) ** Q(1, proof["field"]["degree"])
    value = lambda x: sum(float(Q(c)) * float(root) ** k for k, c in enumerate(x))  # noqa: E731
    method, p = proof["method"], proof["order"]
    if proof["family"] == "multistep":
        alpha, beta = ([value(x) for x in method[key]] for key in ("alpha", "beta"))
        powers = all(
            abs(
                sum(a * j**q for j, a in enumerate(alpha))
                - sum(q * b * float(j) ** (q - 1) for j, b in enumerate(beta) if q > 1 or q)
            )
            < 1e-12
            for q in range(1, p + 1)
        )
        roots = np.roots(alpha[::-1])
        stable = all(abs(r) < 1 + 1e-9 for r in roots)
        return powers and abs(sum(alpha)) < 1e-12 and stable and stages_judged(method["start"], p - 1, value)
    if proof["family"] == "stages":
        return stages_judged(method, p, value)
    return series_judged(method, value)


Node = tuple[str, tuple["Node", ...]]  # type: ignore[misc]


def stages_judged(method: Mapping[str, Any], p: int, value: Any) -> bool:
    groups = {g["name"]: g for g in method["groups"]}
    tableaux = [
        (np.array([[value(a) for a in row] for row in t["A"]]), np.array([value(b) for b in t["b"]]))
        for t in method["tableaux"]
    ]
    times = np.array([value(t) for t in method["times"]])

    def trees(size: int) -> Iterator[Node]:
        for name in groups:
            for children in forests(size - 1):
                if children == tuple(sorted(children)) and active(name, children):
                    yield name, children

    def forests(nodes: int) -> Iterator[tuple[Node, ...]]:
        if nodes == 0:
            yield ()
        for k in range(1, nodes + 1):
            for first in [*trees(k), *([("t", ())] if k == 1 else [])]:
                for rest in forests(nodes - k):
                    yield (first, *rest)

    def active(name: str, children: tuple[Node, ...]) -> bool:
        colours = [c[0] for c in children]
        return any(
            all(c in t["free"] or colours.count(c) <= t["degrees"].get(c, 0) for c in colours)
            for t in groups[name]["terms"]
        )

    def weight(tree: Node) -> Any:
        return prod(
            (times if c[0] == "t" else tableaux[groups[c[0]]["tableau"]][0] @ weight(c) for c in tree[1]),
            start=np.ones(len(times)),
        )

    def density(tree: Node) -> int:
        return nodes(tree) * prod(density(c) for c in tree[1])

    def nodes(tree: Node) -> int:
        return 1 + sum(nodes(c) for c in tree[1])

    return all(
        abs(tableaux[groups[t[0]]["tableau"]][1] @ weight(t) - 1 / density(t)) < 1e-12
        for k in range(1, p + 1)
        for t in trees(k)
    )


def series_judged(method: Mapping[str, Any], value: Any) -> bool:
    """Of order one: the constant terms, and the term of the step that is linear in z."""
    last, sums = [value(x) for x in method["last"]], [value(b[0]) for b in method["sum"]]
    starts = [value(r[0]) for r in method["start"]]
    return abs(last[0] - 1) + abs(last[1] - 1) + abs(sum(sums) - 1) + sum(abs(s - 1) for s in starts) < 1e-12
