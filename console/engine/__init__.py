"""The engine: what every host may import. No Qt below here.

Light to import: the engine itself, and with it everything heavy, comes when
`open_engine` or an `offline_…` function is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from console.engine.errors import (
    DrivenElsewhere,
    EngineError,
    KubeconfigError,
    NotFound,
    PlanError,
    UntrustedPrograms,
)
from console.engine.events import (
    ActionsChanged,
    ActionsListed,
    ApplicationsChanged,
    ApplicationsListed,
    ClustersListed,
    Event,
    LocationsListed,
    Notice,
    PointsChanged,
    PointsListed,
)
from console.engine.facade import (
    Actions,
    Applications,
    Clusters,
    EngineFacade,
    LocationDraft,
    Locations,
    RestorePoints,
    RestoreRequest,
    RetireRequest,
)
from console.engine.model.record import (
    ActionKind,
    ExecHook,
    Failure,
    Fault,
    FreedData,
    HookResult,
    Outcome,
    Phase,
    Step,
    VolumeProgress,
)
from console.engine.model.views import (
    ActionRef,
    ActionView,
    ApplicationView,
    AppState,
    Blocker,
    BrowseEntry,
    ClusterView,
    EngineState,
    Health,
    Leftover,
    Leftovers,
    LocationState,
    LocationView,
    LostLocation,
    Manifests,
    PlannedObject,
    PointView,
    PointVolumeView,
    PreparePlan,
    RemovedObject,
    RemovePlan,
    RestorePreview,
    RetiredItem,
    RetirePreview,
    VolumeView,
    WorkloadView,
)

if TYPE_CHECKING:
    from console.engine.api import Engine, open_engine
    from console.engine.catalog.offline import (
        OfflineListing,
        OfflinePlace,
        OfflinePoint,
        offline_browse,
        offline_get,
        offline_password,
        offline_points,
    )

__all__ = [
    "ActionKind",
    "ActionRef",
    "ActionView",
    "Actions",
    "ActionsChanged",
    "ActionsListed",
    "AppState",
    "ApplicationView",
    "Applications",
    "ApplicationsChanged",
    "ApplicationsListed",
    "Blocker",
    "BrowseEntry",
    "ClusterView",
    "Clusters",
    "ClustersListed",
    "DrivenElsewhere",
    "Engine",
    "EngineError",
    "EngineFacade",
    "EngineState",
    "Event",
    "ExecHook",
    "Failure",
    "Fault",
    "FreedData",
    "Health",
    "HookResult",
    "KubeconfigError",
    "Leftover",
    "Leftovers",
    "LocationDraft",
    "LocationState",
    "LocationView",
    "Locations",
    "LocationsListed",
    "LostLocation",
    "Manifests",
    "NotFound",
    "Notice",
    "OfflineListing",
    "OfflinePlace",
    "OfflinePoint",
    "Outcome",
    "Phase",
    "PlanError",
    "PlannedObject",
    "PointView",
    "PointVolumeView",
    "PointsChanged",
    "PointsListed",
    "PreparePlan",
    "RemovePlan",
    "RemovedObject",
    "RestorePoints",
    "RestorePreview",
    "RestoreRequest",
    "RetirePreview",
    "RetireRequest",
    "RetiredItem",
    "Step",
    "UntrustedPrograms",
    "VolumeProgress",
    "VolumeView",
    "WorkloadView",
    "offline_browse",
    "offline_get",
    "offline_password",
    "offline_points",
    "open_engine",
]

_LATER = {
    "Engine": "console.engine.api",
    "open_engine": "console.engine.api",
    "OfflineListing": "console.engine.catalog.offline",
    "OfflinePlace": "console.engine.catalog.offline",
    "OfflinePoint": "console.engine.catalog.offline",
    "offline_browse": "console.engine.catalog.offline",
    "offline_get": "console.engine.catalog.offline",
    "offline_password": "console.engine.catalog.offline",
    "offline_points": "console.engine.catalog.offline",
}


def __getattr__(name: str) -> Any:
    """What is heavy is imported when it is first asked for."""
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(name)
