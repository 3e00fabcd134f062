"""What a row of the audit log says, as a sentence: who did what to whom.

The stored rows are routes and facts, and stay as they are. What no sentence is known for, such as rows of another
version, is shown as it is stored.
"""

from collections.abc import Iterator, Mapping
from string import Formatter

BY_TOKEN = "by_token"  # noqa: S105  (the name of a fact, not a secret)
REFUSED = "refused"

_API = " /api/v1/"
_UNSAID = frozenset({"do", "role", "key", BY_TOKEN, REFUSED})

# Of several sentences the first counts whose facts are all there: rows of earlier versions have fewer.
_DEEDS: Mapping[str, tuple[str, ...]] = {
    # Coming and going, and what people change of themselves.
    "logged in": ("log in",),
    "logged in by a recovery code": ("log in by a recovery code",),
    "logged in by the provider": ("log in by the provider",),
    "login refused": ("fail to log in",),
    "login held back": ("try to log in too often, and were held back",),
    "came by the provider for the first time": ("come by the provider for the first time",),
    "chose a password by a link": ("choose a password by a link",),
    "POST /logout": ("log out",),
    "POST /account/password": ("change their password",),
    "POST /account/totp": ("turn on the second factor",),
    "POST /account/totp/codes": ("make new recovery codes of their own",),
    "POST /account/totp/remove": ("turn off the second factor",),
    "POST /account/logins/{login_id}/end": ("end login {login_id}, one of their own",),
    "POST /account/tokens": ("make the token '{name}' ({scopes})", "make a token"),
    "POST /account/tokens/{token_id}/end": ("end their token '{name}'", "end their token {token_id}"),
    "POST /account/project": ("go on in the project '{name}'",),
    "POST /preferences": ("change their preferences",),
    "POST /preferences/wrap": ("change how they see long lines",),
    # Members, people, the server.
    "POST /members": ("make {name} {role} of the project",),
    "POST /members/{reviewer_id}": ("make {name} {role} of the project",),
    "POST /server/people": ("add {name}",),
    "POST /server/people/{reviewer_id}": ("change {name}: {do}",),
    "POST /server/logins/{login_id}/end": ("end a login of {name}", "end login {login_id} of somebody"),
    "POST /server/tokens/{token_id}/end": ("end the token '{name}' of {of}", "end token {token_id} of somebody"),
    "POST /server/projects": ("give the project '{before}' the name '{name}'", "make the project '{name}'"),
    "POST /retention": ("remove what was old enough",),
    "retention run": ("remove what was old enough",),
    "user add": ("add {name} as {role} of the project",),
    "user link": ("make a link for {name} to choose a password",),
    "user role": ("make {name} {role} of the project",),
    "user disable": ("lock out {name}",),
    "user enable": ("let {name} in again",),
    "user reset-factor": ("take the second factor of {name} away",),
    "user admin": ("make {name} administrator of the server",),
    "user no-admin": ("take the administration of the server from {name}",),
    "token create": ("make the token '{name}' of {user} ({scopes})",),
    "token revoke": ("end the token '{name}' of {of}", "end token {token}"),
    "db backup": ("back up everything to {folder}",),
    "db restore": ("restore everything from {folder}",),
    "db move": ("move everything to {to}", "move everything into this database"),
    "db move from": ("move everything here from {from}",),
    "db move --take-back": ("go on here, though everything was moved away",),
    # Reviewing.
    "judged gold": ("judge gold candidate {candidate}", "judge a gold candidate"),
    "POST /candidates/{candidate_id}/turns": ("send candidate {candidate_id} to {to}",),
    "POST /turns/{turn_id}/done": ("say done to turn {turn_id}",),
    "POST /turns/{turn_id}/read": ("put turn {turn_id} away",),
    "POST /candidates/{candidate_id}/comments": ("comment on candidate {candidate_id}",),
    "POST /candidates/{candidate_id}/comments/{thread_id}/answers": (
        "answer comment {thread_id} on candidate {candidate_id}",
    ),
    "POST /candidates/{candidate_id}/comments/{thread_id}/edit": (
        "change comment {thread_id} on candidate {candidate_id}",
    ),
    "POST /candidates/{candidate_id}/comments/{thread_id}/settle": (
        "settle or open again comment {thread_id} on candidate {candidate_id}",
    ),
    "POST /comments/{thread_id}/answers": ("answer comment {thread_id}",),
    "POST /comments/{thread_id}/settle": ("settle or open again comment {thread_id}",),
    "POST /comments/{comment_id}/edit": ("change comment {comment_id}",),
    "POST /bulk": ("order one decision for many candidates: {verdict}", "order one decision for many candidates"),
    "POST /bulk/{job_id}/undo": ("take back the decisions of bulk act {job_id}",),
    "POST /clusters/{candidate_id}": ("decide candidates that are like candidate {candidate_id}",),
    "POST /views": ("save the view '{name}'", "save a view"),
    "POST /views/{number}": ("give view {number} the name '{name}'", "give view {number} another name"),
    "POST /views/{number}/delete": ("delete view {number}",),
    "PATCH /views/{number}": ("give view {number} the name '{name}'", "give view {number} another name"),
    "DELETE /views/{number}": ("delete view {number}",),
    "view save": ("save the view '{name}'", "save a view"),
    "view delete": ("delete the view '{name}'", "delete a view"),
    "POST /candidates/{candidate_id}/gold": ("make candidate {candidate_id} gold",),
    "POST /candidates/{candidate_id}/gold/end": ("end candidate {candidate_id} as gold",),
    "DELETE /candidates/{candidate_id}/gold": ("end candidate {candidate_id} as gold",),
    "POST /candidates/{candidate_id}/examples/{example_id}/rulings": (
        "rule on example {example_id} of candidate {candidate_id}",
    ),
    # What comes in.
    "POST /ingest": ("ingest {files}", "ingest files"),
    "ingest": ("ingest {files}", "ingest files"),
    "POST /samples": ("load the samples",),
    "demo": ("load the samples",),
    "watch": ("watch {folder} for logs", "watch a folder for logs"),
    "POST /quarantine/{quarantine_id}/retry": ("read line {quarantine_id} of quarantine again",),
    "quarantine retry": ("read a line of quarantine again",),
    "POST /imports/{source_id}/scores": ("say which way the scores of import {source_id} count",),
    "POST /imports/deliveries/{delivery_id}/scores": ("say which way the scores of delivery {delivery_id} count",),
    "POST /jobs/{job_id}/cancel": ("cancel job {job_id}",),
    # What goes out.
    "POST /exports": ("order an export",),
    "POST /releases": ("order release {number}", "order a release"),
    "release create": ("order a release",),
    "POST /releases/{number}/withdraw": ("withdraw release {number}",),
    "release withdraw": ("withdraw release {number}", "withdraw a release"),
    # How it is made.
    "POST /templates/{name}": ("save a version of the template '{name}'",),
    "POST /templates/{name}/use": ("choose another version of the template '{name}'",),
    "template save": ("save a version of the template '{name}'", "save a version of a template"),
    "template use": (
        "choose another version of the template '{name}'",
        "choose another version of a template",
    ),
    "POST /guidelines": ("change the text of the guideline",),
    "POST /guidelines/reasons": ("change the reasons of the guideline",),
    "POST /guideline": ("change the guideline",),
    "guideline save": ("change the text of the guideline",),
    "reasons save": ("change the reasons of the guideline",),
    "groups rebuild": ("build the groups anew",),
    "POST /webhooks": ("add the webhook to {to}", "add webhook {webhook}", "add a webhook"),
    "POST /webhooks/{webhook_id}": ("change webhook {webhook_id}: {do}",),
    "POST /webhooks/messages/{posting_id}": ("send message {posting_id} of a webhook again",),
    "webhook add": ("add webhook {webhook}",),
    "webhook remove": ("remove webhook {webhook}",),
    "POST /project/opinions": ("ask for {asked} opinions", "change who is asked for opinions"),
    "POST /project/splits": ("change the splits and the licence rule of releases",),
    "POST /project/budgets": ("change what each model takes",),
    "POST /project/files": ("add the file '{name}' ({kind})", "add a file of the project"),
    "POST /project/files/remove": ("remove a file of the project",),
    "POST /project/benchmark": ("freeze issues as the benchmark",),
    "PATCH /project": ("change the settings of the project: {settings}", "change the settings of the project"),
    "project set": ("change the settings of the project",),
    "project create": ("make the project '{name}'", "make a project"),
    "project rename": ("give the project '{before}' the name '{name}'", "give the project the name '{name}'"),
    "project remove": ("remove the project '{name}'", "remove a project"),
    "project tokenizer": ("add a tokenizer",),
    "benchmark freeze": ("freeze issues as the benchmark",),
    "benchmark add": ("add a file to the benchmark",),
    "benchmark remove": ("remove a file from the benchmark",),
}

