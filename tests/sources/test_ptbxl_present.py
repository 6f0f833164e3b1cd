"""Which ECGs of a partly copied data set are there."""

from ecgqa.sources import open_source
from ecgqa.sources.synthetic import write_cohort


def test_an_ecg_is_present_with_header_and_data_only(tmp_path):
    root = write_cohort(tmp_path / "cohort", n_patients=3, workers=1)
    everything = open_source(root).present()
    assert everything == frozenset(open_source(root).records()["ecg_id"])
    (root / "records500/00000/00001_hr.dat").unlink()
    (root / "records500/00000/00002_hr.hea").unlink()
    assert open_source(root).present() == everything - {1, 2}
