"""The command `ecgqa doctor`."""

from __future__ import annotations


def doctor() -> None:
    """Say what is installed and what data are at hand, what is missing, and the one command that gets it.

    Example: ecgqa doctor

    Nothing is downloaded and nothing is changed.
    """
    from rich.console import Console
    from rich.markup import escape

    from ecgqa.doctor import examine

    console = Console()
    for title, findings in examine().items():
        console.print(f"[bold]{title}[/bold]")
        for finding in findings:
            mark = "[green]yes[/green]" if finding.present else "[yellow]no [/yellow]"
            console.print(f"  {mark} {escape(finding.name)}: {escape(finding.told)}", highlight=False, soft_wrap=True)
            if finding.fix:
                console.print(f"        {escape(finding.fix)}", style="cyan", highlight=False, soft_wrap=True)
    console.print("\nFirst time? ecgqa demo needs nothing but the train and plot extras.", highlight=False)
