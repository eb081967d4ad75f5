"""Proofs row by row, for distances in the norms inf and 1.

A certificate of this kind states maps between differences of two runs as sums of terms (see `rowsums`). From their
absolute row (or column) sums follow bounds on a step, explicit or with equations to solve, or on a flow (by the
logarithmic norm), and from them the claim.
"""

import re
from fractions import Fraction
from itertools import pairwise
from typing import Any

from .core import LITERAL, AuditError, Ledger, check_assumptions, count, line, number, plain, require
from .gram import compare, squared
from .rowsums import ONE, ZERO, Groups, Rows, Sums, end

MAX_TERMS = 4000

TERM = (number, [line], [line], line)
ROW = (line, [TERM])
PART = {
    "role": {"step", "flow", "tableau", "map"},
    "sense": {"upper", "lower"},
    "bound": number,
    "steps": count,
    "at": [count],
    "states": [line],
    "solves": [[ROW]],
    "rows": [ROW],
    "A": [[number]],
    "b": [number],
    "radius": number,
    "error": number,
}
CORNERS = {"corners": [(number, number)], "rays": [(number, number)]}


SCHEMA = {
    "norm": {"inf", "1"},
    "implicit": {True, False},
    "scalars": [line],
    "factors": {str: (end, end, line)},
    "operators": {str: {"rows": CORNERS, "columns": CORNERS, "why": line}},
    "parts": [PART],
    "conclusion": [{"kind": line, "number": line, "parts": [(count, count)]}],
}


# --- parts -------------------------------------------------------------------------------


def read_rows(rows: list[Any], proof: dict[str, Any]) -> Rows:
    """The rows of a map, the scalar factors in front."""
    scalars = set(proof["scalars"])
    require(scalars <= proof["factors"].keys(), "a scalar without a range")
    found: Rows = {}
    for target, terms in rows:
        require(target not in found and len(terms) <= MAX_TERMS, "a row stands twice, or is too long")
        found[target] = tuple((number(c), tuple(sorted(lead)), tuple(word), v) for c, lead, word, v in terms)
        require(all(set(t[1]) <= scalars and not set(t[2]) & scalars for t in found[target]), "a scalar out of place")
    return found


def part_bound(part: dict[str, Any], proof: dict[str, Any], sums: Sums) -> Fraction:
    """What follows of one part: a bound on the factor of one step (from below: of its sense), or of the flow's rate."""
    rows, states = read_rows(part["rows"], proof), part["states"]
    upper = part["sense"] == "upper"
    require((part["steps"] == 0) == (part["role"] in ("map", "flow")), "a step that is none")
    if part["role"] == "map":
        require(upper and not part["solves"] and not part["A"] and not part["b"], "a map without steps")
        require(rows and states, "a map of nothing")
        return sums.norm(rows, [(tuple(states), ONE)])
    require(list(rows) == states and states, "the rows are not those of the states")
    if part["role"] == "flow":
        require(not part["solves"] and not part["A"] and not part["b"], "a flow has no stages")
        return sums.logarithmic(rows) if upper else -sums.logarithmic(_scaled(rows, -ONE))
    if part["role"] == "tableau":
        require(upper and not part["solves"], "a tableau gives an upper bound")
        return stages_bound(part, rows, sums)
    require(not part["A"] and not part["b"], "a step without a tableau")
    return step_bound(part, rows, proof, sums) if upper else step_expansion(part, rows, proof, sums)


def _scaled(rows: Rows, factor: Fraction) -> Rows:
    return {v: tuple((factor * c, lead, word, of) for c, lead, word, of in terms) for v, terms in rows.items()}


def step_bound(part: dict[str, Any], rows: Rows, proof: dict[str, Any], sums: Sums) -> Fraction:
    """Unknowns Y = K (what came before) + M Y have ``(1 - mu(M)) |Y| <= |K …|``, if the logarithmic norm of M is below 1.

    M is continuous in the unknowns; so Y - M Y is a homeomorphism, and Y exists and is unique.
    """
    groups: Groups = [(tuple(part["states"]), ONE)]
    for group in part["solves"]:
        own, known = _split(read_rows(group, proof))
        mu = sums.logarithmic(own)
        require(mu < 1, "the equations of a step are not shown to be solvable")
        require(not own.keys() & {v for g, _ in groups for v in g}, "an unknown stands twice")
        groups.append((tuple(own), sums.norm(known, groups) / (1 - mu)))
    return sums.norm(rows, groups)


