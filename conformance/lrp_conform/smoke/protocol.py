"""Whether a program keeps to the wire protocol: one step after the other, each with what was expected and what came."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError

from lrp_conform.candidates import adapter
from lrp_conform.candidates.adapter import AdapterError, Candidate
from lrp_conform.cases import golden
from lrp_conform.cases.layer import Case
from lrp_conform.wire.harness import Crashed, Fault, Harness, Launch
from lrp_conform.wire.messages import MessageError, dumps, loads
from lrp_conform.wire.remote import PROTOCOL

SCHEMA = Path(__file__).with_name("protocol.schema.json")
PATIENCE = 5.0  # seconds to end in
Reply = dict[str, Any]


@dataclass(frozen=True)
class ProtocolStep:
    """One thing that was tried; `got` says what came instead, or what came."""

    name: str
    expected: str
    ok: bool
    got: str


class WrongReply(Exception):
    """What came, which is not what was expected."""


@cache
def validator(message: str) -> Draft202012Validator:
    """The schema of one kind of message, a name under its $defs."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return Draft202012Validator({"$schema": schema["$schema"], "$ref": f"#/$defs/{message}", "$defs": schema["$defs"]})


def violation(reply: object, message: str) -> str | None:
    """Where a message is not what the schema says, and why; the deepest place says most."""
    found = sorted(validator(message).iter_errors(reply), key=_depth)
    if not found:
        return None
    error = found[-1]
    while inner := [e for branch in getattr(error.kind, "context", ()) for e in branch]:
        error = max(inner, key=_depth)
    at = "".join(f"[{part!r}]" for part in error.instance_path)
    return f"reply{at}: {' '.join(error.message.split())}"[:200]


def _depth(error: ValidationError) -> int:
    return len(error.instance_path)


class Talk:
    """A running program, greeted and configured; every reply is held against the schema."""

    def __init__(self, launch: Launch, system: str | None = None) -> None:
        self.harness = Harness(launch)
        self.seq = 0
        said = {} if system is None else {"system": system}
        try:
            self.info: dict[str, Any] = self.ask("hello", protocol=PROTOCOL, **said)["info"]
        except BaseException:
            self.harness.close()
            raise

    def ask(self, op: str, **given: Any) -> Reply:
        """The reply that the protocol promises; `WrongReply` with any other one."""
        reply = self.any_reply(op, **given)
        for refusal in ("error", "unsupported"):
            if refusal in reply:
                raise WrongReply(f"{refusal}: {_told(reply)}")
        problem = violation(reply, f"{op}-reply")
        if problem is not None:
            raise WrongReply(problem)
        return reply

    def any_reply(self, op: str, **given: Any) -> Reply:
        """The reply, which may be an error or unsupported too."""
        self.seq += 1
        reply = self.reply_to(dumps({"op": op, "seq": self.seq, **given}))
        if reply.get("seq") != self.seq:
            raise WrongReply(f"seq {reply.get('seq')!r} as the reply to seq {self.seq}")
        for refusal in ("error", "unsupported"):
            if refusal in reply and (problem := violation(reply, refusal)) is not None:
                raise WrongReply(problem)
        return reply

    def reply_to(self, line: bytes) -> Reply:
        """The reply to any line."""
        got = self.harness.send(line)
        try:
            loads(got, None)
            reply = json.loads(got)
        except MessageError as error:
            raise WrongReply(str(error)) from None
        return dict(reply)

    def refusal(self, reply: Reply) -> str:
        """Expect an error, or unsupported; the text."""
        if "error" not in reply and "unsupported" not in reply:
            raise WrongReply(f"a reply that holds {', '.join(reply)}")
        return _told(reply)


def _told(reply: Reply) -> str:
    told = reply.get("unsupported") or f"{reply.get('error', {}).get('type')}: {reply.get('error', {}).get('message')}"
    return " ".join(str(told).split())[:120]


