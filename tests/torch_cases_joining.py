"""Joins, repeats and turns of PyTorch."""

from __future__ import annotations

from needed import needed
from torch_cases import Cases, case

torch = needed("torch")

CASES: Cases = {
    "cat": [
        case(lambda x: torch.cat([x, x[:, :, 1:3]], 2)),
        case(lambda x: torch.cat([x, torch.ones(1, 2, 2, 6)], 2), check_exact=True),
        case(lambda x: torch.cat([torch.ones(0), x[:, :, 1:], x[:, :, :1]], 2)),
    ],
    "stack": [
        case(lambda x: torch.stack([x, x], 2), check_channels=(1, 2)),
        case(lambda x: torch.stack([x[:, :, :4], x[:, :, 1:]], 1)),
    ],
    "hstack": [case(lambda x: torch.hstack([x, x]), check_exact=True)],
    "vstack": [
        case(lambda x: torch.vstack([x[0, 0, 0], x[0, 1, 2]]), check_channels=())
    ],
    "dstack": [
        case(lambda x: torch.dstack([x[0, 0], x[0, 1]]), check_channels=(2,)),
    ],
    "column_stack": [
        case(lambda x: torch.column_stack([x[0, 0, 1], x[0, 1].mT]), check_channels=()),
    ],
    "meshgrid": [
        case(
            lambda x: torch.meshgrid(x[0, 0, 1], x[0, 0, :, 2], indexing="xy")[1],
            check_channels=(),
        ),
        case(
            lambda x: torch.meshgrid(x[0, 0, 1], x[0, 0, :, 2], indexing="ij")[0],
            check_channels=(),
        ),
    ],
    "block_diag": [
        case(lambda x: torch.block_diag(x[0, 0], x[0, 1, :2]), check_channels=())
    ],
    "concat": [case(lambda x: torch.concat([x, x], 1), check_written=True)],
    "concatenate": [
        case(lambda x: torch.concatenate([x, x[:, :, :2]], 2), check_written=True)
    ],
    "row_stack": [
        case(
            lambda x: torch.row_stack([x[0, 0], x[0, 1, 2]]),
            check_channels=(),
            check_written=True,
        )
    ],
    "cartesian_prod": [
        case(
            lambda x: torch.cartesian_prod(x[0, 0, 1], x[0, 0, :, 2]),
            check_channels=(1,),
            check_written=True,
        )
    ],
    "repeat": [
        case(lambda x: x.repeat(1, 1, 2, 1), check_exact=True),
        case(lambda x: x[:, :, :1].repeat(2, 1, 1, 3, 1), check_channels=(2,)),
    ],
    "tile": [case(lambda x: x.tile(2), check_exact=True)],
    "repeat_interleave": [
        case(lambda x: x.repeat_interleave(2, 2), check_exact=True),
        case(
            lambda x: x.repeat_interleave(torch.tensor([1, 2, 0, 1, 1]), 2),
            check_exact=True,
        ),
        case(lambda x: x.repeat_interleave(3), check_channels=()),
    ],
    "roll": [
        case(lambda x: x.roll((1, -2), (2, 3)), check_exact=True),
        case(lambda x: x.roll(7)),
    ],
    "flip": [case(lambda x: x.flip((1, 3)), check_exact=True)],
    "fliplr": [case(lambda x: x[0].fliplr(), check_channels=(0,))],
    "flipud": [case(lambda x: x[0, 0].flipud(), check_channels=())],
    "rot90": [
        case(lambda x: x.rot90(1, (2, 3)), check_exact=True),
        case(lambda x: x.rot90(-1, (2, 3)), check_exact=True),
        case(lambda x: x.rot90(2, (2, 3)), check_exact=True),
    ],
}
