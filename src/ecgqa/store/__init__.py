"""Each ECG written once, each question one small row that points to it: built once, opened instantly."""

from ecgqa.store.open import Store, open_store

__all__ = ["Store", "open_store"]
