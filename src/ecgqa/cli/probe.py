"""The command `ecgqa probe`."""

from __future__ import annotations

from pathlib import Path


def probe(
    run: Path,
    store: Path,
    held_out: str = "valid",
    out: Path | None = None,
    seed: int = 0,
    resamples: int = 1000,
    batch_size: int = 32,
    device: str = "auto",
) -> None:
    """Tell how much a trained ECG encoder sees: a linear probe of its frozen features.

    Example: ecgqa probe runs/w2v-cmsc-rlm stores/ptbxl

    For every attribute that the store's questions tell of whole ECGs, a logistic regression learns to read it
    from the encoder's features of the train ECGs; the held-out ECGs are those of other patients. Beside it stand an
    encoder of the same configuration that was never trained, and the amplitudes of the leads.

    Args:
        run: folder of a run whose model holds the ECG transformer (pretraining, question answering or classification),
            or of an imported checkpoint
        store: folder of a store with questions
        held_out: splits to score on, comma separated: valid, test or both
        out: JSON file to write everything to, the attributes one by one among it
        seed: seed of the untrained encoder, of the choice of the penalty and of the resamples
        resamples: resamples of the held-out ECGs behind each interval
        batch_size: ECGs at a time; lower it if memory runs out
        device: auto, cpu, cuda or cuda:N
    """
    from ecgqa.artefacts import write_json
    from ecgqa.training.threads import wait_quietly

    wait_quietly()
    from ecgqa.training.probe import probe as run_probe

    splits = [split.strip() for split in held_out.split(",") if split.strip()]
    found = run_probe(
        run, store, held_out=splits, seed=seed, n_resamples=resamples, device=device, batch_size=batch_size
    )
    about = found.about
    print(
        f"{about['train_ecgs']:,} train ECGs, {about['held_out_ecgs']:,} of other patients ({', '.join(splits)}), "
        f"{len(found.attributes)} attributes, {about['labels']:,} labels"
    )
    width = max(map(len, found.scores)) + 2
    print(f"{'macro AUROC':<{width}}  (95 % interval over ECGs)")
    for name, scored in found.scores.items():
        print(f"{name:<{width}}{scored.auroc:.3f}  ({scored.low:.3f} to {scored.high:.3f})")
    for gap in found.differences:
        print(f"{run.name} - {gap.other}: {gap.difference:+.3f}  ({gap.low:+.3f} to {gap.high:+.3f})")
    if out is not None:
        write_json(out, found.to_dict())
        print(f"written to {out}")
