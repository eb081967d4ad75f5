"""Proofs of an order of convergence against the spec.

The method and the form of the field must be those that the spec gives. The order is tested on random fields of the spec: as
steps are halved, the error must fall by it, as far as fifty digits show.
"""

from __future__ import annotations

import numpy as np

from odespec.certificate.format import Certificate
from odespec.exact import Undecided
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.engines.order import claimed
from odespec.prove.orders.method import NoOrder, header_time, order_data
from odespec.prove.orders.witness import random_start, slower_slope
from odespec.prove.refute.graphs import as_matrices
from odespec.weights.evaluate import Unsupported
from odespec.weights.sampling import NoSample

TRIALS, LENGTHS, SEED = 2, 2, 24


def check(certificate: Certificate, spec: Spec, model: Model | Network, claim: Claim) -> None:
    """Raises `Mismatch` where the certificate is not one of this model."""
    if not isinstance(model, Model):
        raise Mismatch("a network has no order")
    steps = model.solver.steps if isinstance(model.solver.steps, int) else 0
    if (certificate.steps, certificate.time) != (steps, header_time(model)):
        raise Mismatch("the steps or the time are not those of the spec")
    order = claimed(claim)
    if certificate.claim.resolved != f"order >= {order}":
        raise Mismatch(f"model {model.name} makes no claim `{certificate.claim.resolved}`")
    if not any(_same(certificate, model, order, coarse) for coarse in (True, False)):
        raise Mismatch("the method, or the form of the field, is not that of the spec")
    rng = np.random.default_rng(SEED)
    for _ in range(TRIALS):
        try:
            start = random_start(model, rng)
        except (NoSample, Unsupported, ArithmeticError, ValueError):
            continue
        slope = slower_slope(as_matrices(model), start[-1], order, LENGTHS)
        if slope is not None:
            raise Mismatch(f"halving the steps divides the error by 2^{slope:.2f} only")


def _same(certificate: Certificate, model: Model, order: int, coarse: bool) -> bool:
    try:
        data = order_data(model, order, coarse=coarse)
    except (NoOrder, Undecided):
        return False
    own = {"order": order, "field": data.field.data(), "family": data.family, "method": data.method}
    return own == certificate.proof
