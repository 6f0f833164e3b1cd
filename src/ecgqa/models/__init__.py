"""One file per architecture, all with the same call."""
