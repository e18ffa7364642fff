"""The command line: one file per group of verbs; errors become exit codes."""
