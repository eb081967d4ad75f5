"""The registry of the words that the grammar itself has: statements, forms of relations, and the small words beside them.

Functions, activations, structures, claims and solvers have registries of their own. A test compares the statements with the
grammar, and reads every example.
"""

from __future__ import annotations

from odespec.records import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """``name`` is what a person would look up; ``form`` how it is written; ``doc`` what it means.

    ``example`` is one line that may stand in a spec; ``others`` are further names of the same thing.
    """

    name: str
    form: str
    doc: str
    example: str
    others: tuple[str, ...] = ()


STATEMENTS: tuple[Word, ...] = (
    Word("use", 'use "PATH"', "Makes the sections of another file known here. It stands above the first section; the path is "
         "relative to the file that has the line.", 'use "blocks.ode"'),
    Word("model", "model NAME", "Opens a section: one differential equation (or discrete map) with its solver and claims. "
         'A docstring in """…""" may stand on the next line.', "model GradientFlow"),
    Word("network", "network NAME", "Opens a section that composes models and layers, applied in the order of its lines.",
         "network Classifier"),
    Word("dim", "dim NAME = SIZE, …", "Declares positive integers: sizes. `-D d=128` on the command line overrides one.",
         "dim d = 64, m = 2*d"),
    Word("const", "const NAME = NUMBER, …", "Declares exact real numbers (`sqrt` and rational powers are kept exact) or "
         "arrays of numbers. `-D gamma=1/5` overrides one.", "const gamma = 0.1, M = [[-1, 10], [0, -1]]"),
    Word("state", "state NAME[SIZES], …  or  state NAME[SIZES] = INITIAL", "Declares a state. Without an initial value it is an "
         "input of the network, and claims speak of it; an initial value is an expression in params, inputs and the states "
         "before it. `state x'[d]` makes the velocity of a second-order state an input too.", "state x[d], a[p] = 0"),
    Word("param", "param NAME[SIZES], … [: STRUCTURE] [per step]", "Declares trainable tensors. A structure is held by "
         "construction in emitted code. `per step` makes one copy for each solver step; all stages of a step read the same "
         "copy. Structure and `per step` hold for every name of the line.", "param S[d, d] : skew per step"),
    Word("input", "input NAME[SIZES], … [: STRUCTURE] [per step]", "Declares an input that is held constant over the "
         "integration, or with `per step` a sequence with one entry for each step. A structure is the caller's promise.",
         "input u[k] per step"),
    Word("graph", "graph NAME[NODES]", "Declares an undirected graph, given at run time as a list of edges with optional "
         "non-negative weights.", "graph G[n]"),
    Word("noise", "noise NAME[SIZES]", "Declares a standard Wiener process. In a field the name stands for its increment "
         "(in the sense of Ito), and enters linearly.", "noise w[d]"),
    Word("let", "let NAME = EXPRESSION", "Names an expression. Lets may stand in any order, without cycles.",
         "let A = W - W.T - gamma*I"),
    Word("'", "NAME' = EXPRESSION", "The vector field of a state: every state has exactly one equation.",
         "x' = -W.T @ relu(W @ x + b)", ("equation", "field", "x'")),
    Word("''", "NAME'' = EXPRESSION", "A second-order equation; the velocity NAME' may stand on the right. It becomes a further "
         "state, zero at the start unless `state NAME'[d]` declares it.", "x'' = -x - x'", ("x''",)),
    Word("+", "NAME+ = EXPRESSION", "A discrete map in place of a field, with `solver map(steps = N)` and no `time`.",
         "x+ = x + tanh(W @ x)", ("x+",)),
    Word("constraint", "constraint RELATION", "Restricts weights. Proofs hold for all weights within it, and emitted code "
         "enforces it by construction.", "constraint norm(W) <= 1"),
    Word("domain", "domain RELATION", "Restricts the initial states and inputs under which the claims are asked. "
         "Trajectories may leave it unless an `invariant` is proved.", "domain x in [-1, 1]"),
    Word("solver", "solver NAME(steps = N, …)", "The method that makes a discrete map of the field. `steps = auto` lets the "
         "compiler choose the fewest steps with which every claim is proved.", "solver rk4(steps = 32)"),
    Word("time", "time START .. END [save N]", "The interval of integration; h = (END - START) / steps, exactly. `save N` "
         "returns the states at N equally spaced times, both ends included.", "time 0 .. 4 save 9"),
    Word("output", "output NAME = EXPRESSION", "What the network returns. Without one: the final states, in the order of "
         "their declaration.", "output y = C @ x"),
    Word("claim", "claim [not] CLAIM [of flow | of output] [in mean square]", "What must hold for every weight, input and "
         "initial state that the spec allows. `not` asks that the claim be refuted.", "claim not nonexpansive of flow"),
)  # fmt: skip

