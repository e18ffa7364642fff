"""The settlement back end over the pallet tick-stream; the journal's is settlement/journal.py."""
