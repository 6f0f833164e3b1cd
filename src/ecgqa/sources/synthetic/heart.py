"""One patient's heart and chest: the wave parameters that stay the same between his records, and their normal ranges.

The mean normal beat was fitted (variable projection) to the average beat of 250 undisturbed normal ECGs of PTB-XL
(Wagner et al. 2020, Sci Data 7:154, CC BY 4.0), and the spread between people to their percentiles of wave amplitude.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ecgqa.sources.synthetic.dipole import DOWER, LEAD_GAIN, TANGENT, Floats, rotate_frontal, rotate_horizontal

_QRS_VECTOR: Final = np.array(
    [
        [-0.14, -0.12, -0.44],  # septum: to the right and forward
        [0.97, 0.47, 0.38],  # both ventricles, apex and left wall
        [0.80, 0.32, 0.36],
        [-0.14, 0.03, 0.60],  # base and posterior wall
        [-0.09, -0.02, 0.15],
    ]
)
_QRS_CENTRE_S: Final = np.array([0.027, 0.0345, 0.0425, 0.0555, 0.069])
_QRS_WIDTH_S: Final = np.array([0.0113, 0.0087, 0.0063, 0.0065, 0.0070])
_P_VECTOR: Final = np.array([[0.045, 0.054, -0.036], [0.088, 0.056, 0.022]])  # right, then left atrium
_T_VECTOR: Final = np.array([0.315, 0.145, -0.185])
_P_LEAD_GAIN: Final = np.array([1.2, 1.0, 0.85, 0.75, 0.65, 0.58, 0.58, 0.65])
_T_LEAD_GAIN: Final = np.array([1.2, 1.0, 0.9, 1.1, 0.88, 0.80, 0.90, 1.05])
"""The atria lie higher and T starts nearer to the chest wall than the ventricles' dipole that Dower's matrix is for."""


@dataclass
class Heart:
    """Parameters of one beat in one patient. Times in seconds from the start of the wave's own complex."""

    leads: Floats
    """(8, 3) projection of the ventricles' dipole on the independent leads of this chest."""
    atrial_leads: Floats
    """(8, 3) the same for the atria; disease of the ventricles leaves it alone."""
    p_vector: Floats
    """(2, 3) mV, right and left atrium."""
    p_centre_s: Floats
    p_width_s: Floats
    """(2,) from the onset of the P wave."""
    pr_s: float
    """Onset of P to onset of QRS."""
    qrs_vector: Floats
    """(n, 3) mV; n Gaussians from the first to the last part of the ventricles."""
    qrs_centre_s: Floats
    qrs_width_s: Floats
    """(n,) from the onset of QRS."""
    local_centre_s: Floats
    local_width_s: Floats
    local_mv: Floats
    """(m,), (m,), (m, 8): forces of the QRS seen by single electrodes, beside the dipole."""
    t_mv: Floats
    """(8,) peak of the T wave."""
    t_early_mv: Floats
    """(8,) a part of opposite sign before the peak of T makes it biphasic or notched."""
    t_rise_s: float
    t_fall_s: float
    """Gaussian widths before and after the peak at a QT of 0.40 s; they scale with QT."""
    st_mv: Floats
    """(8,) level of the ST segment."""
    sag_mv: Floats
    """(8,) a slow dip between J point and T wave, as digitalis makes."""
    u_mv: Floats
    """(8,) U wave."""
    qtc_s: float
    """QT at an RR of 1 s."""
    sinus_rate: float
    """Beats per minute at rest."""

    @property
    def p_duration_s(self) -> float:
        return float((self.p_centre_s + TANGENT * self.p_width_s).max() - min(0.0, float(self._p_start())))

    def _p_start(self) -> float:
        return float((self.p_centre_s - TANGENT * self.p_width_s).min())

    @property
    def qrs_duration_s(self) -> float:
        """Onset to J point: the last end of any Gaussian that is visible in some lead."""
        centres = np.concatenate([self.qrs_centre_s, self.local_centre_s])
        widths = np.concatenate([self.qrs_width_s, self.local_width_s])
        strength = np.abs(np.concatenate([self.qrs_vector @ self.leads.T, self.local_mv])).max(axis=1)
        end = centres + TANGENT * widths
        return float(end[strength > 0.04].max())

    def qrs_mv(self) -> Floats:
        """(n, 8) amplitude of each dipole Gaussian in lead space."""
        return np.asarray(self.qrs_vector @ self.leads.T)

    def qrs_curve(self, time_s: Floats) -> Floats:
        """(8, len(time_s)) QRS complex alone."""
        shape = np.exp(-0.5 * ((time_s[:, None] - self.qrs_centre_s) / self.qrs_width_s) ** 2)
        curve = shape @ self.qrs_mv()
        if self.local_centre_s.size:
            curve += np.exp(-0.5 * ((time_s[:, None] - self.local_centre_s) / self.local_width_s) ** 2) @ self.local_mv
        return np.asarray(curve.T)

    def add_local(self, centre_s: float, width_s: float, lead_mv: Floats) -> None:
        """Add one local QRS force."""
        self.local_centre_s = np.append(self.local_centre_s, centre_s)
        self.local_width_s = np.append(self.local_width_s, width_s)
        self.local_mv = np.vstack([self.local_mv, lead_mv])

    def stretch_qrs(self, factor: float) -> None:
        """Make the whole QRS longer by `factor`, amplitudes kept."""
        self.qrs_centre_s = self.qrs_centre_s * factor
        self.qrs_width_s = self.qrs_width_s * factor
        self.local_centre_s = self.local_centre_s * factor
        self.local_width_s = self.local_width_s * factor

    def copy(self) -> Heart:
        return replace(self)  # arrays are replaced, never changed in place


