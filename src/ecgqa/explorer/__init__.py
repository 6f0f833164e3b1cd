"""The local web page over a store and any number of prediction sets: `ecgqa explore`."""
