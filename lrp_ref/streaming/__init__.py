"""Explanations of more images than memory holds: streamed, resumable, on one machine or on a Dask cluster.

`run` is the call, `sources` says where images come from, `batch` does the unit of work (read, explain, write one batch),
`schedule` has it done here or on a cluster, `folder` is what lies on the disk, `identity` what tells one run from another.
"""

from lrp_ref.streaming.folder import Explanations
from lrp_ref.streaming.run import explain_many

__all__ = ["Explanations", "explain_many"]