def qrs_axis_degrees(heart: Heart) -> float:
    """Frontal axis of the net QRS deflection (largest plus smallest value) in leads I and aVF."""
    curve = heart.qrs_curve(np.arange(0.0, 0.2, 0.002))
    one, two = curve[0], curve[1]
    foot = two - one / 2
    net = [wave.max() + wave.min() for wave in (one, foot)]
    return float(np.degrees(np.arctan2(2 / np.sqrt(3) * net[1], net[0])))


def sample_heart(rng: np.random.Generator, *, male: bool, age: float) -> Heart:
    """A healthy heart. Older hearts turn left, women have smaller QRS and longer QT (Rautaharju et al. 1992 and later
    reference ranges give the directions; the sizes are ours)."""
    size = rng.lognormal(0.03 if male else -0.08, 0.16)
    wall = np.exp(rng.normal(0, [0.30, 0.14, 0.14, 0.30, 0.40]))[:, None]
    vector = _QRS_VECTOR * size * wall
    vector = rotate_horizontal(vector, rng.normal(0, 9))
    vector = vector + rng.normal(0, 0.035, vector.shape)
    axis = float(np.clip(rng.normal(42 - 0.7 * (age - 50), 22), -10, 80))
    leads = DOWER * (LEAD_GAIN * np.exp(rng.normal(0, [0.06, 0.06, 0.2, 0.18, 0.16, 0.14, 0.12, 0.12])))[:, None]
    stretch = float(np.clip(rng.normal(1.04 if male else 0.99, 0.06), 0.86, 1.17))
    t_size = rng.lognormal(0.12 if male else -0.05, 0.24)
    t_vector = rotate_horizontal(_T_VECTOR * t_size * np.array([1, 1, 1.1 if male else 0.8]), rng.normal(0, 9))
    t_vector = rotate_frontal(t_vector, float(np.clip(0.3 * (axis - 42), -20, 20) + rng.normal(0, 7)))
    p_size = rng.lognormal(0.04, 0.2)
    p_stretch = float(np.clip(rng.normal(1.0, 0.07), 0.85, 1.13))
    p_vector = rotate_frontal(_P_VECTOR * p_size * np.exp(rng.normal(0, 0.15, (2, 1))), rng.normal(-2, 9))
    heart = Heart(
        leads=leads,
        atrial_leads=leads * _P_LEAD_GAIN[:, None],
        p_vector=p_vector,
        p_centre_s=np.array([0.036, 0.064]) * p_stretch,
        p_width_s=np.array([0.018, 0.019]) * p_stretch,
        pr_s=float(np.clip(rng.normal(0.152 + 0.0002 * (age - 50), 0.015), 0.122, 0.192)),
        qrs_vector=vector,
        qrs_centre_s=_QRS_CENTRE_S * stretch,
        qrs_width_s=_QRS_WIDTH_S * stretch,
        local_centre_s=np.zeros(0),
        local_width_s=np.zeros(0),
        local_mv=np.zeros((0, 8)),
        t_mv=(t_vector @ leads.T) * _T_LEAD_GAIN,
        t_early_mv=np.zeros(8),
        t_rise_s=float(0.063 * rng.lognormal(0, 0.10)),
        t_fall_s=float(0.049 * rng.lognormal(0, 0.08)),
        st_mv=_early_repolarisation(rng, male, age),
        sag_mv=np.zeros(8),
        u_mv=np.abs(rng.normal(0, 0.012)) * np.array([0.2, 0.5, 0.3, 1.0, 1.2, 0.8, 0.5, 0.3]),
        qtc_s=float(np.clip(rng.normal(0.400 if male else 0.409, 0.013), 0.37, 0.438)),
        sinus_rate=float(np.clip(rng.normal(71, 9), 61.5, 96)),
    )
    for _ in range(4):  # the axis is measured on peaks, so the turn is found by correction
        heart.qrs_vector = rotate_frontal(heart.qrs_vector, axis - qrs_axis_degrees(heart))
    return heart


def _early_repolarisation(rng: np.random.Generator, male: bool, age: float) -> Floats:
    """The slight ST elevation of V2 to V4 that most healthy people, young men above all, have."""
    height = abs(rng.normal(0.03, 0.02)) * (1.5 if male and age < 45 else 0.8)
    return height * np.array([0.15, 0.25, 0.5, 1.1, 1.0, 0.6, 0.3, 0.15])
