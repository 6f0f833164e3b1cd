"""Each ECG once in a memory-mapped array, each question one small row that points to it."""
