"""Money in and out on a chain: deposits, joins, streams, withdrawals."""
