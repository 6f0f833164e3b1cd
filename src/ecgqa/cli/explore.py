"""`ecgqa explore`: a local web page over a store and its predictions."""

from __future__ import annotations

from pathlib import Path


def explore(
    store: Path,
    predictions: list[Path],
    *,
    attributes: Path | None = None,
    findings: Path | None = None,
    run: Path | None = None,
    classifier: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8642,
    open: bool = True,
) -> int:
    """Open a web page on which ECGs, their questions, the right answers and every model's answers stand side by side.

    Example: ecgqa explore store runs/fusion.parquet baselines --attributes attributes

    The page is served by this machine alone and needs no network. Filter questions, look at the traces, measure on
    them, go through what the models disagree about, and ask questions of your own. Ctrl-C ends it.

    Args:
        store: A store folder made with ecgqa store build.
        predictions: Prediction files, or folders of them, as many as wanted, or none.
        attributes: Attribute table (or its folder), shown beside each question with the origin of each value.
        findings: What a classifier found (ecgqa findings predict), shown beside each question.
        run: Folder of a run trained to answer questions; it answers those that you ask in free words.
        classifier: Folder of a run trained to find attributes, to answer instead; without either, questions on
            intervals, the heart axis and noise are answered by measuring.
        host: Address to listen on. Any other than this machine's own asks visitors for a token, which is printed.
        port: Port to listen on; 0 takes a free one.
        open: Open the page in a browser; --open false only prints its address.
    """
    from ecgqa.explorer.app import make_app
    from ecgqa.explorer.explorer import open_explorer
    from ecgqa.explorer.serve import address, bind, new_token, serve

    explorer = open_explorer(
        store, predictions, attributes=attributes, findings=findings, run=run, classifier=classifier
    )
    explorer.check()
    listener = bind(host, port)
    token = new_token(host)
    shown = address(listener, host, token)
    runs = len(explorer.run_names)
    print(
        f"{len(explorer.catalogue):,} questions, {explorer.store.n_ecgs:,} ECGs, {runs} run{'' if runs == 1 else 's'}: "
        f"{shown}\nResearch use only, not for clinical use. Ctrl-C ends it.",
        flush=True,
    )
    try:
        serve(make_app(explorer, host=host, token=token), listener, open_at=shown if open else None)
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
    return 0