RELATIONS: tuple[Word, ...] = (
    Word("norm", "norm(E) <= c, norm(E, p) <= c", "The operator norm of a matrix, the norm of a vector, kernel or state "
         "over all its entries. p is 2 (the default), 1 or inf.", "constraint norm(W) <= 1"),
    Word("sigma", "sigma(W) in [a, b]", "All min(m, d) singular values lie between a and b.",
         "constraint sigma(W) in [0.5, 1]"),
    Word("eig", "eig(S) in [a, b]", "All eigenvalues of a symmetric matrix lie between a and b.",
         "constraint eig(S) in [-1, 1]"),
    Word("degree", "degree(G) <= k", "At no node of a graph do the weights of its edges sum to more (an edge without a "
         "weight counts as one).", "constraint degree(G) <= 4"),
    Word("in", "E in [a, b]", "Every entry lies between a and b (of a scalar: the value).", "domain x in [-1, 1]"),
    Word("<=", "E <= c", "No entry is larger.", "constraint b <= 1"),
    Word(">=", "E >= c", "No entry is smaller.", "constraint b >= 0"),
    Word("==", "E == c", "A linear equation.", "constraint sum(B, 0) == 0"),
)  # fmt: skip

WORDS: tuple[Word, ...] = (
    Word("I", "I", "The identity matrix; its size is that of what it meets.", "let A = S - gamma*I"),
    Word("t", "t", "The time.", "x' = -t*x"),
    Word(".T", "E.T", "The transpose of a matrix, the adjoint of an operator.", "let A = W.T @ W"),
    Word("@", "A @ x, X @ W", "Applies a matrix or an operator. It binds like `*` and `/`, left to right. `X @ W` acts on the "
         "last axis of a state with several.", "let z = W @ x + b"),
    Word("^", "E ^ k", "The power, elementwise, right-associative; `-k^2` is `-(k^2)`.", "const a = 2^10"),
    Word("per step", "… per step", "One copy of a param for each solver step (all stages of a step read the same copy), or "
         "one entry of an input. It stands last on its line.", "param W[m, d] per step", ("per", "step")),
    Word("save", "time A .. B save N", "Returns the states at N equally spaced times, both ends included. With fixed steps, the "
         "number of steps is a multiple of N - 1.", "time 0 .. 4 save 9"),
    Word("not", "claim not CLAIM", "Asks that the claim be refuted: there are weights and inputs, within the constraints, that "
         "break it.", "claim not nonexpansive"),
    Word("of flow", "claim CLAIM of flow", "Asks a claim of the exact solution in place of the discrete map.",
         "claim nonexpansive of flow", ("flow", "of")),
    Word("of output", "claim CLAIM of output", "Asks a claim of the `output` in place of the final states.",
         "claim lipschitz <= 1 of output"),
    Word("in mean square", "claim CLAIM in mean square", "Asks a claim of the expected square, in a model with noise.",
         "claim nonexpansive in mean square", ("mean square",)),
    Word("auto", "solver NAME(steps = auto)", "Lets the compiler choose the fewest steps with which every claim is proved.",
         "solver euler(steps = auto)"),
)  # fmt: skip
