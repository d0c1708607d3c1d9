"""Files in and out: nothing that is half written is ever seen under its final name."""
