"""The methods, one file each: how a job of each kind is carried out."""
