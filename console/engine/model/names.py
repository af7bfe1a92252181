"""Names and label keys that are ours. One place, so that none is spelled twice.

Names in our own namespaces are `kh-<12 hex>`, derived from what they stand for:
an engine that dies anywhere is replaced by one that derives the same names and
finds what is already there.
"""

from __future__ import annotations

import hashlib
import re

GROUP = "kubehaven.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

NAMESPACE = "kubehaven"  # records, keys, engine
WORKERS_NAMESPACE = "kubehaven-workers"  # jobs, clones, adopted snapshots

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "kubehaven"
FIELD_MANAGER = "kubehaven"

LABEL_APP_NAME = f"{GROUP}/appName"
LABEL_APP_NAMESPACE = f"{GROUP}/appNamespace"
LABEL_POLICY_NAME = f"{GROUP}/policyName"
LABEL_EXPORT_PROFILE = f"{GROUP}/exportProfile"
LABEL_ACTION_UID = f"{GROUP}/actionUID"
LABEL_POINT = f"{GROUP}/point"  # id of the restore point a thing belongs to
LABEL_CONTENT_UID = f"{GROUP}/contentUID"
LABEL_ROLE = f"{GROUP}/role"  # what one of our own objects is for: pack, manifest, job, ...
ROLE_UNDO = "undo"  # of volumes and objects that a restore in place has set aside
LABEL_ATTEMPT = f"{GROUP}/attempt"

ANNOTATION_FULL_NAME = f"{GROUP}/fullName"  # what `kh-<12 hex>` stands for
ANNOTATION_DIGEST = f"{GROUP}/digest"
ANNOTATION_BYTES = f"{GROUP}/bytes"  # of a sealed pack
ANNOTATION_RESTORED_BY = f"{GROUP}/restoredBy"  # uid of the RestoreAction
ANNOTATION_SOURCE_UID = f"{GROUP}/sourceUID"
ANNOTATION_RECLAIM_POLICY = f"{GROUP}/reclaimPolicy"  # what a PV goes back to after Bound was read
ANNOTATION_KEPT_UNTIL = f"{GROUP}/keptUntil"  # until when an undo can have it back
ANNOTATION_KEPT_CLAIM = f"{GROUP}/keptClaim"  # the claim of a kept volume, as JSON
ANNOTATION_KEPT_POLICY = f"{GROUP}/keptPolicy"  # what a kept volume's reclaim policy was
ANNOTATION_CHECKED = f"{GROUP}/checked"  # on the Settings: `<time> <outcome>` of the last check
ANNOTATION_SNAPSHOT_CLASS = f"{GROUP}/snapshot-class"  # on a VolumeSnapshotClass: use this one

LEASE = "kubehaven-engine"
CHECK_LEASE = "kubehaven-check"  # held by the check of the cluster that runs
CHECK_UID = "check-"  # how the uid in the labels of a check begins; an action's never does
SETTINGS = "default"

_UNSAFE = re.compile(r"[^a-z0-9-]+")


def derived_name(*parts: str) -> str:
    """`kh-<12 hex>` for what the parts stand for together; the same parts give the same name."""
    return "kh-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def point_id(namespace: str, action_uid: str, created_at: str) -> str:
    """The id of the point that an action makes: `<namespace>-<yyyymmdd>-<hhmmss>-<5 hex>`.

    Args:
        created_at: The action's creationTimestamp, RFC 3339 UTC.
    """
    stamp = re.sub(r"[^0-9]", "", created_at)[:14]
    tail = hashlib.sha256(f"point\0{action_uid}".encode()).hexdigest()[:5]
    return f"{label_safe(namespace)[:40]}-{stamp[:8]}-{stamp[8:]}-{tail}"


def exported_content_name(point: str, location: str) -> str:
    """The RestorePointContent that stands for a point's copy in a location."""
    return f"{point}-{label_safe(location)[:20]}-{derived_name(point, location)[3:8]}"


def label_safe(text: str) -> str:
    """Lower case letters, digits and dashes only, neither first nor last a dash."""
    return _UNSAFE.sub("-", text.lower()).strip("-")
