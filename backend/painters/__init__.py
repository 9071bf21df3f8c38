"""The painters: each one file, a way to paint an atlas or a still from an edit job."""
