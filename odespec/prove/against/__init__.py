"""Test a certificate against the spec that it speaks of: the text, and every fact that its proof starts from.

The auditor proves that the claim follows from the facts that the certificate states. Whether they are facts of the
network is tested here, kind by kind, on extreme and random weights, heavy-tailed states and inputs: a wrong fact cannot
hide behind a right proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from odespec.certificate.auditor import KINDS
from odespec.certificate.auditor.core import text_hash
from odespec.certificate.format import Certificate, read
from odespec.diagnostics import Report
from odespec.ir.load import load
from odespec.ir.model import Claim, Model, Network, Spec
from odespec.prove.against.mismatch import Mismatch
from odespec.prove.auto import settled

__all__ = ["Mismatch", "against"]


def against(text: str, path: Path, definitions: Mapping[str, str]) -> list[str]:
    """Why a certificate (accepted by the auditor) does not belong to a spec; empty where it does.

    The file here that is named as the kind of proof has ``check(certificate, spec, model, claim)``, which raises
    `Mismatch`.
    """
    try:
        certificate = read(text)
        spec = _same_text(certificate, path, definitions)
        model, claim = _same_claim(certificate, spec)
        assert certificate.kind in KINDS, "the auditor has accepted it"
        import_module(f"odespec.prove.against.{certificate.kind}").check(certificate, spec, model, claim)
    except Mismatch as reason:
        return [str(reason)]
    return []


def _same_text(certificate: Certificate, path: Path, definitions: Mapping[str, str]) -> Spec:
    report = Report()
    spec = load(path, definitions, report)
    if spec is None or report.failed:
        raise Mismatch(f"{path} has errors: {report.errors[0].message}")
    spec = settled(spec)
    stated = certificate.spec
    if dict(stated.overrides) != dict(spec.overrides):
        wanted = " ".join(f"-D {name}={value}" for name, value in stated.overrides) or "no -D"
        raise Mismatch(f"the certificate was made with {wanted}")
    texts = [f.text for f in spec.files]
    if [f.text for f in stated.files] != texts:
        raise Mismatch(f"the text of {path}, or of a file that it uses, is not the one in the certificate")
    if stated.sha256 != text_hash(texts, [list(o) for o in spec.overrides]):
        raise Mismatch("the hash in the certificate is not that of the text")
    return spec


def _same_claim(certificate: Certificate, spec: Spec) -> tuple[Model | Network, Claim]:
    for section in spec.sections:
        if section.name == certificate.model:
            for claim in section.claims:
                stated = certificate.claim
                if (claim.text, claim.negated) == (stated.text, stated.negated):
                    return section, claim
            raise Mismatch(f"model {section.name} makes no claim `{certificate.claim.text}`")
    raise Mismatch(f"the spec has no model `{certificate.model}`")
