"""The books: what people query, a projection of the journal in SQL.  docs/adr/0009-books.md."""
