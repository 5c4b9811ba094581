"""What a sandbox offers inside: commands, files, watches and terminals, as E2B's envd does."""
