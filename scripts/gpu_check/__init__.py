"""One visit to a GPU: does everything run on it, with which numbers, how fast, in what memory."""