def _split(rows: Rows) -> tuple[Rows, Rows]:
    """The part of a map that takes its own vectors, and the rest."""
    own = {v: tuple(t for t in terms if t[3] in rows) for v, terms in rows.items()}
    return own, {v: tuple(t for t in terms if t[3] not in rows) for v, terms in rows.items()}


def step_expansion(part: dict[str, Any], rows: Rows, proof: dict[str, Any], sums: Sums) -> Fraction:
    """Of an explicit step, or of one that ends with its unknowns: ``|K x| <= |I - M| |Y|``."""
    if not part["solves"]:
        return max(ZERO, sums.expansion(rows))
    require(len(part["solves"]) == 1, "a lower bound of several groups of equations")
    own, known = _split(read_rows(part["solves"][0], proof))
    require(sums.logarithmic(own) < 1, "the equations of a step are not shown to be solvable")
    require(len(rows) == len(own), "a step that does not end with its unknowns")
    final = {s: ((ONE, (), (), y),) for s, y in zip(rows, own, strict=True)}
    require(rows == final, "a step that does not end with its unknowns")
    renamed = dict(zip(rows, known.values(), strict=True))
    size = sums.norm(_shifted(_scaled(own, -ONE)), [(tuple(own), ONE)])
    require(size > 0, "a map that is nothing has no inverse")
    return max(ZERO, sums.expansion(renamed)) / size


def _shifted(rows: Rows) -> Rows:
    """The identity plus a map."""
    return {v: ((ONE, (), (), v), *terms) for v, terms in rows.items()}


def stages_bound(part: dict[str, Any], rows: Rows, sums: Sums) -> Fraction:
    """A Runge–Kutta step by convex combinations of Euler steps of h times the field (``rows``), of size 1 / radius.

    With K the tableau and r the radius, ``Y = v x + alpha (Y + h f(Y) / r)``, ``alpha = r K (I + r K)^-1``,
    ``v = (I + r K)^-1 1`` (Shu & Osher 1988; Ferracina & Spijker 2005; Higueras 2005). If an Euler step multiplies
    distances by rho at most, those of the stages are at most ``(I - rho |alpha|)^-1 |v|`` where that matrix has a
    non-negative inverse; then the equations of the stages are those of a contraction, and have one solution.

    Entries other than zero of a tableau in irrational numbers are stated up to an error e. With the stated K the
    equations lack ``(I + r K)^-1 e h f``, and ``|h f(Y)| <= r (1 + rho) |Y|``. Where v and alpha are not negative for
    any tableau within the error, ``v + alpha 1 = 1`` makes every stage a mean of Euler steps: if rho <= 1 so is the bound.
    """
    r, error = number(part["radius"]), number(part["error"])
    A, b = [[number(x) for x in row] for row in part["A"]], [number(x) for x in part["b"]]
    s = len(b)
    require(r > 0 <= error and 0 < s <= 16 and len(A) == s and all(len(row) == s for row in A), "not a tableau")
    K = [[*row, ZERO] for row in (*A, b)]
    square = range(s + 1)
    shifted = [[(i == j) + r * K[i][j] for j in square] for i in square]
    inverse = solve(shifted, [[Fraction(i == j) for j in square] for i in square])
    v = [sum(row, ZERO) for row in inverse]
    alpha = [[(i == j) - inverse[i][j] for j in square] for i in square]
    rho = sums.norm(_shifted(_scaled(rows, 1 / r)), [(tuple(rows), ONE)])
    lacking = error * r * (1 + rho)
    wrong = [[lacking * sum(abs(inverse[i][k]) for k in square if K[k][j]) for j in square] for i in square]
    compared = [[(i == j) - rho * abs(alpha[i][j]) - wrong[i][j] for j in square] for i in square]
    margin = solve(compared, [[ONE] for _ in square])
    require(all(m > 0 for (m,) in margin), "the stages are not shown to be those of a contraction")
    if rho <= 1 and error and _means(K, inverse, v, alpha, r * error):
        return ONE
    return sums.ledger.spend(solve(compared, [[abs(x)] for x in v])[s][0])