# Where one fact makes it another deed: what, the fact, its value.
_TURNS: Mapping[tuple[str, str, str], tuple[str, ...]] = {
    ("POST /members/{reviewer_id}", "role", "none"): ("take {name} out of the project",),
    ("user role", "role", "none"): ("take {name} out of the project",),
    ("POST /server/people/{reviewer_id}", "do", "link"): ("make a link for {name} to choose a password",),
    ("POST /server/people/{reviewer_id}", "do", "end"): ("end every login of {name}",),
    ("POST /server/people/{reviewer_id}", "do", "disable"): ("lock out {name}",),
    ("POST /server/people/{reviewer_id}", "do", "enable"): ("let {name} in again",),
    ("POST /server/people/{reviewer_id}", "do", "admin"): ("make {name} administrator of the server",),
    ("POST /server/people/{reviewer_id}", "do", "not-admin"): ("take the administration of the server from {name}",),
    ("POST /server/people/{reviewer_id}", "do", "reset-factor"): ("take the second factor of {name} away",),
    ("POST /webhooks/{webhook_id}", "do", "on"): ("switch webhook {webhook_id} on",),
    ("POST /webhooks/{webhook_id}", "do", "off"): ("switch webhook {webhook_id} off",),
    ("POST /webhooks/{webhook_id}", "do", "test"): ("test webhook {webhook_id}",),
    ("POST /webhooks/{webhook_id}", "do", "rotate"): ("give webhook {webhook_id} a new secret",),
    ("POST /webhooks/{webhook_id}", "do", "remove"): ("remove webhook {webhook_id}",),
    ("POST /project/opinions", "asked", "1"): ("ask for one opinion",),
}

