"""The 70 question templates, the data sets made from them, and the published on-disk layout."""
