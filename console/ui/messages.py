"""All words: translation, and what every error code means and what to do about it.

Texts are written in English at the place they are used, through `tr` or
`tr_count`, and translated at call time from `resources/translations/*.json`
(English text to translated text; a test keeps both sides complete). Spans
marked `**strong**`, `!!bad!!` or `~~warn~~` become parts of a sentence.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from console.ui.resources import resource

LANGUAGES = {"en": "English", "zh_CN": "简体中文"}


class _Words:
    def __init__(self) -> None:
        self.language = "en"
        self.catalogue: dict[str, str] = {}


_words = _Words()


def use_language(language: str) -> None:
    """Translate from now on into one of `LANGUAGES`."""
    catalogue: dict[str, str] = {}
    if language != "en":
        text = resource("translations", f"{language}.json").read_bytes()
        catalogue = msgspec.json.decode(text, type=dict[str, str])
    _words.language, _words.catalogue = language, catalogue


def language() -> str:
    """The language in use, a key of `LANGUAGES`."""
    return _words.language


def tr(text: str, **values: object) -> str:
    """The text in the user's language, with its `{places}` filled."""
    translated = _words.catalogue.get(text, text)
    return translated.format(**values) if values else translated


def tr_count(one: str, many: str, n: int, **values: object) -> str:
    """Like `tr`, by number: `one` is used for 1 in English; the catalogue knows `many` only."""
    if _words.language == "en":
        return (one if n == 1 else many).format(n=count(n), **values)
    return tr(many, n=count(n), **values)


def count(n: int) -> str:
    """A number with its thousands apart."""
    return f"{n:,}"


class Span(NamedTuple):
    """A stretch of a sentence; tone is one of "", strong, bad, warn."""

    text: str
    tone: str = ""


Sentence = tuple[Span, ...]

_MARKS = re.compile(r"(\*\*|!!|~~)(.+?)\1")
_TONES = {"**": "strong", "!!": "bad", "~~": "warn"}


def spans(text: str) -> Sentence:
    """Split a marked text into its stretches."""
    found: list[Span] = []
    at = 0
    for match in _MARKS.finditer(text):
        if match.start() > at:
            found.append(Span(text[at : match.start()]))
        found.append(Span(match.group(2), _TONES[match.group(1)]))
        at = match.end()
    if at < len(text):
        found.append(Span(text[at:]))
    return tuple(found)


