"""The relations of multistep, implicit-explicit, exponential and fused steps on actual runs, and the bounds they give."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from solver_specs import PLAIN, SOLVERS, model_of, random_spec

from odespec.activations import Interval
from odespec.ir.expr import Expr, add, const, eye, leaf, mul, transpose
from odespec.ir.model import Model
from odespec.program.evaluate import evaluate
from odespec.program.exponential import phi_matrix
from odespec.program.interpret import ConvergenceError, jacobian
from odespec.program.step import StepProgram
from odespec.prove.against import gram as single
from odespec.prove.against import multistep as several
from odespec.prove.engines.distance import step_program
from odespec.prove.gram.worst import worst_case
from odespec.prove.multistep.forms import setting
from odespec.prove.relate import exponentials
from odespec.prove.relate.bounds import Knowledge
from odespec.prove.relate.history import read_whole
from odespec.prove.relate.realise import Run, defects, ratio, realise
from odespec.prove.relate.relations import NoRelation, Reading, read_step
from odespec.weights.sampling import NoSample, sample, sample_inputs

PAIRS = 3


def reading_of(program: StepProgram, lower: bool) -> Reading:
    return read_whole(program, lower=lower) if program.memory else read_step(program, lower=lower)


def pairs_of(program: StepProgram, seed: int) -> Iterator[tuple[Run, Run]]:
    found = several._runs(program) if program.memory else single.runs(program, "step", np.random.default_rng(seed))
    return islice(found, PAIRS)


def worst_found(model: Model, program: StepProgram, seed: int) -> tuple[float, float]:
    """The largest and the smallest singular value of the map's derivative over random weights and states."""
    rng = np.random.default_rng(seed)
    high, low = 0.0, math.inf
    for trial in range(12):
        try:
            weights, inputs = sample(model, rng), sample_inputs(model, rng)
            x = [10.0 ** (trial % 3 - 1) * rng.standard_normal(s.shape) for s in model.free_states]
            values = np.linalg.svd(jacobian(program, weights, x, inputs), compute_uv=False)
        except (NoSample, ConvergenceError):
            continue
        high, low = max(high, float(values[0])), min(low, float(values[-1]))
    return high, low


@pytest.mark.parametrize("seed", range(16))
def test_no_run_breaks_a_relation_or_a_bound(seed: int) -> None:
    rng = random.Random(seed)
    solver = SOLVERS[seed % len(SOLVERS)]
    steps = rng.choice([1, 2]) if solver != "etdrk4" else 1
    model = model_of(random_spec(rng, solver, steps, rng.choice(["0.3", "1", "1/7"]), "nonexpansive"))
    program = step_program(model, "map")
    high, low = worst_found(model, program, seed)
    for lower in (False, True):
        reading = reading_of(program, lower)
        for first, second in pairs_of(program, seed):
            realised = realise(reading, first, second)
            for defect in defects(reading.problem, realised):
                assert defect.size < 1e-7, (defect.relation.rule, defect.relation.why)
        tau = worst_case(reading.problem).value
        power = 0.5 if program.memory else program.steps / 2
        bound = max(tau, 0.0) ** power if math.isfinite(tau) else tau
        assert low >= bound - 1e-4 if lower else not high > bound + 1e-6 * (1 + bound)


@pytest.mark.parametrize("solver", ["leapfrog", "ab2", "ab3", "bdf2"])
def test_what_all_steps_make_of_two_runs_is_their_ratio(solver: str) -> None:
    """The numerator by the denominator of the problem, with copies of the weights per step, on actual runs."""
    text = f"{PLAIN}param W[d, d] per step\ninput u[d] per step\nx' = W @ tanh(x) + t*u\n"
    text += f"constraint norm(W) <= 1\nsolver {solver}(steps = 4)\ntime 1 .. 2\nclaim nonexpansive\n"
    program = step_program(model_of(text), "map")
    reading = read_whole(program, lower=False)
    assert {"[1]" in v.name for v in reading.problem.basis} == {True, False}
    for first, second in pairs_of(program, 0):
        last = program.at(3)[1]
        end = evaluate(last, first[3])[0] - evaluate(last, second[3])[0]
        start = leaf("state", "x", (3,))
        expected = float(np.sum(end**2) / np.sum((first[0][start] - second[0][start]) ** 2))
        assert ratio(reading.problem, realise(reading, first, second)) == pytest.approx(expected, rel=1e-6)


