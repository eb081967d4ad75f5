"""Every statement form of the language: text, and what its tree says."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from odespec.diagnostics import Report
from odespec.source import Source
from odespec.syntax import tree
from odespec.syntax.parser import parse, parse_expression, read_source

Statement = Callable[[str], tree.Statement]
Parsed = Callable[[str], tree.File]


def show(node: Any) -> str:
    """An expression in prefix form: what binds to what."""
    match node:
        case tree.Number():
            return str(node.value)
        case tree.Name():
            return node.name + "'" * node.primes
        case tree.Negate():
            return f"(neg {show(node.operand)})"
        case tree.Transpose():
            return f"(T {show(node.operand)})"
        case tree.Binary():
            return f"({node.operator} {show(node.left)} {show(node.right)})"
        case tree.Array():
            return f"[{' '.join(map(show, node.items))}]"
        case tree.Sized():
            return f"{node.name}[{' '.join(map(show, node.sizes))}]"
        case tree.Call():
            parts = [*map(show, node.args), *(f"{k.name}={show(k.value)}" for k in node.keywords)]
            return f"{node.name}{chr(39) * node.primes}({' '.join(parts)})"
    raise AssertionError(node)


EXPRESSIONS = {
    "a + b - c": "(- (+ a b) c)",
    "a * b @ c / d": "(/ (@ (* a b) c) d)",
    "a @ b * c": "(* (@ a b) c)",
    "-k^2": "(neg (^ k 2))",
    "-k^2*q": "(* (neg (^ k 2)) q)",
    "2^3^4": "(^ 2 (^ 3 4))",
    "2^-1": "(^ 2 (neg 1))",
    "a - -b": "(- a (neg b))",
    "W.T @ x": "(@ (T W) x)",
    "W.T.T": "(T (T W))",
    "W.T^2": "(^ (T W) 2)",
    "(a + b)*c": "(* (+ a b) c)",
    "1/3": "(/ 1 3)",
    "0.1": "1/10",
    "1e-3": "1/1000",
    "2.5E2": "250",
    "007": "7",
    "x'": "x'",
    "x(0)": "x(0)",
    "x'(0)": "x'(0)",
    "ones[d]": "ones[d]",
    "zeros[m, 2*d]": "zeros[m (* 2 d)]",
    "leaky_relu(x, a = 0.1)": "leaky_relu(x a=1/10)",
    "conv(K, padding = zero).T @ u": "(@ (T conv(K padding=zero)) u)",
    "[[0, 1], [1, 0]]": "[[0 1] [1 0]]",
    "mean(u, [1, 2])": "mean(u [1 2])",
    "mean(square(step))": "mean(square(step))",
    "step*mean - square + invariant(invariant)": "(+ (- (* step mean) square) invariant(invariant))",
    "laplacian(G, normalized = true)": "laplacian(G normalized=true)",
    "f()": "f()",
    "(\n  a\n  # why\n  + b\n)": "(+ a b)",
}


@pytest.mark.parametrize(("text", "form"), EXPRESSIONS.items())
def test_expression(text: str, form: str, statement: Statement) -> None:
    declared = statement(f"let y = {text}")
    assert isinstance(declared, tree.LetDecl)
    assert show(declared.binding.value) == form


def test_expression_by_itself() -> None:
    report = Report()
    node = parse_expression(Source("-D", "1/5 + 2"), report)
    assert show(node) == "(+ (/ 1 5) 2)"
    for text in ("1 +", "", "a = 1", "1; 2", "1\n2", "("):
        before = len(report)
        assert parse_expression(Source("-D", text), report) is None
        assert len(report) == before + 1


def test_number_is_exact(statement: Statement) -> None:
    declared = statement("const a = 0.1000000000000000055511151231257827")
    assert isinstance(declared, tree.ConstDecl)
    (binding,) = declared.bindings
    assert isinstance(binding.value, tree.Number)
    assert binding.value.value == Fraction("0.1000000000000000055511151231257827")
    assert binding.value.text == "0.1000000000000000055511151231257827"


def names(items: Any) -> list[str]:
    return [item.name for item in items]


def test_dim_and_const(statement: Statement) -> None:
    dim = statement("dim d = 64, m = 2*d")
    assert isinstance(dim, tree.DimDecl)
    assert [(b.name, show(b.value)) for b in dim.bindings] == [("d", "64"), ("m", "(* 2 d)")]
    const = statement("const M = [[-1, 10], [0, -1]]")
    assert isinstance(const, tree.ConstDecl)
    assert show(const.bindings[0].value) == "[[(neg 1) 10] [0 (neg 1)]]"


VARIABLES = {
    "state x[d]": ("state", [("x", ["d"], 0, None)], None, False),
    "state x": ("state", [("x", [], 0, None)], None, False),
    "state u[c, h, w], v[2*c]": ("state", [("u", ["c", "h", "w"], 0, None), ("v", ["(* 2 c)"], 0, None)], None, False),
    "state a[p] = 0": ("state", [("a", ["p"], 0, "0")], None, False),
    "state a = x + 1, b": ("state", [("a", [], 0, "(+ x 1)"), ("b", [], 0, None)], None, False),
    "state x'[d]": ("state", [("x", ["d"], 1, None)], None, False),
    "param W[m, d], b[m]": ("param", [("W", ["m", "d"], 0, None), ("b", ["m"], 0, None)], None, False),
    "param T": ("param", [("T", [], 0, None)], None, False),
    "param W[m, d] per step": ("param", [("W", ["m", "d"], 0, None)], None, True),
    "param S[d, d] : skew": ("param", [("S", ["d", "d"], 0, None)], "skew", False),
    "param S[d, d], T[d, d] : skew per step": (
        "param",
        [("S", ["d", "d"], 0, None), ("T", ["d", "d"], 0, None)],
        "skew",
        True,
    ),
    "input u[k]": ("input", [("u", ["k"], 0, None)], None, False),
    "input A[n, n] : symmetric per step": ("input", [("A", ["n", "n"], 0, None)], "symmetric", True),
    "graph G[n]": ("graph", [("G", ["n"], 0, None)], None, False),
    "noise w[d]": ("noise", [("w", ["d"], 0, None)], None, False),
}


@pytest.mark.parametrize(("text", "facts"), VARIABLES.items())
def test_variables(text: str, facts: tuple[Any, ...], statement: Statement) -> None:
    found = statement(text)
    assert isinstance(found, tree.VariableDecl)
    declarators = [
        (d.name, [show(s) for s in d.sizes], d.primes, None if d.initial is None else show(d.initial))
        for d in found.declarators
    ]
    assert (found.kind, declarators, found.structure, found.per_step) == facts
    assert (found.structure_span.text if found.structure_span else None) == found.structure


@pytest.mark.parametrize(("text", "order"), [("x' = -x", 1), ("x'' = -x", 2), ("x+ = x", 0), ("x  += x", 0)])
def test_equations(text: str, order: int, statement: Statement) -> None:
    found = statement(text)
    assert isinstance(found, tree.Equation)
    assert (found.name, found.order) == ("x", order)


def test_layers(statement: Statement) -> None:
    found = statement("a, b = M(a, b)")
    assert isinstance(found, tree.Layer)
    assert names(found.targets) == ["a", "b"]
    assert show(found.value) == "M(a b)"


RELATIONS = {
    "norm(W) <= 1": ("<=", "norm(W)", None, "1"),
    "eig(S) >= -1": (">=", "eig(S)", "(neg 1)", None),
    "sum(B, 0) == 0": ("==", "sum(B 0)", "0", "0"),
    "sigma(W) in [a, 2*b]": ("in", "sigma(W)", "a", "(* 2 b)"),
    "norm(W, inf) <= 1/2": ("<=", "norm(W inf)", None, "(/ 1 2)"),
    "degree(G) <= k": ("<=", "degree(G)", None, "k"),
}


def relation_facts(relation: tree.Relation | None) -> tuple[Any, ...]:
    assert relation is not None
    ends = (relation.lower, relation.upper)
    return (relation.operator, show(relation.subject), *(None if e is None else show(e) for e in ends))


@pytest.mark.parametrize(("text", "facts"), RELATIONS.items())
def test_relations(text: str, facts: tuple[Any, ...], statement: Statement) -> None:
    constraint, domain, claim = (statement(f"{word} {text}") for word in ("constraint", "domain", "claim invariant"))
    assert isinstance(constraint, tree.ConstraintDecl)
    assert isinstance(domain, tree.DomainDecl)
    assert isinstance(claim, tree.ClaimDecl)
    assert relation_facts(constraint.relation) == facts
    assert relation_facts(domain.relation) == facts
    assert relation_facts(claim.relation) == facts
    assert claim.name == "invariant"


def test_invariant_may_begin_with_a_parenthesis(statement: Statement) -> None:
    claim = statement("claim invariant (x + y) in [min(x(0)), max(x(0))]")
    assert isinstance(claim, tree.ClaimDecl)
    assert relation_facts(claim.relation) == ("in", "(+ x y)", "min(x(0))", "max(x(0))")


def claim_facts(claim: tree.ClaimDecl) -> dict[str, Any]:
    """What is said in a claim, without what is not."""
    facts = {
        "not": claim.negated,
        "args": [show(a) for a in claim.args],
        "keywords": {k.name: show(k.value) for k in claim.keywords},
        "operator": claim.operator,
        "lower": claim.lower and show(claim.lower),
        "upper": claim.upper and show(claim.upper),
        "of": claim.subject,
        "mean square": claim.mean_square,
    }
    return {key: value for key, value in facts.items() if value}


CLAIMS: dict[str, tuple[str, dict[str, Any]]] = {
    "nonexpansive": ("nonexpansive", {}),
    "nonexpansive(norm = inf)": ("nonexpansive", {"keywords": {"norm": "inf"}}),
    "nonexpansive(metric = some)": ("nonexpansive", {"keywords": {"metric": "some"}}),
    "not contractive(rate = 0.1)": ("contractive", {"not": True, "keywords": {"rate": "1/10"}}),
    "lipschitz <= L": ("lipschitz", {"operator": "<=", "upper": "L"}),
    "lipschitz(by = u) <= 2*L of output": (
        "lipschitz",
        {"keywords": {"by": "u"}, "operator": "<=", "upper": "(* 2 L)", "of": "output"},
    ),
    "gradient in [0, 1]": ("gradient", {"operator": "in", "lower": "0", "upper": "1"}),
    "gradient in [0, 1] in mean square of flow": (
        "gradient",
        {"operator": "in", "lower": "0", "upper": "1", "of": "flow", "mean square": True},
    ),
    "nonexpansive of flow": ("nonexpansive", {"of": "flow"}),
    "nonexpansive of flow in mean square": ("nonexpansive", {"of": "flow", "mean square": True}),
    "nonexpansive in mean square": ("nonexpansive", {"mean square": True}),
    "stable": ("stable", {}),
    "conserves(V)": ("conserves", {"args": ["V"]}),
    "dissipates(dot(x, x)/2)": ("dissipates", {"args": ["(/ dot(x x) 2)"]}),
    "symplectic": ("symplectic", {}),
    "reversible": ("reversible", {}),
    "order >= 2": ("order", {"operator": ">=", "lower": "2"}),
}


@pytest.mark.parametrize(("text", "facts"), CLAIMS.items())
def test_claims(text: str, facts: tuple[str, dict[str, Any]], statement: Statement) -> None:
    claim = statement(f"claim {text}")
    assert isinstance(claim, tree.ClaimDecl)
    assert (claim.name, claim_facts(claim)) == facts
    assert claim.name_span.text == claim.name


def test_solver(statement: Statement) -> None:
    found = statement("solver tableau(A = [[0, 0], [1, 0]], b = [1/2, 1/2], steps = 10)")
    assert isinstance(found, tree.SolverDecl)
    assert (found.name, names(found.keywords)) == ("tableau", ["A", "b", "steps"])
    auto = statement("solver rk4(steps = auto)")
    assert isinstance(auto, tree.SolverDecl)
    assert show(auto.keywords[0].value) == "auto"


def test_time(statement: Statement) -> None:
    found = statement("time 0 .. 4 save 9")
    assert isinstance(found, tree.TimeDecl)
    assert (show(found.start), show(found.end), show(found.save)) == ("0", "4", "9")
    short = statement("time 0..3/2")
    assert isinstance(short, tree.TimeDecl)
    assert (show(short.start), show(short.end), short.save) == ("0", "(/ 3 2)", None)


def test_output_and_let(statement: Statement) -> None:
    output = statement("output y = C @ x + c")
    assert isinstance(output, tree.OutputDecl)
    assert (output.binding.name, show(output.binding.value)) == ("y", "(+ (@ C x) c)")


def test_file(parsed: Callable[[str], tree.File]) -> None:
    file = parsed(
        '# top\nuse "a/b.ode"\nuse "c.ode"\n\nmodel A\n"""Says \\"hi\\" and \\\\ and \\gamma.\n"more"""" \n'.replace(
            '"more""""', 'more"""'
        )
        + "dim d = 1 # size\n\nnetwork B\ninput u[d]\n# end"
    )
    assert [use.path for use in file.uses] == ["a/b.ode", "c.ode"]
    assert [(s.kind, s.name, len(s.statements)) for s in file.sections] == [("model", "A", 1), ("network", "B", 1)]
    assert file.sections[0].doc == 'Says "hi" and \\ and \\gamma.\nmore'
    assert file.sections[1].doc is None
    assert file.sections[0].span.text.endswith("dim d = 1")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_marks_newlines_and_tabs(mark: str, newline: str, parsed: Callable[[str], tree.File]) -> None:
    lines = ["model\tA", '"""One', 'two"""', "", "dim d = (1", "\t+ 2)", "state\tx[d]\t# comment", ""]
    file = parsed(mark + newline.join(lines))
    assert file.sections[0].doc == "One\ntwo"
    assert [type(s).__name__ for s in file.sections[0].statements] == ["DimDecl", "VariableDecl"]


