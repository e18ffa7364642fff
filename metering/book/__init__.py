"""The book of record. The only room that imports sqlalchemy."""
