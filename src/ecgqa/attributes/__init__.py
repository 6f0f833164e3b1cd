"""What is true of each ECG: metadata (and later waveforms) to rows of the attribute table."""

from ecgqa.attributes.build import BuiltAttributes, build_attributes, collect_attributes

__all__ = ["BuiltAttributes", "build_attributes", "collect_attributes"]
