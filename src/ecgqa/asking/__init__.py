"""One ECG (or two), one question in free words, one answer, with what it rests on."""

from ecgqa.asking.answer import AskedAnswer, ask
from ecgqa.asking.readers import FindingsReader, LanguageReader, MeasuringReader, Reader, Reading, TrainedReader

__all__ = [
    "AskedAnswer",
    "FindingsReader",
    "LanguageReader",
    "MeasuringReader",
    "Reader",
    "Reading",
    "TrainedReader",
    "ask",
]
