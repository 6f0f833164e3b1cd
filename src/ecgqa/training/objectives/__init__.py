"""What can be optimised, one file each: question answering, classification of findings, self-supervised pretraining."""