def check(launch: Launch) -> Iterator[ProtocolStep]:
    """Every step, as it is done. Where the program breaks, another one is started for the next step."""
    first = _step("hello", "INFO, as docs/adapter.md describes it", lambda: _hello(launch))
    yield first[0]
    if first[1] is None:
        return
    candidate, system = first[1]
    cases = _cases(candidate)
    talk: list[Talk] = []

    def fresh() -> Talk:
        """The program as the step before left it, or another one."""
        if not talk:
            talk.append(Talk(launch, system))
        return talk[0]

    for name, expected, work in _steps(candidate, cases):
        step, _ = _step(name, expected, lambda work=work: work(fresh()))  # type: ignore[misc]
        if not step.ok or name in LAST:
            for each in talk:
                each.harness.close()
            talk.clear()
        yield step


def _step(name: str, expected: str, work: Callable[[], Any]) -> tuple[ProtocolStep, Any]:
    try:
        got = work()
    except (WrongReply, Fault, AdapterError) as wrong:
        return ProtocolStep(name, expected, False, str(wrong)), None
    return ProtocolStep(name, expected, True, got if isinstance(got, str) else ""), got


def _hello(launch: Launch) -> tuple[Candidate, str | None]:
    talk = Talk(launch)
    try:
        systems = talk.info.get("systems") or [None]
        system = systems[0]
        if system is not None:
            talk.info = talk.ask("hello", protocol=PROTOCOL, system=system)["info"]
        return adapter.candidate("the program", talk.info, print, talk.info.get("waivers", ())), system
    finally:
        talk.harness.close()


def _cases(candidate: Candidate) -> list[Case]:
    """Two small cases with one input that the program declares: dense, and of several samples, if there are such."""

    def effort(case: Case) -> tuple[bool, bool, int, int]:
        x = case.data["inputs"][case.node["inputs"][0]]
        return case.node["op"] != "dense", x["shape"][0] == 1, len(case.features), len(x["data"])

    able = [c for c in golden.load() if c.features <= candidate.features and not c.is_pattern and len(c.node["inputs"]) == 1]
    return sorted((c for c in able if candidate.dtypes[0] in c.data["representable_in"]), key=effort)[:2]


LAST = ("bye", "end of standard input", "a line that is no JSON")  # steps after which the program may be gone
Work = Callable[[Talk], str | None]