def test_one_step_of_a_multistep_method_says_nothing_alone() -> None:
    program = step_program(model_of(f"{PLAIN}x' = -x\nsolver ab2(steps = 4)\ntime 0 .. 1\nclaim nonexpansive\n"), "map")
    with pytest.raises(NoRelation, match="remembers"):
        read_step(program, lower=False)


@pytest.mark.parametrize("solver", ["leapfrog", "ab3", "bdf2"])
def test_forms_are_read_as_the_steps_are(solver: str) -> None:
    """What the readings say of states and memory before and after a step holds in actual runs."""
    text = f"{PLAIN}param W[d, d]\nx' = -x + W @ tanh(x)\nconstraint norm(W) <= 1\n"
    program = step_program(model_of(f"{text}solver {solver}(steps = 6)\ntime 0 .. 3\nclaim nonexpansive\n"), "map")
    several._step_is_actual(setting(program), program, list(pairs_of(program, 1)))


# --- exponentials ------------------------------------------------------------------


@pytest.mark.parametrize("k", range(4))
@pytest.mark.parametrize("x", ["-40", "-3", "-1", "-1/3", "-1/1000000", "0", "1/1000", "1", "7/2"])
def test_phi_of_numbers_is_enclosed(k: int, x: str) -> None:
    low, high = exponentials.phi(k, Fraction(x))
    value = float(phi_matrix(np.array([[float(Fraction(x))]]), k)[0, 0])
    assert low <= high and high - low <= abs(high) * Fraction(1, 10**20) + Fraction(1, 10**24)
    assert float(low) == pytest.approx(value, rel=1e-9)


def structured(structure: str, constraint: str) -> tuple[Knowledge, Expr]:
    model = model_of(
        f"{PLAIN}param Z[d, d]{structure}\nx' = Z @ x\n{constraint}\nsolver etd1(steps = 1)\ntime 0 .. 1\nclaim nonexpansive\n"
    )
    return Knowledge(model, Interval(Fraction(0), Fraction(1))), leaf("param", "Z", (3, 3))


CASES = [
    (" : skew", "", lambda Z: Z, 1, (0, 0)),
    (" : symmetric", "constraint eig(Z) in [-2, 1]", lambda Z: mul(const(Fraction(1, 2)), Z), 1, (-1, Fraction(1, 2))),
    (" : psd", "constraint norm(Z) <= 3", lambda Z: mul(const(-1), Z), 1, (-3, 0)),
    ("", "constraint eig(Z + Z.T) in [-2, -1]", lambda Z: Z, 0, (-1, Fraction(-1, 2))),
    ("", "constraint eig(Z + Z.T) in [-2, -1]", lambda Z: add(Z, mul(const(-1), eye(3))), 0, (-2, Fraction(-3, 2))),
    ("", "constraint sigma(Z) in [1, 2]", lambda Z: mul(const(-1), Expr("matmul", (transpose(Z), Z), (3, 3))), 1, (-4, -1)),
    ("", "constraint norm(Z) <= 2", lambda Z: add(Z, mul(const(-1), transpose(Z))), -1, (0, 0)),
    ("", "constraint norm(Z) <= 2", lambda Z: add(Z, transpose(Z)), 1, (-4, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("structure", "constraint", "make", "symmetry", "ends"), CASES)
def test_the_nature_of_operators(structure, constraint, make, symmetry, ends) -> None:  # type: ignore[no-untyped-def]
    knowledge, Z = structured(structure, constraint)
    found = exponentials.nature(knowledge, make(Z))
    if structure != " : skew":
        assert (found.inside.lower, found.inside.upper) == ends
    assert found.symmetry == (-1 if structure == " : skew" else symmetry)


def test_the_exponential_of_a_skew_operator_is_orthogonal_and_no_other_is() -> None:
    knowledge, Z = structured(" : skew", "")
    atom = knowledge.algebra.matrix(exponentials.exponential(Z, 0))
    assert knowledge.facts(atom).gram == 1
    first = knowledge.algebra.matrix(exponentials.exponential(Z, 1))
    assert knowledge.facts(first).gram is None and knowledge.facts(first).norm2 == 1
    knowledge, Z = structured("", "constraint norm(Z) <= 1")
    general = knowledge.facts(knowledge.algebra.matrix(exponentials.exponential(Z, 0)))
    assert general.gram is None and general.norm2 is not None
    assert math.exp(2) * (1 - 1e-15) <= general.norm2 <= math.exp(2) * (1 + 1e-9)
    assert math.exp(-2) * (1 - 1e-9) <= general.floor2 <= math.exp(-2)
