"""One file a method: how a job of that kind is carried out."""
