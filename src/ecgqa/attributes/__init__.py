"""From one ECG (metadata and waveform) to rows of the attribute table."""
