//! What is on disk: boot files, confined to their directory and parsed once per revision.
