"""The bill of materials: what the image holds, as CycloneDX JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubehaven_image.debian import Package
    from kubehaven_image.locked import Pin

PLACE = "usr/share/kubehaven/sbom.cdx.json"  # in the image


def bill_of_materials(
    version: str, packages: tuple[Package, ...], pins: tuple[Pin, ...], *, suite: str
) -> bytes:
    """One component per Debian package and per wheel; no time, so that it is reproducible."""
    debian = [
        _component(
            one.name,
            one.version,
            f"pkg:deb/debian/{one.name}@{_quoted(one.version)}"
            f"?arch={one.architecture}&distro={suite}",
        )
        for one in packages
    ]
    python = [
        _component(pin.name, pin.version, f"pkg:pypi/{pin.name}@{pin.version}") for pin in pins
    ]
    own = {"type": "application", "bom-ref": "kubehaven", "name": "kubehaven", "version": version}
    components = sorted([*debian, *python], key=lambda component: component["bom-ref"])
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": own},
        "components": components,
        "dependencies": [
            {"ref": "kubehaven", "dependsOn": [component["bom-ref"] for component in components]}
        ],
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def _component(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _quoted(version: str) -> str:
    return version.replace("+", "%2B").replace(":", "%3A")
