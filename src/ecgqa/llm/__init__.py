"""Language models as readers of ECGs: what they are shown, how their replies are understood, and runs that resume."""
