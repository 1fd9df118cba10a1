"""What is made of a picture: smaller ones, a blur, a likeness, its place, and what is on it."""
