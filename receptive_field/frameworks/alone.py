"""What frameworks keep for the whole process, which one thread at a time may change.

PyTorch exports, traces of Keras and layers that are opened change classes, settings and
lists that all threads see, and put them back at the end.
"""

from __future__ import annotations

from receptive_field.threads import Lock

ALONE = Lock()
"""Held by the thread that changes something of a framework."""