def _means(
    K: list[list[Fraction]], inverse: list[list[Fraction]], v: list[Fraction], alpha: list[list[Fraction]], e: Fraction
) -> bool:
    """Whether v and alpha are not negative for any K within an error (of r K) in its entries other than zero.

    ``(M + E)^-1`` differs from ``M^-1`` by at most ``|M^-1| q / (1 - q)`` in the norm inf, ``q = |M^-1| |E|``. Above the
    diagonal of a lower triangular K, and in its last column, alpha has zeros.
    """
    n = len(K)
    size = max(sum(abs(x) for x in row) for row in inverse)
    q = size * e * n
    if q >= 1:
        return False
    off = size * q / (1 - q)
    lower = all(not K[i][j] for i in range(n) for j in range(i + 1, n))
    entries = [alpha[i][j] for i in range(n) for j in range(i + 1 if lower else n) if j < n - 1]
    return all(x >= off for x in v) and all(x >= off for x in entries)


def solve(matrix: list[list[Fraction]], right: list[list[Fraction]]) -> list[list[Fraction]]:
    """Gauss–Jordan elimination; `AuditError` where the matrix is singular."""
    rows = [[*a, *b] for a, b in zip(matrix, right, strict=True)]
    n = len(rows)
    for k in range(n):
        pivot = next((i for i in range(k, n) if rows[i][k]), None)
        require(pivot is not None, "a singular matrix of stages")
        assert pivot is not None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(n):
            if i != k and rows[i][k]:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[n:] for row in rows]


# --- from the bounds to the claim --------------------------------------------------------

NORM = r"norm=(inf|1)"
CLAIMS = (
    (("lipschitz",), rf"nonexpansive\({NORM}\)(of(?:map|flow|output))?"),
    (("lipschitz",), rf"lipschitz\({NORM}\)<=(.+?)(of(?:map|flow|output))?"),
    (("contractive",), rf"contractive\({NORM},rate=(.+?)\)(of(?:map|flow|output))?"),
    (("lower", "lipschitz"), rf"gradient\({NORM}\)in\[(.+),(.+?)\](of(?:map|flow|output))?"),
)


def goals(claim: str) -> tuple[str, list[tuple[str, str]]]:
    """The norm, and what a claim asks for: kinds of conclusion, each with its number as it is written."""
    plainly = re.sub(r"\s", "", claim[:2000])
    plainly = re.sub(rf"^contractive\(rate=(.+),{NORM}\)", r"contractive(norm=\2,rate=\1)", plainly)
    for kinds, pattern in CLAIMS:
        if match := re.fullmatch(pattern, plainly):
            norm, *numbers, subject = match.groups()
            flow = "flow-" if subject == "offlow" else ""
            return norm, [(flow + kind, n) for kind, n in zip(kinds, numbers or ["1"], strict=True)]
    raise AuditError("not a claim that this file can check")


def check_claim(c: dict[str, Any]) -> list[tuple[str, str]]:
    """What the claim was resolved to is the same claim with its numbers written out, in the norm of the proof."""
    (norm, asked), (same, resolved) = goals(c["claim"]["text"]), goals(c["claim"]["resolved"])
    require(norm == same == c["proof"]["norm"], "the norm is not that of the claim")
    require([k for k, _ in asked] == [k for k, _ in resolved], "the claim was resolved to another one")
    for (_, written), (_, value) in zip(asked, resolved, strict=True):
        literal = re.fullmatch(rf"{LITERAL}|sqrt\({LITERAL}\)", written)
        require(not literal or squared(written) == squared(value), "the claim was resolved to other numbers")
    return resolved