_PAST = {
    "bring": "brought", "choose": "chose", "come": "came", "freeze": "froze", "give": "gave", "go": "went",
    "let": "let", "log": "logged", "make": "made", "put": "put", "read": "read", "say": "said", "send": "sent",
    "take": "took", "try": "tried", "withdraw": "withdrew", "build": "built", "back": "backed", "rule": "ruled",
}  # fmt: skip


def tell(what: str, about: Mapping[str, object]) -> str | None:
    """A row as a sentence without its subject, or None where no sentence is known for it.

    `tell("POST /server/people/{reviewer_id}", {"name": "ann", "do": "disable"})` → `"locked out ann"`; a refused try is
    `"tried to lock out ann, and was refused (403)"`.
    """
    facts = {name: _shown(value) for name, value in about.items()}
    found = _find(what, facts)
    if found is None:
        return None
    deed = found.format_map(facts)
    if refused := facts.get(REFUSED):
        return f"tried to {deed}, and was refused ({refused})" + _by(facts)
    verb, _, rest = deed.partition(" ")
    past = _PAST.get(verb, verb + ("d" if verb.endswith("e") else "ed"))
    return f"{past} {rest}".strip() + _by(facts)


def left(what: str, about: Mapping[str, object]) -> list[tuple[str, object]]:
    """The facts that the sentence does not say; numbers of rows are left to the download. Without one, all of them."""
    found = _find(what, {name: _shown(value) for name, value in about.items()})
    if found is None:
        return list(about.items())
    told = _fields(found) | _UNSAID
    return [(name, value) for name, value in about.items() if name not in told and not name.endswith("_id")]


def find(word: str) -> Iterator[tuple[str, str, str]]:
    """Where a word stands in a sentence: the stored `what`, and of a turn the fact and its value, else two empty ones.

    `list(find("LOCK"))` → `[("user disable", "", ""), ("POST /server/people/{reviewer_id}", "do", "disable"), …]`.
    """
    asked = word.lower()
    for what, sentences in _DEEDS.items():
        if any(asked in _bare(one) for one in sentences):
            yield from ((each, "", "") for each in _spellings(what))
    for (what, name, value), sentences in _TURNS.items():
        if any(asked in _bare(one) for one in sentences):
            yield from ((each, name, value) for each in _spellings(what))


def _find(what: str, facts: Mapping[str, str]) -> str | None:
    key = what.replace(_API, " /", 1)
    turn = next((_TURNS[key, name, value] for name, value in facts.items() if (key, name, value) in _TURNS), ())
    return next((one for one in (*turn, *_DEEDS.get(key, ())) if _fields(one) <= facts.keys()), None)


def _fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def _bare(sentence: str) -> str:
    """With the verb as it is shown and as it is stored here, without the facts."""
    words = "".join(text for text, _, _, _ in Formatter().parse(sentence))
    verb = words.partition(" ")[0]
    return f"{words} {_PAST.get(verb, verb + ('d' if verb.endswith('e') else 'ed'))}"


def _spellings(what: str) -> tuple[str, ...]:
    method, space, path = what.partition(" /")
    return (what, f"{method}{_API}{path}") if space else (what,)


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _by(facts: Mapping[str, str]) -> str:
    return f" by the token '{facts[BY_TOKEN]}'" if facts.get(BY_TOKEN) else ""
