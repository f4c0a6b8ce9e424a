"""What a user writes whose types are checked; it needs nothing but the package.

`scripts/build_release.py` runs it where a release is installed; there and in
the tests, mypy checks it.
"""

from __future__ import annotations

import receptive_field as rf


def largest(fields: rf.ReceptiveFields, size: int) -> str | None:
    """The first layer whose field covers so many pixels."""
    for name, field in fields.items():
        if not field.is_global and min(field.size) >= size:
            return name
    return None


field: rf.ReceptiveField = rf.compute_receptive_field(
    rf.EXAMPLE_GRAPH, input_resolution=[299, 299], global_context="exclude"
)
aligned: bool | None = field.aligned
centre: list[float] = field.compute_input_center_coordinates([0, 2]).tolist()
assert (aligned, centre) == (True, [37, 101])

fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
name = largest(fields, 63)
assert name is not None
window: rf.LayerWindow | None = fields[name].layer_windows[0]
total: rf.Cost = rf.compute_costs(rf.EXAMPLE_GRAPH, input_resolution=[299, 299]).total
assert total.flops > 2 * 10**9

try:
    rf.compute_receptive_field("missing.pb")
except rf.ReceptiveFieldError as error:
    print(error)
