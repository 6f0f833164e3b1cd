"""A synthetic cohort of twelve-lead ECGs in PTB-XL's layout, made from known parameters.

From the inside out: `dipole` (electrical model and projection), `heart` (one patient's normal beat), `shaping` and
`territories` (what disease does to waves, and where), `conditions` (statement code to change of the heart), `ectopy`
and `rhythm` (other beats, and when each comes), `render` (all beats to twelve leads, with true fiducials), `noise`,
`patients` (who has what, and when), `findings` and `reading` (what a reader sees and writes), `record`, `writer`.
"""

from __future__ import annotations

from ecgqa.sources.synthetic.writer import write_cohort

__all__ = ["write_cohort"]