def conclude(c: dict[str, Any], stated: dict[str, Any], goal: tuple[str, str], output: bool) -> str:
    """Check one inequality, the bound of a part against the number of the claim; return it in words."""
    kind, written = stated["kind"], stated["number"]
    require((kind, written) == goal, "the conclusion is not what the claim asks for")
    upper, flow, rated = not kind.endswith("lower"), kind.startswith("flow-"), kind.endswith("contractive")
    rate, limit = (plain(written), ONE) if rated else (ZERO, squared(written))
    if not upper and limit <= 0:
        return f"a distance is never negative, so it is at least {written} times what it was"
    limit *= (1 + (1 if upper else -1) * number(c["slack"])) ** 2
    uses = [(c["proof"]["parts"][i], times) for i, times in stated["parts"]]
    time, steps = number(c["time"]), c["steps"]
    flows = [number(p["bound"]) for p, _ in uses if p["role"] == "flow"]
    require(len(flows) == flow and time > 0 and steps >= 1, "the parts are not those of such a claim")
    require(all(p["sense"] == ("upper" if upper else "lower") for p, _ in uses), "a part of the other sense")
    require(flow or _covered(uses) == steps, "the parts do not cover the steps")
    chained = all([v for v, _ in p["rows"]] == q["states"] for (p, _), (q, _) in pairwise(uses))
    inner = uses[1:-1] if output else uses[1:]
    require(chained and all(p["role"] != "map" for p, _ in inner), "parts that do not follow on each other")
    require(uses and (uses[-1][0]["role"] == "map") == output, "the parts do not end as the claim says")
    require(all(p["role"] in ("flow", "map") for p, _ in uses) or not flow, "a step is no part of a flow")
    require(all(n == 1 for p, n in uses if not p["steps"]), "a part that is used more than once")
    factors = [(number(p["bound"]), n) for p, n in uses if p["role"] != "flow"]
    require(all(x >= 0 for x, _ in factors), "a negative ratio")
    exponent = 2 * (rate + sum(flows)) * time
    require(compare([(x**2, n) for x, n in factors], exponent, limit, upper), "the bounds do not give the claim")
    most, end = "most" if upper else "least", f"exp(-{written} * {time})" if rated else written
    each = [f"a rate of {x} over the time {time}" for x in flows] + [f"({x})^{n}" for x, n in factors]
    return f"distances are multiplied by at {most} {' * '.join(each)}, which is at {most} {end}"


def _covered(uses: list[tuple[dict[str, Any], int]]) -> int:
    """How many steps the parts cover; one about a step of a certain number stands where that step is."""
    total = 0
    for part, n in uses:
        require(not part["at"] or (part["at"] == [total] and n == 1), "a part about another step")
        total += part["steps"] * n
    return total


# --- the whole -----------------------------------------------------------------------------


def assumptions(flow: bool, implicit: bool) -> list[str]:
    """What every proof of this kind takes for granted."""
    always = ["arithmetic is exact", "the constraints on the weights hold"]
    if flow:
        return [*always, "the terms are those of the field at all times", "solutions exist"]
    steps = "the terms are those of every step, for its own weights, inputs and time"
    return [*always, steps, *(["the equations of an implicit step are solved exactly"] if implicit else [])]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof, resolved = c["proof"], check_claim(c)
    sums = Sums(proof, ledger)
    for part in proof["parts"]:
        found, bound = part_bound(part, proof, sums), number(part["bound"])
        require(found <= bound if part["sense"] == "upper" else found >= bound, "a part does not have its bound")
    require(len(proof["conclusion"]) == len(resolved), "the conclusion is not what the claim asks for")
    output = re.sub(r"\s", "", c["claim"]["resolved"]).endswith("ofoutput")
    lines = [conclude(c, stated, goal, output) for stated, goal in zip(proof["conclusion"], resolved, strict=True)]
    used = {i for stated in proof["conclusion"] for i, _ in stated["parts"]}
    require(used == set(range(len(proof["parts"]))), "a part that is used for nothing")
    check_assumptions(c, assumptions(resolved[0][0].startswith("flow-"), proof["implicit"]))
    lines += [f"{name} in [{low}, {high}]: {why}" for name, (low, high, why) in proof["factors"].items()]
    side = "columns" if sums.columnwise else "rows"
    for name, o in proof["operators"].items():
        corners = ", ".join(f"({w}, {r})" for w, r in o[side]["corners"])
        corners += "".join(f" and on along ({w}, {r})" for w, r in o[side]["rays"])
        lines.append(f"{side} of {name}: diagonal and sum of the others below {corners}: {o['why']}")
    return [*lines, *(line for part in proof["parts"] for line in _show(part))]


def _show(part: dict[str, Any]) -> list[str]:
    rows = [row for group in (*part["solves"], part["rows"]) for row in group]
    lines = [f"{part['role']}, at {'most' if part['sense'] == 'upper' else 'least'} {part['bound']}, of"]
    for target, terms in rows:
        words = [" ".join([c, *lead, *word, f"d({v})"]) for c, lead, word, v in terms]
        lines.append(f"  {target}: {' + '.join(words) or '0'}")
    return lines
