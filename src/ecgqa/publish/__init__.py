"""Data sets and models made ready for others: Hugging Face folders, Croissant metadata, data cards, model cards."""

from ecgqa.publish.croissant import croissant
from ecgqa.publish.hugging_face import export_hugging_face
from ecgqa.publish.model_card import model_card

__all__ = ["croissant", "export_hugging_face", "model_card"]
