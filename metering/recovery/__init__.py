"""What is derived again from the book, and the proof that all books agree."""
