"""The HTML page of records: views, figures, charts, templates. Computes no statistics."""
