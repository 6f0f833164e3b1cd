"""Arrays in, arrays out: reading, ordering, checking and drawing ECG signals."""
