"""Documents: text layers, scans read by OCR, pictures of pages."""
