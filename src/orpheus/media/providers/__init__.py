"""Services that can do in place of this machine: OpenAI-compatible endpoints, and Replicate. Used only where configured."""
