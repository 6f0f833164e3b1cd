"""SCP-ECG statements as PTB-XL names and sorts them, and its scp_statements.csv.

Codes and names: ISO 11073-91064 (SCP-ECG); kinds, classes and spelling: PTB-XL's scp_statements.csv (Wagner et al.
2020, Sci Data 7:154, CC BY 4.0). Only the sixty statements that the cohort uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Statement:
    """One row of scp_statements.csv."""

    code: str
    kinds: str
    """Letters of D (diagnostic), F (form), R (rhythm)."""
    diagnostic_class: str
    diagnostic_subclass: str
    description: str

    @property
    def diagnostic(self) -> bool:
        return "D" in self.kinds


_ROWS: Final = """
NDT|DF|STTC|STTC|non-diagnostic T abnormalities
NST_|DF|STTC|NST_|non-specific ST changes
DIG|DF|STTC|STTC|digitalis-effect
LNGQT|DF|STTC|STTC|long QT-interval
NORM|D|NORM|NORM|normal ECG
IMI|D|MI|IMI|inferior myocardial infarction
ASMI|D|MI|AMI|anteroseptal myocardial infarction
LVH|D|HYP|LVH|left ventricular hypertrophy
LAFB|D|CD|LAFB/LPFB|left anterior fascicular block
ISC_|D|STTC|ISC_|non-specific ischemic
IRBBB|D|CD|IRBBB|incomplete right bundle branch block
1AVB|D|CD|_AVB|first degree AV block
IVCD|D|CD|IVCD|non-specific intraventricular conduction disturbance (block)
ISCAL|D|STTC|ISCA|ischemic in anterolateral leads
CRBBB|D|CD|CRBBB|complete right bundle branch block
CLBBB|D|CD|CLBBB|complete left bundle branch block
ILMI|D|MI|IMI|inferolateral myocardial infarction
LAO/LAE|D|HYP|LAO/LAE|left atrial overload/enlargement
AMI|D|MI|AMI|anterior myocardial infarction
ALMI|D|MI|AMI|anterolateral myocardial infarction
ISCIN|D|STTC|ISCI|ischemic in inferior leads
INJAS|D|MI|AMI|subendocardial injury in anteroseptal leads
LMI|D|MI|LMI|lateral myocardial infarction
ISCIL|D|STTC|ISCI|ischemic in inferolateral leads
LPFB|D|CD|LAFB/LPFB|left posterior fascicular block
ISCAS|D|STTC|ISCA|ischemic in anteroseptal leads
INJAL|D|MI|AMI|subendocardial injury in anterolateral leads
ISCLA|D|STTC|ISCA|ischemic in lateral leads
RAO/RAE|D|HYP|RAO/RAE|right atrial overload/enlargement
ILBBB|D|CD|ILBBB|incomplete left bundle branch block
IPLMI|D|MI|IMI|inferoposterolateral myocardial infarction
ISCAN|D|STTC|ISCA|ischemic in anterior leads
IPMI|D|MI|IMI|inferoposterior myocardial infarction
INJIN|D|MI|IMI|subendocardial injury in inferior leads
INJLA|D|MI|AMI|subendocardial injury in lateral leads
PMI|D|MI|PMI|posterior myocardial infarction
INJIL|D|MI|IMI|subendocardial injury in inferolateral leads
ABQRS|F|||abnormal QRS
PVC|F|||ventricular premature complex
STD_|F|||non-specific ST depression
VCLVH|F|||voltage criteria (QRS) for left ventricular hypertrophy
QWAVE|F|||Q waves present
LOWT|F|||low amplitude T-waves
NT_|F|||non-specific T-wave changes
PAC|F|||atrial premature complex
LPR|F|||prolonged PR interval
INVT|F|||inverted T-waves
LVOLT|F|||low QRS voltages in the frontal and horizontal leads
HVOLT|F|||high QRS voltage
TAB_|F|||T-wave abnormality
STE_|F|||non-specific ST elevation
SR|R|||sinus rhythm
AFIB|R|||atrial fibrillation
STACH|R|||sinus tachycardia
SARRH|R|||sinus arrhythmia
SBRAD|R|||sinus bradycardia
PACE|R|||normal functioning artificial pacemaker
BIGU|R|||bigeminal pattern (unknown origin, SV or Ventricular)
AFLT|R|||atrial flutter
SVTAC|R|||supraventricular tachycardia
"""

STATEMENTS: Final[dict[str, Statement]] = {
    row.split("|")[0]: Statement(*row.split("|")) for row in _ROWS.strip().splitlines()
}

_COLUMNS: Final = (
    "", "description", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass", "Statement Category",
    "SCP-ECG Statement Description", "AHA code", "aECG REFID", "CDISC Code", "DICOM Code",
)  # fmt: skip


def statements_csv() -> str:
    """Text of scp_statements.csv in PTB-XL's columns; the cross-references to other code systems stay empty."""
    lines = [",".join(_COLUMNS)]
    for statement in STATEMENTS.values():
        flags = ["1.0" if kind in statement.kinds else "" for kind in "DFR"]
        text = statement.description
        quoted = f'"{text}"' if "," in text else text
        cells = [statement.code, quoted, *flags, statement.diagnostic_class, statement.diagnostic_subclass]
        lines.append(",".join(cells + [""] * (len(_COLUMNS) - len(cells))))
    return "\n".join(lines) + "\n"
