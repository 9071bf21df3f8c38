"""Text-image models: loading, embeddings, relevancy, the embedded demo model."""
