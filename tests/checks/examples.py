"""Small real patches, as an agent logged them over commits of public repositories (BSD-3-Clause).

`VERSION` and its script: pallets/click, `click/__init__.py`, "This is 5.0-dev".
`PATHS`: pallets/click, `click/types.py`, "Fixed lack of clear reporting for paths"; cut after 1,000 characters.
"""
# ruff: noqa: W293  a blank context line of a diff is a space

from app.candidates import Attempt, Candidate, Kind, Run, Stage, Validity

VERSION = """\
--- a/__init__.py
+++ b/__init__.py
@@ -82,4 +82,4 @@
 ]
 
 
-__version__ = '4.0'
+__version__ = '5.0-dev'
"""
VERSION_SCRIPT = """\
import libcst as cst
from libcst.codemod import CodemodContext, VisitorBasedCodemodCommand


REPLACEMENTS = {
    "'4.0'": "'5.0-dev'",
}


class ThisDevCommand(VisitorBasedCodemodCommand):
    DESCRIPTION: str = "This is 5.0-dev"

    def __init__(self, context: CodemodContext) -> None:
        super().__init__(context)

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        replacement = REPLACEMENTS.get(original_node.value)
        if replacement is None:
            return updated_node
        return updated_node.with_changes(value=replacement)
"""
PATHS = """\
--- a/types.py
+++ b/types.py
@@ -345,28 +345,28 @@
             self.fail('%s "%s" does not exist.' % (
                 self.path_type,
                 filename_to_ui(value)
-            ))
+            ), param, ctx)
 
         if not self.file_okay and stat.S_ISREG(st.st_mode):
             self.fail('%s "%s" is a file.' % (
                 self.path_type,
                 filename_to_ui(value)
-            ))
+            ), param, ctx)
         if not self.dir_okay and stat.S_ISDIR(st.st_mode):
             self.fail('%s "%s" is a directory.' % (
                 self.path_type,
                 filename_to_ui(value)
-            ))
+            ), param, ctx)
         if self.writable and not os.access(value, os.W_OK):
             self.fail('%s "%s" is not writable.' % (
                 self.path_type,
                 filename_to_ui(value)
-            ))
+            ), param, ctx)
         if self.readable and not os.access(value, os.R_OK):
             self.fail('%s "%s"..."""
RUN = Run("tuples", (Attempt(VERSION_SCRIPT, Stage.POLISH, Validity.VALID, 0.9),), outcome="success")
OPERATION = {"name": "generic_code_edit", "target_file": "click/__init__.py", "edit_description": "This is 5.0-dev"}


def patch(
    *,
    issue: str = "This is 5.0-dev",
    target_files: tuple[str, ...] = ("click/__init__.py",),
    operations: tuple[object, ...] = (OPERATION,),
    diff: str | None = VERSION,
    diff_is_snippet: bool = False,
    script: str | None = VERSION_SCRIPT,
    script_hash: str | None = None,
    extra: dict[str, object] | None = None,
) -> Candidate:
    """A candidate with no finding, but for what a test changes."""
    return Candidate(
        Kind.PATCH,
        "G6",
        issue=issue,
        target_files=target_files,
        operations=operations,
        diff=diff,
        diff_is_snippet=diff_is_snippet,
        script=script,
        script_hash=script_hash,
        patch_source="LLMCore_polish_iteration_1",
        extra=extra or {},
        run=RUN,
    )
