"""A small agent after the guide, with everything logged that a model could learn from.

Put `patchsift_capture.py` beside this file and run it; no model is needed, the answers are written below.

    python agent_with_capture.py                                  # .agent_data/patchsift/capture.jsonl
    python agent_with_capture.py --push http://127.0.0.1:8642     # and to a running Patchsift at once

Only the lines with `capture`, `run` or `log` in them belong to the log; the rest stands in for the agent.
"""

from __future__ import annotations

import argparse
import ast
import difflib
from dataclasses import asdict, dataclass, field

from patchsift_capture import Capture, Run

BEFORE = "def greet(name):\n    print('Helo, ' + name)\n"
AFTER = "def greet(name):\n    print('Hello, ' + name)\n"

CODEMOD = """import libcst as cst
from libcst.codemod import VisitorBasedCodemodCommand


class FixGreeting(VisitorBasedCodemodCommand):
    def leave_SimpleString(self, original_node, updated_node){end}
        return updated_node.with_changes(value=updated_node.value.replace("Helo", "Hello"))
"""
ANSWERS = {
    "scaffold": CODEMOD.format(end=""),
    "repair": CODEMOD.format(end=":"),
    "polish": CODEMOD.format(end=" -> cst.BaseExpression:"),
}
SPEC_YAML = """issue_description: The greeting is misspelt
target_files: [hello.py]
operations:
- name: generic_code_edit
  target_file: hello.py
  edit_description: Write Hello with two l
acceptance_tests: []
"""


class PhaseFailure(Exception):  # noqa: N818 - the guide's agent calls it so
    """No script passed in the attempts that were allowed."""


@dataclass
class Spec:
    """What the planner made of an issue."""

    issue_description: str
    target_files: list[str]
    operations: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Phase:
    """One operation of a spec on one file."""

    operation_name: str
    target_file: str


class CollaborativeAgentGroup:
    """The loop: scaffold, check, repair until it passes, polish."""

    def __init__(self, capture: Capture, max_repair_attempts: int = 3) -> None:
        self.capture = capture
        self.max_repair_attempts = max_repair_attempts
        self.patch_history: list[tuple[str, object, float, str | None]] = []

    def run(self, phase: Phase, spec: Spec) -> str:
        """The script that makes the change.

        Raises:
            PhaseFailure: none passed; the block logs that too, with the traceback.

        """
        about = {"spec": asdict(spec), "phase": asdict(phase), "model": "stand-in"}
        with self.capture.run(spec.issue_description, spec.target_files, score_direction="higher", **about) as run:
            script = self.ask(run, "scaffold", f"Write a codemod for {phase.target_file}: {spec.issue_description}")
            error = self.check(run, "scaffold", script)
            for _ in range(self.max_repair_attempts):
                if error is None:
                    break
                script = self.ask(run, "repair", f"This codemod fails.\n{error}\n{script}")
                error = self.check(run, "repair", script)
            if error is not None:
                self.patch_history.clear()  # as the guide's agent does: the log has it already
                raise PhaseFailure(error)
            polished = self.ask(run, "polish", f"Polish this codemod.\n{script}")
            if self.check(run, "polish", polished) is None:
                script = polished
            diff = "".join(
                difflib.unified_diff(BEFORE.splitlines(True), AFTER.splitlines(True), "hello.py", "hello.py")
            )
            run.final(script, diff, patch_source="LLMCore_polish_iteration_1")
        return script

    def ask(self, run: Run, stage: str, prompt: str) -> str:
        """Ask the model; the prompt is logged before, the raw answer before anything is made of it."""
        run.prompt(stage, prompt)
        answer = f"```python\n{ANSWERS[stage]}```"
        run.output(stage, answer)
        return answer.partition("\n")[2].removesuffix("```")

    def check(self, run: Run, stage: str, script: str) -> str | None:
        """What is wrong with a script, or None; each check is an attempt, whatever its result."""
        try:
            ast.parse(script)
        except SyntaxError as problem:
            error = (
                f"PatchApplicationError: Failed to apply LibCST script: Syntax error in LibCST script string: {problem}"
            )
            self.patch_history.append((script, False, 0.0, error))
            run.attempt(script, False, score=0.0, traceback=error, stage=stage)
            return error
        score = 1.0 if "->" in script else 0.8
        self.patch_history.append((script, True, score, None))
        run.attempt(script, True, score=score, stage=stage)
        return None


def main() -> None:
    """Fix one issue, and log it once step by step and once when it is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default=".agent_data/patchsift/capture.jsonl")
    parser.add_argument("--push", metavar="URL")
    parser.add_argument("--token")
    given = parser.parse_args()
    log = Capture(given.log, push=given.push, token=given.token)

    # The T5 model: what went in, and the YAML that came out.
    issue = "The greeting is misspelt"
    log.spec_pair(issue, ["hello.greet"], SPEC_YAML, accepted=True)
    spec = Spec(issue, ["hello.py"], [{"name": "generic_code_edit", "target_file": "hello.py"}])

    # The coder, the scorer and the retriever: one run with its steps.
    group = CollaborativeAgentGroup(log)
    group.run(Phase("generic_code_edit", "hello.py"), spec)

    # Instead of all the calls in the loop, one line when a run is over. It costs the prompts, and runs that are killed.
    log.adapt(group.patch_history, issue=spec.issue_description, target_files=spec.target_files, outcome="success")

    # The DivoT5 models: a draft fingerprint with the refined one, and many of them with the profile made of them.
    draft = {"indent": 4, "quotes": "single", "linelen": 41, "docstyle": "plain"}
    log.style_refine(BEFORE, draft, '"indent": 4, "quotes": "single", "linelen": 72, "docstyle": "plain"')
    sample = {"fingerprint": {**draft, "linelen": 72}, "file_path": "hello.py", "weight": 0.5}
    log.style_unify([sample], {"indent_width": 4, "preferred_quotes": "single", "docstring_style": "plain"})


if __name__ == "__main__":
    main()
