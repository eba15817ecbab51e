"""How things read: values in one line, printable text, the progress of long loops."""
