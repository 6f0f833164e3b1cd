"""From prediction rows and question rows to scores, comparisons and reports."""