@pytest.mark.parametrize(
    "name",
    ["sigma", "eig", "order", "skew", "steps", "flow", "step", "mean", "square", "invariant"]
    + ["norm", "auto", "inf", "some", "true", "rate", "metric", "I", "t"],
)
def test_words_that_are_no_keywords(name: str, statement: Statement) -> None:
    """The parser leaves these names alone; which of them are functions is not its business."""
    for text in (
        f"const {name} = 1",
        f"let {name} = {name} + {name}({name}, {name} = {name})",
        f"time {name} .. {name}",
    ):
        statement(text)
    assert isinstance(statement(f"{name}' = {name}"), tree.Equation)
    assert isinstance(statement(f"{name} = {name}"), tree.Layer)
    structured = statement(f"param {name}[{name}] : {name} per step")
    assert isinstance(structured, tree.VariableDecl)
    assert structured.per_step
    assert structured.structure == name


def test_spans(parsed: Callable[[str], tree.File]) -> None:
    file = parsed("model A\nx' = -W.T @ relu(W @ x + b) # c\n")
    (equation,) = file.sections[0].statements
    assert isinstance(equation, tree.Equation)
    assert equation.span.text == "x' = -W.T @ relu(W @ x + b)"
    value = equation.value
    assert isinstance(value, tree.Binary)
    assert (value.left.span.text, value.operator_span.text) == ("-W.T", "@")
    assert (value.right.span.line, value.right.span.column) == (2, 13)


SPECS = [
    path
    for folder in (Path(__file__).parents[2] / "specs", Path(__file__).parents[2] / "examples")
    for path in sorted(folder.rglob("*.ode"))
]


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.name)
def test_shipped_specs_parse(path: Path) -> None:
    report = Report()
    source = read_source(path, report)
    assert source is not None
    assert parse(source, report) is not None, [d.message for d in report]
