"""Things to run: demo, edit, benchmark, build, train."""
