"""All exchanges of the differential test, and the configurations that they need."""

from cases import (
    configs,
    control_api,
    cross_origin,
    failures,
    framing,
    headers,
    holds,
    instructions,
    over_http,
    patience,
    publishing,
    routes,
    running,
    script_holds,
    signatures,
    socket_controls,
    trust,
    websockets,
)

CONFIGS = {config.name: config for config in configs.ALL}
PARTS = [
    routes,
    headers,
    framing,
    failures,
    cross_origin,
    holds,
    publishing,
    websockets,
    over_http,
    trust,
    running,
    control_api,
    script_holds,
    signatures,
    instructions,
    socket_controls,
    patience,
]
ALL = [case for part in PARTS for case in part.CASES]
