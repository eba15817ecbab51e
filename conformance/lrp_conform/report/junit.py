"""junit.xml: what CI systems read. One suite per system, one test case per golden case."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from lrp_conform.judging.result import CaseResult
from lrp_conform.judging.verdict import FAILURES
from lrp_conform.report.gather import KIND_OF, Evidence, System
from lrp_conform.report.text import evidence as evidence_of
from lrp_conform.report.text import short


def junit(evidence: Evidence, strict: bool = False) -> str:
    """The document. A failure is what fails a run; a dialect is one only if `strict`."""
    root = ET.Element("testsuites", name="lrp-conform")
    total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for system, found in evidence.by_system.items():
        suite = _suite(evidence, system, list(found.values()), strict)
        root.append(suite)
        total = {name: n + int(suite.get(name, "0")) for name, n in total.items()}
    root.attrib.update({name: str(n) for name, n in total.items()})
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(evidence: Evidence, system: System, results: list[CaseResult], strict: bool) -> ET.Element:
    name = f"{system.label} {system.dtype} {system.device}"
    suite = ET.Element("testsuite", name=short(name), tests=str(len(results)))
    properties = ET.SubElement(suite, "properties")
    editions = sorted({f"{each.edition} {each.golden}" for each in evidence.origins})
    for key, value in (*system._asdict().items(), ("golden", "; ".join(editions))):
        ET.SubElement(properties, "property", name=key, value=short(value))
    cases = [_case(r, strict) for r in results]
    suite.extend(cases)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(r.seconds for r in results):.3f}")
    return suite


def _case(r: CaseResult, strict: bool) -> ET.Element:
    case = ET.Element("testcase", classname=short(r.feature), name=short(r.case), time=f"{r.seconds:.6f}")
    properties = ET.SubElement(case, "properties")
    for name, value in _facts(r).items():
        ET.SubElement(properties, "property", name=name, value=short(value))
    text, hint = evidence_of(r), r.judgement.hint or r.verdict
    if r.verdict in FAILURES and r.waiver is not None:
        ET.SubElement(case, "skipped", message=short(f"waived: {r.waiver}")).text = text
    elif r.verdict in FAILURES:
        tag = "error" if KIND_OF[r.verdict].name == "broken" else "failure"
        ET.SubElement(case, tag, type=r.verdict, message=short(hint)).text = text
    elif r.verdict == "dialect" and strict and r.waiver is None:
        ET.SubElement(case, "failure", type="dialect", message=short(f"{r.judgement.dialect}: {hint}")).text = text
    elif r.verdict in ("dialect", "normwise"):
        ET.SubElement(case, "system-out").text = short(f"{r.verdict} {r.judgement.dialect or ''}: {hint}\n{text}")
    elif r.verdict not in ("exact", "conformant"):
        ET.SubElement(case, "skipped", message=short(f"{r.verdict}: {r.judgement.detail.get('why', '')}"))
    if r.deterministic is False:
        ET.SubElement(case, "system-err").text = "nondeterministic: a second call answered differently"
    return case


def _facts(r: CaseResult) -> dict[str, Any]:
    """What else is known of an answer."""
    j = r.judgement
    facts = {"verdict": r.verdict, "dialect": j.dialect, "tau": j.tau, "effective_bits": j.effective_bits}
    return {name: value for name, value in facts.items() if value is not None}