def _steps(candidate: Candidate, cases: list[Case]) -> Iterator[tuple[str, str, Work]]:
    def asked(case: Case, dtype: str) -> dict[str, Any]:
        given = case.adapter_case(dtype, candidate.devices[0])
        if candidate.one_hot:
            given = {**given, "x": given["x"][:1], "target": 0}
            del given["relevance"]
        return given

    def configure(talk: Talk, dtype: str) -> None:
        talk.ask("configure", dtype=dtype, device=candidate.devices[0], threads=1, tf32=False)

    def prepare(talk: Talk, given: Mapping[str, Any]) -> Any:
        return talk.ask("prepare", nodes=given["nodes"], rules=given["rules"])["handle"]

    def run(talk: Talk, handle: Any, given: Mapping[str, Any]) -> Reply:
        reply = talk.ask("run", handle=handle, **{k: given[k] for k in ("x", "relevance", "target") if k in given})
        answer = {k: v for k, v in reply.items() if k != "seq"}
        shapes = {"relevance": given["x"].shape, **({"y": given["relevance"].shape} if "relevance" in given else {})}
        for name, shape in shapes.items():
            tensor = answer[name]
            if not isinstance(tensor, dict) or (tensor["dtype"], tuple(tensor["shape"])) != (given["dtype"], shape):
                shown = f"{tensor['dtype']} {tensor['shape']}" if isinstance(tensor, dict) else "a list of tensors"
                raise WrongReply(f"{name}: {shown} instead of {given['dtype']} {list(shape)}")
        return answer

    def judged(talk: Talk, dtype: str) -> str:
        given = asked(cases[0], dtype)
        configure(talk, dtype)
        handle = prepare(talk, given)
        run(talk, handle, given)
        talk.ask("release", handle=handle)
        return f"asked {cases[0].id}"

    def unknown_op(talk: Talk) -> str:
        told = talk.refusal(talk.any_reply("dance"))
        talk.ask("hello", protocol=PROTOCOL)
        return told

    def unknown_handle(talk: Talk) -> str:
        given = asked(cases[0], candidate.dtypes[0])
        return talk.refusal(talk.any_reply("run", handle="no such handle", **{k: given[k] for k in given.keys() - ABOUT}))

    def unknown_rule(talk: Talk) -> str:
        given = asked(cases[0], candidate.dtypes[0])
        rules = {name: {**rule, "rule": "no-such-rule"} for name, rule in given["rules"].items()}
        reply = talk.any_reply("prepare", nodes=given["nodes"], rules=rules)
        if "handle" in reply:
            reply = talk.any_reply("run", handle=reply["handle"], **{k: given[k] for k in given.keys() - ABOUT})
        return talk.refusal(reply) if reply.keys() & {"error", "unsupported"} else "an answer: only what is declared is asked"

    def no_json(talk: Talk) -> str:
        try:
            reply = talk.reply_to(b'{"op": "hello", "se\n')
        except Crashed as ended:
            if (talk.harness.process.returncode or 0) < 0:
                raise WrongReply(str(ended)) from None
            return "the program ended"
        if reply.get("seq", 0) is not None:
            raise WrongReply(f"a reply with seq {reply.get('seq', 'missing')}")
        return talk.refusal(reply)

    def twice(talk: Talk) -> None:
        configure(talk, candidate.dtypes[0])
        given = asked(cases[0], candidate.dtypes[0])
        handle = prepare(talk, given)
        if run(talk, handle, given) != run(talk, handle, given):
            raise WrongReply("another answer to the same question")

    def together(talk: Talk) -> None:
        configure(talk, candidate.dtypes[0])
        given = [asked(case, candidate.dtypes[0]) for case in cases]
        alone = [run(talk, prepare(talk, each), each) for each in given]
        handles = [prepare(talk, each) for each in given]
        for k in (0, 1, 0):
            if run(talk, handles[k], given[k]) != alone[k]:
                raise WrongReply("another answer than with one handle")

    def bye(talk: Talk) -> None:
        talk.ask("bye")
        status = talk.harness.ended(PATIENCE)
        if status != 0:
            raise WrongReply("a program that lives on" if status is None else f"status {status}")

    def hang_up(talk: Talk) -> None:
        if talk.harness.ended(PATIENCE, hang_up=True) is None:
            raise WrongReply("a program that lives on")

    for dtype in candidate.dtypes:
        yield f"configure {dtype}", "ok", lambda talk, dtype=dtype: configure(talk, dtype)  # type: ignore[misc]
    yield "an unknown op", "an error, and the program lives on", unknown_op
    if cases:
        for dtype in candidate.dtypes:
            if dtype in cases[0].data["representable_in"]:
                expected = f"y and relevance, {dtype}, in the shapes of the question"
                yield f"prepare, run, release at {dtype}", expected, lambda talk, dtype=dtype: judged(talk, dtype)  # type: ignore[misc]
        yield "an unknown handle", "an error", unknown_handle
        yield "an unknown rule", "unsupported, an error, or any answer", unknown_rule
        yield "the same question twice", "equal answers", twice
    if len(cases) == 2:
        yield "two handles at once", "the answers of each alone", together
    yield "a line that is no JSON", "an error with seq null, or the end of the program", no_json
    yield "bye", f"ok, then status 0 within {PATIENCE:g} s", bye
    yield "end of standard input", f"the end of the program within {PATIENCE:g} s", hang_up


ABOUT = {"nodes", "rules", "dtype", "device"}
