"""Who may: viewer tokens and viewer sessions."""
