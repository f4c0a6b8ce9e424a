"""torchvision beside a build of PyTorch that its compiled operators do not fit.

torchvision registers what it knows about four operators when it is imported, and fails
if they do not exist. Their schemas are enough: nothing runs them here.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from needed import needed

torch = needed("torch")

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor",
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, "
    "Tensor bias, SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, "
    "SymInt dilation_h, SymInt dilation_w, SymInt groups, SymInt offset_groups, "
    "bool use_mask) -> Tensor",
)

_LIBRARY: Any = torch.library.Library("torchvision", "FRAGMENT")
for _schema in SCHEMAS:
    with suppress(RuntimeError):  # It exists where the operators fit.
        _LIBRARY.define(_schema)

torchvision = needed("torchvision")
