"""The order in which definitions can be worked out, whatever the order in which they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from odespec.ir.walk import key, names
from odespec.syntax import tree


def dependency_order(definitions: Mapping[str, tree.Expr]) -> tuple[list[str], list[list[str]]]:
    """Names with every definition behind those that it uses, and the cycles: each as the chain of its names.

    A name that stands on a cycle is in no order; one that only uses such a name is.
    """
    order: list[str] = []
    cycles: list[list[str]] = []
    cyclic: set[str] = set()
    done: set[str] = set()
    for root in definitions:
        if root in done:
            continue
        path: dict[str, Iterator[str]] = {root: _uses(root, definitions)}
        while path:
            name, rest = next(reversed(path.items()))
            below = next(rest, None)
            if below is None:
                del path[name]
                done.add(name)
                if name not in cyclic:
                    order.append(name)
            elif below in path:
                chain = list(path)
                chain = chain[chain.index(below) :]
                if not cyclic.intersection(chain):
                    cycles.append(chain)
                cyclic.update(chain)
            elif below not in done:
                path[below] = _uses(below, definitions)
    return order, cycles


def _uses(name: str, definitions: Mapping[str, tree.Expr]) -> Iterator[str]:
    found = dict.fromkeys(key(n.name, n.primes) for n in names(definitions[name]))
    return iter([n for n in found if n in definitions])
