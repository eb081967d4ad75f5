"""Bounds of networks: a chain of maps, each from the one value that is needed to the next, each a chain of proofs.

The ratios of all maps multiply. Each map is one application of a model, or a few layers taken as one step with an
output; its own chain is checked as that of a claim from the states (`endpoint`).
"""

from typing import Any

from . import endpoint, gram
from .core import Ledger, check_assumptions, count, line, number, plain, require

SCHEMA = {
    "pieces": [{"name": line, "steps": count, "subject": {"map", "output"}, "implicit": {True, False}}],
    "parts": [{**gram.PART, "role": {"way", "solvability"}, "segment": line, "piece": count}],
    "conclusion": [{"kind": {"lipschitz", "lower"}, "number": line, "chains": [[endpoint.USE]]}],
}


def conclude(c: dict[str, Any], stated: dict[str, Any], goal: tuple[str, str]) -> str:
    """Check one inequality of the claim; return it in words."""
    kind, written = stated["kind"], stated["number"]
    require((kind, written) == goal, "the conclusion is not what the claim asks for")
    upper, limit, proof = kind != "lower", gram.squared(written), c["proof"]
    if not upper and limit <= 0:
        require(not stated["chains"], "a part that is used for nothing")
        return f"a distance is never negative, so it is at least {written} times what it was"
    limit *= (1 + (1 if upper else -1) * number(c["slack"])) ** 2
    require(len(stated["chains"]) == len(proof["pieces"]) >= 1, "not one chain for each piece")
    taus = []
    for k, (piece, chain) in enumerate(zip(proof["pieces"], stated["chains"], strict=True)):
        require(all(proof["parts"][u["part"]]["piece"] == k for u in chain), "a part of another piece")
        own = {"proof": proof, "steps": piece["steps"]}
        taus += endpoint.product(own, chain, piece["subject"], "upper" if upper else "lower")
    require(gram.compare(taus, plain("0"), limit, upper), "the bounds do not give the claim")
    powers = " * ".join(f"({t})^{n}" for t, n in taus)
    return f"from the inputs to the output the squared ratio of distances is {powers} {'<=' if upper else '>='} ({written})^2"


def assumptions(implicit: bool) -> list[str]:
    """What every proof of this kind takes for granted."""
    taken = [
        "arithmetic is exact",
        "the constraints on the weights hold",
        "the relations hold in every step of every layer, for its own weights",
        "what a piece makes depends on no other value than that of the piece before it",
    ]
    return [*taken, *(["the equations of implicit steps are solved exactly"] if implicit else [])]


def check(c: dict[str, Any], ledger: Ledger) -> list[str]:
    """What the certificate proves, in words."""
    proof = c["proof"]
    by, subject, square, resolved = endpoint.check_claim(c)
    require(not by and subject == "map" and not square, "a network's claims go from its inputs to its output")
    for part in proof["parts"]:
        gram.Part(part, ledger).check()
    require(len(proof["conclusion"]) == len(resolved), "the conclusion is not what the claim asks for")
    lines = [conclude(c, s, goal) for s, goal in zip(proof["conclusion"], resolved, strict=True)]
    for k, piece in enumerate(proof["pieces"]):
        solved = [p for p in proof["parts"] if (p["role"], p["sense"], p["piece"]) == ("solvability", "upper", k)]
        require(
            bool(solved) == piece["implicit"], "an implicit step, and no other, needs a proof that it can be solved"
        )
        require(all(p["segment"] in ("1", "start+1") for p in solved), "not the equations of a step")
    used = {u["part"] for s in proof["conclusion"] for chain in s["chains"] for u in chain}
    solvable = {k for k, p in enumerate(proof["parts"]) if p["role"] == "solvability"}
    require(used | solvable == set(range(len(proof["parts"]))), "a part that is used for nothing")
    check_assumptions(c, assumptions(any(p["implicit"] for p in proof["pieces"])))
    lines += [f"{p['name']}: its equations have exactly one solution" for p in proof["pieces"] if p["implicit"]]
    return [
        *lines,
        *(f"{proof['pieces'][p['piece']]['name']}, {p['segment']}: {gram.show(p)}" for p in proof["parts"]),
    ]