def plain(sentence: Sentence) -> str:
    """The words of a sentence without its tones, for screen readers."""
    return "".join(span.text for span in sentence)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A fault in words: what is wrong, where, and what to do next."""

    title: str
    text: str = ""
    hint: str = ""
    subject: str = ""
    code: str = ""
    level: str = "bad"

    def report(self) -> str:
        """Everything as text, for the clipboard."""
        lines = (
            ("", self.title),
            (tr("Object"), self.subject),
            (tr("Message"), self.text),
            (tr("Next step"), self.hint),
            (tr("Code"), self.code),
        )
        return "\n".join(f"{name}: {value}" if name else value for name, value in lines if value)


class Explanation(NamedTuple):
    """What a code means; `title` and `hint` are keys of the catalogue."""

    title: str
    hint: str = ""


# Codes of console.engine.errors and of faults in actions. A code without an entry falls back
# to its parent (`a.b` → `a`), then to the message itself.
_NOT_ALLOWED = Explanation(
    "This account may not do that",
    "Ask an administrator of the cluster for the right that the message names.",
)
EXPLANATIONS: dict[str, Explanation] = {
    "cluster": Explanation("The cluster refused the request"),
    "cluster.unreachable": Explanation(
        "The cluster does not answer",
        "Check the address, the network, VPN and proxy. Kubehaven keeps trying by itself.",
    ),
    "cluster.sign_in": Explanation(
        "The cluster does not accept the credential",
        "Sign in again with your usual tool, so that the kubeconfig holds a fresh token.",
    ),
    "cluster.forbidden": _NOT_ALLOWED,
    "action.rights": _NOT_ALLOWED,
    "action.hook_rights": _NOT_ALLOWED,
    "restore.rights": _NOT_ALLOWED,
    "restore.grants": _NOT_ALLOWED,
    "undo.rights": _NOT_ALLOWED,
    "retire.rights": _NOT_ALLOWED,
    "cluster.not_found": Explanation(
        "The object is not there", "It may have been deleted. The list shows what exists now."
    ),
    "cluster.exists": Explanation("An object of that name exists already", "Choose another name."),
    "cluster.conflict": Explanation(
        "Somebody changed the object at the same time", "Look at it again and repeat."
    ),
    "cluster.expired": Explanation("The list was too old and is being read again"),
    "cluster.invalid": Explanation(
        "The cluster refuses the object", "The message names the field that is wrong."
    ),
    "cluster.throttled": Explanation(
        "The cluster asks for fewer requests", "Wait a moment and try again."
    ),
    "cluster.server": Explanation("The cluster's API has a fault of its own", "Try again later."),
    "cluster.timeout": Explanation(
        "The cluster did not finish in time", "Look at the object's events in the cluster."
    ),
    "kubeconfig": Explanation(
        "The kubeconfig can't be used", "Correct the field that the message names."
    ),
    "kubeconfig.untrusted": Explanation(
        "The kubeconfig names programs or files", "Trust them only if you know each of them."
    ),
    "plan": Explanation("This can't be planned as asked"),
    "plan.stale": Explanation(
        "The cluster has changed since the plan was shown", "Look at the new plan and confirm it."
    ),
    "refused": Explanation(
        "You may not have this", "Ask an administrator for the rights on both namespaces."
    ),
    "location": Explanation("The location can't be used as it is"),
    "worker": Explanation(
        "A worker pod ended badly", "Look at the message, mend the cause, and start it again."
    ),
    "driver.elsewhere": Explanation(
        "Another engine works on this cluster", "It carries the work out; you can watch it here."
    ),
    "driver.lost": Explanation(
        "Another engine took over", "It goes on with the work; nothing is lost."
    ),
    "repository": Explanation("The repository can't be used as it is"),
    "repository.locked": Explanation(
        "Somebody else works in the repository", "Wait until that ends, then try again."
    ),
    "repository.password": Explanation(
        "The location key does not open the repository", "Use the recovery kit of this location."
    ),
    "repository.damage": Explanation(
        "A file of the repository is damaged", "Restore from another point, and verify the others."
    ),
    "cut": Explanation(
        "The snapshots could not be taken together",
        "The attempt was thrown away whole; nothing of it stays. Mend the cause and back up again.",
    ),
    "exec": Explanation(
        "A command in a container did not do its work",
        "Look at the message: it holds what the command said.",
    ),
    "swap": Explanation(
        "The restore in place was not finished",
        "Nothing is lost: the message says which volumes stand now.",
    ),
    "undo": Explanation("This restore can't be undone"),
    "retire": Explanation("These restore points are not retired"),
    "hook": Explanation(
        "A hook of the backup did not do its work",
        "Look at the message: it holds what the command said.",
    ),
    "clock": Explanation(
        "The clocks are too far apart", "Set the clock of this machine or of the cluster right."
    ),
    "snapshot": Explanation(
        "A volume can't be snapshotted", "Look at the storage class and its VolumeSnapshotClass."
    ),
    "claim": Explanation(
        "A volume claim stands in the way", "Look at the claim and its volume in the cluster."
    ),
    "point": Explanation(
        "The restore point can't be used as it is", "Use another copy of it, or another point."
    ),
    "restore": Explanation(
        "The restore can't go on as asked", "What is in the target already is left as it is."
    ),
    "export": Explanation("The point can't be exported", "Choose a local, ready restore point."),
    "backup": Explanation("The backup could not begin"),
    "objects": Explanation(
        "The application's objects can't be kept",
        "Make room in the cluster, or export and retire old local points.",
    ),
    "adopt": Explanation(
        "A snapshot could not be taken over safely",
        "Nothing was deleted. Look at the object that is named.",
    ),
    "action": Explanation(
        "The action may not be carried out",
        "Ask for it anew; the message says why this one was refused.",
    ),
    "record": Explanation(
        "A record of Kubehaven can't be read",
        "Look at the object that is named; a newer Kubehaven may have written it.",
    ),
    "prepare": Explanation("The cluster could not be prepared"),
    "get": Explanation("The file could not be fetched", "Choose an empty folder on this machine."),
    "clusters": Explanation("The list of clusters can't be used"),
    "store": Explanation(
        "The location's store refused the request", "Check bucket, credentials and network."
    ),
    "store.unavailable": Explanation(
        "The location does not answer",
        "Check the endpoint, the network and the proxy, then try again.",
    ),
    "store.denied": Explanation(
        "The location refuses the credential", "Check the access key and this machine's clock."
    ),
    "store.no_store": Explanation(
        "There is no such bucket or folder", "Check bucket, region and endpoint."
    ),
    "store.full": Explanation(
        "The location is full",
        "Make room in it, then start the work again; what is stored is kept.",
    ),
    "engine": Explanation("The engine could not do that"),
    "window.unexpected": Explanation(
        "Something went wrong inside Kubehaven",
        "Your clusters are not touched by this. Copy the report and file it.",
    ),
}


def explain(code: str) -> Explanation | None:
    """The entry of a code or of its nearest parent, translated."""
    parts = code.split(".")
    for length in range(len(parts), 0, -1):
        found = EXPLANATIONS.get(".".join(parts[:length]))
        if found is not None:
            return Explanation(tr(found.title), tr(found.hint) if found.hint else "")
    return None


def problem_of(code: str, message: str, *, subject: str = "", hint: str = "") -> Problem:
    """An error of the engine in words; its own hint is better than the general one."""
    known = explain(code)
    if known is None:
        return Problem(title=message, hint=hint, subject=subject, code=code)
    return Problem(
        title=known.title, text=message, hint=hint or known.hint, subject=subject, code=code
    )


# Words of closed sets, as keys of the catalogue.
WORDS = {
    "protected": "Protected",
    "unprotected": "Unprotected",
    "failing": "Failing",
    "running": "Running",
    "removed": "Removed",
    "live": "Live",
    "stale": "No answer",
    "connecting": "Connecting",
    "unknown": "Unknown",
    "refused": "Refused",
    "usable": "Usable",
    "unproven_kit": "Recovery kit not proven",
    "failed": "Failed",
    "unchecked": "Not checked yet",
    "local": "Local",
    "exported": "Exported",
    "Ready": "Ready",
    "Damaged": "Damaged",
    "Building": "Being made",
    "Retiring": "Being retired",
    "BackupAction": "Backup",
    "ExportAction": "Export",
    "RestoreAction": "Restore",
    "RetireAction": "Retirement",
    "Pending": "Pending",
    "Queued": "Queued",
    "Running": "Running",
    "Cancelling": "Cancelling",
    "Complete": "Complete",
    "Partial": "Partly done",
    "Failed": "Failed",
    "Cancelled": "Cancelled",
    "Skipped": "Skipped",
    "create": "Create",
    "update": "Update",
    "keep": "Keep",
    "skip": "Leave out",
    "unprepared": "Not prepared",
    "idle": "Idle",
    "driving": "This window drives it",
    "elsewhere": "Another engine drives it",
    "point": "Begin the point",
    "cut": "Snapshot",
    "adopt": "Take over",
    "ready": "Complete the point",
    "repository": "Repository",
    "volumes": "Volumes",
    "objects": "Objects",
    "verify": "Read back",
    "owners": "Owners",
    "clean": "Clean up",
    "plan": "Plan",
    "namespace": "Namespace",
    "workloads": "Workloads",
    "NoSlot": "no free slot",
    "ActionLimit": "as many actions run as may",
    "Paused": "paused",
    "WaitingForPoint": "the restore point is not ready yet",
    "folder": "Folder",
    "file": "File",
    "link": "Link",
    "other": "Other",
}


def word(key: str) -> str:
    """The word for one value of a closed set; an unknown value is shown as it is."""
    return tr(WORDS[key]) if key in WORDS else tr(key)
