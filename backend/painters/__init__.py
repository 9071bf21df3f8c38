"""The painters, one file each: ways to paint an atlas or a still for an edit job."""
